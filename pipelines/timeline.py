"""When each camera saw whom: bars in lanes, ready to be drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage import TrackRecord

WIDTH = 1000.0
"""Of a timeline, in its own units."""
NARROWEST = 4.0
"""A bar that can still be seen."""
ONE_AXIS = timedelta(days=1)
"""Cameras whose tracks are further apart have axes of their own."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One track; `x` and `width` in units of WIDTH, `lane` counts from 0 at the top."""

    track: TrackRecord
    x: float
    width: float
    lane: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """One camera's tracks; `begin` and `end` are those of its axis."""

    camera: str
    begin: datetime
    end: datetime
    bars: tuple[Bar, ...]
    lanes: int


def timelines(tracks: Sequence[TrackRecord]) -> list[Timeline]:
    """One timeline a camera, by name; on one axis where all is within a day, so that cameras can be compared."""
    cameras: dict[str, list[TrackRecord]] = {}
    for track in tracks:
        cameras.setdefault(track.camera, []).append(track)
    if not tracks:
        return []
    begin, end = _span(tracks)
    shared = (begin, end) if end - begin <= ONE_AXIS else None
    return [_timeline(camera, seen, *(shared or _span(seen))) for camera, seen in sorted(cameras.items())]


def _span(tracks: Sequence[TrackRecord]) -> tuple[datetime, datetime]:
    return min(track.started_at for track in tracks), max(track.ended_at for track in tracks)


def _timeline(camera: str, tracks: Sequence[TrackRecord], begin: datetime, end: datetime) -> Timeline:
    # A picture's track has no length; a second gives it a place.
    scale = WIDTH / max((end - begin) / timedelta(seconds=1), 1.0)
    bars: list[Bar] = []
    ends: list[float] = []
    for track in sorted(tracks, key=lambda track: (track.started_at, track.id)):
        x = (track.started_at - begin) / timedelta(seconds=1) * scale
        width = max((track.ended_at - track.started_at) / timedelta(seconds=1) * scale, NARROWEST)
        x = min(x, WIDTH - width)
        lane = next((lane for lane, free_from in enumerate(ends) if free_from <= x), len(ends))
        if lane == len(ends):
            ends.append(0.0)
        ends[lane] = x + width
        bars.append(Bar(track, x, width, lane))
    return Timeline(camera, begin, end, tuple(bars), len(ends))
