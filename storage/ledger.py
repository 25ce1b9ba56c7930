"""The ledger of gaps: when a camera gave no usable video, and until when somebody watched it.

Whoever watches a camera gives signs of life (`watched`). After a power cut they tell from when on nobody did: the next
start enters that time (`resume`), and until then readers are told of it as if it had been entered (`gaps` with `now`).
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, insert, select, update

from storage.reading import of_cameras
from storage.schema import Camera, Gap, Transaction, microseconds
from storage.writing import key_of_camera
from streamproc.errors import UnknownRecord
from streamproc.types import GapReason, GapRecord

UNWATCHED = timedelta(minutes=2)
"""Without a sign of life for so long, a camera counts as not watched: several times the service's pause between two."""

_STOPPED = "The service was not running."


class Ledger:
    """The part of an archive where gaps are entered; the archive's `gaps` reads them."""

    def __init__(self, writing: Transaction, reading: Transaction) -> None:
        self._writing, self._reading = writing, reading

    def begin_gap(self, camera: str, began_at: datetime, reason: GapReason, detail: str) -> GapRecord:
        """The gap that the camera is in from `began_at` on; `detail` is a sentence for people, without credentials.

        The same camera, start and reason is the same gap, however often it is begun: the first detail stays, and one
        that has ended is not opened again. A camera may be in several gaps at once.
        """
        with self._writing() as connection:
            return _begin_gap(connection, camera, began_at, reason, detail)

    def end_gap(self, gap_id: str, ended_at: datetime) -> GapRecord:
        """The gap, over at `ended_at`; one that had ended stays as it is. Never before it began.

        Raises UnknownRecord.
        """
        with self._writing() as connection:
            return _end_gap(connection, gap_id, ended_at)

    def end_gaps(self, camera: str | None, ended_at: datetime) -> tuple[GapRecord, ...]:
        """The gaps of the camera, None for every camera, that lasted until now and are over at `ended_at`."""
        with self._writing() as connection:
            return _end_gaps(connection, camera, ended_at)

    def watched(self, camera: str, until: datetime | None) -> None:
        """Nothing; the camera is known to be watched up to this moment. None: it is not anybody's task any more."""
        with self._writing() as connection:
            _watched(connection, camera, until)

    def watched_until(self, camera: str) -> datetime | None:
        """The moment up to which the camera is known to have been watched; None for one that nobody watches."""
        with self._reading() as connection:
            return _watched_until(connection, camera)

    def resume(self, camera: str, at: datetime) -> tuple[GapRecord, ...]:
        """The gaps that are over because the camera is watched again from `at` on; for the start of whoever watches.

        What a killed service left lasting ends at its last sign of life, and from there to `at` it was `stopped`. A gap
        that began after that sign stands for the whole time, up to `at`. All of it or, after a kill, nothing.
        """
        with self._writing() as connection:
            return _resume(connection, camera, at)


def _begin_gap(connection: Connection, camera: str, began_at: datetime, reason: GapReason, detail: str) -> GapRecord:
    """The gap, which lasts; as it is held already where the same was begun before."""
    gap_id = _gap_id(camera, began_at, reason)
    held = connection.execute(_select().where(Gap.id == gap_id)).one_or_none()
    if held is not None:
        return _record(held)
    place = {"id": gap_id, "camera_key": key_of_camera(connection, camera)}
    connection.execute(insert(Gap).values(place | {"began_at": began_at, "reason": reason.value, "detail": detail}))
    return _one(connection, gap_id)


def _end_gap(connection: Connection, gap_id: str, ended_at: datetime) -> GapRecord:
    """The gap, ended; as it is held already where it had ended before."""
    held = _one(connection, gap_id)
    if held.ended_at is not None:
        return held
    # A clock that was set back meanwhile leaves a gap without length: when it began is all that is known.
    last = max(ended_at, held.began_at, key=microseconds)
    connection.execute(update(Gap).where(Gap.id == gap_id).values(ended_at=last))
    return _one(connection, gap_id)


def _end_gaps(connection: Connection, camera: str | None, ended_at: datetime) -> tuple[GapRecord, ...]:
    """The gaps of the camera, None for all, that lasted until now, ended."""
    return tuple(_end_gap(connection, gap.id, ended_at) for gap in _lasting(connection, camera))


def gaps(
    connection: Connection,
    cameras: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    now: datetime | None,
) -> tuple[GapRecord, ...]:
    """The gaps that share a moment with since <= time < until, as they began; those that began together as entered."""
    asked = of_cameras(connection, cameras, Camera.key)
    if since is not None and until is not None and since >= until:
        return ()
    within: list[ColumnElement[bool]] = [] if until is None else [Gap.began_at < until]
    if since is not None:  # the last is for a gap without length, which is a moment
        within.append(Gap.ended_at.is_(None) | (Gap.ended_at > since) | (Gap.began_at >= since))
    found = [_record(row) for row in connection.execute(_select().where(*asked, *within).order_by(Gap.key))]
    if now is not None:
        found += [gap for gap in _presumed(connection, asked, now) if until is None or gap.began_at < until]
    return tuple(sorted(found, key=lambda gap: gap.began_at))


def _watched(connection: Connection, camera: str, until: datetime | None) -> None:
    """Nothing; the camera's last sign of life is of `until`, None for one that nobody watches any more."""
    changed = connection.execute(update(Camera).where(Camera.name == camera).values(watched_until=until))
    if not changed.rowcount:
        connection.execute(insert(Camera).values(name=camera, watched_until=until))


def _watched_until(connection: Connection, camera: str) -> datetime | None:
    """When the camera's last sign of life was; None for one that is not watched, or not there."""
    return connection.execute(select(Camera.watched_until).where(Camera.name == camera)).scalar_one_or_none()


def _resume(connection: Connection, camera: str, at: datetime) -> tuple[GapRecord, ...]:
    """The gaps that came to an end as the camera is watched again from `at` on, that of nobody watching among them."""
    last = _watched_until(connection, camera)
    ended = [_end_gap(connection, gap.id, _end(gap, last, at)) for gap in _lasting(connection, camera)]
    if last is not None and last < at and all(gap.ended_at == last for gap in ended):
        stopped = _begin_gap(connection, camera, last, GapReason.STOPPED, _STOPPED)
        ended.append(_end_gap(connection, stopped.id, at))
    _watched(connection, camera, at)
    return tuple(ended)


def _end(gap: GapRecord, last: datetime | None, at: datetime) -> datetime:
    """Of a gap that a service left lasting: its last sign of life, if it came after the gap had begun.

    Else nothing tells when that service ended, and the gap stands for the time until `at`.
    """
    if last is None or gap.reason is GapReason.STOPPED:
        return at
    return last if gap.began_at < last < at else at


def _presumed(connection: Connection, asked: Sequence[ColumnElement[bool]], now: datetime) -> list[GapRecord]:
    """The gaps that the next start will enter, where one is due: of cameras that were left without a word."""
    lasting = select(Gap.key).where(Gap.camera_key == Camera.key, Gap.ended_at.is_(None)).exists()
    silent = select(Camera.name, Camera.watched_until).where(Camera.watched_until < now - UNWATCHED, ~lasting, *asked)
    reason = GapReason.STOPPED
    return [
        GapRecord(_gap_id(row.name, row.watched_until, reason), row.name, row.watched_until, None, reason, _STOPPED)
        for row in connection.execute(silent)
    ]


def _lasting(connection: Connection, camera: str | None) -> list[GapRecord]:
    lasting = _select().where(Gap.ended_at.is_(None)).order_by(Gap.began_at, Gap.key)
    if camera is not None:
        lasting = lasting.where(Camera.name == camera)
    return [_record(row) for row in connection.execute(lasting)]


def _one(connection: Connection, gap_id: str) -> GapRecord:
    row = connection.execute(_select().where(Gap.id == gap_id)).one_or_none()
    if row is None:
        raise UnknownRecord(f"The archive has no gap '{gap_id}': begin it first.")
    return _record(row)


def _select() -> Select[Any]:
    return select(Gap.__table__, Camera.name.label("camera")).join_from(Gap, Camera)


def _record(row: Row[Any]) -> GapRecord:
    return GapRecord(row.id, row.camera, row.began_at, row.ended_at, GapReason(row.reason), row.detail)


def _gap_id(camera: str, began_at: datetime, reason: GapReason) -> str:
    """16 hex digits that stay the same for the same gap, so that a writer that was killed may say it again."""
    parts = (camera, reason.value, str(microseconds(began_at)))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
