"""What became of the archive's faces since somebody last looked: for whoever keeps an index of them.

Faces have keys that only grow, and a list tells which are gone. Who has worked off all up to a position asks for what
comes after it. A position is of use in the archive that gave it alone, and until what it did not see is forgotten.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, func, select

from storage.schema import ArchiveName, Codec, Face, RemovedFace, Track, captured_at, microseconds
from streamproc.errors import FeedLost

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FeedPosition:
    """All faces up to `face_key` and all removals up to `removal` of the archive `archive_id` are known."""

    archive_id: str
    face_key: int = 0
    removal: int = 0

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.archive_id}:{self.face_key}:{self.removal}"

    @staticmethod
    def parse(text: str) -> "FeedPosition":
        """The position that was written so; FeedLost for anything else."""
        try:
            archive_id, face_key, removal = text.split(":")
            return FeedPosition(archive_id, int(face_key), int(removal))
        except ValueError as error:
            raise FeedLost("What was kept beside the archive does not say how far it got: make it anew.") from error


@dataclass(frozen=True, slots=True, eq=False)
class FaceChanges:
    """What came and what went up to `position`; `end`: no more is known.

    Of each face that came: `keys`, `tracks` (N,) int64, `cameras` (N,) int32, `times` (N,) int64 in microseconds since
    1970 UTC, `payloads` and `checksums` of the base layers. `removed`: keys that are gone, (M,) int64, known or not.
    """

    position: FeedPosition
    end: bool
    keys: Keys
    tracks: Keys
    cameras: npt.NDArray[np.int32]
    times: Keys
    payloads: tuple[bytes, ...]
    checksums: tuple[int, ...]
    removed: Keys


def beginning(connection: Connection) -> FeedPosition:
    """Before the first face; what is gone already need not be told."""
    removal = select(func.coalesce(func.max(RemovedFace.key), 0)).scalar_subquery()
    archive_id, removal_key = connection.execute(select(ArchiveName.id, removal)).one()
    return FeedPosition(archive_id, 0, removal_key)


def face_changes(connection: Connection, codec_id: str, after: FeedPosition, limit: int) -> FaceChanges:
    """The next faces that the codec wrote, `limit` at most, and the next removals, as many at most."""
    require_known(connection, after)
    removals = connection.execute(
        select(RemovedFace.key, RemovedFace.face_key)
        .where(RemovedFace.key > after.removal)
        .order_by(RemovedFace.key)
        .limit(limit)
    ).all()
    faces = connection.execute(
        select(Face.key, Face.track_key, Track.camera_key, captured_at(), Face.payload, Face.checksum)
        .join_from(Face, Track)
        .join(Codec, Codec.key == Face.codec_key)
        .where(Face.key > after.face_key, Codec.id == codec_id)
        .order_by(Face.key)
        .limit(limit)
    ).all()
    if len(faces) == limit:
        last = int(faces[-1][0])
    else:  # faces of other codecs are passed over
        last = connection.execute(select(func.coalesce(func.max(Face.key), 0))).scalar_one()
    position = FeedPosition(
        after.archive_id, max(after.face_key, last), removals[-1].key if removals else after.removal
    )
    return FaceChanges(
        position=position,
        end=len(faces) < limit and len(removals) < limit,
        keys=np.array([row[0] for row in faces], np.int64),
        tracks=np.array([row[1] for row in faces], np.int64),
        cameras=np.array([row[2] for row in faces], np.int32),
        times=np.array([microseconds(row[3]) for row in faces], np.int64),
        payloads=tuple(row[4] for row in faces),
        checksums=tuple(row[5] % 2**32 for row in faces),
        removed=np.array([row.face_key for row in removals], np.int64),
    )


def require_known(connection: Connection, after: FeedPosition) -> None:
    """Nothing; FeedLost for another archive's position, for one that is ahead, and for one that was left behind."""
    if connection.execute(select(ArchiveName.id)).scalar_one() != after.archive_id:
        raise FeedLost("What was kept beside the archive is another one's: make it anew.")
    first, last = connection.execute(
        select(func.coalesce(func.min(RemovedFace.key), 1), func.coalesce(func.max(RemovedFace.key), 0))
    ).one()
    if after.removal > last:
        raise FeedLost("What was kept beside the archive is ahead of it: make it anew.")
    if after.removal < first - 1:
        raise FeedLost("What was kept beside the archive is too far behind it: make it anew.")
