"""Where users say who is who: identities by name or number, acts on them, and what was said before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from storage import Archive, TrackRecord
from streamproc.errors import SeenTogether, UnknownRecord
from streamproc.query.act_log import encoded, entries, identity_id, identity_number
from streamproc.query.acts import (
    Act,
    Entry,
    Erased,
    Ignored,
    Merged,
    Named,
    Split,
    Standing,
    Undone,
    in_force,
    standing,
)
from streamproc.query.movements import Companion, Journey, companions, journeys
from streamproc.query.presence import Presence, Span


@dataclass(frozen=True, slots=True)
class Person:
    """An identity as users see it: its name where it has one, whether it is of no interest, how many tracks it has, the
    first and the last (UTC)."""

    identity_id: str
    name: str | None
    ignored: bool
    tracks: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Said:
    """What an act came to: its number in the log, and the identity that it is about (None of an undo)."""

    act: int
    identity_id: str | None


class Desk:
    """One user's look at the identities of an archive, and what is said there in the name of `by`."""

    def __init__(self, archive: Archive, by: str) -> None:
        self._archive, self._by = archive, by

    def log(self) -> list[Entry]:
        """What was said so far."""
        return entries(self._archive.identities.acts())

    def people(self) -> list[Person]:
        """Every identity that has tracks, the last seen first."""
        now = said_of(self._archive)
        found: dict[int, list[tuple[int, datetime, datetime]]] = {}
        for row in self._archive.identities.all():
            number = identity_number(row.identity_id)
            if number is not None:
                found.setdefault(now.identity(number), []).append((row.tracks, row.first, row.last))
        for track in self._archive.identities.tracks((), list(now.moved)):
            home = identity_number(track.identity_id or "")
            whose = now.identity(now.moved[track.id])
            found.setdefault(whose, []).append((1, track.started_at, track.ended_at))
            if home is not None:
                found[now.identity(home)].append((-1, track.started_at, track.ended_at))
        people = [
            Person(
                identity_id(number),
                now.name(number),
                number in now.ignored,
                sum(count for count, _, _ in rows),
                min(first for _, first, _ in rows),
                max(last for _, _, last in rows),
            )
            for number, rows in found.items()
        ]
        return sorted((one for one in people if one.tracks), key=lambda one: (one.last, one.identity_id), reverse=True)

    def find(self, who: str) -> int:
        """The identity of that id or name, by number; of one that was merged, whom it is now. Raises UnknownRecord."""
        now = said_of(self._archive)
        number = identity_number(who)
        if number is not None and self._archive.identities.known([number]):
            return now.identity(number)
        called = sorted(number for number, names in now.given_names.items() if who in names)
        if len(called) > 1:
            ids = ", ".join(identity_id(number) for number in called)
            raise UnknownRecord(f"Several identities are called '{who}': say which one, {ids}.")
        if not called:
            raise UnknownRecord(f"There is no identity '{who}': `streamproc identity list` tells who there is.")
        return called[0]

    def tracks(self, number: int) -> list[TrackRecord]:
        """The tracks of an identity, as they began, under its own name now."""
        return self._tracks(said_of(self._archive), number)

    def companions(self, number: int, within: timedelta) -> tuple[Companion, ...]:
        """Who was before one camera with an identity, at once or with no more than `within` between them."""
        now = said_of(self._archive)
        own, others = self._tracks(now, number), dict[str, TrackRecord]()
        for track in own:
            # A track that touches a moment began before it and ended after it.
            since, until = track.started_at - within, track.ended_at + within + timedelta(microseconds=1)
            others |= {one.id: one for one in self._archive.tracks([track.camera], since, until)}
        return companions(own, identified(list(others.values()), now), within)

    def journeys(
        self, first: str, then: str, within: timedelta, since: datetime | None, until: datetime | None
    ) -> tuple[Journey, ...]:
        """Who was before the camera `first` and `within` that time before `then`, in since <= time < until."""
        now = said_of(self._archive)
        here, there = (identified(self._archive.tracks([camera], since, until), now) for camera in (first, then))
        return journeys(here, there, within)

    def name(self, number: int, name: str | None) -> Said:
        """The identity is called that; None: it has no name."""
        return self._say(Named(number, name), number)

    def ignore(self, number: int, ignored: bool) -> Said:
        """The identity is of no interest, or is again."""
        return self._say(Ignored(number, ignored), number)

    def merge(self, into: int, others: Sequence[int]) -> Said:
        """The others are the same person as `into`. Raises SeenTogether where two of them were seen side by side."""
        return self._say(Merged(into, tuple(others)), into)

    def split(self, number: int, track_ids: Sequence[str]) -> Said:
        """Those tracks of the identity are somebody else, a new identity. Raises UnknownRecord for a track that is not
        its."""
        own = {track.id for track in self.tracks(number)}
        for track_id in track_ids:
            if track_id not in own:
                raise UnknownRecord(
                    f"Track '{track_id}' is none of {identity_id(number)}: "
                    "`streamproc identity timeline` tells which are."
                )
        (new,) = self._archive.identities.begin(datetime.now(UTC))
        return self._say(Split(number, new, tuple(track_ids)), new)

    def undo(self, number: int | None) -> Said:
        """Act `number` is taken back, by default the last one that holds. Raises UnknownRecord where there is none,
        SeenTogether where that would make one of two who were seen side by side since."""
        log = self.log()
        held = in_force(log)
        last = [entry.number for entry in log if entry.number in held and not isinstance(entry.act, Undone | Erased)]
        if number is None and not last:
            raise UnknownRecord("There is nothing to undo: no act on identities holds.")
        chosen = last[-1] if number is None else number
        if chosen not in held:
            raise UnknownRecord(f"There is no act {chosen} that holds: `streamproc identity log` tells which do.")
        if any(entry.number == chosen and isinstance(entry.act, Erased) for entry in log):
            raise UnknownRecord(f"Act {chosen} erased somebody: that cannot be taken back.")
        return self._say(Undone(chosen), None)

    def _say(self, act: Act, about: int | None) -> Said:
        """What the act came to; it is in the log."""
        log = self.log()
        after = log[-1].number if log else 0
        entry = Entry(after + 1, datetime.now(UTC), self._by, act)
        self._require_apart(log, entry)
        row = self._archive.identities.enter(encoded(act), self._by, entry.at, after)
        return Said(row.number, None if about is None else identity_id(about))

    def _require_apart(self, log: list[Entry], entry: Entry) -> None:
        """Nothing; raises SeenTogether where two tracks that share a moment would be one person's by that act."""
        before, now = standing(log), standing([*log, entry])
        for number in {now.identity(number) for number in now.touched}:
            if now.members(number) <= before.members(number) and now.moved == before.moved:
                continue
            presence, tracks = Presence(), self._tracks(now, number)
            for track in tracks:
                presence.put(Span.of(track))
            for track in tracks:
                for other in presence.meeting(Span.of(track)):
                    raise SeenTogether(
                        f"Tracks '{track.id}' and '{other}' show two people before {track.camera} at one time, so they "
                        "cannot be one person: split one of them off first."
                    )

    def _tracks(self, now: Standing, number: int) -> list[TrackRecord]:
        homes = [identity_id(one) for one in now.members(number)]
        moved = [track for track, whose in now.moved.items() if now.identity(whose) == number]
        found = identified(self._archive.identities.tracks(homes, moved), now)
        return [track for track in found if track.identity_id == identity_id(number)]


def identified(tracks: Sequence[TrackRecord], now: Standing) -> list[TrackRecord]:
    """The tracks under the identities that they have now."""
    return [replace(track, identity_id=whose(track.id, track.identity_id, now)) for track in tracks]


def said_of(archive: Archive) -> Standing:
    """What users said of the archive's identities, as it counts now."""
    return standing(entries(archive.identities.acts()))


def called(identity: str | None, now: Standing) -> str:
    """What people read of an identity: its name, where it has one, and its id; nothing where there is none."""
    number = identity_number(identity or "")
    if number is None:
        return ""
    name = now.name(number)
    return f"{name} ({identity})" if name else f"{identity}"


def whose(track_id: str, home: str | None, now: Standing) -> str | None:
    """The identity of a track that a machine put into `home`; None where it did not yet, and nobody said."""
    number = identity_number(home or "")
    if number is None:
        moved = now.moved.get(track_id)
        return None if moved is None else identity_id(now.identity(moved))
    return identity_id(now.of_track(track_id, number))
