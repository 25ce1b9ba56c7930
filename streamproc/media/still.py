"""HEVC intra pictures: one picture to an H.265 stream of one frame, and back."""

import io
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from streamproc.errors import NotVideo
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
    context = av.CodecContext.create("libx265", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = frame.width, frame.height, "yuv420p"
    context.framerate = Fraction(1)
    context.thread_count = 1
    context.options = {"preset": PRESET, "tune": "psnr", "x265-params": f"qp={qp}:ipratio=1:{PARAMETERS}"}
    packets = [*context.encode(frame), *context.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def decode_hevc(stream: bytes) -> Image:
    """(H, W, 3) uint8 RGB of what `encode_hevc` wrote; raises NotVideo."""
    try:
        with av.open(io.BytesIO(stream), "r", format="hevc") as container:
            for frame in container.decode(video=0):
                shown = frame.reformat(
                    format="rgb24",
                    src_colorspace=Colorspace.ITU709,
                    src_color_range=ColorRange.JPEG,
                    interpolation=_EXACT,
                )
                return shown.to_ndarray().astype(np.uint8, copy=False)
    except av.error.FFmpegError as error:
        raise NotVideo("These bytes are no HEVC picture.") from error
    raise NotVideo("These bytes hold no HEVC picture.")
