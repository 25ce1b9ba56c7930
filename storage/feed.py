"""What became of the archive's faces since somebody last looked: for whoever keeps an index of them.

Faces have keys that only grow, and a list tells which are gone. Who has worked off all up to a position asks for what
comes after it. A position is of use in the archive that gave it alone, and until what it did not see is forgotten.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Row, func, select

from storage.recoded import recoding_key
from storage.schema import ArchiveName, Codec, Face, RecodedLayer, RemovedFace, Track, captured_at, microseconds
from streamproc.errors import FeedLost

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FeedPosition:
    """All faces up to `face_key` and all removals up to `removal` of the archive `archive_id` are known, and of the
    recoding of that key, 0 if there was none, all layers up to `recoded`."""

    archive_id: str
    face_key: int = 0
    removal: int = 0
    recoding: int = 0
    recoded: int = 0

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.archive_id}:{self.face_key}:{self.removal}:{self.recoding}:{self.recoded}"

    @staticmethod
    def parse(text: str) -> "FeedPosition":
        """The position that was written so; FeedLost for anything else."""
        try:
            archive_id, *numbers = text.split(":")
            face_key, removal, recoding, recoded = map(int, numbers)
            return FeedPosition(archive_id, face_key, removal, recoding, recoded)
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
    """The next faces that the codec wrote, `limit` at most, as many that were coded anew with it, and as many
    removals."""
    recoding = recoding_key(connection, codec_id)
    require_known(connection, after, recoding)
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
    recoded = _recoded(connection, recoding, after.recoded, limit) if recoding else []
    if len(faces) == limit:
        last = int(faces[-1][0])
    else:  # faces of other codecs are passed over
        last = connection.execute(select(func.coalesce(func.max(Face.key), 0))).scalar_one()
    position = FeedPosition(
        after.archive_id,
        max(after.face_key, last),
        removals[-1].key if removals else after.removal,
        recoding,
        recoded[-1].key if recoded else after.recoded,
    )
    rows = [tuple(row) for row in faces] + [tuple(row)[1:] for row in recoded]
    return FaceChanges(
        position=position,
        end=max(len(faces), len(recoded), len(removals)) < limit,
        keys=np.array([row[0] for row in rows], np.int64),
        tracks=np.array([row[1] for row in rows], np.int64),
        cameras=np.array([row[2] for row in rows], np.int32),
        times=np.array([microseconds(row[3]) for row in rows], np.int64),
        payloads=tuple(row[4] for row in rows),
        checksums=tuple(row[5] % 2**32 for row in rows),
        removed=np.array([row.face_key for row in removals], np.int64),
    )


def _recoded(connection: Connection, recoding: int, after: int, limit: int) -> list[Row[*tuple[Any, ...]]]:
    """The recoding's next layers: their keys, then what is told of faces."""
    layer = RecodedLayer
    question = (
        select(layer.key, Face.key, Face.track_key, Track.camera_key, captured_at(), layer.payload, layer.checksum)
        .join_from(layer, Face)
        .join(Track)
        .where(layer.recoding_key == recoding, layer.key > after)
        .order_by(layer.key)
        .limit(limit)
    )
    return list(connection.execute(question))


def require_known(connection: Connection, after: FeedPosition, recoding: int) -> None:
    """Nothing; FeedLost for another archive's position, for one that is ahead, for one that was left behind, and for
    one that knows a recoding that was taken back."""
    if after.recoding not in (0, recoding):
        raise FeedLost("What was kept beside the archive knows layers that were taken back: make it anew.")
    if connection.execute(select(ArchiveName.id)).scalar_one() != after.archive_id:
        raise FeedLost("What was kept beside the archive is another one's: make it anew.")
    first, last = connection.execute(
        select(func.coalesce(func.min(RemovedFace.key), 1), func.coalesce(func.max(RemovedFace.key), 0))
    ).one()
    if after.removal > last:
        raise FeedLost("What was kept beside the archive is ahead of it: make it anew.")
    if after.removal < first - 1:
        raise FeedLost("What was kept beside the archive is too far behind it: make it anew.")
