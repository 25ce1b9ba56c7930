"""What of a camera's picture counts: a region of interest, and places that nobody may look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamproc.types import Array, BoolArray, FloatArray, Image, Polygon

_FRACTION_BITS = 4
"""Corners are handed to OpenCV in sixteenths of a pixel."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Polygons in shares of an upright picture's width and height: faces count inside `roi` alone (empty: everywhere),
    and what lies under `masks` is painted black."""

    roi: Polygon = ()
    masks: tuple[Polygon, ...] = ()

    def counted(self, width: int, height: int) -> BoolArray:
        """(height, width): True where a picture divided into so many cells counts. A cell that a mask touches does
        not, nor do its neighbours."""
        inside, hidden = np.zeros((2, height, width), np.uint8)
        if self.roi:
            _fill(inside, [self.roi], 1)
        else:
            inside[:] = 1
        _fill(hidden, self.masks, 1)
        counted: BoolArray = inside > cv2.dilate(hidden, np.ones((3, 3), np.uint8))
        return counted

    def blackened(self, image: Image) -> Image:
        """The picture (H, W, 3) uint8 with the masks painted black: itself, unless it cannot be written to."""
        if not self.masks:
            return image
        painted = image if image.flags.writeable else image.copy()
        _fill(painted, self.masks, 0)
        return painted

    def holds(self, box: FloatArray, width: int, height: int) -> bool:
        """Whether the centre of a box (4,) xyxy, pixels of a picture of that size, lies in the region of interest."""
        if not self.roi:
            return True
        x, y = (float(box[0]) + float(box[2])) / 2 / width, (float(box[1]) + float(box[3])) / 2 / height
        return bool(cv2.pointPolygonTest(np.array(self.roi, np.float32), (x, y), False) >= 0)


def _fill(picture: Array, polygons: Sequence[Polygon], value: int) -> None:
    """Nothing; the polygons, their outlines included, have the value."""
    height, width = picture.shape[:2]
    for polygon in polygons:
        # Pixel centres lie at whole numbers: the picture's left edge is at -0.5.
        corners = np.array(polygon) * (width, height) - 0.5
        fixed: npt.NDArray[np.int32] = np.rint(corners * (1 << _FRACTION_BITS)).astype(np.int32)
        cv2.fillPoly(picture, [fixed], (value, value, value), cv2.LINE_8, _FRACTION_BITS)
