"""What the processes say to each other: frozen dataclasses, pickled by multiprocessing between our own processes."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from streamproc.media.hours import ALWAYS, Hours
from streamproc.types import Clock, CodedTrack, FrameTime, GapReason, Polygon, SourceResult, Track, Transport


@dataclass(frozen=True, slots=True)
class SourceJob:
    """A source to ingest. `key` names it inside the batch; `content_hash` is None for a live source."""

    key: int
    uri: str
    source: str
    camera: str
    started_at: datetime | None
    content_hash: str | None


@dataclass(frozen=True, slots=True)
class CameraJob:
    """A live camera to watch: `uri` with its credentials, which nothing else may hold, and `source` without; what of
    its picture counts (`roi`, empty: all of it) and what nobody may see (`masks`)."""

    camera: str
    uri: str = field(repr=False)
    source: str
    transport: Transport
    roi: Polygon = ()
    masks: tuple[Polygon, ...] = ()
    hours: Hours = field(default=ALWAYS, compare=False)
    """When it records; no part of what makes a camera another one."""


@dataclass(frozen=True, slots=True)
class Session:
    """One connection to a live camera, from when to when it broke; what the archive calls a source. `clock`, what told
    its times last, is no part of its name."""

    camera: str
    source: str
    started_at: datetime
    clock: Clock | None = field(default=None, compare=False)


# Down the line: capture -> detect -> encode -> archive


@dataclass(frozen=True, slots=True)
class Opened:
    """A source was opened; its first frame was captured at `started_at` (UTC).

    `rate`: frames a second that will be given on, at most; `still`: it is a picture, of one frame; `begun`: monotonic
    seconds; `clock`: what tells its times, as far as is known; `roi`: where faces count (empty: everywhere).
    """

    job: SourceJob
    started_at: datetime
    rate: float
    still: bool
    begun: float
    clock: Clock | None = None
    roi: Polygon = ()


@dataclass(frozen=True, slots=True)
class ClockChanged:
    """What tells a live camera's times from now on, on the line that its session was opened on."""

    clock: Clock


@dataclass(frozen=True, slots=True)
class RingAnnounced:
    """The ring whose file descriptor follows on the same connection."""

    ring: int
    size: int


@dataclass(frozen=True, slots=True)
class FrameReady:
    """A frame lies in a ring at `offset`, (height, width, 3) uint8 RGB, since `sent` (monotonic seconds); between the
    one before and it there was no slot for `missed` frames."""

    key: int
    camera: str
    ring: int
    offset: int
    height: int
    width: int
    index: int
    time: FrameTime
    sent: float
    missed: int


@dataclass(frozen=True, slots=True)
class SlotFreed:
    """The other way: a slot may be written again; `searched` is False when the frame in it had grown too old for
    that."""

    ring: int
    offset: int
    searched: bool = True


@dataclass(frozen=True, slots=True)
class Pace:
    """The same way, to a live camera: which share (0..1] of its rates detection can take, the same for every camera,
    and whether a face is in its view."""

    share: float
    face: bool


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


@dataclass(frozen=True, slots=True)
class CameraBeat:
    """A sign of life of a live camera's process: frames that were due, damaged, dropped since it began, when the newest
    was captured (None while there is none), for how many seconds the oldest one waits to be searched, and how often it
    was reached."""

    frames: int
    corrupt: int
    dropped: int
    newest: datetime | None
    waiting: float = 0.0
    sessions: int = 0


@dataclass(frozen=True, slots=True)
class CameraState:
    """What a live camera is from `since` on: blind for a reason, which `detail` explains in a sentence, or, where that
    is None, seeing."""

    reason: GapReason | None
    since: datetime
    detail: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something about a source that is worth a line in the log: half a sentence, to go after its name and a colon."""

    text: str


@dataclass(frozen=True, slots=True)
class TrackArchived:
    """A live camera's track is on the disk: whether it is a new one or news of one that is held, by how many faces the
    archive grew, and when the newest of its shots was captured."""

    camera: str
    faces: int
    new: bool = True
    newest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cleared:
    """What a clearance came to, in a sentence, and whether it did what it was to do; nothing is said of one that had
    nothing to do."""

    detail: str
    well: bool


@dataclass(frozen=True, slots=True)
class DiskState:
    """Whether less of the archive's disk is free than is to be, in a sentence."""

    low: bool
    detail: str


@dataclass(frozen=True, slots=True)
class CheckDone:
    """Whether the known face was found again, what is wrong where it was not, and after how many seconds; when the
    session began that it was seen in, None where there was none."""

    well: bool
    detail: str
    seconds: float
    session: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sighted:
    """Somebody who is watched for, under the name `watch`, was seen by a camera: the track, when it began (UTC), and
    the probability that it is that person."""

    watch: str
    camera: str
    track: str
    at: datetime
    probability: float


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """Whether the archive can be written to, and why not."""

    well: bool
    detail: str


Upward: TypeAlias = Beat | Archived | Noticed | SourceDone
