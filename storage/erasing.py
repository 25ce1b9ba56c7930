"""What goes with a person: rows of every table, what users said, and the bytes that are to be found nowhere after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from storage.byte_search import pieces
from storage.identity_schema import Identity, IdentityAct, Sighting, Watch
from storage.lookup import face_keys, some, track_keys
from storage.naming import face_id
from storage.schema import EnhancementBlob, EnhancementLayer, Face, RecodedLayer, Source, Track
from streamproc.errors import ArchiveError


@dataclass(frozen=True, slots=True)
class Erasure:
    """Whom to erase: tracks and faces by id, identities by number, watches by name; and what becomes of what users
    said up to act number `after`: new texts by number, and the `act` that says what was done, `by` whom.

    Files in the folders `pictures` go whose name begins with an erased face's id, or is one of `picture_names`.
    """

    tracks: tuple[str, ...]
    faces: tuple[str, ...]
    identities: tuple[int, ...]
    watches: tuple[str, ...]
    acts: Mapping[int, str]
    act: str
    by: str
    after: int
    pictures: tuple[str, ...] = ()
    picture_names: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Going:
    """What an erasure takes: how many of each, the ids of the faces, and the pieces of all their bytes."""

    tracks: int
    faces: int
    pictures: int
    sightings: int
    watches: int
    identities: int
    acts: int
    face_ids: tuple[str, ...]
    pieces: tuple[bytes, ...]


def going(connection: Connection, asked: Erasure) -> Going:
    """What the erasure takes; nothing is changed."""
    tracks, faces = _keys(connection, asked)
    emptied = _emptied(connection, tracks, faces)
    digests, pictures = _pictures(connection, faces)
    watched = _watches(connection, asked)
    recoded = _recoded(connection, faces)
    values = [payload for _, payload in faces.values()] + recoded + digests
    values += [feature for feature in watched.values() if feature]
    said = {number: text for part in some(list(asked.acts)) for number, text in _acts(connection, part)}
    values += [_name(text) for number, text in said.items() if text != asked.acts[number]]
    return Going(
        tracks=len(tracks) + len(emptied),
        faces=len(faces),
        pictures=pictures,
        sightings=_sightings(connection, [*tracks, *emptied], list(watched)),
        watches=len(watched),
        identities=sum(len(_identities(connection, part)) for part in some(asked.identities)),
        acts=sum(said[number] != text for number, text in asked.acts.items() if number in said),
        face_ids=tuple(name for name, _ in faces.values()),
        pieces=tuple(dict.fromkeys(piece for value in values for piece in pieces(value))),
    )


def erase(connection: Connection, asked: Erasure, at: datetime) -> int:
    """The number of the act that says so; all of it is gone.

    ArchiveError where somebody said something of identities since it was asked."""
    newest = connection.execute(select(func.coalesce(func.max(IdentityAct.key), 0))).scalar_one()
    if newest != asked.after:
        raise ArchiveError("Somebody changed identities at the same moment: look again, and repeat it.")
    tracks, faces = _keys(connection, asked)
    tracks += _emptied(connection, tracks, faces)
    for part in some(list(faces)):
        connection.execute(delete(Face).where(Face.key.in_(part)))
    for part in some(tracks):
        connection.execute(delete(Track).where(Track.key.in_(part)))
    for names in some(asked.watches):
        connection.execute(delete(Watch).where(Watch.name.in_(names)))
    for numbers in some(asked.identities):
        connection.execute(delete(Identity).where(Identity.key.in_(numbers)))
    for number, text in asked.acts.items():
        connection.execute(update(IdentityAct).where(IdentityAct.key == number).values(act=text))
    key = connection.execute(insert(IdentityAct).values(at=at, by=asked.by, act=asked.act)).inserted_primary_key
    assert key is not None
    return int(key[0])


def entered(connection: Connection, number: int, act: str) -> bool:
    """Whether the erasure that this act speaks of took place."""
    return connection.execute(select(IdentityAct.act).where(IdentityAct.key == number)).scalar() == act


def still_used(connection: Connection, wanted: Sequence[bytes]) -> set[bytes]:
    """Those of the pieces that are part of what stays: the very same bytes."""
    acts = [act.encode() for act in connection.execute(select(IdentityAct.act)).scalars()]
    used = {piece for piece in wanted if any(piece in act for act in acts)}
    for column in (Face.payload, RecodedLayer.payload, EnhancementBlob.payload):
        server = connection.dialect.name == "postgresql"
        digits = func.encode(column, "hex") if server else func.lower(func.hex(column))
        for piece in set(wanted) - used:
            held = select(func.count()).where(digits.contains(piece.hex()))
            used |= {piece} if connection.execute(held).scalar_one() else set()
    return used


def _keys(connection: Connection, asked: Erasure) -> tuple[list[int], dict[int, tuple[str, bytes]]]:
    """(keys of the tracks, ids and base layers of their faces and of the others asked for, by key)."""
    tracks = list(track_keys(connection, asked.tracks).values())
    chosen = list(face_keys(connection, asked.faces).values())
    question = select(Face.key, Source.id, Track.ordinal, Face.rank, Face.payload).join_from(Face, Track).join(Source)
    faces = {}
    for column, keys in ((Face.track_key, tracks), (Face.key, chosen)):
        for chosen_part in some(keys):
            for key, source, ordinal, rank, payload in connection.execute(question.where(column.in_(chosen_part))):
                faces[key] = face_id(source, ordinal, rank), payload
    return tracks, faces


def _emptied(connection: Connection, tracks: list[int], faces: Mapping[int, object]) -> list[int]:
    """The other tracks that are left without a face."""
    found: list[int] = []
    for part in some(list(faces)):
        of_part = select(Face.track_key).where(Face.key.in_(part)).distinct()
        found += connection.execute(of_part).scalars()
    others = sorted(set(found) - set(tracks))
    kept: set[int] = set()
    for part in some(others):
        rows = connection.execute(select(Face.track_key, Face.key).where(Face.track_key.in_(part)))
        kept |= {track for track, key in rows if key not in faces}
    return [track for track in others if track not in kept]


def _recoded(connection: Connection, faces: Mapping[int, object]) -> list[bytes]:
    """What newer weights wrote of the faces."""
    found: list[bytes] = []
    for part in some(list(faces)):
        found += connection.execute(select(RecodedLayer.payload).where(RecodedLayer.face_key.in_(part))).scalars()
    return found


def _pictures(connection: Connection, faces: Mapping[int, object]) -> tuple[list[bytes], int]:
    """(the enhancement layers that no other face has, how many the faces have)."""
    users: dict[bytes, int] = {}
    for part in some(list(faces)):
        held = select(EnhancementLayer.digest).where(EnhancementLayer.face_key.in_(part))
        for digest in connection.execute(held).scalars():
            users[digest] = users.get(digest, 0) + 1
    payloads = []
    for digests in some(list(users)):
        question = (
            select(EnhancementBlob.digest, EnhancementBlob.payload, func.count())
            .join_from(EnhancementBlob, EnhancementLayer)
            .where(EnhancementBlob.digest.in_(digests))
            .group_by(EnhancementBlob.digest, EnhancementBlob.payload)
        )
        payloads += [payload for digest, payload, count in connection.execute(question) if count == users[digest]]
    return payloads, sum(users.values())


def _watches(connection: Connection, asked: Erasure) -> dict[int, bytes | None]:
    found: dict[int, bytes | None] = {}
    for names in some(asked.watches):
        rows = connection.execute(select(Watch.key, Watch.feature).where(Watch.name.in_(names)))
        found |= {row.key: row.feature for row in rows}
    return found


def _sightings(connection: Connection, tracks: list[int], watches: list[int]) -> int:
    found: set[int] = set()
    for column, keys in ((Sighting.track_key, tracks), (Sighting.watch_key, watches)):
        for part in some(keys):
            found |= set(connection.execute(select(Sighting.key).where(column.in_(part))).scalars())
    return len(found)


def _identities(connection: Connection, numbers: Sequence[int]) -> list[int]:
    return list(connection.execute(select(Identity.key).where(Identity.key.in_(numbers))).scalars())


def _name(act: str) -> bytes:
    """The part of the text that says what somebody is called; empty where nothing does."""
    place = act.find('"name"')
    return act[place:].encode() if place >= 0 else b""


def _acts(connection: Connection, numbers: Sequence[int]) -> list[tuple[int, str]]:
    rows = connection.execute(select(IdentityAct.key, IdentityAct.act).where(IdentityAct.key.in_(numbers)))
    return [(key, act) for key, act in rows]
