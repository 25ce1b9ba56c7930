"""What the live stages count: cumulative since their process began, told with their signs of life.

Whoever hears of it keeps the last report of each process and adds up those that ended: a report that gets lost loses
nothing, and no count goes backwards when a stage is started anew.
"""

import bisect
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Of the spreads' steps, seconds."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How seconds are spread: `counts[k]` of them are at most `BOUNDS[k]` and above the bound before, the last of the
    counts are above all; `total` is their sum."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    total: float = 0.0

    def __add__(self, other: "Spread") -> "Spread":
        counts = tuple(one + another for one, another in zip(self.counts, other.counts, strict=True))
        return Spread(counts, self.total + other.total)

    def with_values(self, seconds: float, count: int = 1) -> "Spread":
        """The spread with `count` more values, each of so many seconds."""
        counts = list(self.counts)
        counts[bisect.bisect_left(BOUNDS, seconds)] += count
        return Spread(tuple(counts), self.total + seconds * count)


@dataclass(frozen=True, slots=True)
class Searched:
    """A camera's frames that were searched for faces, and the faces found in them, the same one in many frames."""

    camera: str
    frames: int
    detections: int


@dataclass(frozen=True, slots=True)
class StageReport:
    """A live stage's sign of life: `waiting` messages of at most `slots` are under way to the next stage or being
    written, and since its process began it did `items` in `batches`, at work for `busy` seconds.

    `encode`: seconds a face; `write`: seconds a track's transaction; `arrival`: seconds from when a shot was captured
    to when it was archived, each shot once. `share` (0..1] is what detection can take of all cameras' rates.
    """

    waiting: int = 0
    slots: int = 0
    batches: int = 0
    items: int = 0
    busy: float = 0.0
    searched: tuple[Searched, ...] = ()
    encode: Spread = Spread()
    write: Spread = Spread()
    arrival: Spread = Spread()
    share: float = 1.0

    def __add__(self, other: "StageReport") -> "StageReport":
        """Both processes' counts; `other` is the one that runs."""
        sums: dict[str, Searched] = {one.camera: one for one in self.searched}
        for one in other.searched:
            before = sums.get(one.camera, Searched(one.camera, 0, 0))
            sums[one.camera] = Searched(one.camera, before.frames + one.frames, before.detections + one.detections)
        return StageReport(
            other.waiting,
            other.slots,
            self.batches + other.batches,
            self.items + other.items,
            self.busy + other.busy,
            tuple(sums.values()),
            self.encode + other.encode,
            self.write + other.write,
            self.arrival + other.arrival,
            other.share,
        )


class Tally:
    """A stage's counts in the making."""

    def __init__(self, slots: int) -> None:
        """`slots`: messages that may be under way."""
        self._slots = slots
        self._batches = self._items = 0
        self._busy = 0.0
        self._searched: dict[str, Searched] = {}
        self._encode, self._write, self._arrival = Spread(), Spread(), Spread()

    @contextmanager
    def work(self, items: int = 0) -> Iterator[None]:
        """A block in which the stage is at work, on a batch of so many items where there are any."""
        self._batches += items > 0
        self._items += items
        began = time.monotonic()
        try:
            yield
        finally:
            self._busy += time.monotonic() - began

    def searched(self, camera: str, detections: int) -> None:
        """Nothing; a frame of the camera was searched."""
        held = self._searched.get(camera, Searched(camera, 0, 0))
        self._searched[camera] = Searched(camera, held.frames + 1, held.detections + detections)

    def encoded(self, faces: int, seconds: float) -> None:
        """Nothing; so many faces were coded together."""
        if faces:
            self._encode = self._encode.with_values(seconds / faces, faces)

    def written(self, seconds: float) -> None:
        """Nothing; a track's transaction, a batch of its own, took so long."""
        self._batches += 1
        self._items += 1
        self._write = self._write.with_values(seconds)

    def arrived(self, seconds: float) -> None:
        """Nothing; a shot was archived so long after it was captured."""
        self._arrival = self._arrival.with_values(max(0.0, seconds))

    def report(self, waiting: int, share: float = 1.0) -> StageReport:
        """All of it, with how many messages are under way now, and the share that can be taken."""
        return StageReport(
            waiting,
            self._slots,
            self._batches,
            self._items,
            self._busy,
            tuple(self._searched.values()),
            self._encode,
            self._write,
            self._arrival,
            share,
        )
