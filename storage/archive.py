"""The archive: what the pipeline writes and what search and reports read, in one database.

Writing is idempotent and can be killed anywhere. Ids follow from what was seen: a source's from its camera and its
content, a track's from its source and its place in it. An ingest that begins on an unfinished source raises the
source's `generation`; its tracks replace those of the same id; and when it finishes, what older generations left over
goes, in the same transaction that marks the source complete. Until then all that was archived once stays readable.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal

from sqlalchemy import Connection, Engine

from storage import feed, ledger, reading, retention, writing
from storage.databases import Database
from storage.erasure import Erasing
from storage.feed import FaceChanges, FeedPosition
from storage.holds import Holds
from storage.identities import Identities
from storage.ledger import Ledger
from storage.opening import open_archive
from storage.recodings import Recodings
from storage.records import ArchiveInfo, ArchiveRoom, ClearedStep, Removed, SourceEntry, TrackAdded, TrackRecord
from storage.reserve import Reserve
from storage.rules import Exempt, Rules
from storage.watches import Watches
from streamproc.types import BaseLayers, Clock, CodedTrack, FaceCode, FaceRecord, GapRecord, SourceResult


class Archive:
    """An open archive; a context manager. Any thread may use it, and any number of processes read and write: on SQLite
    one transaction writes at a time, on Postgres many add tracks at once."""

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, create: bool = False) -> "Archive":
        """The archive that `url` names: `sqlite:///archive.db`, a bare file name, or `postgresql+psycopg://...`.

        An older one is migrated. Raises ArchiveNotFound when there is none and it is not to be made (then nothing is),
        ArchiveError when something else is there.
        """
        return cls(*open_archive(url, create=create))

    @property
    def file(self) -> Path | None:
        """The file that it is in; None where a server keeps it."""
        return self._database.file

    def close(self) -> None:
        """Nothing; the database is let go of."""
        self._engine.dispose()

    def __enter__(self) -> "Archive":
        """The archive itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close."""
        self.close()

    # Writing

    def register_codec(self, codec_id: str, profile: str) -> None:
        """Nothing; layers written by this codec may be added from now on."""
        with self._writing() as connection:
            writing.register_codec(connection, codec_id, profile)

    def begin_source(
        self,
        camera: str,
        source: str,
        content_hash: str | None,
        started_at: datetime,
        codec_id: str,
        clock: Clock | None = None,
    ) -> SourceEntry:
        """The source's entry, with the result of the ingest that completed it, if one did.

        `content_hash` is None for a live source; `clock`: what tells its times, None where nobody says. A source that
        is complete in another codec counts as not complete: it was asked for in this one. UnknownRecord for a codec
        that was not registered.
        """
        with self._writing() as connection:
            return writing.begin_source(connection, camera, source, content_hash, started_at, codec_id, clock)

    def resume_session(
        self,
        camera: str,
        source: str,
        started_at: datetime,
        codec_id: str,
        *,
        clock: Clock | None = None,
        hidden: bool = False,
    ) -> SourceEntry:
        """The entry of a live camera's session, which goes on where it was, or begins; `clock` tells its times now.

        A camera that was not there and is to be `hidden` is spoken of only to who asks for it by its name.
        """
        with self._writing() as connection:
            return writing.begin_source(
                connection, camera, source, None, started_at, codec_id, clock, resume=True, hidden=hidden
            )

    def finish_session(self, camera: str, source: str, started_at: datetime, result: SourceResult) -> None:
        """Nothing; the session is complete. One that archived nothing has left no trace."""
        with self._writing() as connection:
            writing.finish_session(connection, camera, source, started_at, result)

    def add_track(self, source_id: str, track: CodedTrack) -> TrackAdded:
        """What became of it: the track and its faces are on the disk, in place of those of the same ordinal.

        Raises UnknownRecord for a source or a codec that is not there, CorruptCode for a base layer that does not match
        its checksum, ArchiveFull when there is no room; in each case nothing is written.
        """
        (added,) = self.add_tracks(source_id, [track])
        return added

    def add_tracks(self, source_id: str, tracks: Sequence[CodedTrack]) -> list[TrackAdded]:
        """What became of each: as `add_track`, all in one transaction. ValueError where two have one ordinal."""
        if len({track.ordinal for track in tracks}) < len(tracks):
            raise ValueError("two of the tracks have the same ordinal: give each its own")
        with self._writing("beside") as connection:
            return writing.add_tracks(connection, source_id, tracks)

    def finish_source(self, source_id: str, result: SourceResult) -> None:
        """Nothing; the source is complete with this result, and holds the tracks of its last generation alone."""
        with self._writing() as connection:
            writing.finish_source(connection, source_id, result)

    # Clearing up

    def clear(
        self, rules: Rules, now: datetime, exempt: Callable[[], Exempt] = Exempt, *, dry: bool = False
    ) -> Iterator[ClearedStep | None]:
        """What each step removed of a camera; None where it found nothing; a `dry` one removes nothing and tells it.

        Tracks and pictures that are over their time at `now` go, then the oldest pictures and at last the oldest tracks
        while there is too much. What is held, what a watch saw, and what `exempt` tells at each step stays. A step is
        one small transaction, so that others can write between two. Whoever is killed between them begins again. Search
        needs none of the pictures. The room is used again; `shrink` gives it back. ArchiveFull where the disk has no
        room even for a step of one track.
        """
        return retention.Clearing(self._writing, self._reading, self.room, rules, now, exempt, dry).steps()

    def room(self) -> ArchiveRoom:
        """How much room the archive takes, and how much there is."""
        with self._reading() as connection:
            return self._database.room(connection)

    @property
    def reserve(self) -> Reserve:
        """Room that can be kept for a full disk."""
        return Reserve(None if self.file is None else self.file.resolve())

    def take_in_log(self) -> None:
        """Nothing; room that is taken up only until the next time that nobody writes is free. ArchiveFull."""
        with self._database.explained():
            self._database.take_in_log(self._engine)

    def shrink(self, most: int) -> int:
        """The bytes of free room that the file gives back, `most` at most, of this order; 0: there is none.

        A megabyte takes milliseconds, in which nobody else writes.
        """
        with self._database.explained():
            return self._database.shrink(self._engine, most)

    def forget_hidden(self, camera: str, before: datetime) -> Removed:
        """What was removed of a hidden camera: its sessions that began before that time; nothing of any other."""
        with self._writing() as connection:
            return retention.forget_hidden(connection, camera, before)

    @property
    def erasing(self) -> Erasing:
        """What forgets a person."""
        return Erasing(self._writing, self._reading, self._database, self._engine)

    # The ledger of gaps

    @property
    def ledger(self) -> Ledger:
        """What is entered of cameras without usable video, and of who watches them."""
        return Ledger(self._writing, self._reading)

    def gaps(
        self,
        cameras: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        now: datetime | None = None,
    ) -> tuple[GapRecord, ...]:
        """The gaps of the cameras (none named: all) that share a moment with since <= time < until, as they began.

        A gap covers began_at <= time < ended_at; one that lasts has no end. With `now`, a camera that is in no gap but
        whose last sign of life is more than `ledger.UNWATCHED` old counts as in one from then on: nobody lived to enter
        it. UnknownRecord for a camera that is not there, naming those that are.
        """
        with self._reading() as connection:
            return ledger.gaps(connection, cameras, since, until, now)

    # What stays

    @property
    def holds(self) -> Holds:
        """Tracks that a user holds."""
        return Holds(self._writing, self._reading)

    # Who is who

    @property
    def identities(self) -> Identities:
        """Identities, and what users said of them."""
        return Identities(self._writing, self._reading, self._settled)

    @property
    def watches(self) -> Watches:
        """Who is watched for."""
        return Watches(self._writing, self._reading)

    # Newer weights

    @property
    def recodings(self) -> Recodings:
        """Faces of older weights in newer ones' terms."""
        return Recodings(self._writing, self._reading)

    # Reading

    def completed_source(self, camera: str, content_hash: str, codec_id: str) -> SourceResult | None:
        """What the ingest that completed this file at this camera in this codec came to; None when none did."""
        with self._reading() as connection:
            return reading.completed_source(connection, camera, content_hash, codec_id)

    def base_layers(
        self, codec_id: str, cameras: Sequence[str] = (), since: datetime | None = None, until: datetime | None = None
    ) -> BaseLayers:
        """Every base layer that this codec wrote, or wrote anew, seen by one of the cameras (none named: all), since <=
        time < until.

        Checksums are handed on, not compared. UnknownRecord for a camera that is not there, naming those that are.
        """
        with self._reading() as connection:
            return reading.base_layers(connection, codec_id, cameras, since, until)

    def base_layers_of_tracks(
        self, codec_id: str, tracks: Sequence[int], since: datetime | None = None, until: datetime | None = None
    ) -> BaseLayers:
        """As `base_layers`, of the tracks of these keys alone, which an index names; those that are gone are passed
        over, and faces that other codecs wrote are not counted."""
        with self._reading() as connection:
            return reading.base_layers_of_tracks(connection, codec_id, tracks, since, until)

    def other_codec(
        self, codec_id: str, cameras: Sequence[str] = (), since: datetime | None = None, until: datetime | None = None
    ) -> int:
        """How many faces other codecs wrote and this one has not, either, seen by one of the cameras (none named: all),
        since <= time < until."""
        with self._reading() as connection:
            return reading.other_codec(connection, codec_id, cameras, since, until)

    def faces(self, face_ids: Sequence[str]) -> list[FaceRecord]:
        """The faces' records in the order asked; UnknownRecord names the first that is not there."""
        with self._reading() as connection:
            return reading.faces(connection, face_ids)

    def code(self, face_id: str) -> FaceCode:
        """The face's layers; UnknownRecord when it is not there, CorruptCode when its base layer was damaged since."""
        with self._reading() as connection:
            return reading.code(connection, face_id)

    def tracks(
        self, cameras: Sequence[str] = (), since: datetime | None = None, until: datetime | None = None
    ) -> list[TrackRecord]:
        """The tracks that touch since <= time < until, of the cameras (none named: all), in the order they began."""
        with self._reading() as connection:
            return reading.tracks(connection, cameras, since, until)

    def info(self, now: datetime | None = None) -> ArchiveInfo:
        """What the archive holds, counted now; its gaps as `gaps` tells them."""
        with self._reading() as connection:
            return reading.info(connection, self._database, ledger.gaps(connection, (), None, None, now))

    # For indexes kept beside it

    @property
    def index_folder(self) -> Path:
        """Where indexes of the archive are kept: beside its file, or, where a server keeps it, in the user's cache
        folder; all in it can be made anew from the archive."""
        return self._database.beside("index", self.beginning().archive_id)

    def beginning(self) -> FeedPosition:
        """The position before the archive's first face."""
        with self._settled() as connection:
            return feed.beginning(connection)

    def face_changes(self, codec_id: str, after: FeedPosition, limit: int) -> FaceChanges:
        """The faces that this codec wrote after that position, or coded anew, and what was removed, `limit` of each.

        Faces of hidden cameras are among them. Raises FeedLost where the position is not this archive's, or what it did
        not see is forgotten: begin anew.
        """
        with self._settled() as connection:
            return feed.face_changes(connection, codec_id, after, limit)

    def camera_keys(self, cameras: Sequence[str] = ()) -> tuple[int, ...] | None:
        """The keys of the cameras; where none is named, of all that are not hidden, None where none is.

        UnknownRecord for a camera that is not there, naming those that are.
        """
        with self._reading() as connection:
            return reading.camera_keys(connection, cameras)

    @contextmanager
    def _writing(self, writes: Literal["alone", "beside"] = "alone") -> Iterator[Connection]:
        with (
            self._database.explained(),
            self._engine.connect().execution_options(writes=writes) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._database.explained(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _settled(self) -> Iterator[Connection]:
        with self._database.explained(), self._database.settled(self._engine) as connection:
            yield connection
