"""What crosses from one room to another: frozen dataclasses, numpy arrays, plain bytes.

Images are (H, W, 3) uint8 RGB. Boxes are x0, y0, x1, y1 in pixels of the image that they were found in. Times are
rational (`pts * time_base`) inside a stream and timezone-aware UTC datetimes outside it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Array = npt.NDArray[Any]
Polygon = tuple[tuple[float, float], ...]
"""Corners (x, y) in shares of a picture's width and height, 0 to 1; empty: none."""

CROP_SIZE = 256
"""Side of an aligned face crop, pixels."""


Transport = Literal["tcp", "udp"]
"""What RTSP video comes over."""

EnhancementCodec = Literal["learned", "jpeg", "jpeg2000", "hevc"]
"""What can write an enhancement layer."""


class Layer(StrEnum):
    """The two layers of a coded face."""

    BASE = "base"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class FrameTime:
    """When a frame was shown and when it was captured.

    `epoch` counts the stream's restarts (a reconnect or a jump of its clock begins a new one); `pts * time_base` is
    seconds since an origin that holds within one epoch; `captured_at` is UTC.
    """

    epoch: int
    pts: int
    time_base: Fraction
    captured_at: datetime

    @property
    def seconds(self) -> Fraction:
        """Exact stream time, seconds."""
        return self.pts * self.time_base


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded picture of a source; `index` counts its frames from 0."""

    camera_id: str
    index: int
    time: FrameTime
    image: Image


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """A face found: `box` (4,) float32 xyxy, `landmarks` (5, 2) float32 (left eye, right eye, nose, left and right
    mouth corner, as seen in the picture), `confidence` in 0..1."""

    box: FloatArray
    landmarks: FloatArray
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class FaceCrop:
    """A face aligned to (256, 256, 3) uint8 RGB; `camera_id` and `time` are None for a face out of a photo.

    `quality` in 0..1 says how usable the face is for recognition (see `streamproc.faces.quality`). `heading` is the way
    along which it moved through the crop, radians from x towards y; None where it hardly moved or nobody knows.
    """

    camera_id: str | None
    time: FrameTime | None
    detection: Detection
    quality: float
    image: Image
    heading: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One person's passage before one camera: its time span (UTC), how often a face was detected, its best shots, best
    first. `ordinal` numbers the tracks of a source in the order in which they began."""

    ordinal: int
    started_at: datetime
    ended_at: datetime
    detections: int
    shots: tuple[FaceCrop, ...]


@dataclass(frozen=True, slots=True)
class FaceCode:
    """A coded face: the base layer's bytes, and the enhancement layer's where it was asked for."""

    codec_id: str
    base: bytes
    enhancement: bytes | None = None


class Clock(StrEnum):
    """What told the times of a source. Archives hold these words."""

    FILE = "file"
    """The file's timestamps, counted from when it says it was begun, or from what the operator said."""
    ARRIVAL = "arrival"
    """The stream's timestamps, counted from when its frames arrived here."""
    SENDER = "sender"
    """The camera's own clock, by its RTCP sender reports, from the first of them on, which comes within seconds."""


@dataclass(frozen=True, slots=True)
class FaceRecord:
    """What the archive knows of one face. `time` is UTC, told by `clock` (None: nobody noted which), `box` xyxy in
    pixels of its frame."""

    id: str
    camera_id: str
    source: str
    track_id: str
    time: datetime
    box: tuple[float, float, float, float]
    quality: float
    identity_id: str | None
    layers: frozenset[Layer]
    clock: Clock | None = None


class GapReason(StrEnum):
    """Why a camera gave no usable video.

    Archives hold these words: none is renamed, and a new one comes with a revision of the schema, so that an older
    program does not meet words that it does not know.
    """

    UNREACHABLE = "unreachable"
    """It cannot be connected to."""
    SILENT = "silent"
    """It opens, but gives no frames."""
    FROZEN = "frozen"
    BLACK = "black"
    CORRUPT = "corrupt"
    BEHIND = "behind"
    """Frames were dropped to keep up."""
    CLOCK_JUMP = "clock_jump"
    DISK_FULL = "disk_full"
    STAGE_LOST = "stage_lost"
    """A process of ours died."""
    CLOSED = "closed"
    """Outside its recording hours."""
    STOPPED = "stopped"
    """The service was not running."""


@dataclass(frozen=True, slots=True)
class GapRecord:
    """A time without usable video of a camera, UTC: from `began_at` on and before `ended_at`, None while it lasts."""

    id: str
    camera: str
    began_at: datetime
    ended_at: datetime | None
    reason: GapReason
    detail: str


@dataclass(frozen=True, slots=True)
class Match:
    """An archived face that resembles the one asked for; `similarity` is a cosine, `probability` that of being the
    same person."""

    record: FaceRecord
    similarity: float
    probability: float


@dataclass(frozen=True, slots=True)
class CodedFace:
    """A face ready for the archive: where and when it was seen, how well, and its code.

    `checksum` is the CRC-32 of the base layer's bytes, kept beside them: the base layer has no room for one.
    """

    time: FrameTime
    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    confidence: float
    quality: float
    code: FaceCode
    checksum: int


@dataclass(frozen=True, slots=True)
class CodedTrack:
    """A `Track` ready for the archive: the same, its shots coded. `ordinal` makes its name: the same video
    gives the same names again."""

    ordinal: int
    started_at: datetime
    ended_at: datetime
    detections: int
    faces: tuple[CodedFace, ...]


@dataclass(frozen=True, slots=True)
class SourceResult:
    """What the ingest of one source came to; `seconds` is wall time, `clock` what told the source's own."""

    camera: str
    source: str
    frames: int = 0
    corrupt: int = 0
    detections: int = 0
    tracks: int = 0
    archived: int = 0
    seconds: float = 0.0
    skipped: bool = False
    error: str | None = None
    clock: Clock | None = None


@dataclass(frozen=True, slots=True)
class BaseLayers:
    """The base layers of many faces in one codec, for search: entry k of each tuple is the k-th face's.

    `checksums` are the CRC-32 kept beside the payloads, not yet compared with them; `other_codec` counts the faces that
    were asked for as well but were written by another codec, so that they cannot be compared.
    """

    face_ids: tuple[str, ...]
    track_ids: tuple[str, ...]
    payloads: tuple[bytes, ...]
    checksums: tuple[int, ...]
    other_codec: int = 0
