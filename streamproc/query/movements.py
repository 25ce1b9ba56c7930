"""Who was where, and with whom: what the tracks of known identities say."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


class Sighting(Protocol):
    """A track as an archive tells of it; `storage.TrackRecord` is one."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    @property
    def camera(self) -> str:
        """Where it was seen."""
        ...

    @property
    def started_at(self) -> datetime:
        """When it was first seen, UTC."""
        ...

    @property
    def ended_at(self) -> datetime:
        """When it was last seen, UTC."""
        ...

    @property
    def identity_id(self) -> str | None:
        """Whose it is, None where nobody said yet."""
        ...


@dataclass(frozen=True, slots=True)
class Visit:
    """A stay before a camera: its first and last moment (UTC) and its tracks, as they began."""

    camera: str
    since: datetime
    until: datetime
    tracks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A camera somebody was seen at: how often, first and last (UTC)."""

    camera: str
    visits: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two tracks, of the one asked about and of the other, before one camera; `apart`: the time between them, none
    where both were there at once."""

    camera: str
    track: str
    other_track: str
    at: datetime
    apart: timedelta


@dataclass(frozen=True, slots=True)
class Companion:
    """Somebody who was with the one asked about, by identity, and when; meetings as they came."""

    identity_id: str
    meetings: tuple[Meeting, ...]


@dataclass(frozen=True, slots=True)
class Journey:
    """Somebody who was seen before one camera and then before another: both tracks, when the first was left and the
    second reached (UTC)."""

    identity_id: str
    track: str
    then_track: str
    left_at: datetime
    reached_at: datetime


def timeline(tracks: Iterable[Sighting], pause: timedelta) -> tuple[Visit, ...]:
    """The visits that the tracks of one identity come to, as they began; tracks before one camera with no more than
    `pause` between them, and no other camera's, are one visit."""
    visits: list[Visit] = []
    for track in sorted(tracks, key=lambda track: (track.started_at, track.id)):
        last = visits[-1] if visits else None
        if last and last.camera == track.camera and track.started_at - last.until <= pause:
            visits[-1] = Visit(last.camera, last.since, max(last.until, track.ended_at), (*last.tracks, track.id))
        else:
            visits.append(Visit(track.camera, track.started_at, track.ended_at, (track.id,)))
    return tuple(visits)


def places(visits: Iterable[Visit]) -> tuple[Place, ...]:
    """The cameras of some visits, the most visited first."""
    of: defaultdict[str, list[Visit]] = defaultdict(list)
    for visit in visits:
        of[visit.camera].append(visit)
    found = [
        Place(camera, len(here), min(v.since for v in here), max(v.until for v in here)) for camera, here in of.items()
    ]
    return tuple(sorted(found, key=lambda place: (-place.visits, place.camera)))


def companions(own: Sequence[Sighting], others: Iterable[Sighting], within: timedelta) -> tuple[Companion, ...]:
    """Who was before one camera with the one whose tracks are `own`, at once or with no more than `within` between
    them; who met most often first. Tracks of `others` that are nobody's, or the same person's, say nothing."""
    theirs = {track.identity_id for track in own}
    here: defaultdict[str, list[Sighting]] = defaultdict(list)
    for track in own:
        here[track.camera].append(track)
    met: defaultdict[str, list[Meeting]] = defaultdict(list)
    for other in others:
        if other.identity_id is None or other.identity_id in theirs:
            continue
        for track in here[other.camera]:
            at = max(track.started_at, other.started_at)
            apart = max(at - min(track.ended_at, other.ended_at), timedelta())
            if apart <= within:
                met[other.identity_id].append(Meeting(track.camera, track.id, other.id, at, apart))
    found = [Companion(who, tuple(sorted(meetings, key=lambda m: (m.at, m.track)))) for who, meetings in met.items()]
    return tuple(sorted(found, key=lambda one: (-len(one.meetings), one.identity_id)))


def journeys(first: Iterable[Sighting], then: Iterable[Sighting], within: timedelta) -> tuple[Journey, ...]:
    """Who was in a track of `first` and afterwards, `within` that time, in one of `then`, as they reached it. Each
    track of `then` is reached from the last one before it."""
    left: defaultdict[str, list[Sighting]] = defaultdict(list)
    for track in first:
        if track.identity_id is not None:
            left[track.identity_id].append(track)
    found = []
    for track in then:
        if track.identity_id is None:
            continue
        before = [one for one in left[track.identity_id] if one.ended_at <= track.started_at <= one.ended_at + within]
        if before:
            last = max(before, key=lambda one: one.ended_at)
            found.append(Journey(track.identity_id, last.id, track.id, last.ended_at, track.started_at))
    return tuple(sorted(found, key=lambda journey: (journey.reached_at, journey.then_track)))
