"""What users said of identities: an append-only log of acts, and what it comes to.

Machines gather tracks into identities by number (`streamproc.query.gathering`); users say more and are never overruled.
Each act is an entry of a log; an undo is an entry as well, which names the one that it takes back, and may be taken
back itself. What holds is the log read from its beginning without what was taken back: any act can be undone, at any
time, without a copy of what was before.

An act speaks of identities and tracks, never of features: it holds after a video is ingested again, and after the
weights are replaced.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Named:
    """The identity is called `name`; None: it has no name."""

    identity: int
    name: str | None


@dataclass(frozen=True, slots=True)
class Ignored:
    """The identity is of no interest, or is again."""

    identity: int
    ignored: bool


@dataclass(frozen=True, slots=True)
class Merged:
    """The other identities are the same person as `into`."""

    into: int
    others: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Those tracks are somebody else than `identity`: they are `new`."""

    identity: int
    new: int
    tracks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Undone:
    """The act of that number is taken back; if that was an undo, what it took back holds again."""

    act: int


@dataclass(frozen=True, slots=True)
class Erased:
    """Tracks are gone from the archive for good, and with them these identities, if any, and their names in the log.

    It cannot be taken back."""

    identities: tuple[int, ...]


Act = Named | Ignored | Merged | Split | Undone | Erased


@dataclass(frozen=True, slots=True)
class Entry:
    """An act in the log: its number, which counts up, when it was done (UTC) and by whom."""

    number: int
    at: datetime
    by: str
    act: Act


@dataclass(frozen=True)
class Standing:
    """What a log comes to. Identities are numbers of those that machines made, and of those that splits made.

    `into`: identities that are another one now, each with that one; `moved`: tracks that were split off, each with the
    identity that it was given; `apart`: pairs of identities that were said to be two people; `touched`: every identity
    that any entry speaks of, undone or not.
    """

    given_names: dict[int, tuple[str, ...]]
    ignored: frozenset[int]
    into: dict[int, int]
    moved: dict[str, int]
    apart: frozenset[frozenset[int]]
    touched: frozenset[int]

    def identity(self, number: int) -> int:
        """Whom an identity is now: itself, or whom it was merged into."""
        return self.into.get(number, number)

    def of_track(self, track: str, home: int) -> int:
        """Whose a track is that a machine gave to `home`."""
        return self.identity(self.moved.get(track, home))

    def name(self, number: int) -> str | None:
        """What an identity is called; where it has no name of its own, by one of those merged into it."""
        names = self.given_names.get(self.identity(number), ())
        return names[0] if names else None

    def members(self, number: int) -> frozenset[int]:
        """The numbers that this identity goes by: its own, and those merged into it."""
        return frozenset({number, *self._merged.get(number, ())})

    def separate(self, one: int, other: int) -> bool:
        """Whether a user said that the two are two people, and did not merge them since."""
        here, there = self.identity(one), self.identity(other)
        return here != there and frozenset({here, there}) in self._apart_now

    @cached_property
    def _merged(self) -> dict[int, list[int]]:
        merged: dict[int, list[int]] = {}
        for number, into in self.into.items():
            merged.setdefault(into, []).append(number)
        return merged

    @cached_property
    def _apart_now(self) -> frozenset[frozenset[int]]:
        return frozenset(frozenset(self.identity(number) for number in pair) for pair in self.apart)


def standing(log: Sequence[Entry]) -> Standing:
    """What the log, in the order of its numbers, comes to."""
    held = in_force(log)
    into: dict[int, int] = {}
    moved: dict[str, int] = {}
    names: dict[int, str | None] = {}
    ignored: set[int] = set()
    apart: set[frozenset[int]] = set()
    for entry in log:
        if entry.number not in held:
            continue
        match entry.act:
            case Named(identity, name):
                names[identity] = name
            case Ignored(identity, yes):
                (ignored.add if yes else ignored.discard)(identity)
            case Merged(target, others):
                root = into.get(target, target)
                gone = {into.get(other, other) for other in others} - {root}
                into |= {number: root for number, now in into.items() if now in gone} | dict.fromkeys(gone, root)
            case Split(identity, new, tracks):
                moved |= dict.fromkeys(tracks, new)
                apart.add(frozenset({identity, new}))
    return Standing(_known_as(names, into), frozenset(ignored), into, moved, frozenset(apart), _touched(log))


def in_force(log: Sequence[Entry]) -> frozenset[int]:
    """The numbers of the entries that are not taken back, undos among them."""
    taken: set[int] = set()
    for entry in reversed(log):
        if isinstance(entry.act, Undone) and entry.number not in taken:
            taken.add(entry.act.act)
    return frozenset(entry.number for entry in log if entry.number not in taken)


def _known_as(names: dict[int, str | None], into: dict[int, int]) -> dict[int, tuple[str, ...]]:
    """Each identity's names: its own first, then those of who was merged into it."""
    own_first = sorted(names, key=lambda number: number in into)
    known: dict[int, list[str]] = {}
    for number in own_first:
        name = names[number]
        if name is not None:
            known.setdefault(into.get(number, number), []).append(name)
    return {number: tuple(dict.fromkeys(given)) for number, given in known.items()}


def _touched(log: Iterable[Entry]) -> frozenset[int]:
    found: set[int] = set()
    for entry in log:
        match entry.act:
            case Named(identity, _) | Ignored(identity, _):
                found.add(identity)
            case Merged(target, others):
                found |= {target, *others}
            case Split(identity, new, _):
                found |= {identity, new}
    return frozenset(found)
