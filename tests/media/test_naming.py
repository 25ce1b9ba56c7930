"""Sources by name."""

import hashlib
from pathlib import Path

import pytest

from streamproc.errors import SourceNotFound
from streamproc.media.naming import content_hash, default_camera, device_path, expand, is_picture, redact


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_folder_stands_for_the_videos_below_it_sorted(tmp_path: Path) -> None:
    touch(tmp_path, "b.mkv", "a.MP4", "notes.csv", "thumb.jpg", "north/c.avi", ".trash/d.mp4", ".e.mp4")
    found = expand([str(tmp_path)])
    assert [Path(source).relative_to(tmp_path).as_posix() for source in found] == ["a.MP4", "b.mkv", "north/c.avi"]


def test_a_folder_of_pictures_stands_for_them(tmp_path: Path) -> None:
    touch(tmp_path, "2.png", "1.jpg", "notes.txt")
    assert [Path(source).name for source in expand([str(tmp_path)])] == ["1.jpg", "2.png"]


def test_files_urls_and_devices_stand_for_themselves_each_once(tmp_path: Path) -> None:
    touch(tmp_path, "odd.name")
    sources = ["rtsp://gate/live", "0", str(tmp_path / "odd.name"), "0", "http://gate/x.mjpg"]
    assert expand(sources) == ["rtsp://gate/live", "0", str(tmp_path / "odd.name"), "http://gate/x.mjpg"]


@pytest.mark.parametrize("name", ["absent.mp4", "absent"])
def test_what_is_missing_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceNotFound, match=name):
        expand([str(tmp_path / name)])


def test_a_folder_without_videos_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(SourceNotFound, match="holds no video"):
        expand([str(tmp_path)])


@pytest.mark.parametrize(
    ("source", "camera"),
    [
        ("clips/gate north.mkv", "gate north"),
        ("rtsp://admin:p@ss@10.0.0.7:554/ch1", "10.0.0.7"),
        ("http://gate.example/x.mjpg?password=abc", "gate.example"),
        ("0", "device-0"),
        ("/dev/video3", "device-3"),
    ],
)
def test_default_camera(source: str, camera: str) -> None:
    assert default_camera(source) == camera


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("rtsp://admin:s3cret@gate/ch1", "rtsp://gate/ch1"),
        ("rtsp://admin:s3@cret@gate:554/ch1@2", "rtsp://gate:554/ch1@2"),
        ("cannot open 'rtsp://admin:s3cret@gate/' or 'http://a:b@c/'", "cannot open 'rtsp://gate/' or 'http://c/'"),
        ("http://gate/v?user=admin&size=2&Pwd=s3cret", "http://gate/v?user=***&size=2&Pwd=***"),
        ("rtsp://gate/user@home", "rtsp://gate/user@home"),
        ("clips/me@work.mkv", "clips/me@work.mkv"),
    ],
)
def test_redact(text: str, clean: str) -> None:
    assert redact(text) == clean


def test_device_path() -> None:
    assert device_path("2") == "/dev/video2"
    assert device_path("/dev/video10") == "/dev/video10"
    assert device_path("2.mkv") is None
    assert device_path("²") is None


def test_is_picture() -> None:
    assert is_picture("a/B.JPG")
    assert not is_picture("a/b.mkv")
    assert not is_picture("http://gate/snapshot.jpg")


def test_content_hash_is_of_the_bytes(tmp_path: Path) -> None:
    touch(tmp_path, "a.mkv", "b.mkv")
    assert content_hash(str(tmp_path / "a.mkv")) == content_hash(str(tmp_path / "b.mkv"))
    assert content_hash(str(tmp_path / "a.mkv")) == hashlib.sha256(b"x").hexdigest()
    with pytest.raises(SourceNotFound, match=r"c\.mkv"):
        content_hash(str(tmp_path / "c.mkv"))
