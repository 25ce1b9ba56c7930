"""Links between processes that come and go: what was sent is received in order, though either end be killed between.

A stage opens a door, a Unix socket in the service's private folder; those before it knock, and knock again when the
stage behind it was killed and started anew. The sender of a `Post` keeps every message until it is told that the
message's effect is safe, and sends what is left again on the next line: once and again, never not at all. Receivers
make that harmless, for the archive takes what it holds already as a repetition.
"""

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection, Listener, wait
from pathlib import Path
from typing import Any

from streamproc.errors import PipelineError

RETRY_SECONDS = 0.1
UNDER_WAY = 64
"""Tracks that a stage may have on their way to the archive; a track is about 0.6 MB."""
PATIENCE = 120.0
"""Seconds that the next stage may be away."""
BROKEN = (EOFError, OSError)
"""What reading and writing raise on a line whose other end is gone."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message of a Post, with its number on that Post."""

    number: int
    message: Any


@dataclass(frozen=True, slots=True)
class Safe:
    """The other way: everything up to `number` has had its effect."""

    number: int


class Door:
    """The receiving end: takes in whoever knocks, for ever, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        """Opens the door at `path`; what a killed predecessor left there goes."""
        path.unlink(missing_ok=True)
        self._listener = Listener(str(path), "AF_UNIX", backlog=64)
        self._lock = threading.Lock()
        self._waiting: list[Connection] = []
        threading.Thread(target=self._take_in, daemon=True).start()

    def _take_in(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._waiting.append(connection)

    def newcomers(self) -> list[Connection]:
        """Those who came since the last time."""
        with self._lock:
            came, self._waiting = self._waiting, []
        return came


def knock(path: Path, waiting: Callable[[], None], patience: float) -> Connection:
    """A connection to the door at `path`, as soon as it is open; `waiting` is called now and then until it is.

    Raises PipelineError after `patience` seconds.
    """
    end = time.monotonic() + patience
    while True:
        with contextlib.suppress(*BROKEN):
            return Client(str(path), "AF_UNIX")
        if time.monotonic() > end:
            raise PipelineError(f"The stage behind {path.name} was not there for {patience:.0f} s.")
        waiting()
        time.sleep(RETRY_SECONDS)


class Post:
    """The sending end of messages that must not be lost."""

    def __init__(self, path: Path, limit: int, waiting: Callable[[], None], patience: float) -> None:
        """At most `limit` messages are under way; `waiting` is called now and then while there are that many, or while
        nobody opens."""
        self._path, self._limit, self._waiting, self._patience = path, limit, waiting, patience
        self._under_way: deque[tuple[Numbered, Callable[[], None] | None]] = deque()
        self._number = 0
        self._connection: Connection | None = None

    def send(self, message: object, safe: Callable[[], None] | None = None) -> None:
        """Nothing; the message is under way, and `safe` is called once its effect is. Waits while too many are."""
        self._number += 1
        numbered = Numbered(self._number, message)
        self._under_way.append((numbered, safe))
        if self._connection is None:
            self._begin_anew()
        else:
            self._tried(lambda line: line.send(numbered))
        while len(self._under_way) >= self._limit:
            self.settle(0.2)
            self._waiting()

    def settle(self, timeout: float) -> None:
        """Nothing; takes note of what is safe, waiting up to `timeout` seconds for the first news."""
        if self._connection is None:
            return
        self._tried(lambda line: self._take_note(line, timeout))

    @property
    def under_way(self) -> int:
        """Messages of which nobody has said that they are safe."""
        return len(self._under_way)

    def finish(self, seconds: float) -> bool:
        """Whether everything became safe within so many seconds."""
        end = time.monotonic() + seconds
        while self._under_way and time.monotonic() < end:
            self.settle(0.1)
            self._waiting()
        return not self._under_way

    def _take_note(self, line: Connection, timeout: float) -> None:
        while line.poll(timeout):
            until = line.recv().number
            while self._under_way and self._under_way[0][0].number <= until:
                _, safe = self._under_way.popleft()
                if safe is not None:
                    safe()
            timeout = 0.0

    def _tried(self, work: Callable[[Connection], None]) -> None:
        assert self._connection is not None
        try:
            work(self._connection)
        except BROKEN:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """A new line, on which everything that is not safe goes again."""
        while True:
            if self._connection is not None:
                self._connection.close()
            self._connection = knock(self._path, self._waiting, self._patience)
            try:
                for numbered, _ in list(self._under_way):
                    self._connection.send(numbered)
                    self._take_note(self._connection, 0.0)
                return
            except BROKEN:
                continue


class Letter:
    """A received message and what to do when its effect is safe."""

    __slots__ = ("_line", "_number", "message")

    def __init__(self, line: Connection, numbered: Numbered) -> None:
        self.message = numbered.message
        self._line, self._number = line, numbered.number

    def safe(self) -> None:
        """Nothing; the sender may forget this message and those before it. A sender that is gone needs no telling."""
        with contextlib.suppress(*BROKEN):
            self._line.send(Safe(self._number))


class Inlet:
    """All lines into a stage, read by a thread of its own, so that no sender waits for what the stage is busy with. How
    much may be waiting here, the senders bound, each by the limit of its `Post`."""

    def __init__(self, door: Door) -> None:
        self._letters: queue.SimpleQueue[Letter] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(door,), daemon=True).start()

    def letters(self, most: int, timeout: float) -> list[Letter]:
        """At most so many of those that are waiting, each line's in its order; none after `timeout` seconds."""
        letters: list[Letter] = []
        with contextlib.suppress(queue.Empty):
            letters.append(self._letters.get(timeout=timeout))
            while len(letters) < most:
                letters.append(self._letters.get_nowait())
        return letters

    def _read(self, door: Door) -> None:
        lines: list[Connection] = []
        while True:
            lines += door.newcomers()
            if not lines:
                time.sleep(RETRY_SECONDS / 2)
            for ready in wait(lines, RETRY_SECONDS):
                assert isinstance(ready, Connection)
                try:
                    self._letters.put(Letter(ready, ready.recv()))
                except BROKEN:
                    lines.remove(ready)
                    ready.close()
