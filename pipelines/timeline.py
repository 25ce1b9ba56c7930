"""When each camera saw whom, and when it was blind: bars in lanes over shades, ready to be drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage import TrackRecord
from streamproc.types import GapRecord

WIDTH = 1000.0
"""Of a timeline, in its own units."""
NARROWEST = 4.0
"""A bar that can still be seen."""
ONE_AXIS = timedelta(days=1)
"""Cameras whose tracks are further apart have axes of their own."""
LEAST_BESIDE = timedelta(hours=1)
"""So much of a gap is shown before and after the tracks, however short their time was."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One track; `x` and `width` in units of WIDTH, `lane` counts from 0 at the top."""

    track: TrackRecord
    x: float
    width: float
    lane: int


@dataclass(frozen=True, slots=True)
class Shade:
    """What the axis shows of one gap; `x` and `width` in units of WIDTH."""

    gap: GapRecord
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """One camera's tracks and gaps; `begin` and `end` are those of its axis, `lanes` is at least 1."""

    camera: str
    begin: datetime
    end: datetime
    bars: tuple[Bar, ...]
    lanes: int
    shades: tuple[Shade, ...]


def timelines(tracks: Sequence[TrackRecord], gaps: Sequence[GapRecord], now: datetime) -> list[Timeline]:
    """One timeline a camera, by name; on one axis where all tracks are within a day, so that cameras can be
    compared.

    A gap that lasts is shaded up to `now`, or to the axis' end.
    """
    cameras: dict[str, tuple[list[TrackRecord], list[GapRecord]]] = {}
    for track in tracks:
        cameras.setdefault(track.camera, ([], []))[0].append(track)
    for gap in gaps:
        cameras.setdefault(gap.camera, ([], []))[1].append(gap)
    if not cameras:
        return []
    begin, end = _span(tracks, () if tracks else gaps, now)
    shared = _span(tracks, gaps, now) if end - begin <= ONE_AXIS else None
    return [
        _timeline(camera, seen, blind, shared or _span(seen, blind, now), now)
        for camera, (seen, blind) in sorted(cameras.items())
    ]


def _span(tracks: Sequence[TrackRecord], gaps: Sequence[GapRecord], now: datetime) -> tuple[datetime, datetime]:
    """An axis for all: the tracks' time, and beside it so much of the gaps as leaves the tracks a third of it."""
    spans = [(gap.began_at, _end(gap, now)) for gap in gaps]
    first, last = min((begin for begin, _ in spans), default=None), max((end for _, end in spans), default=None)
    if not tracks:
        assert first is not None  # a camera is here for a track or for a gap
        assert last is not None
        return first, last
    begin, end = min(track.started_at for track in tracks), max(track.ended_at for track in tracks)
    beside = max(end - begin, LEAST_BESIDE)
    return (
        begin if first is None else min(begin, max(first, begin - beside)),
        end if last is None else max(end, min(last, end + beside)),
    )


def _timeline(
    camera: str,
    tracks: Sequence[TrackRecord],
    gaps: Sequence[GapRecord],
    axis: tuple[datetime, datetime],
    now: datetime,
) -> Timeline:
    begin, end = axis
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
    shades = tuple(_shade(gap, axis, scale, now) for gap in gaps if gap.began_at <= end and _end(gap, now) >= begin)
    return Timeline(camera, begin, end, tuple(bars), max(len(ends), 1), shades)


def _shade(gap: GapRecord, axis: tuple[datetime, datetime], scale: float, now: datetime) -> Shade:
    begin, end = axis
    first, last = max(gap.began_at, begin), min(_end(gap, now), end)
    width = max((last - first) / timedelta(seconds=1) * scale, NARROWEST)
    return Shade(gap, min((first - begin) / timedelta(seconds=1) * scale, WIDTH - width), width)


def _end(gap: GapRecord, now: datetime) -> datetime:
    """Of the gap as far as it is known; a clock that ran ahead may have begun it after `now`."""
    return max(gap.began_at, now) if gap.ended_at is None else gap.ended_at
