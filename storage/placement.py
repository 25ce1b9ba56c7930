"""Where a face was in its frame and how well it was seen, in 20 bytes.

    box             4 x int16      quarters of a pixel, within +-8,191.75
    landmarks       10 x uint8     x, y of each of the five, in 255ths of twice its side, from half a side before it on
    confidence      uint8          255ths
    quality         uint8          255ths

A box is right to an eighth of a pixel, a landmark to 0.4 % of the box's side: the crop was cut with the exact ones.
"""

import struct
from dataclasses import dataclass

Box = tuple[float, float, float, float]
Points = tuple[tuple[float, float], ...]

_LAYOUT = struct.Struct("<4h10B2B")
_QUARTERS = 4
_FARTHEST = 2**15 - 1
_STEPS = 255
LANDMARKS = 5


@dataclass(frozen=True, slots=True)
class Placement:
    """A face's `box` (xyxy, pixels), its five `landmarks` (x, y), `confidence` and `quality` in 0..1."""

    box: Box
    landmarks: Points
    confidence: float
    quality: float


def pack(placement: Placement) -> bytes:
    """20 bytes; what lies outside the ranges is taken for their ends."""
    edges = [_bounded(edge * _QUARTERS, -_FARTHEST, _FARTHEST) for edge in placement.box]
    (x0, width), (y0, height) = _spans(edges)
    points = [
        _bounded(((place - start) / side + 0.5) / 2 * _STEPS, 0, _STEPS)
        for point in placement.landmarks
        for place, start, side in zip(point, (x0, y0), (width, height), strict=True)
    ]
    shares = [_bounded(share * _STEPS, 0, _STEPS) for share in (placement.confidence, placement.quality)]
    return _LAYOUT.pack(*edges, *points, *shares)


def unpack(data: bytes) -> Placement:
    """What `pack` was given, as exactly as it is kept."""
    x0, y0, x1, y1, *rest = _LAYOUT.unpack(data)
    spans = _spans([x0, y0, x1, y1])
    places = [
        start + (2 * step / _STEPS - 0.5) * side
        for step, (start, side) in zip(rest[: 2 * LANDMARKS], spans * LANDMARKS, strict=True)
    ]
    box = (x0 / _QUARTERS, y0 / _QUARTERS, x1 / _QUARTERS, y1 / _QUARTERS)
    confidence, quality = (share / _STEPS for share in rest[2 * LANDMARKS :])
    return Placement(box, tuple(zip(places[::2], places[1::2], strict=True)), confidence, quality)


def _spans(edges: list[int]) -> list[tuple[float, float]]:
    """(start, side) in pixels along x and y; a box without a side counts as one of a pixel."""
    x0, y0, x1, y1 = (edge / _QUARTERS for edge in edges)
    return [(x0, x1 - x0 or 1.0), (y0, y1 - y0 or 1.0)]


def _bounded(value: float, least: int, most: int) -> int:
    return round(min(max(value, least), most))
