"""Decoded pictures as RGB arrays, upright."""

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from streamproc.types import Image


def quarter_turns(frame: VideoFrame) -> int:
    """How many quarter turns counter-clockwise show the frame upright, 0 to 3, from its display matrix."""
    return round(frame.rotation / 90) % 4


class RgbConverter:
    """Converts frames of any pixel format to RGB; one a source, since the scaler's set-up is kept between frames."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def convert(self, frame: VideoFrame) -> Image:
        """The frame as (H, W, 3) uint8 RGB, contiguous, rotation metadata applied."""
        rgb = self._reformatter.reformat(frame, format="rgb24").to_ndarray()
        upright = np.rot90(rgb, quarter_turns(frame))
        return np.ascontiguousarray(upright, dtype=np.uint8)
