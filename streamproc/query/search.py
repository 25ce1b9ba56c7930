"""Who is this: the archived faces that resemble a feature, one a track, and whether any is the same person."""

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

import numpy as np

from streamproc.query.gaps import merged
from streamproc.query.reader import ArchiveReader
from streamproc.types import BaseLayers, FloatArray, GapRecord, Match

MATCH_PROBABILITY = 0.5
"""The verdict is a match from here on: the same person is likelier than not."""


class ProbabilityScale(Protocol):
    """What turns a similarity into a probability."""

    def probability(self, similarity: FloatArray, searched: int, /) -> FloatArray:
        """That it is the same person, given how many faces were compared: (N,) of (N,) cosines."""
        ...


class SearchCodec(Protocol):
    """What search needs of a codec; `streamproc.FaceCodec` is one."""

    @property
    def codec_id(self) -> str:
        """The name of its weights."""
        ...

    @property
    def calibration(self) -> ProbabilityScale:
        """Its scale from similarity to probability."""
        ...

    def features(self, base: Sequence[bytes], /) -> FloatArray:
        """(N, D) float32 of unit norm, decoded from N base layers."""
        ...


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer; `matches` best first, one a track, whatever the verdict.

    `searched` counts the tracks compared; `damaged` the faces left out because their base layer does not match its
    checksum, `other_codec` those left out because another codec wrote them; `gaps` are when the cameras asked about had
    no video within the time asked about, as they began, those that touch as one.
    """

    verdict: Literal["match", "no match"]
    searched: int
    milliseconds: float
    matches: tuple[Match, ...]
    damaged: int
    other_codec: int
    gaps: tuple[GapRecord, ...]


def search(
    archive: ArchiveReader,
    codec: SearchCodec,
    feature: FloatArray,
    cameras: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    top: int = 10,
    now: datetime | None = None,
) -> SearchResult:
    """The `top` tracks whose faces resemble `feature` (D,) most, and the verdict.

    `feature` is of unit norm and was not coded: a question need not lose what storing costs (asymmetric distance
    computation; Jegou et al. 2011).

    Every track with faces at the cameras (none named: all) and since <= time < until is compared, by the cosine of
    `feature` and the mean of its decoded features. `now` is the moment of asking, for the gaps: with it, a camera that
    was left unwatched without a word counts as blind. Raises UnknownRecord for a camera that the archive does not have.
    """
    if top < 1:
        raise ValueError(f"a search gives at least 1 match, not {top}")
    began = time.perf_counter()
    layers = archive.base_layers(codec.codec_id, cameras, since, until)
    sound = _sound(layers)
    damaged = len(layers.face_ids) - len(sound)
    gaps = merged(archive.gaps(cameras, since, until, now))
    matches: tuple[Match, ...] = ()
    searched = len({layers.track_ids[k] for k in sound})
    if sound:
        features = codec.features([layers.payloads[k] for k in sound])
        best, similarities = _best_tracks(features, feature, [layers.track_ids[k] for k in sound], top)
        records = archive.faces([layers.face_ids[sound[k]] for k in best])
        probabilities = codec.calibration.probability(similarities, len(sound))
        found = [
            Match(record, float(similarity), float(probability))
            for record, similarity, probability in zip(records, similarities, probabilities, strict=True)
        ]
        matches = tuple(sorted(found, key=lambda match: (-match.probability, -match.similarity)))
    return SearchResult(
        verdict="match" if matches and matches[0].probability >= MATCH_PROBABILITY else "no match",
        searched=searched,
        milliseconds=(time.perf_counter() - began) * 1000,
        matches=matches,
        damaged=damaged,
        other_codec=layers.other_codec,
        gaps=gaps,
    )


def _sound(layers: BaseLayers) -> list[int]:
    """The places of the payloads that match their checksums."""
    pairs = zip(layers.payloads, layers.checksums, strict=True)
    return [k for k, (payload, checksum) in enumerate(pairs) if zlib.crc32(payload) == checksum]


def _best_tracks(
    features: FloatArray, feature: FloatArray, track_ids: Sequence[str], top: int
) -> tuple[list[int], FloatArray]:
    """(the place of the most similar face of each of the `top` most similar tracks, the tracks' similarities), best
    first.

    A track is compared by the mean direction of its shots: what is accidental in one of them, which makes strangers
    alike now and then, averages out. The best of several shots would be the most accidental one.
    """
    numbers: dict[str, int] = {}
    track = np.array([numbers.setdefault(name, len(numbers)) for name in track_ids])
    order = np.lexsort((-(features @ feature), track))
    starts = np.flatnonzero(np.diff(track[order], prepend=-1))
    sums = np.add.reduceat(features[order], starts, axis=0)
    similarities = (sums @ feature) / np.maximum(np.linalg.norm(sums, axis=1), np.finfo(np.float32).tiny)
    best = np.argsort(-similarities, kind="stable")[:top]
    return order[starts[best]].tolist(), similarities[best]
