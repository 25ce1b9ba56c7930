"""Decoded pictures as RGB arrays, or their luma alone, upright."""

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from streamproc.types import Image

_LUMA_FIRST = frozenset(
    {"gray", "nv12", "nv16", "nv21", "nv24", "yuv410p", "yuv411p", "yuv420p", "yuv422p", "yuv440p", "yuv444p"}
    | {"yuva420p", "yuva422p", "yuva444p", "yuvj411p", "yuvj420p", "yuvj422p", "yuvj440p", "yuvj444p"}
)
"""Formats whose first plane is the luma, a byte a pixel."""


def quarter_turns(frame: VideoFrame) -> int:
    """How many quarter turns counter-clockwise show the frame upright, 0 to 3, from its display matrix."""
    return round(frame.rotation / 90) % 4


class RgbConverter:
    """Converts frames of any pixel format to RGB; one a source, since the scaler's set-up is kept between frames."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._greying = VideoReformatter()

    def convert(self, frame: VideoFrame) -> Image:
        """The frame as (H, W, 3) uint8 RGB, contiguous, rotation metadata applied."""
        rgb = self._reformatter.reformat(frame, format="rgb24").to_ndarray()
        upright = np.rot90(rgb, quarter_turns(frame))
        return np.ascontiguousarray(upright, dtype=np.uint8)

    def luma(self, frame: VideoFrame) -> Image:
        """The frame's brightness, (H, W) uint8, rotation metadata applied: a view of the decoded picture, not
        contiguous, where its format has such a plane; black is 0 or, as in most video, 16."""
        grey = frame if frame.format.name in _LUMA_FIRST else self._greying.reformat(frame, format="gray")
        plane = grey.planes[0]
        count = grey.height * plane.line_size
        rows = np.frombuffer(memoryview(plane), np.uint8, count).reshape(grey.height, plane.line_size)
        return np.rot90(rows[:, : grey.width], quarter_turns(frame))
