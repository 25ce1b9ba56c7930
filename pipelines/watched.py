"""What the supervisor knows of the processes that it watches over."""

from collections import deque
from dataclasses import dataclass, field

from pipelines.children import Child
from pipelines.messages import CameraBeat, CameraJob, CameraState
from pipelines.statistics import Figures, Seen


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
    open: bool = True
    """Whether it is within its recording hours."""

    @property
    def live(self) -> bool:
        """Whether it gives usable video."""
        return self.child is not None and self.state is not None and self.state.reason is None

    def seen(self) -> Seen:
        """What statistics are made of."""
        beat = self.beat
        return Seen(self.job.camera, Figures(beat.frames, beat.dropped, self.tracks, self.faces), self.live, self.open)


@dataclass(slots=True)
class Stage:
    """A stage and its ends, monotonic seconds."""

    name: str
    child: Child
    ends: deque[float] = field(default_factory=deque)
    restarts: int = 0
