"""What faces lose when they are coded anew, measured on photos of known people. Importing it loads torch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamproc.codec.face_codec import BATCH, FaceCodec
from streamproc.errors import NoFace, SeveralFaces, SourceError
from streamproc.faces.finder import FaceFinder
from streamproc.media.photo import read_photo
from streamproc.query import ask_photo
from streamproc.types import FloatArray, Image

SUFFIXES = (".jpg", ".png", ".webp")
STRANGERS = 1e-3
"""The share of pairs of strangers that is accepted."""


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """One way by which faces come to be archived: of `questions`, the share whose person comes out first of `people`,
    and the share that is accepted where one pair of strangers in 1,000 is."""

    way: str
    questions: int
    people: int
    first: float
    accepted: float


def measure_photos(
    folder: Path,
    finder: FaceFinder,
    older: FaceCodec,
    newer: FaceCodec,
    quality: int,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> list[PhotoRow]:
    """The rows for photos PERSON_ANY.jpg (or .png, .webp): of each person the first is archived, the others ask.

    Photos without exactly one face are left out. `quality`: rate point of the older enhancement. SourceError where
    fewer than two people have two photos.
    """
    crops, people = _faces(folder, finder, tell)
    stored = [people.index(person) for person in dict.fromkeys(people) if people.count(person) > 1]
    asked = [k for k, person in enumerate(people) if k not in stored and people.count(person) > 1]
    if len(stored) < 2:
        raise SourceError(f"{folder} has no two people with two photos, PERSON_ANY.jpg, each: name another folder.")
    same = np.array([[people[k] == people[j] for j in stored] for k in asked])
    kept, questions = crops[stored], crops[asked]
    codes = older.encode(kept, quality)
    bases = [code.base for code in codes]
    full = _joined(
        older.reconstruct(bases[i : i + BATCH], [c.enhancement for c in codes[i : i + BATCH]])
        for i in range(0, len(bases), BATCH)
    )
    ask_older, ask_newer = older.raw_features(questions), newer.raw_features(questions)
    ways = (
        ("older weights", ask_older, older.features(bases)),
        ("newer weights, from the camera's picture", ask_newer, _stored(newer, kept)),
        ("newer weights, from the full picture", ask_newer, _stored(newer, full)),
        ("newer weights, from the base layer's picture", ask_newer, _stored(newer, older.reconstruct(bases))),
    )
    return [_row(way, question @ held.T, same) for way, question, held in ways]


def _faces(folder: Path, finder: FaceFinder, tell: Callable[[int, int], None]) -> tuple[Image, list[str]]:
    """(crops (N, 256, 256, 3), whose each is)."""
    paths = sorted(path for path in folder.glob("*_*") if path.suffix in SUFFIXES)
    crops: list[Image] = []
    people: list[str] = []
    for done, path in enumerate(paths, start=1):
        try:
            crops.append(ask_photo(read_photo(path), finder.find, None, f"'{path}'").image)
            people.append(path.stem.rpartition("_")[0])
        except (NoFace, SeveralFaces):
            pass
        tell(done, len(paths))
    if not crops:
        raise SourceError(f"{folder} has no photos PERSON_ANY.jpg with one face each: name another folder.")
    return np.stack(crops), people


def _joined(parts: Iterator[Image]) -> Image:
    return np.concatenate(list(parts))


def _stored(codec: FaceCodec, pictures: Image) -> FloatArray:
    """(N, D) features as an archive would hold them."""
    return codec.features([code.base for code in codec.encode(pictures, None)])


def _row(way: str, alike: FloatArray, same: npt.NDArray[np.bool_]) -> PhotoRow:
    strangers = np.sort(alike[~same])[::-1]
    bar = strangers[int(len(strangers) * STRANGERS)]
    first = same[np.arange(len(same)), alike.argmax(axis=1)]
    return PhotoRow(way, same.shape[0], same.shape[1], float(first.mean()), float((alike[same] > bar).mean()))
