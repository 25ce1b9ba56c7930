"""MTCNN's cascade (Zhang et al. 2016) in numpy and OpenCV over facenet-pytorch's three trained nets.

PNet rates every place of a pyramid of pictures, RNet and ONet look at what the stage before left; each stage moves the
boxes a little. Numbers and roundings are those of `facenet_pytorch.models.utils.detect_face`, so that the nets see what
they see there; crops of all pictures go through a net together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
import numpy.typing as npt

from streamproc.errors import WeightsError
from streamproc.inference import Net, NetInput, load_net, sources_hash
from streamproc.types import Array, FloatArray, Image

if TYPE_CHECKING:
    from torch import nn

THRESHOLDS = (0.6, 0.7, 0.7)
"""Scores that a candidate needs in the three stages."""
PYRAMID_FACTOR = 0.709
"""Ratio of two scales of the pyramid: half the area."""
CELL, STRIDE = 12, 2
"""Side of what PNet sees of the picture for one place of its map, and the distance of two places, pixels."""
LEVEL_OVERLAP, OVERLAP = 0.5, 0.7
"""Of two candidates that overlap by more than this the weaker goes: within a level, and from then on."""
CHUNK = 256
"""Crops that a net sees at once: more bring nothing but memory."""
_SIDES = {"pnet": 48, "rnet": 24, "onet": 48}
_FREE = {"pnet": (0, 1, 2), "rnet": (0,), "onet": (0,)}
_AT_ONCE = {"pnet": 1, "rnet": 64, "onet": 16}

IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes that may hold a face: `picture` (n,) which one they are in, `box` (n, 4) float32 xyxy in pixels, `score`
    (n,) float32 in 0..1, `shift` (n, 4) float32 how far the net would move the edges, in sides of the box, `landmarks`
    (n, 5, 2) float32 in pixels (zeros before the last stage)."""

    picture: IntArray
    box: FloatArray
    score: FloatArray
    shift: FloatArray
    landmarks: FloatArray

    def take(self, which: Array) -> "Candidates":
        """Those at the indexes `which`, or where it is True."""
        return Candidates(
            self.picture[which], self.box[which], self.score[which], self.shift[which], self.landmarks[which]
        )


_NO = np.zeros(0, np.float32)
NOTHING = Candidates(np.zeros(0, np.intp), _NO.reshape(0, 4), _NO, _NO.reshape(0, 4), _NO.reshape(0, 5, 2))


def load_stage(name: str, device: str) -> Net:
    """ "pnet", "rnet" or "onet" on `device`, taking (N, H, W, 3) uint8 RGB pictures.

    They give scores (N, ...), shifts (N, ..., 4) and, of "onet", landmarks (N, 10); PNet's are maps.
    """
    weights = weights_path(name)
    side = _SIDES[name]

    def build() -> "nn.Module":
        from streamproc.faces.mtcnn_nets import stage

        return stage(name)

    sources = sources_hash(Path(__file__).with_name("mtcnn_nets.py"), weights)
    key = f"mtcnn-{name}-{sources}"
    return load_net(key, build, [NetInput((2, side, side, 3), _FREE[name])], device, _AT_ONCE[name])


def weights_path(name: str) -> Path:
    """Where facenet-pytorch keeps a trained net; the package itself is not imported."""
    package = find_spec("facenet_pytorch")
    path = Path(str(package.origin)).parent / "data" / f"{name}.pt" if package else Path(f"{name}.pt")
    if not path.is_file():
        raise WeightsError("MTCNN's trained nets are missing: install facenet-pytorch again.")
    return path


class Mtcnn:
    """The three nets and the way of a picture through them."""

    def __init__(self, device: str) -> None:
        self._pnet, self._rnet, self._onet = (load_stage(name, device) for name in _SIDES)

    def find(self, pictures: Sequence[Image], min_face: float) -> Candidates:
        """The faces of pictures (H, W, 3) uint8 RGB of one size, `min_face` pixels or larger, best first."""
        found = self._proposals(pictures, min_face)
        for net, side, threshold in ((self._rnet, 24, THRESHOLDS[1]), (self._onet, 48, THRESHOLDS[2])):
            found = _squared(found)
            crops, found = _crops(pictures, found, side)
            if not len(crops):
                return found.take(np.zeros(0, np.intp))
            parts = [net(crops[i : i + CHUNK]) for i in range(0, len(crops), CHUNK)]
            score, shift, *points = (np.concatenate(column) for column in zip(*parts, strict=True))
            landmarks = _landmarks(found.box, points[0]) if points else found.landmarks
            found = Candidates(found.picture, found.box, score, shift, landmarks).take(score > threshold)
            if net is self._rnet:
                found = found.take(_apart(found, OVERLAP))
            found = _moved(found, 1)
        return found.take(_outside(found, OVERLAP))

    def _proposals(self, pictures: Sequence[Image], min_face: float) -> Candidates:
        """What PNet proposes, over all levels."""
        levels = [NOTHING]
        for scale, level in pyramid(pictures, min_face):
            score, shift = self._pnet(level)
            found = _at_cells(score, shift, scale)
            levels.append(found.take(_apart(found, LEVEL_OVERLAP)))
        columns = ("picture", "box", "score", "shift", "landmarks")
        found = Candidates(*(np.concatenate([getattr(level, name) for level in levels]) for name in columns))
        return _moved(found.take(_apart(found, OVERLAP)), 0)


def pyramid(pictures: Sequence[Image], min_face: float) -> Iterator[tuple[float, Image]]:
    """(scale, all pictures at it (N, h, w, 3)) from where `min_face` pixels are a cell down to where a picture is one.

    Each level is made from the one before: to average over ever larger parts of the picture costs as much as PNet does.
    """
    height, width = pictures[0].shape[:2]
    scale = CELL / min_face
    while min(height, width) * scale >= CELL:
        size = (round(width * scale), round(height * scale))
        level: Image = np.stack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures])
        yield scale, level
        pictures = list(level)
        scale *= PYRAMID_FACTOR


def _at_cells(score: FloatArray, shift: FloatArray, scale: float) -> Candidates:
    """Candidates where PNet's map `score` (N, h, w) says so, in pixels of the picture that its level is `scale` of."""
    picture, row, column = np.nonzero(score >= THRESHOLDS[0])
    corner = STRIDE * np.stack([column, row], axis=1).astype(np.float32)
    box = np.floor(np.concatenate([corner + 1, corner + CELL], axis=1) / np.float32(scale))
    landmarks = np.zeros((len(box), 5, 2), np.float32)
    return Candidates(picture, box, score[picture, row, column], shift[picture, row, column], landmarks)


def _apart(found: Candidates, overlap: float) -> IntArray:
    """Indexes, best first, of those left when of two in one picture whose intersection over union is greater than
    `overlap` the weaker goes."""
    corner = found.box[:, :2]
    sides = np.concatenate([corner, found.box[:, 2:] - corner], axis=1).tolist()
    kept = cv2.dnn.NMSBoxesBatched(sides, found.score.tolist(), found.picture.tolist(), 0.0, overlap)
    return np.asarray(kept, np.intp)


def _outside(found: Candidates, overlap: float) -> IntArray:
    """Like `_apart`, but the intersection's share of the smaller box counts: of a face within a face one stays."""
    box = found.box
    low, high = np.maximum(box[:, None, :2], box[None, :, :2]), np.minimum(box[:, None, 2:], box[None, :, 2:])
    shared = np.clip(high - low + 1, 0, None).prod(axis=2)
    area = (box[:, 2:] - box[:, :2] + 1).prod(axis=1)
    near = (shared > overlap * np.minimum(area[:, None], area)) & (found.picture[:, None] == found.picture)
    kept: list[int] = []
    for n in np.argsort(-found.score, kind="stable").tolist():
        if not near[n, kept].any():
            kept.append(n)
    return np.array(kept, np.intp)


def _moved(found: Candidates, edge: int) -> Candidates:
    """Boxes moved as the net would have them; `edge` is 1 where a box's last pixel counts as part of its side."""
    sides = found.box[:, 2:] - found.box[:, :2] + edge
    box = found.box + found.shift * np.concatenate([sides, sides], axis=1)
    return Candidates(found.picture, box, found.score, found.shift, found.landmarks)


def _squared(found: Candidates) -> Candidates:
    """Boxes made square about their middles, as large as their longer side."""
    sides = found.box[:, 2:] - found.box[:, :2]
    side = sides.max(axis=1, keepdims=True)
    corner = found.box[:, :2] + sides * 0.5 - side * 0.5
    box = np.concatenate([corner, corner + side], axis=1).astype(np.float32, copy=False)
    return Candidates(found.picture, box, found.score, found.shift, found.landmarks)


def _crops(pictures: Sequence[Image], found: Candidates, side: int) -> tuple[Image, Candidates]:
    """(n, side, side, 3) uint8 crops of the boxes, what lies outside the picture cut off, and those of the candidates
    of which something lies inside."""
    height, width = pictures[0].shape[:2]
    whole = found.box.astype(np.int32)
    # The boxes' pixels count from 1, and the last one is inside.
    low = np.maximum(whole[:, :2], 1) - 1
    high = np.minimum(whole[:, 2:], [width, height])
    inside = (high > low).all(axis=1)
    found = found.take(inside)
    crops = np.empty((len(found.box), side, side, 3), np.uint8)
    places = zip(found.picture.tolist(), low[inside].tolist(), high[inside].tolist(), crops, strict=True)
    for picture, (x0, y0), (x1, y1), crop in places:
        cv2.resize(pictures[picture][y0:y1, x0:x1], (side, side), crop, interpolation=cv2.INTER_AREA)
    return crops, found


def _landmarks(box: FloatArray, points: FloatArray) -> FloatArray:
    """(n, 5, 2) places in pixels of ONet's `points` (n, 10): five x, then five y, in sides of the box."""
    sides = box[:, 2:] - box[:, :2] + 1
    places = points.reshape(-1, 2, 5).transpose(0, 2, 1) * sides[:, None] + box[:, None, :2] - 1
    return cast(FloatArray, places.astype(np.float32, copy=False))
