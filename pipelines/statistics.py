"""What cameras came to since the last time somebody asked, counted past restarts of their processes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from pipelines.events import Event


@dataclass(frozen=True, slots=True)
class Figures:
    """What is counted of a camera; every count begins anew with the process that counts."""

    frames: int = 0
    dropped: int = 0
    tracks: int = 0
    faces: int = 0


_NAMES = tuple(each.name for each in fields(Figures))


@dataclass(frozen=True, slots=True)
class Seen:
    """A camera at a moment: its counts so far, whether it gives usable video, and whether it should."""

    camera: str
    figures: Figures
    live: bool
    open: bool


@dataclass(slots=True)
class _Tally:
    last: Figures
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_NAMES, 0))
    open_seconds: float = 0.0
    live_seconds: float = 0.0


class Statistics:
    """Adds up."""

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}
        self._last: float | None = None

    def see(self, cameras: Sequence[Seen], at: float) -> None:
        """Nothing; `cameras` are all that there are, `at` a time in seconds that is never set."""
        passed = 0.0 if self._last is None else at - self._last
        self._last = at
        self._tallies = {seen.camera: self._tallies.get(seen.camera) or _Tally(Figures()) for seen in cameras}
        for seen in cameras:
            tally = self._tallies[seen.camera]
            for name in _NAMES:
                now, before = getattr(seen.figures, name), getattr(tally.last, name)
                tally.sums[name] += now - before if now >= before else now
            tally.last = seen.figures
            tally.open_seconds += passed * seen.open
            tally.live_seconds += passed * (seen.open and seen.live)

    def events(self) -> list[Event]:
        """An event a camera on the time since the last ones."""
        events = []
        for camera, tally in self._tallies.items():
            sums = tally.sums
            share = (
                f"live {tally.live_seconds / tally.open_seconds:.1%}" if tally.open_seconds else "closed all the time"
            )
            said = (
                f"{camera}: {share}, {sums['frames']} frames, {sums['dropped']} dropped, "
                f"{sums['tracks']} tracks, {sums['faces']} faces"
            )
            figures = sums | {"live_seconds": round(tally.live_seconds), "open_seconds": round(tally.open_seconds)}
            events.append(Event("statistics", said, camera=camera, figures=figures))
            self._tallies[camera] = _Tally(tally.last)
        return events
