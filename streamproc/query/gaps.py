"""What an answer leaves open: the times for which there was no video to look at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from streamproc.types import GapReason, GapRecord


@dataclass(frozen=True, slots=True)
class Blindness:
    """How long in all a camera gave no usable video within the time that was asked about."""

    camera: str
    length: timedelta


def merged(gaps: Iterable[GapRecord]) -> tuple[GapRecord, ...]:
    """The gaps as people see them: those of one camera and reason that touch are one, named and explained by its first.

    In the order they began.
    """
    found: list[GapRecord] = []
    newest: dict[tuple[str, GapReason], int] = {}
    for gap in sorted(gaps, key=lambda gap: gap.began_at):
        place = newest.get((gap.camera, gap.reason))
        if place is not None:
            before = found[place]
            if before.ended_at is None:
                continue
            if gap.began_at <= before.ended_at:
                last = None if gap.ended_at is None else max(before.ended_at, gap.ended_at)
                found[place] = replace(before, ended_at=last)
                continue
        newest[gap.camera, gap.reason] = len(found)
        found.append(gap)
    return tuple(found)


def length_within(gap: GapRecord, since: datetime | None, until: datetime) -> timedelta:
    """How much of the gap lies in since <= time < until; a gap that lasts has no end before `until`."""
    begin, end = _clipped(gap, since, until)
    return max(end - begin, timedelta())


def blindness(gaps: Iterable[GapRecord], since: datetime | None, until: datetime) -> tuple[Blindness, ...]:
    """The cameras that were blind within since <= time < until, the longest first; overlapping gaps count once."""
    cameras: dict[str, list[tuple[datetime, datetime]]] = {}
    for gap in gaps:
        cameras.setdefault(gap.camera, []).append(_clipped(gap, since, until))
    found = [Blindness(camera, _covered(spans)) for camera, spans in cameras.items()]
    return tuple(sorted((one for one in found if one.length), key=lambda one: (-one.length, one.camera)))


def _clipped(gap: GapRecord, since: datetime | None, until: datetime) -> tuple[datetime, datetime]:
    begin = gap.began_at if since is None else max(gap.began_at, since)
    return begin, until if gap.ended_at is None else min(gap.ended_at, until)


def _covered(spans: Sequence[tuple[datetime, datetime]]) -> timedelta:
    total = timedelta()
    reached: datetime | None = None
    for begin, end in sorted(spans):
        start = begin if reached is None else max(begin, reached)
        if end > start:
            total += end - start
            reached = end
    return total
