"""Surveillance-like clips of which the truth is known: portraits cross a camera's picture.

Everything follows from what is handed in, seeds included: the same walks before the same view give the same bytes.
Simpler than life: heads do not turn, faces keep their expression, and people keep their distance from the camera.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np

from streamproc.evaluation.portraits import Portrait
from streamproc.evaluation.scene_pictures import Sensor, background, moved, smeared
from streamproc.evaluation.scene_truth import (
    Bar,
    Box,
    Pass,
    SceneTruth,
    TrueFace,
    View,
    truth_path,
    write_truth,
)
from streamproc.media.writing import ClipWriter
from streamproc.types import FloatArray, Image

BOB, STEPS = 0.03, 1.8
"""A walker's head goes up and down by this share of the face's width, so many times a second."""
TAIL = 0.5
"""Seconds of the empty picture after the last walk."""
HALF = 0.5
"""Share of a face's width that is inside the picture where its pass begins and ends."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """A portrait that crosses a picture: `begins` (seconds) when the face enters at one side, its centre at the height
    `y`, its box `size` wide, px; `speed` px/s, negative to the left; `exposure` seconds.

    Who comes later in a list of walks passes in front.
    """

    portrait: Portrait
    begins: float
    y: float
    size: float
    speed: float
    exposure: float = 0.005

    def ends(self, width: int) -> float:
        """Seconds at which the face has left a picture of that width."""
        return self.begins + (width + self.size) / abs(self.speed)


def compose(
    view: View,
    walks: Sequence[Walk],
    path: Path,
    started_at: datetime,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> SceneTruth:
    """The truth of the clip that is now at `path`, written beside it as JSON too.

    `started_at` is UTC of its first frame, also in the container; `seconds` is the clip's length, by default until all
    have left. The suffix of `path` says which container, such as `.mp4`.
    """
    if not walks:
        raise ValueError("a scene without walks is nothing to compose: give at least one")
    scene = _Scene(view, walks, seconds)
    with ClipWriter(path, view.width, view.height, view.rate, view.crf, view.bitrate, started_at) as clip:
        for frame, picture in enumerate(scene.pictures(), start=1):
            clip.write(picture)
            if progress and frame % view.rate == 0:
                progress(view.camera, frame, scene.frames)
    truth = SceneTruth(view, path.name, started_at, scene.frames, scene.passes())
    write_truth(truth_path(path), truth)
    return truth


class _Scene:
    """One clip while it is made."""

    def __init__(self, view: View, walks: Sequence[Walk], seconds: float | None) -> None:
        self._view = view
        self._walkers = [_Walker(walk, view.width) for walk in walks]
        until = max(walk.ends(view.width) for walk in walks) + TAIL if seconds is None else seconds
        self.frames = round(until * view.rate)

    def pictures(self) -> Iterator[Image]:
        """The frames; what is true of each is noted as it is made."""
        view = self._view
        rng = np.random.default_rng(view.seed)
        empty, sensor = background(rng, view.width, view.height), Sensor(view, rng)
        for frame in range(self.frames):
            yield sensor.seen(self._composed(empty, frame), frame / view.rate)

    def passes(self) -> tuple[Pass, ...]:
        """The passes of those who were seen."""
        return tuple(walker.passed(self._view.camera) for walker in self._walkers if walker.faces)

    def _composed(self, empty: Image, frame: int) -> Image:
        """The picture before light and sensor."""
        view, picture = self._view, empty.copy()
        at = frame / view.rate
        shown: list[_Shown] = []
        for walker in self._walkers:
            if walker.present(at):
                box = walker.box(at)
                place, layer = walker.layer(at)
                _paint(picture, layer, place, shown)
                if box[0] + HALF * walker.walk.size >= 0 and box[2] - HALF * walker.walk.size <= view.width:
                    shown.append(_Shown(walker, box))
        for bar in view.bars:
            _paint_bar(picture, bar, at, shown)
        for face in shown:
            face.walker.faces.append(TrueFace(frame, face.box, face.occluded()))
        return picture


@dataclass(slots=True, eq=False)
class _Walker:
    """A walk, its picture scaled and smeared once, and what was true of it so far."""

    walk: Walk
    width: int
    faces: list[TrueFace] = field(default_factory=list)
    _layer: FloatArray = field(init=False)
    _anchor: tuple[float, float] = field(init=False)
    _high: float = field(init=False)

    def __post_init__(self) -> None:
        portrait, walk = self.walk.portrait, self.walk
        x0, y0, x1, y1 = portrait.box
        scale = walk.size / (x1 - x0)
        self._high = (y1 - y0) * scale
        whole = np.dstack([portrait.picture * portrait.alpha[..., None], 255 * portrait.alpha]).astype(np.float32)
        size = (round(whole.shape[1] * scale), round(whole.shape[0] * scale))
        # Pixel centres: the sides are rounded, so the scale is not quite the same both ways.
        across, down = size[0] / whole.shape[1], size[1] / whole.shape[0]
        kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        still = cv2.resize(whole, size, interpolation=kind).astype(np.float32, copy=False)
        layer, margin = smeared(still, abs(walk.speed) * walk.exposure)
        self._layer = layer
        self._anchor = ((x0 + x1) / 2 * across + margin, (y0 + y1) / 2 * down)

    def present(self, at: float) -> bool:
        """True while any of the person may be in the picture: shoulders are wider than the face."""
        around = 3 * self.walk.size / abs(self.walk.speed)
        return self.walk.begins - around <= at <= self.walk.ends(self.width) + around

    def centre(self, at: float) -> tuple[float, float]:
        """(x, y) of the middle of the face, pixels, in the middle of the exposure."""
        walk, gone = self.walk, at - self.walk.begins
        start = -walk.size / 2 if walk.speed > 0 else self.width + walk.size / 2
        return start + walk.speed * gone, walk.y + BOB * walk.size * float(np.sin(2 * np.pi * STEPS * gone))

    def box(self, at: float) -> Box:
        """The face's box."""
        (x, y), wide, high = self.centre(at), self.walk.size, self._high
        return x - wide / 2, y - high / 2, x + wide / 2, y + high / 2

    def layer(self, at: float) -> tuple[tuple[int, int], FloatArray]:
        """((x, y) of its corner in the picture, premultiplied RGBA (H, W, 4) float32 0..255)."""
        x, y = self.centre(at)
        left, top = x - self._anchor[0], y - self._anchor[1]
        corner = (int(np.floor(left)), int(np.floor(top)))
        return corner, moved(self._layer, left - corner[0], top - corner[1])

    def passed(self, camera: str) -> Pass:
        """What was true of it."""
        walk = self.walk
        return Pass(
            camera,
            walk.portrait.identity,
            walk.portrait.name,
            walk.size,
            walk.speed,
            walk.exposure,
            tuple(self.faces),
        )


class _Shown:
    """A face in the frame that is being made, and how much of it what came in front lets through."""

    def __init__(self, walker: _Walker, box: Box) -> None:
        self.walker = walker
        self.box = box
        x0, y0, x1, y1 = (round(v) for v in box)
        self._corner = (x0, y0)
        self._clear = np.ones((max(y1 - y0, 1), max(x1 - x0, 1)), np.float32)

    def hide(self, corner: tuple[int, int], alpha: FloatArray) -> None:
        """Nothing; `alpha` (H, W) 0..1, whose corner is at (x, y) of the picture, is in front of it."""
        high, wide = self._clear.shape
        dx, dy = corner[0] - self._corner[0], corner[1] - self._corner[1]
        x0, y0 = max(dx, 0), max(dy, 0)
        x1, y1 = min(dx + alpha.shape[1], wide), min(dy + alpha.shape[0], high)
        if x0 < x1 and y0 < y1:
            self._clear[y0:y1, x0:x1] *= 1 - alpha[y0 - dy : y1 - dy, x0 - dx : x1 - dx]

    def occluded(self) -> float:
        """The share that is hidden, 0 to 1."""
        return round(1 - float(self._clear.mean()), 4)


def _paint(picture: Image, layer: FloatArray, corner: tuple[int, int], behind: Sequence[_Shown]) -> None:
    """Nothing; the layer is in the picture, over what was there."""
    height, width = picture.shape[:2]
    x, y = corner
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + layer.shape[1], width), min(y + layer.shape[0], height)
    if x0 >= x1 or y0 >= y1:
        return
    part = layer[y0 - y : y1 - y, x0 - x : x1 - x]
    alpha = part[..., 3] / 255
    here = picture[y0:y1, x0:x1]
    here[:] = np.rint(here * (1 - alpha[..., None]) + part[..., :3]).clip(0, 255).astype(np.uint8)
    for face in behind:
        face.hide((x0, y0), alpha)


def _paint_bar(picture: Image, bar: Bar, at: float, behind: Sequence[_Shown]) -> None:
    """Nothing; the bar stands in front of everything."""
    left = round(bar.x + bar.speed * at)
    x0, x1 = max(left, 0), min(left + round(bar.width), picture.shape[1])
    if x0 >= x1:
        return
    picture[:, x0:x1] = bar.colour
    for face in behind:
        face.hide((x0, 0), np.ones((picture.shape[0], x1 - x0), np.float32))
