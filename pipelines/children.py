"""Child processes: spawned, heard of, their last words kept."""

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from pipelines import worker

CONTEXT = multiprocessing.get_context("spawn")
"""Spawned, never forked: a forked child inherits threads' locks in whatever state they are."""


class Child:
    """One running stage, with its line to here and its standard error in a file without a name."""

    def __init__(self, name: str, entry: str, threads: int, *args: Any) -> None:
        """Starts `entry` ("module:function") in a process of its own."""
        self.name = name
        self.control, theirs = CONTEXT.Pipe(duplex=False)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        # A Connection is what multiprocessing knows how to hand a file descriptor over as.
        stderr = Connection(os.dup(self._stderr.fileno()), readable=False)
        self._process = CONTEXT.Process(
            target=worker.main,
            args=(entry, os.getpid(), theirs, stderr, threads, args),
            name=f"streamproc-{name}",
            daemon=True,
        )
        # The child inherits the mask: a Ctrl-C while it starts is for the parent alone.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()
            stderr.close()
        self.heard = time.monotonic()
        self.spoke = False

    @property
    def sentinel(self) -> int:
        """What becomes ready when the process ends."""
        return self._process.sentinel

    @property
    def pid(self) -> int | None:
        """The process' id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that killed it."""
        return self._process.exitcode

    def messages(self) -> Iterator[Any]:
        """What it has said by now."""
        try:
            while self.control.poll():
                message = self.control.recv()
                self.heard, self.spoke = time.monotonic(), True
                yield message
        except (EOFError, OSError):
            return

    def last_words(self) -> str:
        """How it ended and why, one line: the last of its standard error, or what the crash handler wrote."""
        code = self.exit_code
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr.read().decode(errors="replace").splitlines() if line.strip()]
        if not lines:
            return how
        fatal = [line for line in lines if line.startswith("Fatal Python error")]
        last = (fatal or lines)[-1]
        # Our own errors are sentences; the class in front of them is no news to a user.
        return f"{how}: {last.split(': ', 1)[-1] if last.startswith('streamproc.errors.') else last}"

    def ask_to_stop(self) -> None:
        """Nothing; sends the signal that `worker.Control.stoppable` waits for."""
        if self._process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, worker.STOP)

    def end(self) -> None:
        """Nothing; the process is gone when this returns."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self.control.close()
        self._stderr.close()
