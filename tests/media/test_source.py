"""Clips of many kinds, read to their ends."""

import os
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from made_clips import HEIGHT, RED, WIDTH, Clip, picture

from streamproc.media import source as source_module
from streamproc.media.pixels import RgbConverter
from streamproc.media.source import VideoSource, expand
from streamproc.types import Frame, FrameTime, Image

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
VIDEOS = Path(__file__).parents[2].parent / "shared" / "data" / "videos"


def read(path: Path, **options: float) -> list[Frame]:
    with VideoSource(str(path), "gate", START, **options) as source:  # type: ignore[arg-type]
        return list(source)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "mpeg4"), ("a.avi", "mpeg4"), ("a.ts", "libx264"), ("a.mov", "mjpeg")],
)
def test_every_frame_comes_in_order_with_its_time(tmp_path: Path, name: str, codec: str) -> None:
    path = Clip(codec=codec, pixels="yuvj420p" if codec == "mjpeg" else "yuv420p").write(tmp_path / name)
    with VideoSource(str(path), "gate", START) as source:
        frames = list(source)
        assert (source.frames, source.corrupt) == (50, 0)
        assert (source.info.width, source.info.height, source.info.live) == (WIDTH, HEIGHT, False)
    assert [frame.index for frame in frames] == list(range(50))
    assert [frame.time.captured_at for frame in frames] == [
        START + timedelta(seconds=0.04 * index) for index in range(50)
    ]
    assert {frame.camera_id for frame in frames} == {"gate"}
    for frame in frames:
        assert frame.image.shape == (HEIGHT, WIDTH, 3)
        assert frame.image.flags.c_contiguous
        assert abs(frame.image[40, 50].astype(int) - picture(frame.index)[40, 50]).max() < 12


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts"])
def test_variable_frame_rate_is_told_by_the_timestamps(tmp_path: Path, name: str) -> None:
    times = (0, 40, 140, 150, 400, 1000)
    frames = read(Clip(times).write(tmp_path / name))
    began = frames[0].time.seconds
    assert [frame.time.seconds - began for frame in frames] == [Fraction(time, 1000) for time in times]
    assert [frame.time.captured_at for frame in frames] == [START + timedelta(milliseconds=time) for time in times]


def test_a_stream_without_timestamps_gets_them_from_its_rate(tmp_path: Path) -> None:
    frames = read(Clip().write(tmp_path / "a.h264"))
    assert len(frames) == 50
    steps = {later.time.seconds - earlier.time.seconds for earlier, later in pairwise(frames)}
    assert steps == {Fraction(1, 25)}


def test_timestamps_that_begin_again_begin_an_epoch(tmp_path: Path) -> None:
    path = Clip().write(tmp_path / "a.ts")
    path.write_bytes(path.read_bytes() * 2)
    frames = read(path)
    assert [frame.time.epoch for frame in frames] == [0] * 50 + [1] * 50
    captured = [frame.time.captured_at for frame in frames]
    assert captured == [START + timedelta(seconds=0.04 * index) for index in range(100)]


@pytest.mark.parametrize(
    ("rotation", "corner", "degrees"), [(-90, (8, -8), 90), (90, (-8, 8), 270), (180, (-8, -8), 180), (0, (8, 8), 0)]
)
def test_rotation_metadata_is_applied(tmp_path: Path, rotation: int, corner: tuple[int, int], degrees: int) -> None:
    path = Clip(rotation=rotation).write(tmp_path / "a.mp4")
    with VideoSource(str(path), "gate", START) as source:
        frame = next(iter(source))
        assert frame.image.shape == (source.info.height, source.info.width, 3)
        assert source.info.rotation == degrees
    assert frame.image.shape[:2] == ((WIDTH, HEIGHT) if abs(rotation) == 90 else (HEIGHT, WIDTH))
    assert abs(frame.image[corner].astype(int) - RED).max() < 25


@pytest.mark.parametrize(
    ("codec", "pixels", "colour"),
    [
        ("ffv1", "gray", False),
        ("ffv1", "gray16le", False),
        ("ffv1", "yuv422p10le", True),
        ("ffv1", "bgra", True),
        ("rawvideo", "yuyv422", True),
        ("libx264", "yuv444p", True),
    ],
)
def test_pixel_formats(tmp_path: Path, codec: str, pixels: str, colour: bool) -> None:
    frame = read(Clip(codec=codec, pixels=pixels).write(tmp_path / "a.mkv"))[3]
    assert abs(frame.image[40, 50].astype(int) - picture(3)[40, 50]).max() < 6
    spread = int(np.ptp(frame.image[8, 8].astype(int)))
    assert spread > 150 if colour else spread == 0


class CountingConverter(RgbConverter):
    converted = 0

    def convert(self, frame: av.VideoFrame) -> Image:
        type(self).converted += 1
        return super().convert(frame)


def test_max_rate_thins_by_stream_time_and_converts_only_what_it_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "RgbConverter", CountingConverter)
    monkeypatch.setattr(CountingConverter, "converted", 0)
    with VideoSource(str(Clip().write(tmp_path / "a.mkv")), "gate", START, max_rate=5) as source:
        frames = list(source)
        assert source.frames == 50
    assert [frame.index for frame in frames] == list(range(0, 50, 5))
    assert CountingConverter.converted == 10


@pytest.mark.parametrize(
    ("codec", "pixels", "rotation"),
    [
        ("libx264", "yuv420p", 0),
        ("libx264", "yuv420p", 90),
        ("mjpeg", "yuvj420p", 180),
        ("ffv1", "gray", 0),
        ("ffv1", "yuv422p10le", 0),
        ("rawvideo", "yuyv422", 0),
    ],
)
def test_frames_are_asked_for_by_their_luma_and_the_others_are_not_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, pixels: str, rotation: int
) -> None:
    monkeypatch.setattr(source_module, "RgbConverter", CountingConverter)
    monkeypatch.setattr(CountingConverter, "converted", 0)
    path = Clip(codec=codec, pixels=pixels, rotation=rotation).write(tmp_path / ("a.mov" if rotation else "a.mkv"))
    asked: list[tuple[datetime, Image]] = []

    def wanted(time: FrameTime, luma: Image) -> bool:
        asked.append((time.captured_at, luma.copy()))
        return len(asked) % 3 == 0

    with VideoSource(str(path), "gate", START, max_rate=12.5, wanted=wanted) as source:
        upright = (source.info.height, source.info.width)
        frames = list(source)
    assert [at for at, _ in asked] == [START + timedelta(seconds=0.08 * n) for n in range(25)]
    assert [frame.index for frame in frames] == list(range(4, 50, 6))
    assert CountingConverter.converted == len(frames) == 8
    for frame, (_, luma) in zip(frames, asked[2::3], strict=True):
        assert luma.shape == frame.image.shape[:2] == upright
        # Video's luma goes from 16 to 235 where the format does not say otherwise.
        grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY).astype(int)
        assert min(abs(luma - grey).max(), abs(luma - (16 + grey * 219 / 255)).max()) < 12


def test_a_file_begins_when_it_says_it_was_made(tmp_path: Path) -> None:
    path = Clip(metadata={"creation_time": "2024-05-06T07:08:09Z"}).write(tmp_path / "a.mp4")
    with VideoSource(str(path), "gate") as source:
        assert source.started_at == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def test_a_file_that_does_not_say_begins_when_it_was_written(tmp_path: Path) -> None:
    path = Clip().write(tmp_path / "a.mkv")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    with VideoSource(str(path), "gate") as source:
        assert next(iter(source)).time.captured_at == datetime.fromtimestamp(1_700_000_000, UTC)


def test_a_start_without_a_time_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="time zone"):
        VideoSource("a.mkv", "gate", datetime(2024, 5, 6))


@pytest.mark.parametrize("name", ["face.png", "face.jpg", "12:30:05.png", "face%d.jpg"])
def test_a_picture_is_a_source_of_one_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    suffix = name[-4:]
    av.VideoFrame.from_ndarray(picture(7), format="rgb24").save(f"plain{suffix}")
    Path(f"plain{suffix}").rename(name)
    with VideoSource(name, "gate", START) as source:
        (frame,) = source
    assert frame.time.captured_at == START
    assert abs(frame.image[40, 50].astype(int) - picture(7)[40, 50]).max() < 6


def test_a_file_whose_sound_outlasts_its_pictures_is_whole(tmp_path: Path) -> None:
    path = Clip(sound=6.0, codec="mpeg4").write(tmp_path / "a.mkv")
    assert len(read(path)) == 50


@pytest.mark.skipif(not VIDEOS.is_dir(), reason="the sample videos are not here")
def test_real_clips_are_read_to_their_ends() -> None:
    for path in expand([str(VIDEOS / "office")]):
        with VideoSource(path, "office", max_rate=6) as source:
            frames = list(source)
            assert source.corrupt == 0
            assert source.info.frames_expected is not None
            assert abs(source.frames - source.info.frames_expected) <= 1
            assert source.frames / 6 < len(frames) < source.frames / 4
