"""Portraits cut out of their background, to be set before another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from streamproc.errors import NoFace, SourceNotFound
from streamproc.faces.finder import FaceFinder
from streamproc.media.naming import PICTURE_SUFFIXES
from streamproc.media.photo import read_photo
from streamproc.types import FaceCrop, FloatArray, Image

ABOVE, BELOW, BESIDE = 0.6, 0.65, 1.05
"""How much of a portrait is kept around the face's box, in its heights, and widths."""
BODY = 1.2
"""Box heights by which what the lowest line shows is drawn on downwards: a body, for a bust would float."""
WORKING_FACE = 64
"""Width of the face, pixels, at which it is cut out."""
ROUNDS = 4
"""Of GrabCut."""

_Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A person cut out: `picture` (H, W, 3) uint8 RGB, `alpha` (H, W) float32 0..1, `box` the face's in their pixels,
    as the finder saw it; `crop` is the face aligned. `name` says which picture it comes from."""

    identity: str
    name: str
    picture: Image
    alpha: FloatArray
    box: tuple[float, float, float, float]
    crop: FaceCrop


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Somebody who walks through scenes: the portrait that is shown, and the crop of another photo, to be recognised
    by; of the same one where there is only one."""

    identity: str
    portrait: Portrait
    other: FaceCrop


def read_people(
    folder: Path, finder: FaceFinder, limit: int | None = None, progress: Callable[[str, int, int], None] | None = None
) -> list[Person]:
    """The people of a folder of portraits, sorted by name, `limit` of them at most; the first of each one's pictures is
    shown, the last is the other photo.

    What comes before a file name's last underscore is who it is: `007_neutral.jpg` and `007_smiling.jpg` are one
    person, `anna.png` is another. Raises SourceNotFound for a folder without pictures, NoFace for a picture without.
    """
    photos = photos_of(folder)
    people = []
    chosen = list(photos.items())[:limit]
    for done, (identity, paths) in enumerate(chosen, start=1):
        shown = read_portrait(paths[0], identity, finder)
        other = shown.crop if len(paths) == 1 else _subject(read_photo(paths[-1]), paths[-1], finder)
        people.append(Person(identity, shown, other))
        if progress:
            progress("portraits", done, len(chosen))
    return people


def photos_of(folder: Path) -> dict[str, list[Path]]:
    """The pictures of each person of a folder, told apart as `read_people` says; raises SourceNotFound."""
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not files:
        raise SourceNotFound(f"The folder '{folder}' holds no picture: give one with portraits.")
    photos: dict[str, list[Path]] = {}
    for path in files:
        photos.setdefault(path.stem.rpartition("_")[0] or path.stem, []).append(path)
    return photos


def read_portrait(path: Path, identity: str, finder: FaceFinder) -> Portrait:
    """The subject of a photo, cut out; raises NoFace."""
    image = read_photo(path)
    return cut_out(image, _subject(image, path, finder), identity, path.name)


def people_of(pictures: Sequence[Path], finder: FaceFinder, limit: int | None = None) -> list[Person]:
    """Every face of some pictures as a person of its own, who is to be recognised by the very picture that is shown."""
    people = []
    for path in pictures:
        image = read_photo(path)
        for number, crop in enumerate(finder.find(image), start=1):
            identity = f"{path.stem}-{number}"
            people.append(Person(identity, cut_out(image, crop, identity, path.name), crop))
    return people[:limit]


def _subject(image: Image, path: Path, finder: FaceFinder) -> FaceCrop:
    found = finder.subject(image)
    if found is None:
        raise NoFace(f"No face was found in '{path}': take it out of the folder, or give another portrait.")
    return found


def cut_out(image: Image, face: FaceCrop, identity: str, name: str) -> Portrait:
    """The person around a face of `image` (H, W, 3), head and shoulders, with a body drawn on below."""
    x0, y0, x1, y1 = (float(v) for v in face.detection.box)
    width, height = x1 - x0, y1 - y0
    left, right = max(0, round(x0 - BESIDE * width)), min(image.shape[1], round(x1 + BESIDE * width))
    top, bottom = max(0, round(y0 - ABOVE * height)), min(image.shape[0], round(y1 + BELOW * height))
    part = np.ascontiguousarray(image[top:bottom, left:right])
    box = (x0 - left, y0 - top, x1 - left, y1 - top)
    body = round(BODY * height)
    alpha = _alpha(part, box)
    return Portrait(
        identity,
        name,
        cv2.copyMakeBorder(part, 0, body, 0, 0, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False),
        cv2.copyMakeBorder(alpha, 0, body, 0, 0, cv2.BORDER_REPLICATE).astype(np.float32, copy=False),
        box,
        face,
    )


def _alpha(part: Image, box: tuple[float, float, float, float]) -> FloatArray:
    """(H, W) float32: 1 for the person, 0 for the background, soft between them: GrabCut (Rother et al. 2004), begun
    from where head and shoulders are around a face."""
    scale = WORKING_FACE / (box[2] - box[0])
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    mask = _guess(small.shape[1], small.shape[0], [v * scale for v in box])
    cv2.setRNGSeed(1)  # it begins with k-means
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cut = cv2.grabCut(small, mask, (0, 0, 0, 0), *models, ROUNDS, cv2.GC_INIT_WITH_MASK)[0]
    person = np.isin(np.asarray(cut), (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    # The background shines through at the rim: a pixel of it goes.
    solid = cv2.erode(cv2.medianBlur(person, 5), np.ones((3, 3), np.uint8))
    soft = cv2.GaussianBlur(solid.astype(np.float32), (0, 0), 1.2)
    full = cv2.resize(soft, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_LINEAR)
    alpha: FloatArray = np.clip(full, 0, 1).astype(np.float32)
    return alpha


def _guess(width: int, height: int, box: Sequence[float]) -> _Mask:
    """GrabCut's beginning: the face is the person's, head and shoulders may be, all else is not."""
    x0, y0, x1, y1 = box
    wide, high = x1 - x0, y1 - y0
    centre = (round((x0 + x1) / 2), round((y0 + y1) / 2))
    mask: _Mask = np.full((height, width), cv2.GC_BGD, np.uint8)
    # Head and hair, then a neck that widens to shoulders.
    middle = (centre[0], round(centre[1] - 0.06 * high))
    cv2.ellipse(mask, middle, (round(0.85 * wide), round(0.85 * high)), 0, 0, 360, (cv2.GC_PR_FGD,), -1)
    neck, shoulder = y1 - 0.2 * high, y1 + 0.25 * high
    outline = [(-0.5, neck), (-1.5, shoulder), (-1.5, height), (1.5, height), (1.5, shoulder), (0.5, neck)]
    places = np.array([(centre[0] + x * wide, y) for x, y in outline]).round().astype(np.int32)
    cv2.fillPoly(mask, [places], (cv2.GC_PR_FGD,))
    cv2.ellipse(mask, centre, (round(0.42 * wide), round(0.46 * high)), 0, 0, 360, (cv2.GC_FGD,), -1)
    return mask
