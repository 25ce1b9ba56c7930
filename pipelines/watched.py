"""What the supervisor knows of the processes that it watches over."""

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime

from pipelines.children import Child
from pipelines.messages import CameraBeat, CameraJob, CameraState
from pipelines.statistics import Figures, Seen
from pipelines.tallies import StageReport

YOUNG = 60.0
"""Seconds that a camera's process should live at least."""
PATIENT, LONGEST_REST = 3, 60.0
"""So many may die young before the next one waits, twice as long each time, at most so many seconds."""


@dataclass(slots=True)
class Watched:
    """A camera and the process that watches it."""

    job: CameraJob
    child: Child | None = None
    state: CameraState | None = None
    beat: CameraBeat = field(default_factory=lambda: CameraBeat(0, 0, 0, None))
    restarts: int = 0
    tracks: int = 0
    faces: int = 0
    told: float = 0.0
    newest_face: datetime | None = None
    total: CameraBeat = field(default_factory=lambda: CameraBeat(0, 0, 0, None))
    """The counts of all its processes; whoever reads it while it changes reads the one or the other."""
    past: CameraBeat = field(default_factory=lambda: CameraBeat(0, 0, 0, None))
    """Those of its ended processes."""
    open: bool = True
    """Whether it is within its recording hours."""
    not_before: float = 0.0
    """When its next process may begin, and, below, when the last one did: monotonic seconds."""
    begun: float = 0.0
    young: int = 0
    """How many of its processes in a row died young."""

    @property
    def live(self) -> bool:
        """Whether it gives usable video."""
        return self.child is not None and self.state is not None and self.state.reason is None

    def hear(self, beat: CameraBeat) -> None:
        """Nothing; that is what its process counted so far."""
        self.beat, past = beat, self.past
        self.total = replace(
            beat,
            frames=past.frames + beat.frames,
            corrupt=past.corrupt + beat.corrupt,
            dropped=past.dropped + beat.dropped,
            sessions=past.sessions + beat.sessions,
        )

    def begin(self, child: Child, now: float) -> None:
        """Nothing; this process watches it from now on."""
        self.child, self.begun = child, now

    def died(self, now: float) -> None:
        """Nothing; its process died by itself: the next one begins at once, but where they keep dying young, of a
        decoder that the stream crashes, say, ever later."""
        self.restarts += 1
        self.young = self.young + 1 if now - self.begun < YOUNG else 0
        self.not_before = now + (min(2.0 ** (self.young - PATIENT), LONGEST_REST) if self.young > PATIENT else 0.0)
        self.end()

    def gained(self, faces: int, new: bool, newest: datetime | None) -> None:
        """Nothing; a track of it is archived: see `TrackArchived`."""
        self.tracks += new
        self.faces += max(0, faces)
        # What had waited for room may come after newer ones.
        self.newest_face = max((at for at in (newest, self.newest_face) if at is not None), default=None)

    def end(self) -> None:
        """Nothing; its process is gone, what it counted is kept."""
        if self.child is not None:
            self.child.end()
            self.child = None
            self.past, self.beat = self.total, CameraBeat(0, 0, 0, self.beat.newest)

    def seen(self) -> Seen:
        """What statistics are made of."""
        beat = self.total
        return Seen(self.job.camera, Figures(beat.frames, beat.dropped, self.tracks, self.faces), self.live, self.open)


@dataclass(slots=True)
class Stage:
    """A stage and its ends, monotonic seconds."""

    name: str
    child: Child
    ends: deque[float] = field(default_factory=deque)
    restarts: int = 0
    total: StageReport = field(default_factory=StageReport)
    """The counts of all its processes; whoever reads it while it changes reads the one or the other."""
    past: StageReport = field(default_factory=StageReport)
    """Those of its ended processes."""

    def hear(self, report: StageReport) -> None:
        """Nothing; that is what its process counted so far."""
        self.total = self.past + report

    def renew(self, child: Child) -> None:
        """Nothing; `child` takes the place of the process that ended."""
        self.past, self.child = self.total, child
