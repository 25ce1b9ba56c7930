"""The process that keeps identities, as the service's supervisor sees it."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC

from pipelines.children import Child
from pipelines.events import Event, Level, Log
from pipelines.messages import Sighted

SILENCE = 300.0
"""Seconds without a sign of life after which it counts as hung: it reads a large archive when it starts."""
REST, LONGEST_REST = 2.0, 300.0
"""Seconds before it is started anew, twice as long each time that it died, at most."""


class Follower:
    """Runs the process for as long as the service runs; what it is told of is logged and counted."""

    def __init__(
        self, start: Callable[[], Child] | None, log: Log, steady: Callable[[], float] = time.monotonic
    ) -> None:
        """`start` gives a new process; None: none is wanted. `steady`: seconds that are never set."""
        self._start, self._log, self._steady = start, log, steady
        self.child: Child | None = None
        self.sightings: Counter[tuple[str, str]] = Counter()
        """How many, by watch and camera."""
        self._not_before, self._rest = 0.0, REST

    def turn(self, up: bool) -> None:
        """Nothing; what it said is known, and it runs, once all stages are there (`up`)."""
        if self.child is None:
            if self._start is not None and up and self._steady() >= self._not_before:
                self.child = self._start()
            return
        for message in self.child.messages():
            if isinstance(message, Sighted):
                self._hear(message)
        code = self.child.exit_code
        if code is None and self._steady() - self.child.heard < SILENCE:
            return
        why = "gave no sign of life and was ended" if code is None else self.child.last_words()
        said = f"The process that keeps identities {why}; it is started anew in {self._rest:.0f} s."
        self._log(Event("identities_restarted", said, Level.WARNING, detail=why))
        self.end()
        self._not_before, self._rest = self._steady() + self._rest, min(2 * self._rest, LONGEST_REST)

    def end(self) -> None:
        """Nothing; no process of it runs. Tracks that it did not gather are gathered by the next one."""
        if self.child is not None:
            self.child.end()
            self.child = None

    def _hear(self, one: Sighted) -> None:
        self._rest = REST
        self.sightings[one.watch, one.camera] += 1
        at = one.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        said = f"{one.watch} was seen by {one.camera} at {at}, with a probability of {one.probability:.1%}."
        figures = {"probability": round(one.probability, 4)}
        self._log(
            Event(
                "sighting", said, Level.WARNING, camera=one.camera, detail=one.watch, figures=figures, track=one.track
            )
        )
