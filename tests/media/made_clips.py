"""Clips made on the spot with PyAV: plain, of variable frame rate, rotated, damaged, cut."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from streamproc.types import Image

WIDTH, HEIGHT = 96, 64
MILLISECOND = Fraction(1, 1000)
RED = (220, 30, 30)


@dataclass(frozen=True)
class Clip:
    """How a clip is to be made; `times` are the frames' in milliseconds, `sound` seconds of silence beside them."""

    times: Sequence[int] = tuple(range(0, 2000, 40))
    codec: str = "libx264"
    pixels: str = "yuv420p"
    rotation: int = 0
    sound: float = 0.0
    metadata: dict[str, str] = field(default_factory=dict)
    muxer: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """Writes the clip to `path`, whose suffix says the container, and returns it."""
        with av.open(str(path), "w", options=self.muxer) as container:
            container.metadata.update(self.metadata)
            stream = container.add_stream(self.codec, rate=25)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, self.pixels
            if any(time % 40 for time in self.times):
                stream.codec_context.time_base = MILLISECOND
            if self.codec == "libx264":
                stream.options = {"tune": "zerolatency", "crf": "18"}
            if self.rotation:
                stream.set_display_rotation(self.rotation)
            silence = container.add_stream("pcm_s16le", rate=8000, layout="mono") if self.sound else None
            for index, milliseconds in enumerate(self.times):
                frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
                frame.pts, frame.time_base = milliseconds, MILLISECOND
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            if silence is not None:
                samples = av.AudioFrame.from_ndarray(
                    np.zeros((1, round(8000 * self.sound)), np.int16), format="s16", layout="mono"
                )
                samples.sample_rate = 8000
                container.mux(silence.encode(samples))
                container.mux(silence.encode())
        return path


def picture(index: int) -> Image:
    """(64, 96, 3): grey, a little brighter with each index, with a red square in the upper left corner."""
    image = np.full((HEIGHT, WIDTH, 3), 60 + index % 120, np.uint8)
    image[:16, :16] = RED
    return image


def cut(path: Path, share: float) -> Path:
    """The file cut to `share` of its bytes, in place."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def damage(path: Path, packets: Iterable[int], intact: float = 0.3) -> Path:
    """The file with some of its packets overwritten after their first `intact` share, in place."""
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for packet in packets:
        begin, size = places[packet]
        assert begin is not None
        kept = int(size * intact)
        data[begin + kept : begin + size] = bytes(size - kept)
    path.write_bytes(data)
    return path
