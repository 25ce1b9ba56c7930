"""The tables of the archive.

    cameras --< sources --< tracks --< faces --- base_layers         what search reads: small, a checksum beside it
          |        |                         `-- enhancement_layers  what pictures need: large, may go first
          |        `--- codecs (each layer names the codec that wrote it, too)
          `---< gaps                                                 when there was no video to look at

Rows point at each other by small integer keys; `id` is the name by which the outside knows a row. A layer has a table
of its own so that search never turns the pages of the pictures. Changes here go with a revision in `migrations`.
"""

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, Double, ForeignKey, Index, LargeBinary, MetaData, UniqueConstraint, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


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


class Points(TypeDecorator[tuple[tuple[float, float], ...]]):
    """Points in a picture (x, y), kept as little-endian float32 pairs."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: tuple[tuple[float, float], ...] | None, dialect: Dialect) -> bytes | None:
        """8 bytes a point."""
        return None if value is None else b"".join(struct.pack("<2f", *point) for point in value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> tuple[tuple[float, float], ...] | None:
        """The points, as float32 holds them."""
        return None if value is None else tuple((x, y) for x, y in struct.iter_unpack("<2f", value))


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
    type_annotation_map = {datetime: UtcTime, float: Double, tuple[tuple[float, float], ...]: Points}  # noqa: RUF012


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
    """A person's passage before a camera; `camera_key` repeats the source's, for the index on camera and time."""

    __tablename__ = "tracks"
    __table_args__ = (UniqueConstraint("source_key", "ordinal"), Index(None, "camera_key", "started_at"))
    key: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    source_key: Mapped[int] = mapped_column(ForeignKey("sources.key", ondelete="CASCADE"))
    camera_key: Mapped[int] = mapped_column(ForeignKey("cameras.key"))
    ordinal: Mapped[int]
    generation: Mapped[int]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    detections: Mapped[int]
    identity_id: Mapped[str | None]


class Face(Base):
    """One shot of a track; `rank` 0 is its best. Time is both the camera's (UTC) and the stream's (exact, rational)."""

    __tablename__ = "faces"
    __table_args__ = (UniqueConstraint("track_key", "rank"), Index(None, "camera_key", "time"))
    key: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    track_key: Mapped[int] = mapped_column(ForeignKey("tracks.key", ondelete="CASCADE"))
    camera_key: Mapped[int] = mapped_column(ForeignKey("cameras.key"))
    rank: Mapped[int]
    time: Mapped[datetime]
    epoch: Mapped[int]
    pts: Mapped[int] = mapped_column(BigInteger)
    time_base_numerator: Mapped[int]
    time_base_denominator: Mapped[int]
    x0: Mapped[float]
    y0: Mapped[float]
    x1: Mapped[float]
    y1: Mapped[float]
    landmarks: Mapped[tuple[tuple[float, float], ...]]
    confidence: Mapped[float]
    quality: Mapped[float]


class BaseLayer(Base):
    """A face's base layer; `checksum` is the CRC-32 of the payload, which has no room for one."""

    __tablename__ = "base_layers"
    face_key: Mapped[int] = mapped_column(
        ForeignKey("faces.key", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    codec_key: Mapped[int] = mapped_column(ForeignKey("codecs.key"))
    checksum: Mapped[int] = mapped_column(BigInteger)
    payload: Mapped[bytes]


class EnhancementLayer(Base):
    """A face's enhancement layer, of use only beside a base layer of the same codec."""

    __tablename__ = "enhancement_layers"
    face_key: Mapped[int] = mapped_column(
        ForeignKey("faces.key", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    codec_key: Mapped[int] = mapped_column(ForeignKey("codecs.key"))
    payload: Mapped[bytes]


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
