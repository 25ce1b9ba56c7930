"""What the archive answers with: frozen results."""

from dataclasses import dataclass
from datetime import datetime

from streamproc.types import FloatArray, GapRecord, SourceResult


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A source's place in the archive; `result` is what its ingest came to, None until it is `complete`."""

    id: str
    complete: bool
    result: SourceResult | None


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """What the archive knows of one track; times are UTC, `face_ids` best first."""

    id: str
    camera: str
    source: str
    source_id: str
    started_at: datetime
    ended_at: datetime
    detections: int
    identity_id: str | None
    face_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrackAdded:
    """What became of a track: whether it is `new`, by how many faces the archive grew, and when those shots that it did
    not hold before were captured (UTC)."""

    new: bool
    faces: int
    captured: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """One camera's share of the archive; `first` and `last` are when its tracks began and ended, None without any."""

    name: str
    faces: int
    tracks: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True, slots=True)
class ArchiveBytes:
    """Where the bytes are: payloads of both layers, pages of the indexes, and the file with its write-ahead log.

    `index` is 0 where SQLite was built without the means to tell.
    """

    base: int
    enhancement: int
    index: int
    file: int


@dataclass(frozen=True, slots=True)
class Removed:
    """What a step of a clearance took out of the archive; `pictures` are enhancement layers, `bytes` payloads."""

    pictures: int = 0
    tracks: int = 0
    faces: int = 0
    bytes: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        """Both together."""
        return Removed(
            self.pictures + other.pictures,
            self.tracks + other.tracks,
            self.faces + other.faces,
            self.bytes + other.bytes,
        )


@dataclass(frozen=True, slots=True)
class ClearedStep:
    """What a step of a clearance `removed`, or would remove, of a camera, and when the oldest of it began (UTC)."""

    camera: str
    oldest: datetime
    removed: Removed


@dataclass(frozen=True, slots=True)
class ArchiveRoom:
    """Bytes of the database that are `used`, those in its files that are `spare`, and those of the disk that are
    `free`; None where a server keeps it: what it removed takes room until it sees to that, and its disk is its own."""

    used: int | None
    spare: int
    free: int | None


@dataclass(frozen=True, slots=True)
class HoldRecord:
    """A track that is held since `at` (UTC), by whom, and why."""

    track: TrackRecord
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class TrackFaces:
    """A track and what is held of its faces: base layers, their checksums, not yet compared, and qualities."""

    track: TrackRecord
    payloads: tuple[bytes, ...]
    checksums: tuple[int, ...]
    qualities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ActRecord:
    """What a user said of identities: its number, when (UTC), who, and what, as `streamproc.query.act_log` reads
    it."""

    number: int
    at: datetime
    by: str
    act: str


@dataclass(frozen=True, slots=True)
class IdentityTracks:
    """How many tracks a machine put into an identity, when the first began and the last ended (UTC)."""

    identity_id: str
    tracks: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, eq=False)
class WatchRecord:
    """Who is watched for under `name`: an identity by number, or a photo's face by its feature (D,) in a codec's terms
    and its quality."""

    key: int
    name: str
    began_at: datetime
    identity: int | None
    codec_id: str | None
    feature: FloatArray | None
    quality: float | None


@dataclass(frozen=True, slots=True)
class SightingRecord:
    """A track that shows with a probability who is watched for under the name `watch`, and when that was noticed."""

    watch: str
    track: TrackRecord
    raised_at: datetime
    probability: float


@dataclass(frozen=True, slots=True)
class ArchiveInfo:
    """What the archive holds; `gaps` in the order they began."""

    faces: int
    tracks: int
    identities: int
    cameras: tuple[CameraInfo, ...]
    bytes: ArchiveBytes
    gaps: tuple[GapRecord, ...]


@dataclass(frozen=True, slots=True)
class CodecShare:
    """How many faces a codec wrote."""

    codec_id: str
    profile: str
    faces: int


@dataclass(frozen=True, slots=True)
class ArchiveCondition:
    """An archive's revision of the schema and the one of this version, the codecs that wrote it, most faces first,
    the newest time in it (UTC), and about how many bytes a day are written to it (None: too little to say)."""

    revision: str
    newest_revision: str
    codecs: tuple[CodecShare, ...]
    newest: datetime | None
    bytes_a_day: float | None


@dataclass(frozen=True, slots=True)
class RecodingRecord:
    """Faces are coded anew with the codec; `weights` and `replaces` are what settings call it and the one before it.

    Once `finished` there is no way back.
    """

    codec_id: str
    weights: str
    replaces: str
    began_at: datetime
    finished: bool


@dataclass(frozen=True, slots=True)
class FaceToRecode:
    """A face by key, and its layers; the checksum is not yet compared."""

    key: int
    track: int
    codec_id: str
    base: bytes
    checksum: int
    enhancement: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How many faces are in a codec's terms, how many wait to be coded anew, and how many cannot be, for the older
    weights' picture of them is gone."""

    coded: int
    waiting: int
    bare: int


@dataclass(frozen=True, slots=True)
class Generation:
    """A codec that wrote `tracks` tracks, `alone` of which another one, which is asked about, has nothing of."""

    codec_id: str
    profile: str
    tracks: int
    alone: int
