"""A copy of an archive that can be put in its place: made while others write, whole or not there at all, verified.

The copy is of one moment. A reader of SQLite holds that moment without keeping writers waiting, so that pages are
copied in small steps; what is written meanwhile is not in it.
"""

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage.databases import Database, database
from storage.unfinished import left_over, removed, whole
from storage.verifying import Held, Progress, held, layers_alike, opened, revision_of, row_counts, unseen
from streamproc.errors import ArchiveError, ArchiveFull, ArchiveNotFound

PAGES_A_STEP = 256
"""A mebibyte: between two steps the program hears of progress and of its end."""
_SPARE = 1.05
"""Room that must be free for a copy, as a multiple of what it takes."""


@dataclass(frozen=True, slots=True)
class BackupMade:
    """A backup: its file, its schema's revision, bytes and SHA-256, what is in it, and how many layers in it do not
    match their checksums, as they do not in the archive."""

    path: Path
    revision: str
    bytes: int
    sha256: str
    tracks: int
    faces: int
    damaged: int


def back_up(url: str, target: Path, *, force: bool = False, progress: Progress = unseen) -> BackupMade:
    """The backup, a file of SQLite of the archive's own schema (of a server's archive, today's), and beside it
    FILE.sha256 as `sha256sum -c` reads it.

    Every page and every layer's checksum were read back, and the rows counted. Nothing of the archive is changed, and
    nobody who writes to it waits. With `force` a file of that name is replaced, at the end and at once.

    Raises ArchiveNotFound where there is no archive, ArchiveError where the target is there, ArchiveFull where there is
    no room; then nothing is left of the target.
    """
    place = database(url)
    place.require_place(create=False)
    require_target(target, place, force)
    clear_away(target)
    with whole(target) as written:
        found = _copied(place, url, written, target, progress)
        digest = _digest(written)
        sidecar(target).unlink(missing_ok=True)  # never one beside another file
    with whole(sidecar(target)) as beside:
        beside.write_text(f"{digest}  {target.name}\n", encoding="utf-8")
    size = target.stat().st_size
    return BackupMade(target, found.revision, size, digest, found.rows["tracks"], found.rows["faces"], found.damaged)


def _copied(place: Database, url: str, written: Path, target: Path, progress: Progress) -> Held:
    """What the copy holds, which was read back."""
    if place.file is None:
        from storage.copying import copy_archive

        copied = copy_archive(url, str(written), progress)  # which counts, and compares what it wrote
        return _verified(written, {table.name: table.rows for table in copied.tables}, progress)
    with _reading(place.file) as source, place.explained(), explained(target, source):
        source.execute("BEGIN")  # one moment, until it is let go of
        revision_of(source, place.file)
        expected = row_counts(source)
        copy_pages(source, written, progress)
        found = _verified(written, expected, progress)
        if found.damaged:
            with opened(written) as copy:
                _require(layers_alike(source, copy, found), target)
        return found


def verified_backup(path: Path, progress: Progress = unseen) -> Held:
    """What the backup holds; every byte of it was read. Raises ArchiveNotFound and ArchiveError."""
    if not path.is_file():
        raise ArchiveNotFound(f"There is no backup {path}: check its name.")
    beside = sidecar(path)
    if beside.is_file() and _digest(path) != beside.read_text(encoding="utf-8").split(" ")[0]:
        raise ArchiveError(f"The backup {path} is not what was written (see {beside.name}): use another backup.")
    with opened(path) as connection:
        return held(connection, path, progress)


def sidecar(target: Path) -> Path:
    """The file that keeps the backup's SHA-256."""
    return target.with_name(f"{target.name}.sha256")


def copy_pages(source: sqlite3.Connection, target: Path, progress: Progress) -> None:
    """Nothing; the new file holds what the connection sees, without the room that is free in it."""

    def told(_status: int, left: int, total: int) -> None:
        progress("copying", total - left, total)

    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        source.backup(copy, pages=PAGES_A_STEP, progress=told)
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        # What retention removed is not handed on; only a script is stepped through to its end.
        copy.executescript("PRAGMA incremental_vacuum")
        (busy, _, _) = copy.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not busy, "nobody else knows the file"


def require_target(target: Path, place: Database, force: bool) -> None:
    """Nothing; raises ArchiveError for a place where no backup can be, or where something is and is not to go."""
    if target.is_dir():
        raise ArchiveError(f"{target} is a folder: name a file in it for the backup.")
    if not target.absolute().parent.is_dir():
        raise ArchiveError(
            f"There is no folder {target.absolute().parent} for the backup {target.name}: make it first."
        )
    if not target.exists():
        return
    if place.file is not None and target.samefile(place.file):
        raise ArchiveError(f"{target} is the archive itself: name another file for the backup.")
    if not force:
        raise ArchiveError(f"There is a file {target} already: name another one, or replace it with --force.")


def clear_away(target: Path) -> None:
    """Nothing; what somebody left of this file who was killed is gone."""
    for path in left_over(target.absolute().parent):
        if path.name.startswith(f".{target.name}."):
            removed(path)


@contextmanager
def explained(target: Path, source: sqlite3.Connection) -> Iterator[None]:
    """A block that writes a copy of the source; its failures say what to do."""
    (pages,), (free,), (size,) = (
        source.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "freelist_count", "page_size")
    )
    needed = int((pages - free) * size * _SPARE)
    full = f"No room is left for {target}, which takes {needed / 2**20:.1f} MiB: free some, or name another disk."
    if shutil.disk_usage(target.absolute().parent).free < needed:
        raise ArchiveFull(full)
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith("SQLITE_FULL"):
            raise ArchiveFull(full) from error
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):  # that is what is copied
            raise
        raise ArchiveError(
            f"{target} could not be written ({error}): see to its disk, and to its permissions."
        ) from error


@contextmanager
def _reading(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)) as source:
        yield source


def _verified(written: Path, expected: dict[str, int], progress: Progress) -> Held:
    try:
        with opened(written) as copy:
            found = held(copy, written, progress)
    except ArchiveError as error:
        raise ArchiveError(
            f"No backup was made, for what was copied is damaged: run `streamproc doctor`. {error}"
        ) from error
    _require(expected.items() <= found.rows.items(), written)
    return found


def _require(right: bool, target: Path) -> None:
    if not right:
        raise ArchiveError(f"The copy {target} differs from the archive: see to the disk that it was written to.")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
