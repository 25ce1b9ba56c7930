"""The tables of the archive.

    cameras --< sources --< tracks --< faces                  with the base layer: what search reads, some 100 bytes
          |        |                     `-- enhancement_layers >-- enhancement_blobs  what pictures need, may go first
          |        `--- codecs (each layer names the codec that wrote it, too)
          `---< gaps                                          when there was no video to look at

    archives        one row: the archive's own name
    recodings --< recoded_layers   base layers that newer weights wrote of faces of older ones (`storage.recoded`)
    removed_faces   which faces are gone, for whoever keeps an index of them

Rows point at each other by small integer keys; `id` is the name by which the outside knows a row, and of tracks and
faces, of which there are many, it is not kept but follows from their place (`storage.naming`). Pictures have tables of
their own so that search never turns their pages. Changes here go with a revision in `migrations`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    UniqueConstraint,
    false,
    type_coerce,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
BIG_KEY = BigInteger().with_variant(Integer(), "sqlite")
"""Keys that outgrow 32 bits; SQLite's integers are as long as they need to be."""


Transaction = Callable[[], AbstractContextManager[Connection]]
"""What an archive gives its parts: within it they read, or write all or nothing."""


def microseconds(time: datetime) -> int:
    """Since 1970 UTC; ValueError for a time without a zone, which could mean any of 38 hours."""
    if time.utcoffset() is None:
        raise ValueError(f"the time {time.isoformat()} has no time zone: give it one")
    return (time - _EPOCH) // _MICROSECOND


class UtcTime(TypeDecorator[datetime]):
    """A moment, kept as integer microseconds since 1970 UTC: exact, ordered, the same in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Microseconds; ValueError for a time without a zone."""
        return None if value is None else microseconds(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """The moment in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=int(value))


class Base(DeclarativeBase):
    """The root of the tables; every constraint has a name, so that a later revision can change it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcTime, float: Double}  # noqa: RUF012


class Camera(Base):
    """A place that faces were seen at; `watched_until`: the last sign of life of the service that watches it.

    A `hidden` one is no place: the service looks at a known face through it, and nobody is told of what it saw.
    """

    __tablename__ = "cameras"
    key: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    watched_until: Mapped[datetime | None]
    hidden: Mapped[bool] = mapped_column(server_default=false())


class Codec(Base):
    """A set of weights that wrote layers."""

    __tablename__ = "codecs"
    key: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    profile: Mapped[str]


class Source(Base):
    """A video of a camera; `generation` counts the ingests begun on it, the other counts tell of the complete one.

    `clock` is a word of `Clock`: what its times were told by; null where an older version did not say.
    """

    __tablename__ = "sources"
    key: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    camera_key: Mapped[int] = mapped_column(ForeignKey("cameras.key"), index=True)
    codec_key: Mapped[int] = mapped_column(ForeignKey("codecs.key"))
    name: Mapped[str]
    content_hash: Mapped[str | None]
    started_at: Mapped[datetime]
    generation: Mapped[int]
    complete: Mapped[bool]
    frames: Mapped[int]
    corrupt: Mapped[int]
    detections: Mapped[int]
    tracks: Mapped[int]
    archived: Mapped[int]
    seconds: Mapped[float]
    error: Mapped[str | None]
    clock: Mapped[str | None]


class Track(Base):
    """A person's passage before a camera; `camera_key` repeats the source's, for the index on camera and time.

    Its key is given by `storage.partitions`.
    """

    __tablename__ = "tracks"
    __table_args__ = (UniqueConstraint("source_key", "ordinal"), Index(None, "camera_key", "started_at"))
    key: Mapped[int] = mapped_column(BIG_KEY, primary_key=True)
    source_key: Mapped[int] = mapped_column(ForeignKey("sources.key", ondelete="CASCADE"))
    camera_key: Mapped[int] = mapped_column(ForeignKey("cameras.key"))
    ordinal: Mapped[int]
    generation: Mapped[int]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    detections: Mapped[int]
    identity_id: Mapped[str | None]


class Face(Base):
    """One shot of a track; `rank` 0 is its best. Keys only grow, so that who has seen one has seen all below it.

    It was captured `moment` microseconds after its track began; `placement`: see `storage.placement`. `payload` is its
    base layer, `checksum` that one's CRC-32, signed, for the payload has no room for one.
    """

    __tablename__ = "faces"
    __table_args__ = (UniqueConstraint("track_key", "rank"), {"sqlite_autoincrement": True})
    key: Mapped[int] = mapped_column(BIG_KEY, primary_key=True)
    track_key: Mapped[int] = mapped_column(BIG_KEY, ForeignKey("tracks.key", ondelete="CASCADE"))
    rank: Mapped[int]
    moment: Mapped[int] = mapped_column(BigInteger)
    placement: Mapped[bytes]
    codec_key: Mapped[int] = mapped_column(ForeignKey("codecs.key"))
    checksum: Mapped[int]
    payload: Mapped[bytes]


class RemovedFace(Base):
    """A face that is gone; a trigger enters it, whoever deleted it."""

    __tablename__ = "removed_faces"
    __table_args__ = ({"sqlite_autoincrement": True},)
    key: Mapped[int] = mapped_column(BIG_KEY, primary_key=True)
    face_key: Mapped[int] = mapped_column(BIG_KEY)


class EnhancementBlob(Base):
    """The bytes of an enhancement layer under their BLAKE2b-128 `digest`, once; a trigger lets the last user's go."""

    __tablename__ = "enhancement_blobs"
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    payload: Mapped[bytes]


class EnhancementLayer(Base):
    """A face's enhancement layer, of use only beside a base layer of the same codec."""

    __tablename__ = "enhancement_layers"
    face_key: Mapped[int] = mapped_column(
        BIG_KEY, ForeignKey("faces.key", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    codec_key: Mapped[int] = mapped_column(ForeignKey("codecs.key"))
    digest: Mapped[bytes] = mapped_column(ForeignKey("enhancement_blobs.digest"), index=True)


class Recoding(Base):
    """A codec that faces of other codecs are coded with anew; `weights` and `replaces` are what settings call it and
    the one before it. `finished`: there is no way back any more. Keys are never given again."""

    __tablename__ = "recodings"
    __table_args__ = ({"sqlite_autoincrement": True},)
    key: Mapped[int] = mapped_column(primary_key=True)
    codec_key: Mapped[int] = mapped_column(ForeignKey("codecs.key"), unique=True)
    weights: Mapped[str]
    replaces: Mapped[str]
    began_at: Mapped[datetime]
    finished: Mapped[bool] = mapped_column(server_default=false())


class RecodedLayer(Base):
    """A face's base layer in a newer codec's terms. One whose recoding is gone counts for nothing."""

    __tablename__ = "recoded_layers"
    __table_args__ = (
        UniqueConstraint("face_key", "recoding_key"),
        Index(None, "recoding_key", "key"),
        {"sqlite_autoincrement": True},
    )
    key: Mapped[int] = mapped_column(BIG_KEY, primary_key=True)
    recoding_key: Mapped[int]
    face_key: Mapped[int] = mapped_column(BIG_KEY, ForeignKey("faces.key", ondelete="CASCADE"))
    checksum: Mapped[int]
    payload: Mapped[bytes]


def captured_at() -> ColumnElement[datetime]:
    """When a face was captured, in a question that joins it with its track."""
    return type_coerce(type_coerce(Track.started_at, BigInteger) + Face.moment, UtcTime())


class ArchiveName(Base):
    """The archive's own name: what is kept outside it, an index, say, tells by it whose it is."""

    __tablename__ = "archives"
    id: Mapped[str] = mapped_column(primary_key=True)


class Gap(Base):
    """A time without usable video of a camera; `ended_at` is null while it lasts, `reason` a word of `GapReason`."""

    __tablename__ = "gaps"
    __table_args__ = (Index(None, "camera_key", "began_at"),)
    key: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    camera_key: Mapped[int] = mapped_column(ForeignKey("cameras.key"))
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    reason: Mapped[str]
    detail: Mapped[str]
