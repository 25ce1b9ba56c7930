"""Tracks that a user holds: whatever their age, and however full the disk, clearing up leaves them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, ForeignKey, delete, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from storage.lookup import some, track_keys, tracks_by_key
from storage.records import HoldRecord, TrackRecord
from storage.schema import BIG_KEY, Base, Transaction
from streamproc.errors import UnknownRecord


class Hold(Base):
    """A track that stays until the hold on it is taken away: since when, who wants it, and why."""

    __tablename__ = "holds"
    track_key: Mapped[int] = mapped_column(
        BIG_KEY, ForeignKey("tracks.key", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    at: Mapped[datetime]
    by: Mapped[str]
    reason: Mapped[str]


class Holds:
    """The part of an archive that knows what is held."""

    def __init__(self, writing: Transaction, reading: Transaction) -> None:
        self._writing, self._reading = writing, reading

    def add(self, track_ids: Sequence[str], by: str, at: datetime, reason: str = "") -> int:
        """How many of the tracks were not held before; one that was keeps the reason that it had.

        Raises UnknownRecord for a track that is not there; then none is held.
        """
        with self._writing() as connection:
            keys = _keys(connection, track_ids)
            held = _held(connection, keys)
            rows = [{"track_key": key, "at": at, "by": by, "reason": reason} for key in keys if key not in held]
            if rows:
                connection.execute(insert(Hold), rows)
            return len(rows)

    def remove(self, track_ids: Sequence[str]) -> int:
        """How many of the tracks were held and are not any more. Raises UnknownRecord as above."""
        with self._writing() as connection:
            held = sorted(_held(connection, _keys(connection, track_ids)))
            for part in some(held):
                connection.execute(delete(Hold).where(Hold.track_key.in_(part)))
            return len(held)

    def all(self) -> list[HoldRecord]:
        """Every hold, in the order in which they began."""
        with self._reading() as connection:
            rows = connection.execute(select(Hold.__table__).order_by(Hold.at, Hold.track_key)).all()
            tracks: dict[int, TrackRecord] = {}
            for part in some([row.track_key for row in rows]):
                tracks |= tracks_by_key(connection, part)
            return [HoldRecord(tracks[row.track_key], row.at, row.by, row.reason) for row in rows]


def _keys(connection: Connection, track_ids: Sequence[str]) -> list[int]:
    keys = track_keys(connection, track_ids)
    for name in track_ids:
        if name not in keys:
            raise UnknownRecord(
                f"There is no track '{name}': `streamproc identity timeline` and `search` tell their ids."
            )
    return sorted(set(keys.values()))


def _held(connection: Connection, keys: Sequence[int]) -> set[int]:
    held: set[int] = set()
    for part in some(keys):
        held |= set(connection.execute(select(Hold.track_key).where(Hold.track_key.in_(part))).scalars())
    return held
