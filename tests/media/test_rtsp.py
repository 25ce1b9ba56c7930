"""A network camera, served by GStreamer where it is installed."""

import os
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from streamproc.errors import SourceError, SourceNotFound, SourceStalled
from streamproc.media.source import VideoSource

SERVER = Path(__file__).with_name("rtsp_server.py")
SYSTEM_PYTHON = shutil.which("python3", path=os.defpath)
NEEDS = "from gi import require_version as need; need('Gst', '1.0'); need('GstRtspServer', '1.0')"


@dataclass(frozen=True)
class Camera:
    port: int
    process: subprocess.Popen[str]

    def url(self, login: str = "viewer:s3cret", path: str = "live") -> str:
        return f"rtsp://{login}@127.0.0.1:{self.port}/{path}"


@pytest.fixture
def camera() -> Iterator[Camera]:
    if SYSTEM_PYTHON is None or subprocess.run([SYSTEM_PYTHON, "-c", NEEDS], capture_output=True).returncode:
        pytest.skip("GStreamer's RTSP server and its Python bindings are not installed")
    process = subprocess.Popen(
        [SYSTEM_PYTHON, str(SERVER)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={}
    )
    assert process.stdout is not None
    with process.stdout:
        port = process.stdout.readline().strip()
        if not port:
            process.wait()
            pytest.skip("GStreamer's RTSP server does not start here")
        yield Camera(int(port), process)
        process.kill()
        process.wait()


def test_a_camera_gives_frames_in_real_time(camera: Camera) -> None:
    before = datetime.now(UTC)
    with VideoSource(camera.url(), "gate", timeout=5) as source:
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


def test_a_wrong_password_is_said_without_saying_it(camera: Camera) -> None:
    with (
        pytest.raises(SourceError, match="check the user name, password") as caught,
        VideoSource(camera.url("viewer:gu3ss"), "gate", timeout=5),
    ):
        pass
    assert "gu3ss" not in "".join(traceback.format_exception_only(caught.value))
    assert "gu3ss" not in repr(caught.value.__cause__)


def test_a_path_that_is_not_there(camera: Camera) -> None:
    with pytest.raises(SourceNotFound, match="404"), VideoSource(camera.url(path="none"), "gate", timeout=5):
        pass


def test_a_camera_that_falls_silent_is_noticed(camera: Camera) -> None:
    with VideoSource(camera.url(), "gate", timeout=2) as source:
        frames = iter(source)
        next(frames)
        os.kill(camera.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(SourceStalled, match="stopped giving"):
            list(frames)
    assert 1 < time.monotonic() - began < 5
    with pytest.raises(SourceStalled, match="did not answer in time"), VideoSource(camera.url(), "gate", timeout=2):
        pass
