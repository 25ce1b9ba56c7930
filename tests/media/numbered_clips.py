"""Moving pictures that show their own number, so that what arrives can be compared with what was sent."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamproc.types import Image

WIDTH, HEIGHT, RATE = 640, 360, 15
DIGITS, SIDE = 10, 40


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> Image:
    """(height, width, 3): waves that move, and on top `number` in white and black squares, its lowest bit first."""
    y, x = np.mgrid[0:height, 0:width]
    wave = (128 + 60 * np.sin((x + 6 * number) / 25) + 50 * np.cos((y - 4 * number) / 18)).clip(0, 255)
    grey = wave.astype(np.uint8)
    image = np.stack([grey, np.roll(grey, 40, 1), np.roll(grey, 70, 0)], axis=-1)
    for digit in range(DIGITS):
        image[:SIDE, digit * SIDE : (digit + 1) * SIDE] = 255 if number >> digit & 1 else 0
    return np.ascontiguousarray(image)


def number_of(image: Image) -> int:
    """The number that a picture shows."""
    middles = [image[10 : SIDE - 10, digit * SIDE + 10 : (digit + 1) * SIDE - 10].mean() for digit in range(DIGITS)]
    return sum(1 << digit for digit, middle in enumerate(middles) if middle > 128)


def likeness(image: Image) -> float:
    """PSNR in dB to the picture of the number that it shows."""
    height, width = image.shape[:2]
    error = image[SIDE:].astype(float) - numbered(number_of(image), width, height)[SIDE:]
    return float(10 * np.log10(255**2 / max((error**2).mean(), 1e-9)))


def encode(path: Path, sizes: Sequence[tuple[int, int, int]], key_every: int = 30) -> Path:
    """`path`, an MPEG transport stream, written: H.264 of so many pictures of each (width, height, pictures)."""
    number = 0
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=RATE)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = *sizes[0][:2], "yuv420p"
        for width, height, pictures in sizes:
            encoder = _encoder(width, height, key_every)
            for _ in range(pictures):
                frame = VideoFrame.from_ndarray(numbered(number, width, height), format="rgb24")
                frame.pts, frame.time_base = number, encoder.time_base
                number += 1
                for packet in encoder.encode(frame):
                    packet.stream = stream
                    container.mux(packet)
    return path


def _encoder(width: int, height: int, key_every: int) -> VideoCodecContext:
    """As cameras encode: each picture from the one before, at once."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, RATE), Fraction(RATE)
    speed = {"preset": "veryfast", "tune": "zerolatency", "threads": "1", "sliced-threads": "0"}
    encoder.options = {**speed, "g": str(key_every), "crf": "23"}
    return encoder
