"""What a track's later shots cost when they are coded given its first, and what search makes of one identity a track.

    python benchmarks/track_coding.py DATA/videos/office DATA/videos/street/crowd_1080p.mp4 --work WORK [--json]

The first folder holds clips and `people.csv` (clip, person); other clips may follow. They are ingested into WORK, once
for each codec, each track's best three shots. A later shot's levels are coded with integer tables conditional on the
first shot's, fitted on the tracks of all other clips. Nothing of the archive's format is touched.
"""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.batch import crops_folder, ingest
from pipelines.encode import crop_name
from storage import Archive
from streamproc import FaceCodec
from streamproc.codec.base_code import BaseCode
from streamproc.codec.code_tables import TOTAL, CodeTables, IntArray, counts_from_pmf
from streamproc.codec.trellis import level_costs
from streamproc.config import EncodeSettings, Settings
from streamproc.evaluation.pictures import psnr
from streamproc.media.photo import read_photo
from streamproc.query.search import FALSE_ALARMS
from streamproc.types import Array, FloatArray, Image

CLASSES = 4
"""Groups of identity's latents, and of appearance's, by entropy: the latents of a group share their statistics, for
some dozen tracks say little of each."""
SMOOTHING = 5.0
"""Differences that a Laplacian counts for against those that were counted."""
ROUNDS = 30
LEAST_WIDTH = 0.05
"""Of that Laplacian, where all differences are 0."""
ALONE, DIFFERENCE, MIXED, MIXED_SEEN = "alone", "difference", "mixed", "mixed, same camera"
OWN, TEMPLATE, BEST = "each shot's own, averaged", "coded mean of the shots", "the best shot's alone"


@dataclass(frozen=True, slots=True, eq=False)
class Shots:
    """A track: where it was seen, its shots, best first: base payloads, levels (K, D), raw features (K, 128) and crops
    (K, 256, 256, 3)."""

    place: str
    clip: str
    detections: int
    bases: tuple[bytes, ...]
    levels: IntArray
    raw: FloatArray
    crops: Image


@dataclass(frozen=True, slots=True)
class BitsRow:
    """Means over a place's later shots: ideal bits of each part, bytes of the payload."""

    place: str
    tables: str
    shots: int
    identity: float
    appearance: float
    payload_bytes: float


@dataclass(frozen=True, slots=True)
class SearchRow:
    """Searches of the known people in tracks that keep their identities so: ideal bits of identity a track, mean PSNR
    (dB) of the base pictures; mean average precision; lowest and mean similarity of one person's tracks, highest and
    mean of two people's; how many of the queries find the person's own best track a "match" and how many absent people
    are refused where as many faces count as searched as there are shots, as today, and where one a track does."""

    identities: str
    bits: float
    base_psnr: float
    queries: int
    mean_average_precision: float
    same_least: float
    same_mean: float
    other_most: float
    other_mean: float
    present: int
    matched_by_shots: int
    refused_by_shots: int
    matched_by_tracks: int
    refused_by_tracks: int


def read_shots(clips: Sequence[Path], work: Path, codec: FaceCodec) -> list[Shots]:
    """The tracks with two shots or more of the clips, ingested where they are not yet."""
    work.mkdir(parents=True, exist_ok=True)
    url = str(work / "tracks.db")
    result = ingest(
        [str(clip) for clip in clips], url, settings=Settings(encode=EncodeSettings(quality=None)), report_dir=work
    )
    if result.failed:
        raise SystemExit("\n".join(source.error for source in result.sources if source.error))
    places = {clip.stem: clip.parent.name for clip in clips}
    tracks = []
    with Archive.open(url) as archive:
        for track in archive.tracks():
            codes = [archive.code(face) for face in track.face_ids]
            if len(codes) < 2 or codes[0].codec_id != codec.codec_id:
                continue
            crops = np.stack([read_photo(crops_folder(work) / crop_name(code)) for code in codes])
            bases = tuple(code.base for code in codes)
            levels, raw = codec.base.code.unpack(bases), codec.raw_features(crops)
            name = Path(track.source).stem
            tracks.append(Shots(places[name], name, track.detections, bases, levels, raw, crops))
    return tracks


class ConditionalCode:
    """The code of a shot given the levels of the track's first shot: of their difference, which a class of latents
    shares, mixed with the codec's own code where `mixed`, in the share that is likeliest on the fitted tracks."""

    def __init__(self, own: BaseCode, identity: int, tracks: Sequence[Shots], mixed: bool) -> None:
        self._own = own
        trellis, tables = own.trellis, own.tables
        self._static = np.diff(tables.cdf, axis=1) / TOTAL
        self._first_level = int(tables.offsets[0])
        levels = np.arange(self._static.shape[1], dtype=np.int32) + self._first_level
        self._points = trellis.points(levels)
        self._reach = 2 * int(np.abs(self._points).max())
        self._classes = _classes(self._static.reshape(len(own), trellis.turns, -1), identity)
        first = np.concatenate([np.repeat(track.levels[:1], len(track.levels) - 1, axis=0) for track in tracks])
        later = np.concatenate([track.levels[1:] for track in tracks])
        began, went, rows = trellis.multiples(first), trellis.multiples(later), trellis.rows(later)
        alone = self._static[rows, later - self._first_level]
        turns = rows % trellis.turns
        self._models = [self._fit(began[:, of], went[:, of], turns[:, of], alone[:, of], mixed) for of in self._classes]

    def _fit(self, began: IntArray, went: IntArray, turns: IntArray, alone: Array, mixed: bool) -> tuple[Array, float]:
        """(probabilities of the differences -reach..reach, their share against the codec's own code), by expectation
        maximisation."""
        distance = np.abs(np.arange(-self._reach, self._reach + 1))
        places = went - began + self._reach
        possible = self._points[turns] - began[..., None] + self._reach
        share, responsible = 1.0, np.ones(places.shape)
        for step in range(ROUNDS if mixed else 1):
            counted = np.bincount(places.ravel(), weights=responsible.ravel(), minlength=len(distance))
            width = max(float((distance * counted).sum() / counted.sum()), LEAST_WIDTH)
            laplacian = np.exp(-distance / width)
            density = counted + SMOOTHING * laplacian / laplacian.sum()
            density /= density.sum()
            if mixed:
                share = float(responsible.mean()) if step else 0.5
                likely = share * density[places] / density[possible].sum(axis=2)
                responsible = likely / (likely + (1 - share) * alone)
        return density, share

    def given(self, first: IntArray) -> BaseCode:
        """The code of a shot whose track began with the levels `first` (D,)."""
        turns, began = self._own.trellis.turns, self._own.trellis.multiples(first[None])[0]
        rows: list[Array] = [np.empty(0)] * len(self._static)
        for (density, share), of in zip(self._models, self._classes, strict=True):
            for n in of.tolist():
                for turn, points in enumerate(self._points):
                    near, row = density[points - began[n] + self._reach], n * turns + turn
                    rows[row] = counts_from_pmf(share * near / near.sum() + (1 - share) * self._static[row])
        return BaseCode(CodeTables.from_counts(rows, self._own.tables.offsets), self._own.trellis)


def _classes(static: Array, identity: int) -> list[npt.NDArray[np.intp]]:
    """The places of the latents of each class, by the entropy of their tables (D, turns, L)."""
    entropy = -(static * np.log2(np.maximum(static, 1e-12))).sum(axis=(1, 2))
    parts = [np.arange(identity), np.arange(identity, len(static))]
    return [of for part in parts for of in np.array_split(part[np.argsort(-entropy[part])], CLASSES)]


def bits_rows(codec: FaceCodec, tracks: Sequence[Shots]) -> list[BitsRow]:
    """What later shots cost, by place and by tables."""
    costs: dict[tuple[str, str], list[tuple[float, float, int]]] = {}
    for n, track in enumerate(tracks):
        others = [other for other in tracks if other.clip != track.clip]
        seen = [*tracks[:n], *tracks[n + 1 :]]
        codes = {
            ALONE: codec.base.code,
            DIFFERENCE: _given(codec, others, track, False),
            MIXED: _given(codec, others, track, True),
            MIXED_SEEN: _given(codec, seen, track, True),
        }
        for name, used in codes.items():
            for levels in track.levels[1:]:
                for place in (track.place, "all"):
                    costs.setdefault((place, name), []).append(_cost(levels, used, codec.base.identity_latents))
    return [
        BitsRow(place, name, len(rows), *(float(mean) for mean in np.mean(rows, axis=0)))
        for (place, name), rows in sorted(costs.items(), key=lambda item: item[0][0])
    ]


def _given(codec: FaceCodec, fitted: Sequence[Shots], track: Shots, mixed: bool) -> BaseCode:
    return ConditionalCode(codec.base.code, codec.base.identity_latents, fitted, mixed).given(track.levels[0])


def _cost(levels: IntArray, code: BaseCode, identity: int) -> tuple[float, float, int]:
    """(ideal bits of identity, of appearance, bytes of the payload), which is decoded again to be sure of it."""
    payload = code.pack(levels)
    assert (code.unpack([payload])[0] == levels).all()
    first, whole = (float(code.ideal_bits(levels[None, :count])[0]) for count in (identity, len(levels)))
    return first, whole - first, len(payload)


def search_rows(codec: FaceCodec, tracks: Sequence[Shots], people: dict[str, str]) -> list[SearchRow]:
    """Every known clip's longest track searched in the others, by its best shot as
    `tests/pipelines/test_shared_clips.py` does, and by every shot; identities kept in three ways."""
    ascending = sorted(tracks, key=lambda track: track.detections)
    known = list({track.clip: track for track in ascending if track.clip in people}.values())
    count = codec.base.identity_latents
    means = _unit(np.stack([track.raw.mean(axis=0) for track in known]))
    kept = {
        OWN: [track.levels[:, :count] for track in known],
        # What appearance the mean is coded with does not matter: identity comes first and is taken alone.
        TEMPLATE: list(
            codec.base.code.unpack(codec.base.encode(np.stack([t.crops[0] for t in known]), means), count)[:, None]
        ),
        BEST: [track.levels[:1, :count] for track in known],
    }
    person = np.array([people[track.clip] for track in known])
    return [
        _search_row(codec, name, identities, known, person, queries)
        for name, identities in kept.items()
        for queries in (1, None)
    ]


def _search_row(
    codec: FaceCodec,
    name: str,
    identities: Sequence[IntArray],
    tracks: Sequence[Shots],
    person: npt.NDArray[np.str_],
    queries: int | None,
) -> SearchRow:
    """The row of tracks whose identities are (1, 64) for all shots or (K, 64); `queries`: how many shots of each track
    are asked for, None for all."""
    features = [codec.features(_payloads(codec, track, some)) for track, some in zip(tracks, identities, strict=True)]
    archive = _unit(np.stack([some.mean(axis=0) for some in features]))
    shots = np.array([len(track.bases) for track in tracks])
    precisions, same, other, verdicts = [], [], [], []
    for n, track in enumerate(tracks):
        mine, absent = (person == person[n]) & (np.arange(len(tracks)) != n), person != person[n]
        for query in codec.features(track.bases)[:queries]:
            similarity = archive @ query
            other += similarity[absent].tolist()
            refused = [similarity[absent].max() < bar for bar in _bars(codec, shots[absent])]
            matched = [False, False]
            if mine.any():
                precisions.append(_average_precision(similarity, mine, mine | absent))
                same += similarity[mine].tolist()
                matched = [similarity[mine].max() >= bar for bar in _bars(codec, shots[mine | absent])]
            verdicts.append((matched[0], refused[0], matched[1], refused[1]))
    totals = np.sum(verdicts, axis=0)
    return SearchRow(
        identities=name,
        bits=float(np.mean([_identity_bits(codec, some) for some in identities])),
        base_psnr=_base_psnr(codec, tracks, identities),
        queries=len(verdicts),
        mean_average_precision=float(np.mean(precisions)),
        same_least=min(same),
        same_mean=float(np.mean(same)),
        other_most=max(other),
        other_mean=float(np.mean(other)),
        present=len(precisions),
        matched_by_shots=int(totals[0]),
        refused_by_shots=int(totals[1]),
        matched_by_tracks=int(totals[2]),
        refused_by_tracks=int(totals[3]),
    )


def _average_precision(similarity: FloatArray, right: npt.NDArray[np.bool_], searched: npt.NDArray[np.bool_]) -> float:
    """Of the tracks `searched`, ranked; each is `right` or not."""
    places = np.flatnonzero(searched)
    ranked = right[places][np.argsort(-similarity[places], kind="stable")]
    return float((np.cumsum(ranked) / np.arange(1, len(ranked) + 1))[ranked].mean())


def _bars(codec: FaceCodec, shots: Array) -> list[float]:
    """From which similarity on it is a match where every shot of the tracks counts as searched, and where one each."""
    return [codec.calibration.threshold(count, FALSE_ALARMS) for count in (int(shots.sum()), len(shots))]


def _payloads(codec: FaceCodec, track: Shots, identities: IntArray) -> list[bytes]:
    """The track's base layers with these identities, levels (1 or K, 64), in place of their own."""
    code, count = codec.base.code, codec.base.identity_latents
    shots = np.broadcast_to(code.trellis.multiples(identities), (len(track.levels), count))
    whole = np.concatenate([shots, code.trellis.multiples(track.levels)[:, count:]], axis=1)
    # Through the trellis anew: the way through appearance's part hangs on the identity before it.
    values = whole.astype(np.float32) * np.float32(code.trellis.unit)
    levels = code.trellis.quantise(values, level_costs(code.tables), int(code.tables.offsets[0]), 0.0)
    return [code.pack(row) for row in levels]


def _base_psnr(codec: FaceCodec, tracks: Sequence[Shots], identities: Sequence[IntArray]) -> float:
    """Mean dB of the shots' base pictures, which are made from identity, too."""
    decibels = [
        psnr(track.crops, codec.reconstruct(_payloads(codec, track, some)))
        for track, some in zip(tracks, identities, strict=True)
    ]
    return float(np.concatenate(decibels).mean())


def _identity_bits(codec: FaceCodec, identities: IntArray) -> float:
    return float(codec.base.code.ideal_bits(identities).sum())


def _unit(features: FloatArray) -> FloatArray:
    unit: FloatArray = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    return unit


def main() -> int:
    """Exit code 0; prints a row a place and kind of tables, then a row a way of keeping identities."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("known", type=Path, help="folder of clips with people.csv")
    parser.add_argument("clips", type=Path, nargs="*")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with (arguments.known / "people.csv").open() as file:
        people = {Path(row["clip"]).stem: row["person"] for row in csv.DictReader(file)}
    codec = FaceCodec.load(device="cpu")
    clips = [*sorted(path for path in arguments.known.iterdir() if path.stem in people), *arguments.clips]
    tracks = read_shots(clips, arguments.work, codec)
    bits, searches = bits_rows(codec, tracks), search_rows(codec, tracks, people)
    if arguments.json:
        print(json.dumps({"bits": [asdict(row) for row in bits], "search": [asdict(row) for row in searches]}))
        return 0
    print(f"{len(tracks)} tracks, codec {codec.codec_id}")
    for row in bits:
        print(
            f"{row.place:8} {row.tables:20} {row.shots:3} later shots  identity {row.identity:6.1f} bits  "
            f"appearance {row.appearance:6.1f} bits  payload {row.payload_bytes:5.1f} bytes"
        )
    for found in searches:
        print(
            f"{found.identities:26} {found.bits:6.1f} bits a track  base {found.base_psnr:.2f} dB  "
            f"{found.queries} queries: precision {found.mean_average_precision:.3f}  "
            f"same {found.same_least:.3f} (mean {found.same_mean:.3f})  "
            f"other {found.other_most:.3f} (mean {found.other_mean:.3f})  "
            f"matched {found.matched_by_shots} of {found.present}, refused {found.refused_by_shots}; "
            f"one a track counted: {found.matched_by_tracks}, {found.refused_by_tracks}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
