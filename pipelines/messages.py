"""What the processes say to each other: frozen dataclasses, pickled by multiprocessing between our own processes."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from streamproc.types import CodedTrack, FrameTime, SourceResult, Track


@dataclass(frozen=True, slots=True)
class SourceJob:
    """A source to ingest. `key` names it inside the batch; `content_hash` is None for a live source."""

    key: int
    uri: str
    source: str
    camera: str
    started_at: datetime | None
    content_hash: str | None


# Down the line: capture -> detect -> encode -> archive


@dataclass(frozen=True, slots=True)
class Opened:
    """A source was opened; its first frame was captured at `started_at` (UTC).

    `rate`: frames a second that will be given on; `still`: it is a picture, of one frame; `begun`: monotonic seconds.
    """

    job: SourceJob
    started_at: datetime
    rate: float
    still: bool
    begun: float


@dataclass(frozen=True, slots=True)
class RingAnnounced:
    """The ring whose file descriptor follows on the same connection."""

    ring: int
    size: int


@dataclass(frozen=True, slots=True)
class FrameReady:
    """A frame lies in a ring at `offset`, (height, width, 3) uint8 RGB."""

    key: int
    camera: str
    ring: int
    offset: int
    height: int
    width: int
    index: int
    time: FrameTime


@dataclass(frozen=True, slots=True)
class SlotFreed:
    """The other way: a slot may be written again."""

    ring: int
    offset: int


@dataclass(frozen=True, slots=True)
class TrackFound:
    """A track that ended."""

    key: int
    track: Track


@dataclass(frozen=True, slots=True)
class CodecReady:
    """Which codec the tracks that follow are coded with."""

    codec_id: str
    profile: str


@dataclass(frozen=True, slots=True)
class TrackCoded:
    """A track, coded."""

    key: int
    track: CodedTrack


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more comes of a source. `whole` is False when its capture process died: it stays incomplete then."""

    job: SourceJob
    frames: int = 0
    corrupt: int = 0
    detections: int = 0
    tracks: int = 0
    error: str | None = None
    whole: bool = True


Downstream: TypeAlias = Opened | TrackFound | CodecReady | TrackCoded | Ended

# To the supervisor


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life; of a capture also how far it is, in frames."""

    frames: int = 0
    frames_expected: int | None = None


@dataclass(frozen=True, slots=True)
class Archived:
    """Tracks of a source on the disk so far."""

    key: int
    tracks: int


@dataclass(frozen=True, slots=True)
class SourceDone:
    """What a source came to."""

    key: int
    result: SourceResult


Upward: TypeAlias = Beat | Archived | SourceDone
