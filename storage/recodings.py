"""Faces of older weights in newer ones' terms: base layers that stand beside a face's own, which stays as it is.

A recoding belongs to one codec. Its layers come in small transactions, and whoever asks for the codec's layers sees
them from then on. Taken back, it is gone at once, and its layers in small steps. Finished, they take the place of
those faces' own layers that no picture hangs on: an enhancement is of use beside its own base layer alone.
"""

import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, or_, select, update

from storage.lookup import some, track_keys
from storage.reading import of_cameras
from storage.recoded import recoding_key
from storage.records import FaceToRecode, Generation, Progress, RecodingRecord
from storage.schema import (
    Codec,
    EnhancementBlob,
    EnhancementLayer,
    Face,
    RecodedLayer,
    Recoding,
    Track,
    Transaction,
    captured_at,
)
from storage.writing import register_codec, signed
from streamproc.errors import ArchiveError, UnknownRecord

STEP = 500
"""Faces in one transaction: some milliseconds, in which nobody else writes."""


_OF_THE_FACE = (EnhancementLayer.face_key == Face.key) & (EnhancementLayer.codec_key == Face.codec_key)
"""The enhancement that is of use beside the face's own layer."""


class Recodings:
    """The part of an archive that knows of newer weights."""

    def __init__(self, writing: Transaction, reading: Transaction) -> None:
        self._writing, self._reading = writing, reading

    def begin(self, codec_id: str, profile: str, weights: str, replaces: str, at: datetime) -> RecodingRecord:
        """The codec's recoding, begun or already there. ArchiveError while another one is neither finished nor taken
        back."""
        with self._writing() as connection:
            register_codec(connection, codec_id, profile)
            for other in _records(connection):
                if other.codec_id != codec_id and not other.finished:
                    raise ArchiveError(
                        f"The archive is being upgraded to {other.weights} ({other.codec_id}): finish that, or roll it "
                        "back, first."
                    )
            if not recoding_key(connection, codec_id):
                codec = connection.execute(select(Codec.key).where(Codec.id == codec_id)).scalar_one()
                values = {"codec_key": codec, "weights": weights, "replaces": replaces, "began_at": at}
                connection.execute(insert(Recoding).values(**values))
            return next(one for one in _records(connection) if one.codec_id == codec_id)

    def all(self) -> list[RecodingRecord]:
        """Every recoding, as they began."""
        with self._reading() as connection:
            return _records(connection)

    def to_do(self, codec_id: str, after: int, limit: int) -> list[FaceToRecode]:
        """The next faces above the key `after` that the codec did not write, nor code anew, and that have a picture;
        about `limit`, for of a track all are given: whoever keeps an index then finds them in one place."""
        with self._reading() as connection:
            question = (
                select(Face.key, Face.track_key, Codec.id, Face.payload, Face.checksum, EnhancementBlob.payload)
                .join_from(Face, Codec)
                .join(EnhancementLayer, _OF_THE_FACE)
                .join(EnhancementBlob, EnhancementBlob.digest == EnhancementLayer.digest)
                .where(Face.key > after, Codec.id != codec_id)
            )
            anew = select(RecodedLayer.key).where(
                RecodedLayer.face_key == Face.key, RecodedLayer.recoding_key == recoding_key(connection, codec_id)
            )
            rows = connection.execute(question.where(~anew.exists()).order_by(Face.key).limit(limit + 1)).all()
            return [
                FaceToRecode(key, track, wrote, base, checksum % 2**32, enhancement)
                for key, track, wrote, base, checksum, enhancement in _whole_tracks(rows, limit)
            ]

    def add(self, codec_id: str, layers: Sequence[tuple[int, bytes]]) -> int:
        """How many of the faces (key, base layer in the codec's terms) are coded anew; those that are gone are passed
        over. ArchiveError where the recoding was taken back meanwhile."""
        with self._writing() as connection:
            recoding = recoding_key(connection, codec_id)
            if not recoding:
                raise ArchiveError("The upgrade was rolled back while it ran: nothing more is coded anew.")
            there: set[int] = set()
            for part in some([key for key, _ in layers]):
                still = select(Face.key).where(Face.key.in_(part)).with_for_update(read=True, key_share=True)
                there |= set(connection.execute(still).scalars())
                done = select(RecodedLayer.face_key).where(
                    RecodedLayer.face_key.in_(part), RecodedLayer.recoding_key == recoding
                )
                there -= set(connection.execute(done).scalars())
            rows = [
                {"recoding_key": recoding, "face_key": key, "checksum": signed(zlib.crc32(data)), "payload": data}
                for key, data in layers
                if key in there
            ]
            if rows:
                connection.execute(insert(RecodedLayer), rows)
            return len(rows)

    def take_back(self, codec_id: str) -> Iterator[int]:
        """How many layers each step removed. The recoding is gone before the first. ArchiveError for a finished one,
        UnknownRecord where there is none."""
        with self._writing() as connection:
            record = _required(connection, codec_id)
            if record.finished:
                raise ArchiveError(
                    f"The upgrade to {record.weights} is finished, older layers are gone: put a backup in its place."
                )
            connection.execute(delete(Recoding).where(Recoding.key == recoding_key(connection, codec_id)))
        return self._cleared()

    def _cleared(self) -> Iterator[int]:
        """How many layers without a recoding each step removed."""
        lost = select(RecodedLayer.key).where(RecodedLayer.recoding_key.not_in(select(Recoding.key))).limit(STEP)
        while True:
            with self._writing() as connection:
                keys = connection.execute(lost).scalars().all()
                connection.execute(delete(RecodedLayer).where(RecodedLayer.key.in_(keys)))
            if not keys:
                return
            yield len(keys)

    def finish(self, codec_id: str) -> Iterator[int]:
        """How many faces each step gave their new layer for good, in place of their own; those with a picture keep
        both. Killed and begun again it goes on. Recodings of older codecs are gone. UnknownRecord where there is none.

        Each of them is a row of its own from then on, as if its track had been archived anew: indexes follow.
        """
        with self._writing() as connection:
            _required(connection, codec_id)
            recoding = recoding_key(connection, codec_id)
            connection.execute(update(Recoding).where(Recoding.key == recoding).values(finished=True))
            connection.execute(delete(Recoding).where(Recoding.key != recoding))
        return self._finished(recoding)

    def _finished(self, recoding: int) -> Iterator[int]:
        for _ in self._cleared():
            pass
        pictured = select(EnhancementLayer.face_key).where(EnhancementLayer.face_key == Face.key)
        bare = (
            select(Face.key, Face.track_key, Face.rank, Face.moment, Face.placement)
            .add_columns(RecodedLayer.payload, RecodedLayer.checksum, Recoding.codec_key)
            .join_from(RecodedLayer, Face)
            .join(Recoding, Recoding.key == RecodedLayer.recoding_key)
            .where(RecodedLayer.recoding_key == recoding, ~pictured.exists())
            .order_by(Face.track_key)
            .limit(STEP + 1)
        )
        while True:
            with self._writing() as connection:
                rows = _whole_tracks(connection.execute(bare).all(), STEP)
                if rows:
                    connection.execute(delete(Face).where(Face.key.in_([row.key for row in rows])))
                    connection.execute(insert(Face), [_without_key(row._mapping) for row in rows])
            if not rows:
                return
            yield len(rows)

    def progress(self, codec_id: str) -> Progress:
        """How many faces are in the codec's terms, by it or anew, how many can be, and how many have no picture."""
        with self._reading() as connection:
            anew = _count(connection, recoding_key(connection, codec_id))
            faces = connection.execute(select(func.count()).select_from(Face)).scalar_one()
            others = select(func.count()).select_from(Face).join(Codec).where(Codec.id != codec_id)
            older = connection.execute(others).scalar_one() - anew
            known = select(RecodedLayer.key).where(
                RecodedLayer.face_key == Face.key, RecodedLayer.recoding_key == recoding_key(connection, codec_id)
            )
            pictured = select(EnhancementLayer.face_key).where(_OF_THE_FACE)
            bare = connection.execute(others.where(~pictured.exists(), ~known.exists())).scalar_one()
            return Progress(faces - older, older - bare, bare)

    def layers(self, codec_id: str) -> int:
        """How many faces were coded anew with the codec and keep their own layer beside."""
        with self._reading() as connection:
            return _count(connection, recoding_key(connection, codec_id))

    def wrote(self, codec_id: str) -> list[str]:
        """The codecs that wrote the faces that were coded anew with this one, most faces first."""
        with self._reading() as connection:
            counted = (
                select(Codec.id)
                .join_from(RecodedLayer, Face)
                .join(Codec, Codec.key == Face.codec_key)
                .where(RecodedLayer.recoding_key == recoding_key(connection, codec_id))
                .group_by(Codec.key, Codec.id)
                .order_by(func.count().desc())
            )
            return list(connection.execute(counted).scalars())

    def sample(self, codec_id: str, count: int) -> list[int]:
        """The keys of `count` tracks at most with faces that were coded anew, spread evenly over them."""
        with self._reading() as connection:
            question = (
                select(Face.track_key)
                .join_from(RecodedLayer, Face)
                .where(RecodedLayer.recoding_key == recoding_key(connection, codec_id))
                .distinct()
                .order_by(Face.track_key)
            )
            keys = connection.execute(question).scalars().all()
        return [keys[k * len(keys) // count] for k in range(count)] if len(keys) > count else list(keys)

    def generations(
        self, codec_id: str, cameras: Sequence[str], since: datetime | None, until: datetime | None
    ) -> list[Generation]:
        """The other codecs that wrote tracks of the cameras, since <= time < until, of which the codec has nothing; the
        newest first. Tracks are counted by their best faces: one of which only another face is known counts, too."""
        with self._reading() as connection:
            asked: list[Any] = of_cameras(connection, cameras, Track.camera_key)
            asked += [] if since is None else [captured_at() >= since]
            asked += [] if until is None else [captured_at() < until]
            tracks = (
                select(Face.codec_key, func.count()).where(Face.rank == 0, *asked).group_by(Face.codec_key)
            ).select_from(Face)
            anew = tracks.join(RecodedLayer, RecodedLayer.face_key == Face.key).where(
                RecodedLayer.recoding_key == recoding_key(connection, codec_id)
            )
            if asked:
                tracks, anew = (
                    tracks.join(Track, Track.key == Face.track_key),
                    anew.join(Track, Track.key == Face.track_key),
                )
            written = {row[0]: row[1] for row in connection.execute(tracks)}
            known = {row[0]: row[1] for row in connection.execute(anew)}
            codecs = select(Codec.key, Codec.id, Codec.profile).where(Codec.id != codec_id).order_by(Codec.key.desc())
            return [
                Generation(name, profile, written[key], written[key] - known.get(key, 0))
                for key, name, profile in connection.execute(codecs)
                if written.get(key, 0) > known.get(key, 0)
            ]

    def known(self, codec_id: str, track_ids: Sequence[str]) -> frozenset[str]:
        """Those of the tracks of which the codec has a face."""
        with self._reading() as connection:
            keys = track_keys(connection, track_ids)
            found: set[int] = set()
            question = _tracks_in(codec_id, recoding_key(connection, codec_id))
            for part in some(list(keys.values())):
                found |= set(connection.execute(question.where(Face.track_key.in_(part))).scalars())
            return frozenset(name for name, key in keys.items() if key in found)


def _count(connection: Connection, recoding: int) -> int:
    return connection.execute(select(func.count()).where(RecodedLayer.recoding_key == recoding)).scalar_one()


def _tracks_in(codec_id: str, recoding: int) -> Select[int]:
    """The keys of the tracks with a face in the codec's terms."""
    written = Face.codec_key.in_(select(Codec.key).where(Codec.id == codec_id))
    anew = select(RecodedLayer.key).where(RecodedLayer.face_key == Face.key, RecodedLayer.recoding_key == recoding)
    return select(Face.track_key).where(or_(written, anew.exists()) if recoding else written)


def _required(connection: Connection, codec_id: str) -> RecodingRecord:
    for record in _records(connection):
        if record.codec_id == codec_id:
            return record
    raise UnknownRecord("The archive is not being upgraded to these weights: `streamproc upgrade run` begins that.")


def _records(connection: Connection) -> list[RecodingRecord]:
    question = (
        select(Codec.id, Recoding.weights, Recoding.replaces, Recoding.began_at, Recoding.finished)
        .join_from(Recoding, Codec)
        .order_by(Recoding.key)
    )
    return [RecodingRecord(*row) for row in connection.execute(question)]


def _whole_tracks(rows: Sequence[Any], limit: int) -> Sequence[Any]:
    """The rows without those of the last track, where there are more than `limit` and not all of one track."""
    if len(rows) <= limit:
        return rows
    return [row for row in rows if row.track_key != rows[-1].track_key] or rows


def _without_key(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "key"}
