"""Sources that are missing, foreign, damaged or cut: one clear sentence each, and every readable frame."""

import os
import traceback
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from made_clips import Clip, cut, damage, picture

from streamproc.errors import NotVideo, SourceError, SourceNotFound, TruncatedSource
from streamproc.media.source import DAMAGED_IN_A_ROW, VideoSource
from streamproc.types import Frame

LONG = tuple(range(0, 6000, 40))


def open_and_close(uri: str) -> None:
    with VideoSource(uri, "gate", timeout=3):
        pass


def read_until_error(path: Path, kind: type[SourceError]) -> tuple[list[Frame], VideoSource, str]:
    frames: list[Frame] = []
    with VideoSource(str(path), "gate") as source, pytest.raises(kind) as caught:
        frames.extend(source)  # extend keeps what came before the error
    return frames, source, str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"absent\.mkv' does not exist"):
        open_and_close(str(tmp_path / "absent.mkv"))


def test_a_missing_device() -> None:
    with pytest.raises(SourceNotFound, match=r"no camera '250' \(/dev/video250\)"):
        open_and_close("250")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.mp4", b"", "is empty"),
        ("noise.mkv", np.random.default_rng(3).bytes(100_000), "not a video or picture"),
        ("notes.txt", b"Nothing to see here.\n" * 40, "text file"),
        ("renamed.mp4", b"Nothing to see here.\n" * 40, "not a video or picture"),
        ("head.mp4", b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + b"\x00\x00\x00\x08free", "before its index"),
    ],
)
def test_what_is_no_video(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NotVideo, match=words) as caught:
        open_and_close(str(tmp_path / name))
    assert name in str(caught.value)


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="directory"):
        open_and_close(str(tmp_path))


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        samples.sample_rate = 8000
        container.mux(stream.encode(samples))
    with pytest.raises(NotVideo, match="no video stream, only audio"):
        open_and_close(str(path))


def test_an_mp4_cut_before_its_index(tmp_path: Path) -> None:
    path = cut(Clip(LONG).write(tmp_path / "a.mp4"), 0.6)
    with pytest.raises(NotVideo, match="cut before its index was written"):
        open_and_close(str(path))


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("a.mkv", Clip(LONG)),
        ("a.avi", Clip(LONG, codec="mpeg4")),
        ("a.mp4", Clip(LONG, muxer={"movflags": "faststart"})),
    ],
)
def test_a_cut_file_gives_its_frames_then_says_so(tmp_path: Path, name: str, clip: Clip) -> None:
    frames, source, message = read_until_error(cut(clip.write(tmp_path / name), 0.6), TruncatedSource)
    assert 60 < len(frames) < 120
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert name in message
    assert "of the 6.0 s" in message
    assert source.frames == len(frames)


def test_a_cut_picture_is_refused(tmp_path: Path) -> None:
    path = Clip((0,), codec="mjpeg", pixels="yuvj420p").write(tmp_path / "a.mjpeg").rename(tmp_path / "a.jpg")
    open_and_close(str(path))
    with pytest.raises(NotVideo, match="damaged"):
        open_and_close(str(cut(path, 0.7)))


def test_a_frame_that_the_decoder_flags_is_not_given(tmp_path: Path) -> None:
    path = damage(Clip(codec="mpeg4").write(tmp_path / "a.avi"), (12,))
    with VideoSource(str(path), "gate") as source:
        frames = list(source)
    assert (len(frames), source.frames, source.corrupt) == (49, 49, 1)


@pytest.mark.parametrize("intact", [0.1, 0.5, 0.9])
def test_damaged_frames_are_skipped_and_counted(tmp_path: Path, intact: float) -> None:
    clip = Clip(LONG, codec="mjpeg", pixels="yuvj420p")
    path = damage(clip.write(tmp_path / "a.avi"), (5, 6, 40, 149), intact)
    with VideoSource(str(path), "gate") as source:
        frames = list(source)
        assert (source.frames, source.corrupt) == (146, 4)
    greys = [int(frame.image[40, 50].mean().round()) for frame in frames]
    whole = [int(picture(index)[40, 50].mean()) for index in range(150) if index not in (5, 6, 40, 149)]
    assert np.abs(np.array(greys) - whole).max() < 6


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.mp4", "libx264"), ("a.avi", "mpeg4")])
def test_damage_between_key_frames_never_stops_the_reading(tmp_path: Path, name: str, codec: str) -> None:
    path = damage(Clip(LONG, codec=codec).write(tmp_path / name), range(30, 40))
    with VideoSource(str(path), "gate") as source:
        frames = list(source)
    assert source.corrupt > 0
    assert len(frames) >= 130
    assert frames[-1].time.seconds - frames[0].time.seconds == Fraction(596, 100)


def changed_while_read(path: Path, change: Callable[[Path], object]) -> tuple[list[Frame], VideoSource, str]:
    """What reading gives when the file is changed after its tenth frame, and the sentence that it ends with."""
    frames: list[Frame] = []
    with VideoSource(str(path), "gate") as source:
        pictures = iter(source)
        frames.extend(islice(pictures, 10))
        change(path)
        try:
            frames.extend(pictures)
        except SourceError as error:
            return frames, source, str(error)
    return frames, source, ""


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        size = path.stat().st_size
        file.seek(size // 2)
        file.write(np.random.default_rng(4).bytes(size - size // 2))


@pytest.mark.parametrize(("name", "codec", "pixels"), [("a.avi", "mjpeg", "yuvj420p"), ("a.mkv", "libx264", "yuv420p")])
def test_a_file_that_is_overwritten_while_it_is_read(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    clip = Clip(tuple(range(0, 24_000, 40)), codec=codec, pixels=pixels)
    frames, source, end = changed_while_read(clip.write(tmp_path / name), overwrite)
    assert 250 < len(frames) < 500
    assert source.corrupt > 0 or "was cut" in end
    for frame in frames:
        assert abs(int(frame.image[40, 50].mean()) - int(picture(frame.index)[40, 50].mean())) < 8, frame.index


def test_a_file_that_is_cut_while_it_is_read(tmp_path: Path) -> None:
    path = Clip(tuple(range(0, 24_000, 40)), codec="mjpeg", pixels="yuvj420p").write(tmp_path / "a.avi")
    frames, _, end = changed_while_read(path, lambda path: os.truncate(path, path.stat().st_size // 2))
    assert 250 < len(frames) < 350
    assert "was cut" in end


def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_was(tmp_path: Path) -> None:
    path = Clip(LONG).write(tmp_path / "a.mkv")
    other = Clip((0, 40, 80), codec="mpeg4").write(tmp_path / "b.mkv")
    frames, source, end = changed_while_read(path, lambda path: other.replace(path))
    assert (len(frames), source.corrupt, end) == (150, 0, "")


def test_a_source_damaged_for_ever_is_given_up_on(tmp_path: Path) -> None:
    clip = Clip(tuple(range(0, 40 * 320, 40)), codec="mjpeg", pixels="yuvj420p")
    path = damage(clip.write(tmp_path / "a.avi"), range(10, 320))
    frames, source, message = read_until_error(path, SourceError)
    assert len(frames) == 10
    assert source.corrupt == DAMAGED_IN_A_ROW
    assert "given up on at frame 10" in message


@pytest.mark.parametrize(
    "address", ["rtsp://admin:s3cret@127.0.0.1:9/live", "http://admin:s3cret@127.0.0.1:9/x?pwd=s3cret"]
)
def test_an_unreachable_camera_without_its_password(address: str) -> None:
    with pytest.raises(SourceNotFound, match="cannot be reached") as caught:
        open_and_close(address)
    shown = "".join(traceback.format_exception(caught.value))
    assert "127.0.0.1:9" in shown
    assert "s3cret" not in shown
