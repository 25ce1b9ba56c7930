"""Tracks gathered into identities as they arrive: anonymous people, each a number, that last over days and cameras.

A track joins the identity whose mean direction it resembles most, if it is probably the same person
(`JOINS`) and was at no time seen beside one of its tracks by one camera: two faces of one frame are two people. Else it
is the first of a new identity. Now and then identities are compared with each other (`Gatherer.consolidate`): with more
tracks more is known, and two that were taken for two people may turn out to be one.

What users said (`streamproc.query.acts`) goes before: what they merged stays one, what they split stays two, and who
they spoke of is never merged into another.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from streamproc.codec.calibration import SAMPLE
from streamproc.query.acts import Standing
from streamproc.query.looks import Looks
from streamproc.query.presence import Presence, Span
from streamproc.types import FloatArray

JOINS = 0.7
"""Probability from which on a track is taken for an identity's; docs/decisions.md says why."""
LEAST = 0.2
"""Cosine under which no two are probably one person, whatever their quality."""
AT_ONCE = 2048
"""Identities compared with all others in one go: bounds the memory."""
FEW = 20
"""People who may come, where fewer are known: an archive that has just begun does not tell how many pass by."""
GONE = -1_000_000_000
"""Version of an identity that is no more: no sum of versions is as low."""


class Scale(Protocol):
    """What turns a similarity into a probability; `streamproc.codec.calibration.Calibration` is one."""

    def among(self, similarities: FloatArray, quality: float, /) -> Self:
        """The scale for a face of that quality where it has these similarities (N,) to whoever is there."""
        ...

    def between(self, one: FloatArray, other: FloatArray, /) -> FloatArray:
        """(N,) similarities to expect of pairs of tracks of one person, by the qualities of both."""
        ...

    def probability(self, similarity: FloatArray, expected: FloatArray, people: int, /) -> FloatArray:
        """(N,) that it is the same person, of (N,) cosines and what they were expected to be, given how many people
        were compared."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """A track to be gathered: where and when it was, its mean decoded feature (D,) of unit norm, and its quality."""

    span: Span
    feature: FloatArray
    quality: float


@dataclass(frozen=True, slots=True)
class Gathered:
    """Where a track was put: an identity by number, and the probability that it is that person (1 for its first)."""

    identity: int
    probability: float


@dataclass(frozen=True, slots=True)
class Joined:
    """An identity that turned out to be another one: its tracks are `into`'s now."""

    identity: int
    into: int


@dataclass(frozen=True, slots=True, order=True)
class _Pair:
    """Two identities that may be one, the most similar first; out of date when `version` is not what they add up to."""

    unlike: float
    one: int
    other: int
    version: int


class Gatherer:
    """All identities of an archive, in memory: what each looks like, and when its tracks were where.

    `new` gives the number of an identity that begins.
    """

    def __init__(self, scale: Scale, standing: Standing, new: Callable[[], int]) -> None:
        self._scale = scale
        self._standing = standing
        self._new = new
        self._presence = Presence()
        self._home: dict[str, int] = {}
        self._looks = Looks()
        self._changed: set[int] = set()
        """The identities that tracks were gathered into since the last comparison."""

    def __len__(self) -> int:
        """How many identities there are."""
        return len(self._looks)

    def sample(self, feature: FloatArray) -> FloatArray:
        """(K,) cosines of a feature (D,) with some of the identities, evenly chosen: how alike people are to it."""
        return self._looks.like_some(feature, SAMPLE)

    def put(self, passage: Passage, home: int) -> None:
        """Nothing; the track is known as that identity's: what an archive says of it."""
        track = passage.span.track
        self._presence.put(passage.span)
        self._home[track] = home
        self._looks.add(self.identity(track), passage.feature, passage.quality)

    def forget(self, track: str) -> None:
        """Nothing; the track is gone. What it said of its identity's looks stays until all are read anew."""
        if self._home.pop(track, None) is not None:
            self._presence.drop(track)

    def identity(self, track: str) -> int:
        """Whose the track is, by number; KeyError for one that is not known."""
        return self._standing.of_track(track, self._home[track])

    def take(self, standing: Standing) -> None:
        """Nothing; this is what users say from now on."""
        self._standing = standing

    def gather(self, passage: Passage) -> Gathered:
        """The identity that the track is given; a track that was gathered before, and is longer now, keeps
        its own where it can."""
        track = passage.span.track
        home = self._home.get(track)
        others = {self.identity(other) for other in self._presence.meeting(passage.span) if other in self._home}
        if home is None or self._standing.of_track(track, home) in others:
            given = self._nearest(passage, others) or Gathered(self._new(), 1.0)
        else:
            given = Gathered(home, 1.0)
        self.put(passage, given.identity)
        self._changed.add(self.identity(track))
        return given

    def consolidate(self, everything: bool = False) -> list[Joined]:
        """The identities that were merged into others, in the order in which it was done.

        Those that tracks were gathered into since the last time are compared with all; with `everything`, all are.
        """
        if everything:
            self._changed.update(self._looks.numbers.tolist())
        tracks: dict[int, set[str]] = {}
        for track in self._home:
            tracks.setdefault(self.identity(track), set()).add(track)
        heap = list(self._alike())
        heapq.heapify(heap)
        versions: dict[int, int] = {}
        done: list[Joined] = []
        while heap:
            pair = heapq.heappop(heap)
            if versions.get(pair.one, 0) + versions.get(pair.other, 0) != pair.version:
                continue
            joined = self._joined(pair.one, pair.other)
            if joined is None or self._met(tracks[pair.one], tracks[pair.other]):
                continue
            self._looks.merge(joined.identity, joined.into)
            tracks[joined.into] |= tracks.pop(joined.identity)
            versions[joined.identity] = GONE
            versions[joined.into] = versions.get(joined.into, 0) + 1
            done.append(joined)
            for near in self._near(joined.into, versions):
                heapq.heappush(heap, near)
        self._changed.clear()
        into: dict[int, int] = {}
        for joined in reversed(done):
            into[joined.identity] = into.get(joined.into, joined.into)
        self._home = {track: into.get(home, home) for track, home in self._home.items()}
        return done

    def _nearest(self, passage: Passage, others: set[int]) -> Gathered | None:
        """The identity that is most probably the track's, none of `others`; None when none is probable."""
        looks = self._looks
        cosines = looks.like(passage.feature)
        if not len(cosines):
            return None
        allowed = cosines.copy()
        for number in others:
            allowed[looks.row(number)] = -1
        best = int(np.argmax(allowed))
        if allowed[best] < LEAST:
            return None
        (probability,) = self._chances(cosines, np.array([best]), passage.quality)
        return Gathered(int(looks.numbers[best]), float(probability)) if probability >= JOINS else None

    def _chances(
        self, cosines: FloatArray, rows: npt.NDArray[np.int64], quality: float, own: tuple[int, ...] = ()
    ) -> FloatArray:
        """(K,) probabilities that the identities in `rows` (K,) are the person of a face of that quality, whose cosines
        with all of them (N,) are these; `own` is the row that the face itself has.

        Blurred faces resemble each other; one that is not tells strangers apart: the better quality counts.
        """
        if not len(rows):
            return np.zeros(0, np.float32)
        one, other = np.array([quality], np.float32), self._looks.quality[rows]
        scale = self._scale.among(np.delete(cosines, own), max(quality, float(other.max())))
        people = max(len(self._looks), FEW)
        return scale.probability(cosines[rows], scale.between(other, one), people)

    def _alike(self) -> Iterator[_Pair]:
        """The pairs of identities that are probably one person, of which one changed since the last time."""
        looks = self._looks
        numbers, directions, quality = looks.numbers, looks.directions, looks.quality
        changed = np.sort([looks.row(number) for number in self._changed]).astype(np.int64)
        is_changed = np.isin(np.arange(len(looks)), changed)
        for start in range(0, len(changed), AT_ONCE):
            part = changed[start : start + AT_ONCE]
            for row, cosines in zip(part.tolist(), directions[part] @ directions.T, strict=True):
                # Of two that changed, the later one's row is the pair's.
                near = cosines >= LEAST
                near[row:] &= ~is_changed[row:]
                rows = np.flatnonzero(near)
                chance = self._chances(cosines, rows, float(quality[row]), (row,))
                for other in rows[chance >= JOINS].tolist():
                    yield _Pair(-float(cosines[other]), int(numbers[row]), int(numbers[other]), 0)

    def _near(self, number: int, versions: dict[int, int]) -> Iterator[_Pair]:
        """The pairs of an identity with all others that are probably the same person."""
        looks = self._looks
        row = looks.row(number)
        cosines = looks.like(looks.directions[row])
        rows = np.flatnonzero(cosines >= LEAST)
        rows = rows[rows != row]
        chance = self._chances(cosines, rows, float(looks.quality[row]), (row,))
        for k in rows[chance >= JOINS].tolist():
            other = int(looks.numbers[k])
            yield _Pair(-float(cosines[k]), number, other, versions[number] + versions.get(other, 0))

    def _joined(self, one: int, other: int) -> Joined | None:
        """How the two would be one: whom a user spoke of stays, else the elder; None where users' words forbid it."""
        touched = self._standing.touched
        if one in touched and other in touched:
            return None
        into, gone = sorted((one, other), key=lambda number: (number not in touched, number))
        return Joined(gone, into)

    def _met(self, these: set[str], those: set[str]) -> bool:
        """Whether any of these tracks was seen beside any of those."""
        few, many = sorted((these, those), key=len)
        return any(not many.isdisjoint(self._presence.meeting(self._presence.span(track))) for track in few)
