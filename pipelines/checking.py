"""The known-face check as the supervisor sees it: a process now and then, and how the last one went."""

import time
from collections.abc import Callable

from pipelines.children import Child
from pipelines.events import Event, Level, Log
from pipelines.messages import CheckDone

LIMIT_SECONDS = 240.0
"""The process has limits of its own; this one is for the process."""
STALE = 2.2
"""Intervals after which the last check says nothing any more."""


class KnownFaceCheck:
    """Runs one check at a time."""

    def __init__(self, start: Callable[[], Child], log: Log, steady: Callable[[], float] = time.monotonic) -> None:
        """`start` gives a new process; `steady` seconds that are never set."""
        self._start, self._log, self._steady = start, log, steady
        self.child: Child | None = None
        self.last: CheckDone | None = None
        self._asked = False
        self._begun = self._ended = 0.0

    def ask(self) -> None:
        """Nothing; a check begins as soon as it can. One that runs already is the one asked for."""
        self._asked = self.child is None

    def ask_anew(self) -> None:
        """Nothing; a check that runs is of no use any more, another one begins."""
        self.end()
        self._asked = True

    def turn(self, up: bool) -> CheckDone | None:
        """What a check that has just come to its end came to; None where none has. `up`: all stages are there."""
        if self.child is None:
            if self._asked and up:
                self._asked, self._begun = False, self._steady()
                self.child = self._start()
            return None
        done = next((message for message in self.child.messages() if isinstance(message, CheckDone)), None)
        running = self._steady() - self._begun
        if done is None and self.child.exit_code is not None:
            done = CheckDone(False, f"The process of the known-face check {self.child.last_words()}.", running)
        if done is None and running > LIMIT_SECONDS:
            done = CheckDone(False, f"The known-face check gave no answer for {running:.0f} s.", running)
        if done is None:
            return None
        self.end()
        if not done.well:
            said = f"The known-face check failed: {done.detail}"
            self._log(Event("check_failed", said, Level.ERROR, detail=done.detail, seconds=done.seconds))
        elif self.last is None or not self.last.well:
            said = f"The known face was found again after {done.seconds:.1f} s."
            self._log(Event("check_well", said, seconds=done.seconds))
        self._ended, self.last = self._steady(), done
        return done

    def troubles(self, interval: float) -> list[str]:
        """A sentence where the last check failed, or is too old for one every `interval` seconds, or was none."""
        last = self.last
        if last is None:
            return ["No known-face check has been made yet."]
        if not last.well:
            return [last.detail]
        age = self.age
        return [f"The last known-face check was {age / 60:.0f} minutes ago."] if age > STALE * interval else []

    @property
    def age(self) -> float:
        """Seconds since the last check came to its end."""
        return self._steady() - self._ended

    def end(self) -> None:
        """Nothing; no process of it runs."""
        if self.child is not None:
            self.child.end()
            self.child = None
