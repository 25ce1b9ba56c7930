"""LFW, prepared once: its pairs, and its faces found and aligned into shards that every protocol reads.

The pictures are taken in an order in which the first pairs of every fold come first: a run on few pairs prepares
few pictures. Features are not kept with them, for another trunk would give others.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamproc.errors import SourceNotFound
from streamproc.evaluation.verification import Verification, verify
from streamproc.faces.align import TEMPLATE
from streamproc.faces.finder import FaceFinder, geometry
from streamproc.media.photo import read_photo
from streamproc.training.loop import Progress
from streamproc.training.shards import read_shard, shard_path, write_shards
from streamproc.types import CROP_SIZE, Array, Detection, FloatArray, Image

SHARD = 128
MIN_FACE = 40
"""Shortest side of a face looked for: LFW's are about 93 x 124 pixels."""
MEAN_FACE = (TEMPLATE - CROP_SIZE / 2) * (93 / 144) + 125
"""Where LFW's landmarks lie on average, for the few pictures in which no face is found."""


@dataclass(frozen=True, slots=True, eq=False)
class LfwPairs:
    """LFW's pairs: `names` of the images, `left` and `right` (P,) indexes into them, `same` (P,), `fold` (P,)."""

    names: tuple[str, ...]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    same: npt.NDArray[np.bool_]
    fold: npt.NDArray[np.int64]

    def verify(self, features: FloatArray, asked: FloatArray | None = None) -> Verification:
        """The figures of features (N, D) of unit norm, one an image; a pair's first from `asked`, where given."""
        similarity = ((features if asked is None else asked)[self.left] * features[self.right]).sum(axis=1)
        return verify(similarity, self.same, self.fold)


@dataclass(frozen=True, slots=True, eq=False)
class LfwShard:
    """Some images: `start`, the place of the first; `crops` (N, 256, 256, 3); `found` (N,) False where no face was."""

    start: int
    crops: Image
    found: npt.NDArray[np.bool_]


def read_pairs(data: Path, limit: int | None = None) -> LfwPairs:
    """The pairs of `data/pairs.txt`: ten folds of 300 pairs of one person, then 300 of two; or the first `limit` of
    each. The images of few pairs are the first of those of more. Raises SourceNotFound."""
    path = data / "pairs.txt"
    if not path.is_file():
        raise SourceNotFound(f"{path} is missing: give the folder that holds LFW's pairs.txt and images/")
    lines = [line.split() for line in path.read_text().splitlines()[1:] if line.strip()]
    per_fold = len(lines) // 10
    rows: list[tuple[int, str, str, bool, int]] = []
    for number, words in enumerate(lines):
        fold, place = divmod(number, per_fold)
        same = len(words) == 3
        if limit is None or place % (per_fold // 2) < limit:
            first, second = (words[0], words[1]), (words[0], words[2]) if same else (words[2], words[3])
            left, right = (f"{name}_{int(index):04d}.jpg" for name, index in (first, second))
            rows.append((place % (per_fold // 2), left, right, same, fold))
    places: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: row[0]):
        for name in row[1:3]:
            places.setdefault(name, len(places))
    return LfwPairs(
        tuple(places),
        np.array([places[row[1]] for row in rows], np.int64),
        np.array([places[row[2]] for row in rows], np.int64),
        np.array([row[3] for row in rows], bool),
        np.array([row[4] for row in rows], np.int64),
    )


class LfwSet:
    """The images of LFW's pairs as aligned crops, made when first asked for and kept in `work/lfw`."""

    def __init__(self, data: Path, work: Path, device: str = "auto") -> None:
        """Reads the pairs; raises SourceNotFound when the set is not there."""
        self.names = read_pairs(data).names
        self.folder = work / "lfw"
        self.key = hashlib.sha256(" ".join([geometry(), *self.names]).encode()).hexdigest()[:16]
        self._data = data
        self._device = device
        self._finder: FaceFinder | None = None

    def prepare(self, places: Iterable[int], progress: Progress) -> None:
        """Makes those shards, of the images at `places`, that are missing or were made by another finder."""
        numbers = {place // SHARD for place in places}
        written = write_shards(self.folder, self.names, self._make, SHARD, self.key, numbers.__contains__)
        for done, _ in enumerate(written):
            progress("finding faces", done + 1, len(numbers))

    def shard(self, number: int) -> LfwShard:
        """One shard, which was prepared."""
        arrays = read_shard(shard_path(self.folder, number))
        return LfwShard(number * SHARD, arrays["crops"], arrays["found"])

    def crops(self, places: Iterable[int]) -> Image:
        """(K, 256, 256, 3) crops of the images at `places`, which were prepared."""
        wanted = list(places)
        found: dict[int, Image] = {}
        for number in sorted({place // SHARD for place in wanted}):
            crops = self.shard(number).crops
            found |= {place: crops[place % SHARD] for place in wanted if place // SHARD == number}
        return np.stack([found[place] for place in wanted])

    def _make(self, names: Sequence[str]) -> dict[str, Array]:
        self._finder = self._finder or FaceFinder.load(self._device, MIN_FACE)
        crops = [crop_subject(read_photo(self._data / "images" / name), self._finder) for name in names]
        return {
            "crops": np.stack([crop for crop, _ in crops]),
            "found": np.array([found for _, found in crops]),
            "names": np.array(names),
        }


def sampled(names: Sequence[str], count: int) -> list[int]:
    """The places of `count` images, by the hash of their names: the same ones on every machine, of mixed people."""
    order = sorted(range(len(names)), key=lambda place: hashlib.sha256(names[place].encode()).digest())
    return order[:count]


def crop_subject(picture: Image, finder: FaceFinder) -> tuple[Image, bool]:
    """(aligned crop of the face nearest to the picture's middle, whether one was found)."""
    subject = finder.subject(picture)
    if subject is not None:
        return subject.image, True
    landmarks = MEAN_FACE.astype(np.float32)
    box = np.array([*landmarks.min(axis=0), *landmarks.max(axis=0)], np.float32)
    return finder.crop(picture, Detection(box, landmarks, 0.0)).image, False
