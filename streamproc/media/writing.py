"""Pictures written as a video file: H.264 in whatever container the file's suffix names."""

from datetime import datetime
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamproc.types import Image

PRESET = "veryfast"
"""Of x264: a camera's encoder has no time to search either."""


class ClipWriter:
    """Writes pictures of one size as a clip of constant frame rate; a context manager. The same pictures give the same
    bytes again."""

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        rate: int,
        crf: int = 26,
        bitrate: int | None = None,
        created: datetime | None = None,
    ) -> None:
        """`width`, `height`: even, pixels; `rate`: frames a second; `crf`: x264's constant rate factor, 0 to 51, or
        `bitrate`, bits a second, in its place; `created`: when the first picture was taken, written as the container's
        creation time, which ingest takes for the clip's start."""
        if width % 2 or height % 2:
            raise ValueError(f"H.264 in 4:2:0 wants even sides, not {width} x {height}")
        self.path = path
        self.rate = rate
        self.pictures = 0
        self._size = (width, height)
        self._quality = {"crf": str(crf)} if bitrate is None else {}
        self._bitrate = bitrate
        self._created = created

    def __enter__(self) -> Self:
        self._container = av.open(str(self.path), "w")
        if self._created is not None:
            self._container.metadata["creation_time"] = self._created.isoformat()
        stream = self._container.add_stream("libx264", rate=self.rate)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        if self._bitrate is not None:
            stream.bit_rate = self._bitrate
        # One thread, or the bytes would follow the machine's number of cores; no B-frames, a key frame every two
        # seconds: what cameras send.
        stream.options = {"preset": PRESET, "threads": "1", "bf": "0", "g": str(2 * self.rate), **self._quality}
        self._stream = stream
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._container.mux(self._stream.encode())
        self._container.close()

    def write(self, image: Image) -> None:
        """Nothing; `image` (H, W, 3) uint8 RGB is the clip's next picture."""
        if image.shape != (self._size[1], self._size[0], 3):
            raise ValueError(f"the clip's pictures are {self._size[1], self._size[0], 3}, this one is {image.shape}")
        frame = VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = self.pictures, Fraction(1, self.rate)
        self.pictures += 1
        self._container.mux(self._stream.encode(frame))


def elementary_stream(clip: Path, path: Path) -> Path:
    """`path`, which holds the coded pictures of an H.264 clip alone (Annex B, suffix `.h264`), nothing coded again."""
    with av.open(str(clip)) as container, av.open(str(path), "w", format="h264") as bare:
        stream = container.streams.video[0]
        copied = bare.add_stream_from_template(stream)
        for packet in container.demux(stream):
            if packet.dts is not None:  # the last one is empty
                packet.stream = copied
                bare.mux(packet)
    return path
