"""The tables of identities: who was gathered by machines, what users said of them, and who is watched for.

identities      numbers that were given; `tracks.identity_id` names one: where a machine put the track
identity_acts   what users said since, an append-only log: who somebody is now follows from both
watches --< sightings >-- tracks
"""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.schema import BIG_KEY, Base, Track

Index(None, Track.identity_id)


class Identity(Base):
    """An identity that a machine began or a user split off; its number is never given again."""

    __tablename__ = "identities"
    __table_args__ = ({"sqlite_autoincrement": True},)
    key: Mapped[int] = mapped_column(primary_key=True)
    began_at: Mapped[datetime]


class IdentityAct(Base):
    """What a user said, as text (`streamproc.query.act_log`); nothing here is ever changed."""

    __tablename__ = "identity_acts"
    __table_args__ = ({"sqlite_autoincrement": True},)
    key: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    by: Mapped[str]
    act: Mapped[str]


class Watch(Base):
    """Somebody who is watched for: an identity by number, or a photo's feature (float32) in a codec's terms."""

    __tablename__ = "watches"
    __table_args__ = ({"sqlite_autoincrement": True},)
    key: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    began_at: Mapped[datetime]
    identity: Mapped[int | None]
    codec_id: Mapped[str | None]
    feature: Mapped[bytes | None]
    quality: Mapped[float | None]


class Sighting(Base):
    """A track that shows, with a probability, who is watched for; `raised_at`: when that was noticed."""

    __tablename__ = "sightings"
    __table_args__ = (UniqueConstraint("watch_key", "track_key"), {"sqlite_autoincrement": True})
    key: Mapped[int] = mapped_column(primary_key=True)
    watch_key: Mapped[int] = mapped_column(ForeignKey("watches.key", ondelete="CASCADE"))
    track_key: Mapped[int] = mapped_column(BIG_KEY, ForeignKey("tracks.key", ondelete="CASCADE"), index=True)
    raised_at: Mapped[datetime]
    probability: Mapped[float]
