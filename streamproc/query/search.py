"""Who is this: the archived faces that resemble a feature, one a track, and whether any is the same person."""

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, Self

import numpy as np

from streamproc.query.gaps import merged
from streamproc.query.reader import ArchiveReader, FaceIndex
from streamproc.types import BaseLayers, FloatArray, GapRecord, Match

FALSE_ALARMS = 0.05
"""Of people who were never there, the share for whom somebody may be taken, where nothing else is asked for."""


class ProbabilityScale(Protocol):
    """What turns a similarity into a probability, and says where a match begins."""

    def among(self, similarities: FloatArray, asked: float, /) -> Self:
        """The scale for a question of quality `asked` where it has these similarities (N,) to whoever is there."""
        ...

    def expected(self, asked: float, track: FloatArray, shots: FloatArray, /) -> FloatArray:
        """(N,) how alike the same person's tracks would be, by the qualities of both and the numbers of shots."""
        ...

    def probability(self, similarity: FloatArray, expected: FloatArray, people: int, /) -> FloatArray:
        """(N,) that each is the same person, of cosines and what they were expected to be, given how many people were
        compared."""
        ...

    def threshold(self, people: int, false_alarms: float, /) -> float:
        """The cosine that one of so many strangers reaches with a probability of `false_alarms`."""
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
    """The answer; `matches` best first, one a track, whatever the verdict: a match from a similarity of `needed` on.

    How alike strangers are differs from place to place and from face to face, so `needed` is this question's own.
    `searched` counts the tracks compared; `damaged` the faces left out because their base layer does not match its
    checksum, `other_codec` those left out because another codec wrote them; `gaps` are when the cameras asked about had
    no video within the time asked about, as they began, those that touch as one.
    """

    verdict: Literal["match", "no match"]
    searched: int
    needed: float
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
    quality: float = 1.0,
    false_alarms: float = FALSE_ALARMS,
    index: FaceIndex | None = None,
    beside: int = 0,
) -> SearchResult:
    """The `top` tracks whose faces resemble `feature` (D,) most, and the verdict.

    `feature` is of unit norm and was not coded: a question need not lose what storing costs (asymmetric distance
    computation; Jegou et al. 2011). `quality` (0 to 1) is that of its face. `false_alarms`: for which share of people
    who were never there the verdict may be a match; each track that is compared counts as a person, and so does each of
    those that are searched elsewhere for the same answer, so many `beside` them.

    How alike strangers are there is told from the similarities themselves.

    Every track with faces at the cameras (none named: all) and since <= time < until is compared, by the cosine of
    `feature` and the mean of its decoded features; with an `index` of the archive, those alone that it names, which are
    nearly always the ones that would come out best. `now` is the moment of asking, for the gaps: with it, a camera that
    was left unwatched without a word counts as blind. Raises UnknownRecord for a camera that the archive does not have.
    """
    if top < 1:
        raise ValueError(f"a search gives at least 1 match, not {top}")
    began = time.perf_counter()
    if index is None:
        layers, compared, damaged, sample = archive.base_layers(codec.codec_id, cameras, since, until), None, 0, None
    else:
        near = index.nearest(feature, top, cameras, since, until)
        layers, compared, damaged, sample = near.layers, near.searched, near.damaged, near.sample
    sound = _sound(layers)
    damaged += len(layers.face_ids) - len(sound)
    gaps = merged(archive.gaps(cameras, since, until, now))
    searched = len({layers.track_ids[k] for k in sound}) if compared is None else compared
    features = codec.features([layers.payloads[k] for k in sound]) if sound else np.zeros((0, len(feature)), np.float32)
    alike = features @ feature
    scale = codec.calibration.among(alike if sample is None else sample, quality)
    needed = scale.threshold(searched + beside, false_alarms)
    matches: tuple[Match, ...] = ()
    if sound:
        shots, similarities = _best_tracks(features, feature, alike, [layers.track_ids[k] for k in sound], top)
        names = [[layers.face_ids[sound[k]] for k in own] for own in shots]
        matches = _judged(archive, scale, names, similarities, quality, searched + beside)
    return SearchResult(
        verdict="match" if any(match.similarity >= needed for match in matches) else "no match",
        searched=searched,
        needed=needed,
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
    features: FloatArray, feature: FloatArray, alike: FloatArray, track_ids: Sequence[str], top: int
) -> tuple[list[list[int]], FloatArray]:
    """(the places of the faces of each of the `top` most similar tracks, the most similar face first, the tracks'
    similarities), best first; `alike` (N,) are the cosines of N `features` with `feature`.

    A track is compared by the mean direction of its shots: what is accidental in one of them, which makes strangers
    alike now and then, averages out. The best of several shots would be the most accidental one.
    """
    numbers: dict[str, int] = {}
    track = np.array([numbers.setdefault(name, len(numbers)) for name in track_ids])
    order = np.lexsort((-alike, track))
    starts = np.flatnonzero(np.diff(track[order], prepend=-1))
    sums = np.add.reduceat(features[order], starts, axis=0)
    similarities = (sums @ feature) / np.maximum(np.linalg.norm(sums, axis=1), np.finfo(np.float32).tiny)
    best = np.argsort(-similarities, kind="stable")[:top]
    ends = np.append(starts[1:], len(order))
    return [order[starts[k] : ends[k]].tolist() for k in best], similarities[best]


def _judged(
    archive: ArchiveReader,
    scale: ProbabilityScale,
    shots: Sequence[Sequence[str]],
    similarities: FloatArray,
    quality: float,
    people: int,
) -> tuple[Match, ...]:
    """The matches of tracks by the ids of their faces, the one to show first; the most probable first."""
    records = iter(archive.faces([face_id for own in shots for face_id in own]))
    tracks = [[next(records) for _ in own] for own in shots]
    seen = np.array([max(record.quality for record in own) for own in tracks], np.float32)
    counts = np.array([len(own) for own in tracks], np.float32)
    probabilities = scale.probability(similarities, scale.expected(quality, seen, counts), people)
    found = [
        Match(own[0], float(similarity), float(probability))
        for own, similarity, probability in zip(tracks, similarities, probabilities, strict=True)
    ]
    return tuple(sorted(found, key=lambda match: (-match.probability, -match.similarity)))
