"""How the archive stage clears up: a small step between two messages, by the rules that it was told last."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from pipelines.messages import Cleared, DiskState
from pipelines.retaining import Evidence, give_back, unheeded
from storage import RESERVE, Archive, ClearedStep, Removed, Rules
from streamproc.errors import ArchiveError, ArchiveFull

TURN_SECONDS = 0.02
"""How long what may go is looked for in one go."""
WAY_SECONDS = 0.2
"""How long new faces wait for what goes to make way for them, at a time."""
FUTILE_SECONDS = 3600.0
"""Where all that may go is gone and there still is too much, it is looked for again so much later."""
MIB = 2**20


class Clearing:
    """What is over its time, or too much, goes; a full disk makes it go in smaller steps, not stop."""

    def __init__(
        self,
        archive: Archive,
        tell: Callable[[Cleared | DiskState], None],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive, self._tell, self._steady = archive, tell, steady
        self._evidence, self._reserve = Evidence(archive), archive.reserve
        self._rules = Rules()
        self._steps: Iterator[ClearedStep | None] | None = None
        self._removed = Removed()
        self._shrinking = self._low = False
        self._not_before = steady()

    def ask(self, rules: Rules, at: datetime) -> None:
        """Nothing; these rules count from now on, and what is over its time by them at `at` goes soon."""
        if self._steps is not None and rules == self._rules:
            return  # it would begin anew each time that it is slower than who asks
        self._rules, self._steps = rules, None
        self._not_before = self._steady()
        if rules.any:
            if said := unheeded(self._archive, rules):
                self._tell(Cleared(said, False))
            self._begin(at)

    def look(self, at: datetime) -> None:
        """Nothing; if there is too much, it goes soon, and whether the disk is low was told."""
        room, free = self._archive.room(), self._rules.free
        low = free is not None and room.free is not None and room.free < free
        if low != self._low:
            self._low = low
            self._tell(DiskState(low, _low(room.free or 0, free) if low and free is not None else ""))
        if self._steps is not None:
            return
        if self._in_force().too_much(room) and self._steady() >= self._not_before:
            self._begin(at)
        elif low or not self._reserve.kept:
            self._shrinking = True

    def turn(self) -> bool:
        """Whether there was something to do, and a step of it is done."""
        try:
            if self._steps is not None:
                self._step(self._steps)
            elif self._shrinking:
                self._shrink()
            else:
                return False
        except ArchiveFull:
            # What is kept for this moment lets the next attempt do it.
            self._make_room()
            self._steps, self._shrinking = None, False
        except ArchiveError as error:
            self._steps, self._shrinking = None, False
            self._tell(Cleared(f"Clearing up stopped: {error}", False))
        return True

    def make_way(self, at: datetime) -> bool:
        """Whether something went to make way for what found no room on the disk."""
        if not self._rules.any:
            return False
        self._make_room()
        if self._steps is None and self._steady() >= self._not_before:
            self._begin(at)
        before, end = self._removed, self._steady() + WAY_SECONDS
        while self._steps is not None and self._steady() < end:
            self.turn()
        self._shrinking |= self._steps is None
        while self._steps is None and self._shrinking and self._steady() < end:
            self.turn()  # what was given away is to be there again before more comes
        return self._removed != before

    def _begin(self, at: datetime) -> None:
        self._removed = Removed()
        self._steps = self._archive.clear(self._in_force(), at, self._evidence)

    def _in_force(self) -> Rules:
        """The rules; where the reserve was given away, there is to be room for it, too."""
        free = self._rules.free
        if free is None or self._reserve.kept:
            return self._rules
        return replace(self._rules, free=free + RESERVE)

    def _step(self, steps: Iterator[ClearedStep | None]) -> None:
        end = self._steady() + TURN_SECONDS
        while (step := next(steps, Removed())) is None and self._steady() < end:
            pass
        if isinstance(step, ClearedStep):
            self._removed += step.removed
        elif step is not None:
            self._finish()

    def _finish(self) -> None:
        self._steps, removed = None, self._removed
        short = self._in_force().too_much(self._archive.room()) > 0
        self._shrinking = True
        if removed == Removed() and short:
            self._not_before = self._steady() + FUTILE_SECONDS
            self._tell(Cleared("All that may go from the archive is gone, and there still is too much.", False))
        if removed == Removed():
            return
        self._tell(
            Cleared(
                f"Cleared up: {removed.tracks} tracks of {removed.faces} faces and {removed.pictures} pictures were "
                f"over their time or too much; the archive uses their {removed.bytes / MIB:.1f} MiB again.",
                True,
            )
        )

    def _shrink(self) -> None:
        if give_back(self._archive, all_of_it=self._low or not self._reserve.kept):
            return
        self._shrinking = False
        self._archive.take_in_log()
        self._reserve.keep()

    def _make_room(self) -> None:
        self._reserve.give()
        with suppress(ArchiveFull):
            self._archive.take_in_log()


def _low(free: int, wanted: int) -> str:
    return (
        f"Only {free / MIB:.0f} MiB are free on the archive's disk, of {wanted / MIB:.0f} that are to be: the oldest "
        "pictures go, and then the oldest tracks."
    )
