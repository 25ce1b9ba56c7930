"""What in an archive does not agree, and how it is mended: rows that point at nothing, bytes other than those written.

Finding changes nothing. Mending removes what is lost anyway and says so; a base layer with one flipped bit is no loss:
its checksum tells which bit that was.
"""

import hashlib
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute

from storage.holds import Hold
from storage.identity_schema import Identity, Sighting, Watch
from storage.lookup import some
from storage.reading import faces_by_key
from storage.schema import (
    ArchiveName,
    Camera,
    Codec,
    EnhancementBlob,
    EnhancementLayer,
    Face,
    RecodedLayer,
    RemovedFace,
    Source,
    Track,
)
from storage.writing import DIGEST_BYTES, signed

NAMED = 5
"""Ids that a sentence lists at most."""
AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Problem:
    """What does not agree and what to do, in a sentence; what mending did, in another; and the mending itself."""

    said: str
    mended: str
    mend: Callable[[Connection], None]


_POINTERS: tuple[tuple[InstrumentedAttribute[Any], InstrumentedAttribute[Any], str], ...] = (
    (Track.source_key, Source.key, "tracks of no source"),
    (Track.camera_key, Camera.key, "tracks of no camera"),
    (Face.track_key, Track.key, "faces without a track, so that nobody knows when and where they were seen"),
    (Face.codec_key, Codec.key, "faces of an unknown codec"),
    (EnhancementLayer.face_key, Face.key, "enhancement layers without a face"),
    (EnhancementLayer.digest, EnhancementBlob.digest, "enhancement layers whose bytes are missing"),
    (RecodedLayer.face_key, Face.key, "base layers of newer weights without a face"),
    (Sighting.track_key, Track.key, "sightings of tracks that are gone"),
    (Sighting.watch_key, Watch.key, "sightings of watches that are gone"),
    (Hold.track_key, Track.key, "holds on tracks that are gone"),
)
"""What points at what, and what it is called where that is not there; in this order they are mended."""


def problems(connection: Connection) -> Iterator[Problem]:
    """Everything that does not agree, after all layers were read."""
    for pointer, target, called in _POINTERS:
        yield from _dangling(connection, pointer, target, called)
    yield from _unused(connection)
    yield from _bases(connection)
    yield from _pictures(connection)
    yield from _identities(connection)
    yield from _removed(connection)
    yield from _counts(connection)
    yield from _name(connection)


def _dangling(
    connection: Connection, pointer: InstrumentedAttribute[Any], target: InstrumentedAttribute[Any], called: str
) -> Iterator[Problem]:
    lost = ~exists().where(target == pointer)
    count = connection.execute(select(func.count()).select_from(pointer.class_).where(lost)).scalar_one()
    if count:
        yield Problem(
            f"There are {count} {called}: put a backup in the archive's place, or let --mend remove them.",
            f"{count} {called} were removed.",
            lambda connection: _executed(connection, delete(pointer.class_).where(lost)),
        )


def _unused(connection: Connection) -> Iterator[Problem]:
    lost = ~exists().where(EnhancementLayer.digest == EnhancementBlob.digest)
    question = select(func.count(), func.coalesce(func.sum(func.length(EnhancementBlob.payload)), 0)).where(lost)
    count, size = connection.execute(question).one()
    if count:
        yield Problem(
            f"The bytes of {count} enhancement layers ({size}) belong to no face: let --mend remove them.",
            f"The bytes of {count} enhancement layers that belonged to no face were removed.",
            lambda connection: _executed(connection, delete(EnhancementBlob).where(lost)),
        )


def _bases(connection: Connection) -> Iterator[Problem]:
    whole, lost = dict[int, tuple[bytes, int]](), list[int]()
    rows = connection.execute(select(Face.key, Face.payload, Face.checksum), execution_options={"yield_per": AT_ONCE})
    for key, payload, checksum in rows:
        if zlib.crc32(payload) != checksum % 2**32:
            right = unflipped(payload, checksum % 2**32)
            if right is None:
                lost.append(key)
            else:
                whole[key] = right
    if whole:
        yield Problem(
            f"{len(whole)} base layers have one flipped bit ({_named(connection, list(whole))}), which their checksum "
            "tells: let --mend turn it back, and see to the disk and the memory.",
            f"{len(whole)} base layers with one flipped bit are whole again.",
            lambda connection: _turn_back(connection, whole),
        )
    if lost:
        yield Problem(
            f"{len(lost)} base layers do not match their checksums ({_named(connection, lost)}): put a backup in the "
            "archive's place, or let --mend remove those faces, which can be found and shown no more.",
            f"{len(lost)} faces were removed whose base layers did not match their checksums "
            f"({_named(connection, lost)}).",
            lambda connection: _remove(connection, Face.key, lost),
        )


def unflipped(payload: bytes, checksum: int) -> tuple[bytes, int] | None:
    """The payload and checksum as they were before one bit of either was flipped; None where that is not what happened.

    A CRC-32 of so few bytes tells every single flipped bit from every other.
    """
    wrong = zlib.crc32(payload) ^ checksum
    if wrong.bit_count() == 1:
        return payload, zlib.crc32(payload)
    number = int.from_bytes(payload, "big")
    for bit in range(8 * len(payload)):
        tried = (number ^ (1 << bit)).to_bytes(len(payload), "big")
        if zlib.crc32(tried) == checksum:
            return tried, checksum
    return None


def _turn_back(connection: Connection, whole: dict[int, tuple[bytes, int]]) -> None:
    rows = [{"of": key, "payload": data, "checksum": signed(checksum)} for key, (data, checksum) in whole.items()]
    connection.execute(update(Face).where(Face.key == bindparam("of")), rows)


def _pictures(connection: Connection) -> Iterator[Problem]:
    question = select(EnhancementBlob.digest, EnhancementBlob.payload)
    rows = connection.execute(question, execution_options={"yield_per": AT_ONCE})
    lost = [key for key, data in rows if hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest() != key]
    if lost:

        def remove(connection: Connection) -> None:
            _remove(connection, EnhancementLayer.digest, lost)
            _remove(connection, EnhancementBlob.digest, lost)

        yield Problem(
            f"{len(lost)} enhancement layers are not what was written: put a backup in the archive's place, or let "
            "--mend remove them; their faces are still found, and shown from their base layers.",
            f"{len(lost)} damaged enhancement layers were removed; their faces are still found.",
            remove,
        )


def _identities(connection: Connection) -> Iterator[Problem]:
    known = {f"p{number}" for number in connection.execute(select(Identity.key)).scalars()}
    used = select(Track.identity_id).where(Track.identity_id.is_not(None)).distinct()
    unknown = sorted(name for name in connection.execute(used).scalars() if name is not None and name not in known)
    if unknown:

        def free(connection: Connection) -> None:
            for part in some(unknown):
                _executed(connection, update(Track).where(Track.identity_id.in_(part)).values(identity_id=None))

        yield Problem(
            f"Tracks are said to be of {len(unknown)} identities that there are not ({', '.join(unknown[:NAMED])}): "
            "let --mend have them gathered anew.",
            f"The tracks of {len(unknown)} identities that there are not will be gathered anew.",
            free,
        )


def _removed(connection: Connection) -> Iterator[Problem]:
    held = exists().where(Face.key == RemovedFace.face_key)
    count = connection.execute(select(func.count()).select_from(RemovedFace).where(held)).scalar_one()
    if count:

        def anew(connection: Connection) -> None:
            _executed(connection, delete(RemovedFace).where(held))
            _rename(connection)

        yield Problem(
            f"{count} faces that are there are in the list of removed ones, so that no index finds them: let --mend "
            "correct the list and have indexes made anew.",
            f"{count} faces were taken off the list of removed ones; indexes will be made anew.",
            anew,
        )


def _counts(connection: Connection) -> Iterator[Problem]:
    faces = select(func.count()).select_from(Face).join(Track).where(Track.source_key == Source.key).scalar_subquery()
    more = connection.execute(select(Source.key, faces).where(Source.complete, Source.archived < faces)).all()
    if more:

        def count(connection: Connection) -> None:
            for key, held in more:
                _executed(connection, update(Source).where(Source.key == key).values(archived=held))

        yield Problem(
            f"{len(more)} complete sources hold more faces than their ingest counted: let --mend correct the counts.",
            f"The counts of {len(more)} sources are right again.",
            count,
        )


def _name(connection: Connection) -> Iterator[Problem]:
    names = connection.execute(select(func.count()).select_from(ArchiveName)).scalar_one()
    if names != 1:
        yield Problem(
            f"The archive has {names} names of its own instead of one: let --mend give it a new one.",
            "The archive has a new name of its own; indexes will be made anew.",
            _rename,
        )


def _rename(connection: Connection) -> None:
    """Nothing; the archive has a new name, so that no index that follows it goes on."""
    connection.execute(delete(ArchiveName))
    connection.execute(insert(ArchiveName).values(id=uuid.uuid4().hex))


def _remove(connection: Connection, column: InstrumentedAttribute[Any], values: Sequence[Any]) -> None:
    for part in some(values):
        connection.execute(delete(column.class_).where(column.in_(part)))


def _executed(connection: Connection, statement: Any) -> None:
    connection.execute(statement)


def _named(connection: Connection, keys: Sequence[int]) -> str:
    """The names of some of the faces."""
    found = [record.id for record in faces_by_key(connection, keys[:NAMED]).values()]
    return ", ".join(found) + (", ..." if len(keys) > NAMED else "")
