"""Training faces: found, aligned and rated by the project's own finder, so that training sees what ingest sees.

`prepare` turns folders of pictures into shards of aligned crops and raw features; it can be stopped and goes on where
it was. `TrainingFaces` reads them back.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from streamproc.codec.facenet import FaceNet
from streamproc.errors import SourceNotFound
from streamproc.faces.align import visible_share
from streamproc.faces.finder import FaceFinder
from streamproc.media.photo import read_photo
from streamproc.training.shards import write_shards
from streamproc.types import Array, FloatArray

SETS = ("celeba", "mebeauty", "ffhq", "congress")
"""Folders of training pictures; celeba's names begin with the identity."""
SHARD = 512
NO_IDENTITY = -1


@dataclass(frozen=True, slots=True, eq=False)
class TrainingFaces:
    """Aligned training faces: `crops` (N, 256, 256, 3) uint8 RGB, `features` (N, 128) float32 unit norm as the trunk
    gives them, `identities` (N,) int64 (-1 unknown), `visible` (N,) float32 share of the crop inside its picture,
    `quality` (N,) float32, `names` (N,)."""

    crops: npt.NDArray[np.uint8]
    features: FloatArray
    identities: npt.NDArray[np.int64]
    visible: FloatArray
    quality: FloatArray
    names: npt.NDArray[np.str_]

    def held_out(self) -> npt.NDArray[np.bool_]:
        """(N,) True for the tenth of the faces kept for validation, by identity, so that no person is on both sides."""
        return np.array([is_held_out(i, n) for i, n in zip(self.identities.tolist(), self.names, strict=True)])


def is_held_out(identity: int, name: str) -> bool:
    """Whether a person, or a picture of nobody else, is of the tenth that is kept out of training."""
    key = f"i{identity}" if identity != NO_IDENTITY else f"n{name}"
    return hashlib.sha256(key.encode()).digest()[0] < 26


def pictures(data: Path) -> list[Path]:
    """Training pictures under `data`, in an order that mixes the sets and never changes."""
    found = [path for name in SETS for path in sorted((data / name).glob("*.*"))]
    if not found:
        raise SourceNotFound(f"{data} holds none of the training folders {', '.join(SETS)}: give the folder that does")
    return sorted(found, key=lambda path: hashlib.sha256(path.name.encode()).digest())


def prepare(data: Path, out: Path, finder: FaceFinder, trunk: FaceNet, part: int = 0, parts: int = 1) -> Iterator[int]:
    """Yields the pictures done so far; writes the shards that are missing in `out`, as `part` of `parts` processes that
    share the work."""
    yield from write_shards(
        out,
        pictures(data),
        lambda paths: _shard(paths, finder, trunk),
        SHARD,
        "",
        lambda number: number % parts == part,
    )


def _shard(paths: Sequence[Path], finder: FaceFinder, trunk: FaceNet) -> dict[str, Array]:
    """The arrays of one shard; pictures without a face are left out."""
    rows = []
    for path in paths:
        picture = read_photo(path)
        face = finder.subject(picture)
        if face is not None:
            visible = visible_share(face.detection.landmarks, picture.shape[1], picture.shape[0])
            identity = int(path.name.split("_")[0]) if path.parent.name == "celeba" else NO_IDENTITY
            rows.append((face.image, identity, visible, face.quality, f"{path.parent.name}/{path.name}"))
    crops = np.stack([row[0] for row in rows])
    return {
        "crops": crops,
        "features": raw_features(trunk, crops),
        "identities": np.array([row[1] for row in rows], np.int64),
        "visible": np.array([row[2] for row in rows], np.float32),
        "quality": np.array([row[3] for row in rows], np.float32),
        "names": np.array([row[4] for row in rows]),
    }


@torch.inference_mode()
def raw_features(trunk: FaceNet, crops: npt.NDArray[np.uint8], batch: int = 32) -> FloatArray:
    """(N, 128) unit-norm features of (N, 256, 256, 3) uint8 crops."""
    device = next(trunk.parameters()).device
    parts = [
        trunk(torch.from_numpy(crops[i : i + batch]).to(device).permute(0, 3, 1, 2).float()).cpu().numpy()
        for i in range(0, len(crops), batch)
    ]
    features: FloatArray = np.concatenate(parts).astype(np.float32, copy=False)
    return features


def load_faces(out: Path, limit: int | None = None, crops: bool = True) -> TrainingFaces:
    """All shards that `prepare` wrote in `out`, or the first `limit` faces of them; without `crops`, which are nearly
    all of the size, that array is (N, 0, 0, 3)."""
    shards = sorted(out.glob("shard-*.npz"))
    if not shards:
        raise SourceNotFound(f"{out} holds no prepared faces: run `train faces` first")
    sizes: list[int] = []
    for shard in shards:
        with np.load(shard) as arrays:
            sizes.append(len(arrays["identities"]))
        if limit is not None and sum(sizes) >= limit:
            break
    total = sum(sizes) if limit is None else min(limit, sum(sizes))
    columns: dict[str, Array] = {}
    for number, start in enumerate(np.cumsum([0, *sizes[:-1]]).tolist()):
        with np.load(shards[number]) as arrays:
            for name in arrays.files:
                if name == "crops" and not crops:
                    columns.setdefault(name, np.zeros((total, 0, 0, 3), np.uint8))
                    continue
                part = arrays[name][: total - start]
                _put(columns, name, part, start, total)
    return TrainingFaces(**columns)


def _put(columns: dict[str, Array], name: str, part: Array, start: int, total: int) -> None:
    """Nothing; the part lies in its column of `total` rows. Columns are filled in place: a list of parts and the whole
    made of it would be twice four gigabytes."""
    column = columns.get(name)
    if column is None or column.dtype.itemsize < part.dtype.itemsize:
        # Names are as wide as the longest of their shard.
        wider = np.empty((total, *part.shape[1:]), part.dtype)
        if column is not None:
            wider[:start] = column[:start]
        column = columns[name] = wider
    column[start : start + len(part)] = part
