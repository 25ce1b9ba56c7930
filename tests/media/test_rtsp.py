"""A network camera, served by GStreamer where it is installed."""

import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import numpy as np
import pytest

from pipelines.bench.cameras import CameraServer
from streamproc.errors import SourceError, SourceNotFound, SourceStalled
from streamproc.media.source import VideoSource

LOGIN = "viewer:s3cret"


@pytest.fixture
def camera(serve: Callable[..., CameraServer]) -> CameraServer:
    return serve({"live": "ball"}, LOGIN)


def test_a_camera_gives_frames_in_real_time(camera: CameraServer) -> None:
    before = datetime.now(UTC)
    with VideoSource(camera.url("live", LOGIN), "gate", timeout=5) as source:
        assert source.info.live
        assert (source.info.width, source.info.height) == (320, 240)
        frames = list(islice(source, 20))
        assert source.corrupt == 0
    assert len(frames) == 20
    assert frames[0].image.std() > 20
    assert frames[0].time.captured_at >= before
    assert frames[-1].time.captured_at - frames[0].time.captured_at == pytest.approx(
        timedelta(seconds=19 / 15), abs=timedelta(milliseconds=50)
    )


def test_a_wrong_password_is_said_without_saying_it(camera: CameraServer) -> None:
    with (
        pytest.raises(SourceError, match="check the user name, password") as caught,
        VideoSource(camera.url("live", "viewer:gu3ss"), "gate", timeout=5),
    ):
        pass
    assert "gu3ss" not in "".join(traceback.format_exception_only(caught.value))
    assert "gu3ss" not in repr(caught.value.__cause__)


def test_a_path_that_is_not_there(camera: CameraServer) -> None:
    with pytest.raises(SourceNotFound, match="404"), VideoSource(camera.url("none", LOGIN), "gate", timeout=5):
        pass


def test_a_camera_that_falls_silent_is_noticed(camera: CameraServer) -> None:
    with VideoSource(camera.url("live", LOGIN), "gate", timeout=2) as source:
        frames = iter(source)
        next(frames)
        camera.hang()
        began = time.monotonic()
        with pytest.raises(SourceStalled, match="stopped giving"):
            list(frames)
    assert 1 < time.monotonic() - began < 5
    with (
        pytest.raises(SourceStalled, match="did not answer in time"),
        VideoSource(camera.url("live", LOGIN), "gate", timeout=2),
    ):
        pass


def test_a_clip_loops_for_ever_at_the_time_of_day(
    serve: Callable[..., CameraServer], moving_clip: Callable[[int, int], str]
) -> None:
    server = serve({"live": moving_clip(320, 240)})
    numbers, late = [], []
    with VideoSource(server.url("live"), "gate", timeout=5) as source:
        for frame in source:
            numbers.append(sum(1 << bit for bit in range(6) if frame.image[8, 16 * bit + 8].mean() > 128))
            shown = (datetime.now(UTC) - server.epoch).total_seconds()
            late.append((shown - numbers[-1] / 15) % 4)
            if len(numbers) == 100:
                break
        assert source.corrupt == 0
    assert len(set(numbers)) == 60, "a whole round was seen"
    assert all((after - before) % 60 == 1 for before, after in pairwise(numbers))
    # The first ones waited while FFmpeg looked at the stream.
    assert np.median(late[-20:]) < 0.5


class _EnoughError(Exception):
    pass


def test_a_camera_shows_what_it_is_told_to(
    serve: Callable[..., CameraServer], moving_clip: Callable[[int, int], str]
) -> None:
    server = serve({"live": moving_clip(320, 240)})
    damaged = 0
    garbage = False

    def count() -> None:
        nonlocal damaged
        damaged += 1
        # No whole frame comes any more, so nothing else ends it.
        if garbage and damaged == 30:
            raise _EnoughError

    with VideoSource(server.url("live"), "gate", timeout=5, transport="udp", damaged=count) as source:
        frames = iter(source)
        moving = [frame.image.astype(np.int16) for frame in islice(frames, 10)]
        server.tell("live", "frozen")
        pictures = [frame.image.astype(np.int16) for frame in islice(frames, 110)]
        assert max(np.abs(picture - pictures[-1]).max() for picture in pictures[-40:]) <= 2
        assert max(np.abs(picture - pictures[-1]).max() for picture in moving) > 50
        server.tell("live", f"show {moving_clip(480, 320)}")
        assert any(frame.image.shape == (320, 480, 3) for frame in islice(frames, 60))
        server.tell("live", "loss 0.3")
        assert any(damaged for _ in islice(frames, 60))
        server.tell("live", "garbage")
        damaged, garbage = 0, True
        with pytest.raises(_EnoughError):
            list(islice(frames, 60))
