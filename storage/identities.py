"""Identities in the archive: numbers, which track a machine gave to which, and the log of what users said."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, insert, select, update

from storage.identity_schema import Identity, IdentityAct
from storage.lookup import passing, some, track_keys, track_records, tracks_by_key
from storage.records import ActRecord, IdentityTracks, TrackFaces, TrackRecord
from storage.schema import Track, Transaction
from streamproc.errors import ArchiveError


class Identities:
    """The part of an archive that knows who is who."""

    def __init__(self, writing: Transaction, reading: Transaction, settled: Transaction) -> None:
        self._writing, self._reading, self._settled = writing, reading, settled

    def begin(self, at: datetime, count: int = 1) -> list[int]:
        """The numbers of so many new identities."""
        with self._writing() as connection:
            new = insert(Identity).returning(Identity.key, sort_by_parameter_order=True)
            return list(connection.execute(new, [{"began_at": at}] * count).scalars())

    def assign(self, homes: Mapping[str, str | None]) -> None:
        """Nothing; a machine puts tracks (ids) into identities (names), None: into none. Those that are gone are passed
        over."""
        with self._writing() as connection:
            keys = track_keys(connection, list(homes))
            rows = [{"track": keys[name], "home": home} for name, home in homes.items() if name in keys]
            if rows:
                one = update(Track).where(Track.key == bindparam("track")).values(identity_id=bindparam("home"))
                connection.execute(one, rows)

    def join(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Nothing; one after the other, each pair's first identity's tracks are the second's."""
        with self._writing() as connection:
            for gone, into in pairs:
                connection.execute(update(Track).where(Track.identity_id == gone).values(identity_id=into))

    def acts(self) -> list[ActRecord]:
        """What users said, from the first on."""
        with self._reading() as connection:
            rows = connection.execute(
                select(IdentityAct.key, IdentityAct.at, IdentityAct.by, IdentityAct.act).order_by(IdentityAct.key)
            )
            return [ActRecord(*row) for row in rows]

    def newest_act(self) -> int:
        """The number of the last thing that a user said; 0 where nobody did."""
        with self._reading() as connection:
            return _newest_act(connection)

    def enter(self, act: str, by: str, at: datetime, after: int) -> ActRecord:
        """The act, in the log after act number `after` (0: the first).

        Raises ArchiveError where somebody else entered one meanwhile: what was looked at is out of date then.
        """
        with self._writing() as connection:
            if _newest_act(connection) != after:
                raise ArchiveError("Somebody else changed identities at the same moment: look again, and repeat it.")
            key = connection.execute(insert(IdentityAct).values(at=at, by=by, act=act)).inserted_primary_key
        assert key is not None
        return ActRecord(int(key[0]), at, by, act)

    def known(self, numbers: Iterable[int]) -> set[int]:
        """Those of the numbers that were given to an identity."""
        with self._reading() as connection:
            found: set[int] = set()
            for part in some(sorted(set(numbers))):
                found |= set(connection.execute(select(Identity.key).where(Identity.key.in_(part))).scalars())
            return found

    def passing(self, codec_id: str, after: int, limit: int) -> tuple[list[TrackFaces], int]:
        """(tracks with faces that this codec wrote and that came after the position, or were written anew, of `limit`
        faces at most; the position that they lead to). 0 is before everything; the same position: nothing came."""
        with self._settled() as connection:
            return passing(connection, codec_id, after, limit)

    def tracks(self, homes: Sequence[str], track_ids: Sequence[str] = ()) -> list[TrackRecord]:
        """The tracks that a machine put into one of the identities, and those of the ids, as they began."""
        with self._reading() as connection:
            keys = list(track_keys(connection, track_ids).values())
            found: dict[str, TrackRecord] = {}
            for part in some(homes):
                found |= {one.id: one for one in track_records(connection, [Track.identity_id.in_(part)])}
            for chosen in some(keys):
                found |= {one.id: one for one in tracks_by_key(connection, chosen).values()}
            return sorted(found.values(), key=lambda one: (one.started_at, one.id))

    def all(self) -> list[IdentityTracks]:
        """Every identity that a machine put tracks into: how many, first and last."""
        with self._reading() as connection:
            rows = connection.execute(
                select(Track.identity_id, func.count(), func.min(Track.started_at), func.max(Track.ended_at))
                .where(Track.identity_id.is_not(None))
                .group_by(Track.identity_id)
                .order_by(Track.identity_id)
            )
            return [IdentityTracks(name, count, first, last) for name, count, first, last in rows if name is not None]


def _newest_act(connection: Connection) -> int:
    return connection.execute(select(func.coalesce(func.max(IdentityAct.key), 0))).scalar_one()
