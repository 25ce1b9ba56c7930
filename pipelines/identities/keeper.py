"""Keeps an archive's identities: gathers tracks as they are archived, compares identities, and tells of sightings."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from pipelines.identities.passages import AT_ONCE, seen
from storage import Archive, SightingRecord, TrackFaces, WatchRecord
from streamproc.query.act_log import entries, identity_id, identity_number
from streamproc.query.acts import standing
from streamproc.query.gathering import Gathered, Gatherer, Passage, Scale
from streamproc.query.search import FALSE_ALARMS, ProbabilityScale
from streamproc.types import FloatArray

CONSOLIDATION = 600.0
"""Seconds between two comparisons of all identities with each other."""

REREAD = 86_400.0
"""Seconds after which all is read anew: what was removed from the archive meanwhile is forgotten."""
NUMBERS = 64
"""Numbers of identities that are asked for at once: each time is a transaction. Those left over are never used."""

Seen = Sequence[tuple[TrackFaces, Passage]]


class KeeperScale(ProbabilityScale, Scale, Protocol):
    """What both a question and gathering need of a scale."""


class KeeperCodec(Protocol):
    """What a keeper needs of a codec; `streamproc.FaceCodec` is one."""

    @property
    def codec_id(self) -> str:
        """The name of its weights."""
        ...

    @property
    def calibration(self) -> KeeperScale:
        """Its scale from similarity to probability."""
        ...

    def features(self, base: Sequence[bytes], /) -> FloatArray:
        """(N, D) float32 of unit norm, decoded from N base layers."""
        ...


class Keeper:
    """All identities of an archive in memory, and what is new in it: one process keeps them, as one writes."""

    def __init__(
        self,
        archive: Archive,
        codec: KeeperCodec,
        tell: Callable[[SightingRecord], None] = lambda sighting: None,
        false_alarms: float = FALSE_ALARMS,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tell` hears of each sighting; `false_alarms`: the share of people not watched for, of an archive this large,
        who may be taken for the one of a photo."""
        self._archive, self._codec, self._tell = archive, codec, tell
        self._false_alarms, self._steady = false_alarms, steady
        self._consolidated = steady()
        self._fresh: list[int] = []
        self.gathered = self._read_all()

    def __len__(self) -> int:
        """How many identities have tracks."""
        return len(self._gatherer)

    def turn(self) -> int:
        """How many tracks came since the last time and were gathered.

        What users said meanwhile is taken in; now and then identities are compared with each other.
        """
        now = self._steady()
        if self._archive.identities.newest_act() != self._acts or now - self._read >= REREAD:
            count = self._read_all()
        else:
            count = sum(self._gather(sorted(part, key=_ended)) for part in self._news())
        self.gathered += count
        if count and now - self._consolidated >= CONSOLIDATION:
            self.consolidate()
        return count

    def consolidate(self, everything: bool = False) -> int:
        """How many identities turned out to be others: of those that tracks came to, or of `everything`."""
        self._consolidated = self._steady()
        joined = self._gatherer.consolidate(everything)
        if joined:
            self._archive.identities.join([(identity_id(one.identity), identity_id(one.into)) for one in joined])
        return len(joined)

    def _read_all(self) -> int:
        """How many tracks were nobody's and were gathered; all others are what the archive and its users say."""
        self._read = self._steady()
        log = entries(self._archive.identities.acts())
        self._acts = log[-1].number if log else 0
        self._standing, self._position = standing(log), 0
        self._gatherer = Gatherer(self._codec.calibration, self._standing, self._begun)
        left = []
        for part in self._news():
            for track, passage in part:
                home = identity_number(track.track.identity_id or "")
                if home is None:
                    left.append((track, passage))
                else:
                    self._gatherer.put(passage, home)
        return self._gather(sorted(left, key=_ended))

    def _news(self) -> Iterator[Seen]:
        """What was archived since the last time, part by part."""
        while True:
            tracks, reached = self._archive.identities.passing(self._codec.codec_id, self._position, AT_ONCE)
            if reached == self._position:
                return
            self._position = reached
            yield seen(tracks, self._codec)

    def _gather(self, tracks: Seen) -> int:
        """How many there are; each has an identity, and who watches for one of them was told."""
        given = [(track, passage, self._gatherer.gather(passage)) for track, passage in tracks]
        homes = {track.track.id: identity_id(put.identity) for track, _, put in given}
        changed = {track.track.id for track, _, put in given if track.track.identity_id != homes[track.track.id]}
        if changed:
            self._archive.identities.assign({name: homes[name] for name in changed})
        watches = self._archive.watches.all() if given else []
        scales = self._scales(watches)
        found = [sighting for one in given for sighting in self._sightings(watches, scales, *one)]
        if found:
            for record in self._archive.watches.sight(found, datetime.now(UTC)):
                self._tell(record)
        return len(given)

    def _scales(self, watches: Sequence[WatchRecord]) -> dict[int, KeeperScale]:
        """By watch for a photo, how alike strangers are to it among those who are known now."""
        return {
            watch.key: self._codec.calibration.among(self._gatherer.sample(watch.feature), watch.quality or 1.0)
            for watch in watches
            if watch.feature is not None and watch.codec_id == self._codec.codec_id
        }

    def _sightings(
        self,
        watches: Sequence[WatchRecord],
        scales: Mapping[int, KeeperScale],
        track: TrackFaces,
        passage: Passage,
        put: Gathered,
    ) -> Iterator[tuple[int, str, float]]:
        """(watch, track, probability) of every watch for whom the track shows."""
        people = len(self._gatherer)
        whose = self._gatherer.identity(track.track.id)
        for watch in watches:
            if watch.identity is not None and self._standing.identity(watch.identity) == whose:
                yield watch.key, track.track.id, put.probability
            elif watch.feature is not None and watch.key in scales:
                scale, similarity = scales[watch.key], np.array([watch.feature @ passage.feature], np.float32)
                if similarity[0] >= scale.threshold(people, self._false_alarms):
                    shots = np.array([len(track.payloads)], np.float32)
                    expected = scale.expected(watch.quality or 1.0, np.array([passage.quality], np.float32), shots)
                    yield watch.key, track.track.id, float(scale.probability(similarity, expected, people)[0])

    def _begun(self) -> int:
        if not self._fresh:
            self._fresh = self._archive.identities.begin(datetime.now(UTC), NUMBERS)[::-1]
        return self._fresh.pop()


def _ended(pair: tuple[TrackFaces, Passage]) -> int:
    return pair[1].span.ended
