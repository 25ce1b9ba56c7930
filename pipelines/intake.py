"""Where the frames of all live cameras come in: everybody has a turn, nobody waits for old frames, and each camera
hears how much can be taken."""

import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from pipelines.channels import FrameReader
from pipelines.links import BROKEN, Door
from pipelines.messages import FrameReady, Pace
from pipelines.worker import BEAT_SECONDS
from streamproc.media.share import STALE, FairShare
from streamproc.types import Frame


class Intake:
    """All lines into live detection."""

    def __init__(self, door: Door, batch: int) -> None:
        """`batch`: frames taken in one go, at most."""
        self._door, self._batch = door, batch
        self._readers: dict[Connection, FrameReader] = {}
        """In the order in which it is their turn."""
        self._told: dict[Connection, Pace] = {}
        self._fair = FairShare()

    @property
    def share(self) -> float:
        """The share (0..1] of everybody's rates that can be taken."""
        return self._fair.share

    def take(self) -> list[tuple[Connection, Any]]:
        """What is waiting, in each line's order; at most a batch of frames, one of each line before a second of any;
        None for a line that broke, which is the last of it."""
        self._readers |= {line: FrameReader(line) for line in self._door.newcomers()}
        self._fair.settle(time.monotonic())
        news: list[tuple[Connection, Any]] = []
        if not self._readers:
            time.sleep(BEAT_SECONDS / 5)
            return news
        ready = set(wait(list(self._readers), BEAT_SECONDS))
        turns = [line for line in self._readers if line in ready]
        room = self._batch
        while turns and room:
            line = turns.pop(0)
            taken = self._next(line)
            news += [(line, message) for message in taken]
            if taken and isinstance(taken[-1], FrameReady):
                room -= 1
                turns.append(line)
                self._readers[line] = self._readers.pop(line)  # behind the others, the next time too
        return news

    def frame(self, line: Connection, message: FrameReady) -> Frame:
        """The frame, valid until `free` is called."""
        return self._readers[line].frame(message)

    def free(self, line: Connection, message: FrameReady) -> None:
        """Nothing; the frame was searched."""
        with suppress(*BROKEN):  # the next reading of the line says so, too
            self._readers[line].free(message)

    def tell(self, faces: Mapping[Connection, bool]) -> None:
        """Nothing; each camera knows whether a face is in its view, and the share."""
        for line in self._readers:
            pace = Pace(round(self.share, 2), faces.get(line, False))
            if self._told.get(line, Pace(1.0, False)) != pace:
                self._told[line] = pace
                with suppress(*BROKEN):
                    self._readers[line].tell(pace)

    def close(self, line: Connection) -> None:
        """Nothing; a line that broke is forgotten."""
        self._readers.pop(line, None)
        self._told.pop(line, None)
        line.close()

    def _next(self, line: Connection) -> list[Any]:
        """The line's next messages up to a frame that is worth searching; the older ones are given back."""
        taken: list[Any] = []
        reader = self._readers[line]
        try:
            while line.poll():
                message = reader.receive()
                if isinstance(message, FrameReady):
                    waited = time.monotonic() - message.sent
                    self._fair.waited(waited, message.missed)
                    if waited > STALE:
                        reader.free(message, searched=False)
                        continue
                taken.append(message)
                if isinstance(message, FrameReady):
                    break
        except BROKEN:
            taken.append(None)
        return taken
