"""Labelled faces as cameras see them: photos pasted into pictures, degraded, found again and coded as tracks.

Each photo gives what a question has (its feature, not coded) and what an archive has (a track of up to three shots,
their mean feature coded and decoded), with the quality that the finder rates both at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from streamproc.codec.face_codec import FaceCodec
from streamproc.errors import SourceNotFound
from streamproc.faces.finder import FaceFinder
from streamproc.media.photo import read_photo
from streamproc.training.data import NO_IDENTITY, is_held_out
from streamproc.training.shards import read_shard, write_shards
from streamproc.types import Array, FaceCrop, FloatArray, Image

SETS = ("celeba", "mebeauty")
"""Folders with names: celeba's begin with the identity, mebeauty's with sex and group."""
TILE = 260
"""Side of a face's place in a picture, pixels."""
ACROSS, DOWN = 5, 3
SHOTS = 3
WIDTHS = (36.0, 140.0)
"""Pixels that a face is wide in the camera's picture."""
OF_PHOTO = 1 / 1.7
"""Width of the face in a photo, of the photo's."""
KEY = "1"
"""To be raised with every change of what is made."""


@dataclass(frozen=True, slots=True, eq=False)
class SeenFaces:
    """N photos and the tracks made of them: `asked` (N, 128) features before coding, `tracks` (N, 128) decoded ones,
    `asked_quality` (N,), `track_quality` (N,) of the best shot, `shots` (N,) how many there are, `identities` (N,)
    int64 (-1: nobody else), `names` (N,)."""

    asked: FloatArray
    asked_quality: FloatArray
    tracks: FloatArray
    track_quality: FloatArray
    shots: npt.NDArray[np.int64]
    identities: npt.NDArray[np.int64]
    names: npt.NDArray[np.str_]

    @property
    def groups(self) -> npt.NDArray[np.str_]:
        """(N,) sex and ethnic group of mebeauty's people; empty for those with an identity."""
        found = np.array(["_".join(name.split("/")[-1].split("_")[:2]) for name in self.names])
        return np.where(self.identities == NO_IDENTITY, found, "")


def photos(data: Path) -> list[Path]:
    """The pictures that are made into tracks: celeba's held-out people, and mebeauty's portraits."""
    found = [path for name in SETS for path in sorted((data / name).glob("*.*"))]
    if not found:
        raise SourceNotFound(f"{data} holds none of the training folders {', '.join(SETS)}: give the folder that does")
    return [path for path in found if path.parent.name != "celeba" or is_held_out(_identity(path), path.name)]


def prepare(data: Path, out: Path, finder: FaceFinder, codec: FaceCodec) -> Iterator[int]:
    """Yields the photos done so far; writes the shards that are missing in `out`."""
    rng = np.random.default_rng(1)
    paths = photos(data)
    chosen = [paths[k] for k in rng.permutation(len(paths))]
    yield from write_shards(
        out, chosen, lambda part: _shard(part, finder, codec), ACROSS * DOWN * 8, f"{KEY} {codec.codec_id}"
    )


def load(out: Path) -> SeenFaces:
    """All that `prepare` wrote in `out`; raises SourceNotFound."""
    shards = [read_shard(path) for path in sorted(out.glob("shard-*.npz"))]
    if not shards:
        raise SourceNotFound(f"{out} holds no faces as cameras see them: run `train calibration` with its pictures")
    return SeenFaces(**{name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]})


def _identity(path: Path) -> int:
    return int(path.name.split("_")[0]) if path.parent.name == "celeba" else NO_IDENTITY


def _shard(paths: Sequence[Path], finder: FaceFinder, codec: FaceCodec) -> dict[str, Array]:
    """The arrays of one shard; photos whose face is not found, before or after, are left out."""
    rng = np.random.default_rng(int.from_bytes(paths[0].name.encode()[-8:], "little"))
    rows: list[tuple[Path, FaceCrop, list[FaceCrop]]] = []
    for start in range(0, len(paths), ACROSS * DOWN):
        part = paths[start : start + ACROSS * DOWN]
        pictures = [read_photo(path) for path in part]
        tracks = _seen([_sized(picture, rng) for picture in pictures], finder, rng)
        for path, picture, shots in zip(part, pictures, tracks, strict=True):
            asked = finder.subject(picture)
            if asked is not None and shots:
                rows.append((path, asked, shots[: rng.integers(1, SHOTS + 1)]))
    tracks = [sorted(shots, key=lambda shot: -shot.quality) for _, _, shots in rows]
    features = codec.raw_features(np.stack([shot.image for shots in tracks for shot in shots]))
    ends = np.cumsum([len(shots) for shots in tracks])[:-1]
    means = np.stack([own.mean(axis=0) for own in np.split(features, ends)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return {
        "asked": codec.raw_features(np.stack([asked.image for _, asked, _ in rows])),
        "asked_quality": np.array([asked.quality for _, asked, _ in rows], np.float32),
        "tracks": codec.features(codec.base.encode(np.stack([shots[0].image for shots in tracks]), means)),
        "track_quality": np.array([shots[0].quality for shots in tracks], np.float32),
        "shots": np.array([len(shots) for shots in tracks], np.int64),
        "identities": np.array([_identity(path) for path, _, _ in rows], np.int64),
        "names": np.array([f"{path.parent.name}/{path.name}" for path, _, _ in rows]),
    }


def _sized(photo: Image, rng: np.random.Generator) -> Image:
    """The photo as small as a camera far away sees it, out of focus by chance; TILE at most."""
    width = float(np.exp(rng.uniform(*np.log(WIDTHS))))
    scale = min(width / (photo.shape[1] * OF_PHOTO), (TILE - 8) / max(photo.shape[:2]))
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=kind)
    blur = rng.uniform(0, 0.035) * width if rng.random() < 0.5 else 0.0
    return (cv2.GaussianBlur(small, (0, 0), blur) if blur > 0.3 else small).astype(np.uint8, copy=False)


def _seen(faces: Sequence[Image], finder: FaceFinder, rng: np.random.Generator) -> list[list[FaceCrop]]:
    """The shots of each face that one camera gives, in pictures that differ by noise and by where faces are."""
    gain, gamma, warmth = rng.uniform(0.45, 1.15), rng.uniform(0.8, 1.25), rng.uniform(-0.12, 0.12)
    noise, quality = rng.uniform(1, 8), int(rng.integers(25, 85))
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    wall = rng.uniform(60, 170, 3)
    found: list[list[FaceCrop]] = [[] for _ in faces]
    for _ in range(SHOTS):
        picture = np.empty((DOWN * TILE, ACROSS * TILE, 3), np.float64)
        picture[:] = wall
        for number, face in enumerate(faces):
            top, left = divmod(number, ACROSS)
            x = left * TILE + int(rng.integers(0, TILE - face.shape[1] + 1))
            y = top * TILE + int(rng.integers(0, TILE - face.shape[0] + 1))
            picture[y : y + face.shape[0], x : x + face.shape[1]] = face
        lit = 255 * np.clip(picture / 255 * gain * tint, 0, 1) ** gamma + rng.normal(0, noise, picture.shape)
        _, file = cv2.imencode(".jpg", lit.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
        for crop in finder.find(cv2.imdecode(file, cv2.IMREAD_COLOR).astype(np.uint8, copy=False)):
            box = crop.detection.box
            place = int((box[1] + box[3]) / 2 // TILE) * ACROSS + int((box[0] + box[2]) / 2 // TILE)
            if 0 <= place < len(faces):
                found[place].append(crop)
    # A place with more faces than pictures has a stranger in it: nobody can say who is who.
    return [shots if len(shots) <= SHOTS else [] for shots in found]
