"""What a composed scene's frames are made with: a background, motion blur, and a sensor in changing light."""

import cv2
import numpy as np

from streamproc.evaluation.scene_truth import View
from streamproc.types import FloatArray, Image

OCTAVES = ((4, 26.0), (12, 14.0), (40, 8.0), (160, 4.0))
"""Cells across of each layer of the background's texture, and its standard deviation in grey levels."""
PANELS = 9
"""Doors, windows and posters: flat rectangles, whose edges a detector has to pass over."""


def background(rng: np.random.Generator, width: int, height: int) -> Image:
    """(height, width, 3) uint8 RGB: a wall and a floor with stains, grain and rectangles; nothing like a face."""
    picture = np.linspace(150, 95, height, dtype=np.float32)[:, None, None] + rng.normal(0, 12, 3).astype(np.float32)
    picture = np.repeat(picture, width, axis=1)
    for cells, strength in OCTAVES:
        coarse = rng.normal(0, strength, (max(2, cells * height // width), cells)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    for _ in range(PANELS):
        wide, high = rng.integers(width // 16, width // 6), rng.integers(height // 8, height // 2)
        x, y = rng.integers(0, width - wide), rng.integers(0, height - high)
        picture[y : y + high, x : x + wide] += rng.normal(0, 22, 3)
    return np.clip(picture, 0, 255).astype(np.uint8)


def smeared(layer: FloatArray, length: float) -> tuple[FloatArray, int]:
    """(the layer (H, W, C) smeared evenly along `length` pixels across, how many pixels were added on its left and on
    its right)."""
    margin = int(np.ceil(length / 2)) + 1
    padded = np.pad(layer, ((0, 0), (margin, margin), (0, 0)))
    if length < 1e-3:
        return padded, margin
    # Each pixel's share of a box of that length about the middle one.
    edges = np.clip(np.arange(-margin, margin + 2) - 0.5, -length / 2, length / 2)
    kernel = (np.diff(edges) / length)[None]
    smear = cv2.filter2D(padded, -1, kernel, borderType=cv2.BORDER_CONSTANT)
    return smear.astype(np.float32, copy=False), margin


def moved(layer: FloatArray, across: float, down: float) -> FloatArray:
    """The layer (H, W, C) moved by a part of a pixel each way, a pixel wider and higher."""
    size = (layer.shape[1] + 1, layer.shape[0] + 1)
    shift = np.array([[1, 0, across], [0, 1, down]], np.float64)
    shifted = cv2.warpAffine(layer, shift, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return shifted.astype(np.float32, copy=False)


class Sensor:
    """Light and noise of a view."""

    def __init__(self, view: View, rng: np.random.Generator) -> None:
        self._light = view.light
        self._rng = rng
        # Drawing fresh noise would take longer than all the rest: a larger field is looked at elsewhere each time.
        shape = (view.height + 64, view.width + 64, 3)
        self._noise = np.rint(rng.normal(0, view.light.noise, shape)).astype(np.int16)

    def seen(self, picture: Image, seconds: float) -> Image:
        """What the camera makes of a picture (H, W, 3), so many seconds after the clip's beginning."""
        light = self._light
        gain = light.gain * (1 + light.drift * np.sin(2 * np.pi * seconds / light.period))
        levels = np.arange(256)[:, None] / 255 * np.array([1 + light.warmth, 1.0, 1 - light.warmth])
        table = np.rint(255 * np.clip(gain * levels, 0, 1) ** light.gamma).astype(np.uint8)[None]
        x, y = self._rng.integers(0, 65, 2)
        noise = self._noise[y : y + picture.shape[0], x : x + picture.shape[1]]
        return cv2.add(cv2.LUT(picture, table), noise, dtype=cv2.CV_8U).astype(np.uint8, copy=False)
