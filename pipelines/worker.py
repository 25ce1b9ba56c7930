"""The inside of every child process: it dies with its parent, leaves its end to it, and gives signs of life."""

import contextlib
import ctypes
import faulthandler
import importlib
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from pipelines.loading import loading

BEAT_SECONDS = 0.25
ALERT_SECONDS = 0.05
"""How soon a stage notices that it was asked to stop: everybody waits for it then."""
STOP = signal.SIGUSR1
"""What asks a stage to finish. Not SIGTERM: service managers send that to every process at once, and stages end one
after the other."""
_PR_SET_PDEATHSIG = 1


class Control:
    """The line from a stage to the supervisor."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = 0.0
        self.stopping = threading.Event()

    def stoppable(self) -> None:
        """Nothing; from now on `stopping` says whether the supervisor asked the stage to finish."""
        signal.signal(STOP, lambda _signal, _frame: self.stopping.set())

    def send(self, message: object) -> None:
        """Nothing; the supervisor gets the message."""
        self._connection.send(message)
        self._last = time.monotonic()

    def beat(self, message: object) -> None:
        """Nothing; like `send`, but at most four times a second."""
        if time.monotonic() - self._last >= BEAT_SECONDS:
            self.send(message)


def main(entry: str, parent: int, control: Connection, stderr: Connection, threads: int, args: tuple[Any, ...]) -> None:
    """Runs `entry` ("module:function") as a stage; the traceback of what it raises ends up in its stderr, and its exit
    code is 1 then."""
    os.dup2(stderr.fileno(), sys.stderr.fileno())
    faulthandler.enable()
    _die_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Before torch and numba are imported: they read it once.
    os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = str(threads)
    # Threads that wait for work by spinning take the core from the other processes.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    module, function = entry.split(":")
    with loading():
        stage = getattr(importlib.import_module(module), function)
    stage(Control(control), *args)


def _die_with(parent: int) -> None:
    """Ends this process when its parent is gone, whatever the parent died of."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    """Where the kernel does not tell, and for a parent that died before it was asked to."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
