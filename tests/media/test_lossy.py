"""H.264 over a network that loses packets, and clocks that are wrong: what is doubtful is not given as good."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from numbered_clips import RATE, encode, likeness, number_of

from streamproc.errors import SourceStalled
from streamproc.media.notices import About, Notice
from streamproc.media.source import VideoSource
from streamproc.types import Clock, Frame, Transport

SERVER = Path(__file__).with_name("h264_camera.py")
SYSTEM_PYTHON = shutil.which("python3", path=os.defpath)
NEEDS = (
    "from gi import require_version as need; need('Gst', '1.0'); need('GstRtspServer', '1.0');"
    "from gi.repository import Gst; Gst.init(None);"
    "assert all(Gst.ElementFactory.find(name) for name in ('tsdemux', 'h264parse', 'rtph264pay'))"
)
SECONDS = 5
WHOLE = 38.0
"""dB to what was sent, of a picture that only coding changed."""

Camera = Callable[[float, str], str]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("clips") / "camera.ts", [(640, 360, SECONDS * RATE)])


@pytest.fixture
def camera(clip: Path) -> Iterator[Camera]:
    """From the share of packets lost and the clock to the address of a camera."""
    if SYSTEM_PYTHON is None or subprocess.run([SYSTEM_PYTHON, "-c", NEEDS], capture_output=True).returncode:
        pytest.skip("GStreamer's RTSP server and its Python bindings are not installed")
    running: list[subprocess.Popen[str]] = []

    def serve(loss: float, clock: str) -> str:
        command = [SYSTEM_PYTHON or "", str(SERVER), str(clip), str(loss), clock]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={})
        running.append(process)
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            pytest.skip("GStreamer's RTSP server does not start here")
        return f"rtsp://127.0.0.1:{port}/live"

    yield serve
    for process in running:
        process.kill()
        process.communicate()


def watch(address: str, transport: Transport = "tcp") -> tuple[list[Frame], VideoSource, list[Notice]]:
    """All that the camera gives until it is at its clip's end."""
    frames: list[Frame] = []
    notices: list[Notice] = []
    with VideoSource(address, "gate", timeout=2, threads=1, transport=transport, notice=notices.append) as source:
        assert source.info.live
        with suppress(SourceStalled):
            frames.extend(source)  # extend keeps what came before the error
    return frames, source, notices


@pytest.mark.parametrize(("loss", "transport"), [(0.1, "udp"), (0.02, "tcp")])
def test_no_picture_that_misses_something_is_given(camera: Camera, loss: float, transport: Transport) -> None:
    frames, source, _ = watch(camera(loss, "ntp"), transport)
    assert frames
    assert source.corrupt > 10
    worst = min(likeness(frame.image) for frame in frames)
    print(f"{len(frames)} frames given of {SECONDS * RATE} sent, {source.corrupt} counted as damaged, {worst:.1f} dB")
    assert worst > WHOLE


def test_without_losses_every_picture_is_given_at_its_senders_time(camera: Camera) -> None:
    frames, source, notices = watch(camera(0.0, "ntp"), "udp")
    ended = datetime.now(UTC)
    assert source.clock is Clock.SENDER
    assert notices == []
    # Of the last picture the server may send less than all, when it sees that none follows.
    assert source.corrupt <= 1
    assert [number_of(frame.image) for frame in frames][: SECONDS * RATE - 1] == list(range(SECONDS * RATE - 1))
    began = [frame.time.captured_at - timedelta(seconds=number_of(frame.image) / RATE) for frame in frames]
    assert max(began[-15:]) - min(began[-15:]) < timedelta(milliseconds=5), "the last second has one clock"
    assert timedelta(0) < ended - frames[-1].time.captured_at < timedelta(seconds=0.5)
    times = [frame.time.captured_at for frame in frames]
    assert all(earlier < later for earlier, later in pairwise(times))
    assert {frame.time.epoch for frame in frames} == {0}


def test_a_clock_that_is_plainly_wrong_is_not_believed(camera: Camera) -> None:
    before = datetime.now(UTC)
    frames, source, notices = watch(camera(0.0, "clock-time"))
    assert source.clock is Clock.ARRIVAL
    assert [notice.about for notice in notices] == [About.CLOCK]
    assert "s behind; times are told by when frames arrive" in notices[0].text
    # The last picture is sent at once, when the server sees that none follows.
    assert (
        before < frames[0].time.captured_at < frames[-1].time.captured_at < datetime.now(UTC) + timedelta(seconds=0.1)
    )
    assert len(frames) == SECONDS * RATE
