"""UTKFace's chips as aligned crops: faces labelled by sex and ethnic group, tightly cut and aligned by others.

MTCNN's boxes on such chips are shifted, so the crops come from the chips' own geometry: one matrix for all of them. A
chip fills the middle of its crop, 170 of 256 pixels each way, and what surrounds it has to be made up. Features and
pictures take crops of their own: `docs/decisions.md` says why.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from streamproc.errors import ConfigError, NotVideo, SourceNotFound
from streamproc.faces.align import BOX_HEIGHT, align, alignment
from streamproc.faces.finder import geometry
from streamproc.media.photo import read_photo
from streamproc.types import FloatArray, Image

SIDE = 200
"""Side of a chip, pixels."""
LANDMARKS: FloatArray = np.array([[61, 58], [139, 58], [100, 106], [64.5, 139], [135.5, 139]], np.float32)
"""(5, 2) places of the landmarks in a chip: their median over 199 chips, made symmetric about the vertical middle."""
MARGIN = SIDE // 2
"""Pixels of mean colour around a chip, so that a crop or a detector's box does not reach past them."""
SEXES = ("male", "female")
PEOPLES = ("White", "Black", "Asian", "Indian", "other")
"""The labels 0 to 4 of the set's third number, as its authors name them."""
MIN_GROUP = 3
"""Chips under which the spread of a group's pairs cannot be estimated."""

_MATRIX = alignment(LANDMARKS)
FACE = BOX_HEIGHT / float(np.hypot(_MATRIX[0, 0], _MATRIX[1, 0]))
"""Height of a face in a chip, as MTCNN's box counts it, chip pixels."""
_START = tuple(int(np.ceil(edge)) for edge in _MATRIX[:, 2])
_END = tuple(int(edge) for edge in _MATRIX @ [SIDE, SIDE, 1])
OWN = (slice(_START[1], _END[1]), slice(_START[0], _END[0]))
"""Rows and columns of a crop that the chip itself fills."""


@dataclass(frozen=True, slots=True)
class ChipGroup:
    """The chips of one sex and ethnic group, as the set labels them, in an order of its own: the first are mixed."""

    name: str
    paths: tuple[Path, ...]

    def chips(self) -> Image:
        """(N, 200, 200, 3) uint8 RGB; raises NotVideo for a file that is no picture of that size."""
        return np.stack([_chip(path) for path in self.paths])


def read_groups(data: Path, limit: int | None = None) -> tuple[ChipGroup, ...]:
    """The groups of a folder of chips named `age_sex_group_date.jpg`, or the first `limit` chips of each.

    Raises SourceNotFound where the folder holds none, ConfigError where a group has fewer than three.
    """
    found: dict[tuple[int, int], list[Path]] = {}
    for path in sorted(data.glob("*.jpg"), key=lambda path: hashlib.sha256(path.name.encode()).digest()):
        labels = _labels(path.name)
        if labels is not None:
            found.setdefault(labels, []).append(path)
    if not found:
        raise SourceNotFound(f"{data} holds no chips named age_sex_group_date.jpg: give the folder of UTKFace's")
    groups = [
        ChipGroup(f"{PEOPLES[people]} {SEXES[sex]}", tuple(found[people, sex][:limit])) for people, sex in sorted(found)
    ]
    for group in groups:
        if len(group.paths) < MIN_GROUP:
            raise ConfigError(
                f"the group '{group.name}' has {len(group.paths)} chips: give {MIN_GROUP} or more of each"
            )
    return tuple(groups)


def set_key(groups: Sequence[ChipGroup]) -> str:
    """16 hex digits that change with the chips and with what their crops show."""
    names = [path.name for group in groups for path in group.paths]
    return hashlib.sha256(" ".join([geometry(), str(LANDMARKS.tolist()), *names]).encode()).hexdigest()[:16]


def feature_crops(chips: Image) -> Image:
    """(N, 256, 256, 3) crops of chips (N, 200, 200, 3), their mean colour around each: for the feature net."""
    return np.stack([align(chip, LANDMARKS + MARGIN) for chip in surrounded(chips)])


def picture_crops(chips: Image) -> Image:
    """(N, 256, 256, 3) crops of chips (N, 200, 200, 3), their border repeated as at a frame's edge: for pictures."""
    return np.stack([align(chip, LANDMARKS) for chip in chips])


def surrounded(chips: Image) -> Image:
    """(N, 400, 400, 3) the chips with half a side of their mean colour around each."""
    count = len(chips)
    mean = np.rint(chips.reshape(count, -1, 3).mean(axis=1)).astype(np.uint8)
    wide: Image = np.broadcast_to(mean[:, None, None], (count, SIDE + 2 * MARGIN, SIDE + 2 * MARGIN, 3)).copy()
    wide[:, MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE] = chips
    return wide


def shrunk(pictures: Image, face: float) -> tuple[Image, float]:
    """(the pictures, square, made smaller so that faces are `face` pixels high; the scale)."""
    side = round(pictures.shape[1] * face / FACE)
    small = np.stack([cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA) for picture in pictures])
    return small.astype(np.uint8, copy=False), side / pictures.shape[1]


def _labels(name: str) -> tuple[int, int] | None:
    """(ethnic group, sex) of a file name, None where it has no such labels."""
    words = name.split("_")
    if len(words) != 4 or not all(word.isdecimal() for word in words[:3]):
        return None
    sex, people = int(words[1]), int(words[2])
    return (people, sex) if sex < len(SEXES) and people < len(PEOPLES) else None


def _chip(path: Path) -> Image:
    chip = read_photo(path)
    if chip.shape != (SIDE, SIDE, 3):
        size = f"{chip.shape[1]} x {chip.shape[0]}"
        raise NotVideo(f"{path} is {size} pixels, not {SIDE} x {SIDE}: give UTKFace's aligned and cropped chips")
    return chip
