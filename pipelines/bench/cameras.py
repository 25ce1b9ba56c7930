"""Live cameras on this machine: the RTSP server (`rtsp_server.py`) as a process that can be ended, stopped, and told
what to do wrong."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from pipelines.messages import CameraJob
from streamproc.errors import MissingLibrary, PipelineError
from streamproc.media.writing import elementary_stream
from streamproc.types import Transport

SERVER = Path(__file__).with_name("rtsp_server.py")
NEEDS = (
    "from gi import require_version as need; need('Gst', '1.0'); need('GstApp', '1.0'); need('GstRtspServer', '1.0');"
    "from gi.repository import Gst; Gst.init(None);"
    "assert all(map(Gst.ElementFactory.find, ('appsrc', 'h264parse', 'rtph264pay', 'jpegenc')))"
)
PACKAGES = (
    "python3-gi gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad"
)


def server_python() -> str:
    """The system's Python, which has GStreamer's bindings. Raises MissingLibrary where it has none."""
    # The system's own folders: a virtual environment's Python does not see what the distribution installs.
    python = shutil.which("python3", path=os.defpath)
    if python is None or subprocess.run([python, "-c", NEEDS], capture_output=True, env={}, check=False).returncode:
        raise MissingLibrary(
            f"Live cameras are served by GStreamer, which is not installed: apt-get install {PACKAGES}"
        )
    return python


def looped(clip: Path, rate: int) -> str:
    """The name under which the server shows a clip of H.264 of so many frames a second; its coded pictures are written
    beside it once."""
    bare = clip.with_suffix(".h264")
    if not bare.exists():
        elementary_stream(clip, bare)
    return f"{bare}@{rate}"


class CameraServer:
    """Cameras by name, each at an address of its own; a context manager. It comes back at the same port, and its clips
    go on where they would have been."""

    def __init__(self, pictures: Mapping[str, str], login: str | None = None) -> None:
        """`pictures` by camera: `ball`, `bars`, or what `looped` gave; `login`: "user:password" that is asked for.

        Raises MissingLibrary without GStreamer, PipelineError where its server does not start.
        """
        self._python, self.pictures, self._login = server_python(), dict(pictures), login
        self._epoch = time.time()
        self._port = "0"
        self.start()

    @property
    def epoch(self) -> datetime:
        """UTC of the first frame of every clip's first round."""
        return datetime.fromtimestamp(self._epoch, UTC)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def start(self) -> None:
        """Nothing; it serves, after `kill` again."""
        command = [self._python, str(SERVER), "--port", self._port, "--epoch", repr(self._epoch)]
        command += ["--login", self._login] if self._login else []
        command += [f"{name}={pictures}" for name, pictures in self.pictures.items()]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={}
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        if not port:
            self.kill()
            raise PipelineError("GStreamer's RTSP server does not start: see whether its port is taken.")
        self._port = port

    def kill(self) -> None:
        """Nothing; the server is gone, its connections are broken."""
        self._process.kill()
        self._process.communicate()

    def hang(self) -> None:
        """Nothing; connections are accepted, and nothing is answered any more."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Nothing; what hung answers again."""
        os.kill(self.pid, signal.SIGCONT)

    def tell(self, camera: str, fault: str) -> None:
        """Nothing; the camera's clip is sent with that fault from now on (see the head of `rtsp_server.py`)."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{camera} {fault}\n")
        self._process.stdin.flush()

    def url(self, camera: str, login: str | None = None) -> str:
        """A camera's address."""
        who = f"{login}@" if login else ""
        return f"rtsp://{who}127.0.0.1:{self._port}/{camera}"

    def job(self, camera: str, transport: Transport = "tcp") -> CameraJob:
        """The camera, to be watched."""
        return CameraJob(camera, self.url(camera), self.url(camera), transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
