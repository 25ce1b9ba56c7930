"""Cameras over HTTP: live, timed by when their pictures arrive, and no end of theirs is taken for one of ours."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path

import pytest
from http_camera import LOGIN, http_camera
from numbered_clips import RATE, encode, likeness, number_of

from streamproc.errors import NotVideo, SourceError, SourceNotFound, SourceStalled
from streamproc.media.notices import Notice
from streamproc.media.source import VideoSource
from streamproc.types import Clock, Frame


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    clip = encode(tmp_path_factory.mktemp("clips") / "camera.ts", [(640, 360, 20), (480, 270, 20)])
    with http_camera(clip) as server:
        yield f"http://{LOGIN}@{server}"


def read(address: str, most: int = 1000) -> tuple[list[Frame], VideoSource, list[str]]:
    """Its frames, until it breaks the connection off, which has no other end than that."""
    frames: list[Frame] = []
    notices: list[Notice] = []
    with VideoSource(address, "gate", timeout=2, threads=1, notice=notices.append) as source:
        assert source.info.live
        assert source.clock is Clock.ARRIVAL
        try:
            frames.extend(islice(source, most))  # extend keeps what came before the error
        except SourceError as end:
            if "cannot be read any further" not in str(end):
                raise
    return frames, source, [notice.text for notice in notices]


def said(error: BaseException) -> str:
    """All that it and its causes say."""
    cause = error.__cause__
    return repr(error) + str(error) + ("" if cause is None else said(cause))


def test_mjpeg_is_timed_by_its_arrival(address: str) -> None:
    before = datetime.now(UTC)
    frames, source, notices = read(f"{address}/live", 30)
    after = datetime.now(UTC)
    assert [number_of(frame.image) for frame in frames] == list(range(30))
    assert (source.corrupt, notices) == (0, [])
    times = [frame.time.captured_at for frame in frames]
    assert before < times[0]
    assert after - timedelta(seconds=0.5) < times[-1] < after + timedelta(milliseconds=50)
    steps = sorted(later - earlier for earlier, later in pairwise(times))
    assert steps[0] >= timedelta(0)
    assert timedelta(seconds=0.9 / RATE) < steps[len(steps) // 2] < timedelta(seconds=4 / RATE)


def test_a_camera_that_dies_ends_its_stream(address: str) -> None:
    frames, source, _ = read(f"{address}/dies")
    assert len(frames) in (9, 10)  # its last picture may go with it
    assert source.frames == len(frames)


@pytest.mark.parametrize(("path", "words"), [("hangs", "did not answer in time"), ("stops", "stopped giving")])
def test_a_camera_that_hangs_is_noticed(address: str, path: str, words: str) -> None:
    began = time.monotonic()
    with pytest.raises(SourceStalled, match=words) as caught:
        read(f"{address}/{path}")
    assert time.monotonic() - began < 8
    assert "s3cret" not in said(caught.value)


def test_a_picture_of_another_size_is_noticed_and_given(address: str) -> None:
    frames, source, notices = read(f"{address}/grows")
    shapes = [frame.image.shape[:2] for frame in frames]
    assert shapes[:6] == [(270, 480)] * 6
    assert set(shapes[6:]) == {(360, 640)}
    assert notices == ["the picture is now 640x360, was 480x270"]
    assert {frame.time.epoch for frame in frames} == {0}
    assert source.corrupt == 0


def test_garbage_between_the_pictures(address: str) -> None:
    frames, source, _ = read(f"{address}/garbage")
    assert source.corrupt >= 2
    assert len(frames) >= 9
    assert min(likeness(frame.image) for frame in frames) > 25


def test_a_transport_stream_of_two_sizes(address: str) -> None:
    frames, source, notices = read(f"{address}/ts")
    assert [number_of(frame.image) for frame in frames] == list(range(40))
    assert [frame.image.shape[0] for frame in frames] == [360] * 20 + [270] * 20
    assert notices == ["the picture is now 480x270, was 640x360"]
    assert (source.corrupt, {frame.time.epoch for frame in frames}) == (0, {0})
    seconds = float(frames[-1].time.seconds - frames[0].time.seconds)
    assert seconds == pytest.approx(39 / RATE, abs=0.001)


def test_nobody_reads_a_password_anywhere(address: str) -> None:
    wrong = address.replace(LOGIN, "viewer:gu3ss")
    with pytest.raises(SourceError, match="check the user name, password") as refused:
        read(f"{wrong}/live")
    with pytest.raises(SourceNotFound) as lost:
        read(f"{address}/none?token=s3cret")
    with pytest.raises((NotVideo, SourceStalled)) as hung:
        read(f"{address}/hangs?password=s3cret")
    for caught in (refused, lost, hung):
        assert "127.0.0.1" in said(caught.value)
        assert "gu3ss" not in said(caught.value)
        assert "s3cret" not in said(caught.value)


def test_ffmpeg_says_nothing_of_its_own(address: str) -> None:
    """What it prints past our errors would hold the address."""
    code = (
        "import sys; from streamproc.media.source import VideoSource\n"
        "try:\n    list(VideoSource(sys.argv[1], 'gate', timeout=2).__enter__())\n"
        "except Exception as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, f"{address}/none"], capture_output=True, text=True, check=True)
    assert "404" in done.stdout
    assert done.stderr == ""


def test_a_device_that_is_no_camera() -> None:
    if Path("/dev/video0").exists():
        pytest.skip("a camera is plugged in")
    with pytest.raises(SourceNotFound, match=r"There is no camera '0' \(/dev/video0\): check that it is plugged"):
        read("0")


def test_a_device_that_is_a_camera() -> None:
    if not Path("/dev/video0").exists():
        pytest.skip("no camera is plugged in, nor v4l2loopback loaded")
    frames, source, _ = read("0", 5)
    assert (len(frames), source.clock) == (5, Clock.ARRIVAL)
