"""HEVC intra pictures: one picture to an H.265 stream of one frame, and back.

The codec's own use of PyAV; video is `streamproc.media`'s. Only `picture_files` imports it, when a picture asks for it.
"""

from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from streamproc.types import Image

PARAMETERS = "keyint=1:info=0:pools=none:frame-threads=1:wpp=0:log-level=none"
"""x265: one intra frame, without the note on its own settings, on one thread."""
PRESET = "slow"
_EXACT = Interpolation.BICUBIC


def encode_hevc(picture: Image, qp: int) -> bytes:
    """The stream (Annex B, with its parameter sets) of (H, W, 3) uint8 RGB at quantiser `qp` (0 to 51), 4:2:0, full
    range, tuned for PSNR."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.JPEG,
        interpolation=_EXACT,
    )
    context = _context("libx265", "w")
    context.width, context.height, context.pix_fmt = frame.width, frame.height, "yuv420p"
    context.framerate = Fraction(1)
    context.options = {"preset": PRESET, "tune": "psnr", "x265-params": f"qp={qp}:ipratio=1:{PARAMETERS}"}
    packets = [*context.encode(frame), *context.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def decode_hevc(stream: bytes, most_pixels: int) -> Image:
    """(H, W, 3) uint8 RGB of what `encode_hevc` wrote; raises ValueError when no picture of at most `most_pixels` is in
    it."""
    context = _context("hevc", "r")
    context.options = {"max_pixels": str(most_pixels)}
    try:
        frames = [*context.decode(av.Packet(stream)), *context.decode(None)]
    except (av.error.FFmpegError, MemoryError) as error:
        raise ValueError("no HEVC picture") from error
    if not frames:
        raise ValueError("no HEVC picture")
    shown = frames[0].reformat(
        format="rgb24", src_colorspace=Colorspace.ITU709, src_color_range=ColorRange.JPEG, interpolation=_EXACT
    )
    return shown.to_ndarray().astype(np.uint8, copy=False)


def _context(codec: str, mode: str) -> VideoCodecContext:
    context = av.CodecContext.create(codec, mode)  # type: ignore[call-overload]
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    return context
