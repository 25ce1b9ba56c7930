"""An erasure from beginning to end: rows, the log of the database, indexes, picture files; and its proof.

1. In one transaction the rows go, overwritten with zeros, and a list of pieces of their bytes is on the disk beside
   the archive (FILE.erasing): who is killed from here on can be followed up.
2. The write-ahead log is emptied, the search index removed (it is made anew of what is left), picture files removed.
3. Every file of the archive is searched for the pieces. Where some are found, in room that was freed by a program that
   did not overwrite it, the file is written anew, and searched once more.
4. Nothing was found: the list goes.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from storage import erasing
from storage.backup import clear_away
from storage.byte_search import Found, Progress, search
from storage.databases import Database
from storage.erasing import Erasure, Going
from storage.feed import beginning
from storage.naming import face_place
from storage.schema import Transaction
from storage.unfinished import gone, left_over, removed, settled, whole
from streamproc.errors import ArchiveError


@dataclass(frozen=True, slots=True)
class Searched:
    """A file, its bytes, and in how many places of it a piece of the person was found."""

    path: Path
    bytes: int
    found: int


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What was erased, when and by whom (act number `act` of the log says so), what was searched afterwards, and
    whether that `proves` that nothing is left.

    `pieces` were looked for in all of `files`; `shared` of them are also part of faces that stay, the very same bytes;
    `rewritten`: the archive was written anew, for pieces were found in free room of it. `picture_files` were removed.
    """

    at: datetime
    by: str
    act: int
    tracks: int
    faces: int
    pictures: int
    sightings: int
    holds: int
    watches: int
    identities: int
    acts: int
    index_removed: bool
    picture_files: tuple[str, ...]
    pieces: int
    shared: int
    files: tuple[Searched, ...]
    rewritten: bool
    proves: bool


@dataclass(frozen=True, slots=True)
class _Begun:
    """An erasure under way, as FILE.erasing keeps it."""

    at: str
    by: str
    act: int
    text: str
    counts: dict[str, int]
    face_ids: list[str]
    pieces: list[str]
    pictures: list[str]
    picture_names: list[str]


class Erasing:
    """The part of an archive that forgets people."""

    def __init__(self, writing: Transaction, reading: Transaction, database: Database, engine: Engine) -> None:
        self._writing, self._reading = writing, reading
        self._database, self._engine = database, engine

    def going(self, asked: Erasure) -> Going:
        """What that would erase; nothing is changed."""
        with self._reading() as connection:
            return erasing.going(connection, asked)

    def erase(self, asked: Erasure, at: datetime, progress: Progress) -> ErasureReport:
        """What was erased, with the proof.

        Raises ArchiveError where another erasure was begun and not completed, where somebody said something of
        identities since this one was planned, or where pieces are left: `complete` goes on then."""
        if self._begun() is not None:
            raise ArchiveError("An erasure was begun and is not complete: complete that one first.")
        to_find = self._list
        to_find.absolute().parent.mkdir(parents=True, exist_ok=True)
        clear_away(to_find)
        with self._writing() as connection:
            taken = erasing.going(connection, asked)
            act = erasing.erase(connection, asked, at)
            begun = _Begun(
                at.astimezone(UTC).isoformat(),
                asked.by,
                act,
                asked.act,
                {key: value for key, value in asdict(taken).items() if isinstance(value, int)},
                list(taken.face_ids),
                [piece.hex() for piece in taken.pieces],
                list(asked.pictures),
                sorted(asked.picture_names),
            )
            with whole(to_find) as written:
                written.touch(0o600)
                written.write_text(json.dumps(asdict(begun)), encoding="utf-8")
        return self._finished(begun, progress)

    def complete(self, progress: Progress) -> ErasureReport | None:
        """What an erasure came to that was begun, and cut off or not proven; None where there is none.

        Raises as `erase`."""
        begun = self._begun()
        if begun is None:
            return None
        with self._reading() as connection:
            happened = erasing.entered(connection, begun.act, begun.text)
        if not happened:  # killed before its transaction ended: all is as it was
            removed(self._list)
            return None
        return self._finished(begun, progress)

    def _finished(self, begun: _Begun, progress: Progress) -> ErasureReport:
        index = self._beside("index")
        index_removed = index.exists()
        gone(index)
        pictures = _removed_pictures(begun)
        clear_away(self._list.with_suffix(""))
        wanted = [bytes.fromhex(piece) for piece in begun.pieces]
        with self._database.explained():
            self._database.empty_log(self._engine)
            own = bool(self._database.own_files(self._engine))
            found, shared, rewritten = search(self._files(begun), wanted, progress), set[bytes](), False
            if found or not own:  # in room that was freed by what does not overwrite it, or who knows where
                progress("writing the archive anew", 0, 1)
                self._database.rewrite(self._engine)
                self._database.empty_log(self._engine)
                progress("writing the archive anew", 1, 1)
                rewritten = True
                found = search(self._files(begun), wanted, progress)
                with self._reading() as connection:
                    shared = erasing.still_used(connection, sorted({one.piece for one in found}))
        left = [one for one in found if one.piece not in shared]
        report = ErasureReport(
            at=datetime.fromisoformat(begun.at),
            by=begun.by,
            act=begun.act,
            **begun.counts,
            index_removed=index_removed,
            picture_files=tuple(map(str, pictures)),
            pieces=len(wanted),
            shared=len(shared),
            files=tuple(_searched(path, left) for path in self._files(begun)),
            rewritten=rewritten,
            proves=own and not left,
        )
        if left:
            places = sorted({str(one.path) for one in left})
            raise ArchiveError(
                f"The rows are gone, but bytes of the person are left in {', '.join(places)}: end whoever reads the "
                "archive, remove what is no part of it, and run `streamproc erase` again to complete it."
            )
        removed(self._list)
        settled(self._list.absolute().parent)
        return report

    @property
    def _list(self) -> Path:
        """What is to be looked for, while an erasure is under way."""
        return self._beside("erasing")

    def _beside(self, what: str) -> Path:
        with self._reading() as connection:
            return self._database.beside(what, beginning(connection).archive_id)

    def _begun(self) -> _Begun | None:
        if not self._list.exists():
            return None
        return _Begun(**json.loads(self._list.read_text(encoding="utf-8")))

    def _files(self, begun: _Begun) -> list[Path]:
        """The archive's own files, what somebody who was killed left beside it, indexes, and the pictures."""
        own = [*self._database.own_files(self._engine), *left_over(self._list.absolute().parent)]
        below = [self._beside("index"), *map(Path, begun.pictures)]
        found = own + [path for folder in below if folder.is_dir() for path in sorted(folder.rglob("*"))]
        return [path for path in found if path.is_file()]


def limits(report: ErasureReport) -> tuple[str, ...]:
    """What the report says nothing of, in sentences."""
    said = (
        f"Backups and copies made before {report.at:%Y-%m-%d %H:%M:%SZ} still hold this person: make new ones and "
        "destroy those.",
        "Videos, and pictures in folders that were not named, are not touched; what was overwritten or removed may be "
        "left in blocks that the disk has given up.",
        "Search indexes that other users or machines keep of a server's archive hold the vectors until they are made "
        "anew: remove the folder `index` of their caches.",
        "Who is seen again is archived again, without a name.",
    )
    if not report.proves:
        cannot = (
            "The server's files cannot be read from here, so that nothing was searched: all tables were written anew."
        )
        return (cannot, *said)
    return said


def _removed_pictures(begun: _Begun) -> list[Path]:
    """The picture files of erased faces, which are gone."""
    faces, names = set(begun.face_ids), set(begun.picture_names)
    found = []
    for folder in begun.pictures:
        for path in sorted(Path(folder).rglob("*.*")):
            if path.name in names or _face_of(path) in faces:
                path.unlink()
                found.append(path)
    return found


def _face_of(path: Path) -> str | None:
    """The face that a picture's name begins with: <face>.png, <face>-<layer>.png, <face>-<layer>-<digest>.png."""
    name = "-".join(path.name.partition(".")[0].split("-")[:3])
    return name if face_place(name) is not None else None


def _searched(path: Path, left: Sequence[Found]) -> Searched:
    return Searched(path, path.stat().st_size, sum(one.path == path for one in left))
