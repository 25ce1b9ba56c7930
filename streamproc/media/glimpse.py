"""One frame of a source, and the hardware that decodes: what there is to see before anything is watched for long.

FFmpeg can hang in here whatever it was told; who looks does it in a process that can be killed.
"""

import time
from dataclasses import dataclass

import av
import cv2
from av.codec.hwaccel import HWAccel, hwdevices_available

from streamproc.errors import NotVideo
from streamproc.media.health import DARK, FLAT
from streamproc.media.source import VideoSource
from streamproc.types import Image, Transport

_PROBE = "h264"
"""What a device must decode to be worth anything to cameras."""


@dataclass(frozen=True, slots=True, eq=False)
class Glimpse:
    """A source's first frame, `picture` (H, W, 3) uint8 RGB, as large as the video; its `rate` in frames a second where
    it says one, what it is coded with in FFmpeg's words, whether it is black, and how many `seconds` it took."""

    picture: Image
    rate: float | None
    codec: str
    black: bool
    seconds: float


def glimpse(uri: str, camera: str, timeout: float, transport: Transport) -> Glimpse:
    """The first frame of a source; raises like `VideoSource`, `timeout` in seconds."""
    began = time.monotonic()
    with VideoSource(uri, camera, timeout=timeout, threads=1, transport=transport) as source:
        frame = next(iter(source), None)
        if frame is None:
            raise NotVideo(f"Camera '{camera}' opens, but shows no picture: check what it streams.")
        grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        black = float(grey.mean()) <= DARK and float(grey.std()) <= FLAT
        rate = float(source.info.rate) if source.info.rate else None
        return Glimpse(frame.image, rate, source.codec, black, time.monotonic() - began)


def decoding_hardware() -> tuple[str, ...]:
    """FFmpeg's names of the kinds of device here that decode H.264 ("cuda", "vaapi", ...), tried one by one."""
    return tuple(kind for kind in hwdevices_available() if _decodes(kind))


def _decodes(kind: str) -> bool:
    try:
        return bool(av.CodecContext.create(_PROBE, "r", hwaccel=HWAccel(kind)).is_hwaccel)
    except av.error.FFmpegError:
        return False
