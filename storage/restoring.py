"""A backup in the place of an archive: verified before, brought up to date beside, put in its place at once."""

import os
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from storage.backup import clear_away, copy_pages, explained, verified_backup
from storage.databases import database
from storage.opening import open_archive
from storage.unfinished import gone, removed, sides, whole
from storage.verifying import Held, Progress, held, opened, unseen
from streamproc.errors import ArchiveError

KEPT = ("sources", "tracks", "faces", "enhancement_layers", "cameras", "codecs")
"""Tables whose rows are as many in every revision of the schema."""
ALONE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Restored:
    """What an archive holds that a backup was put in the place of: its file (None: a server keeps it), the backup's
    schema and today's, and how many layers do not match their checksums, as they did not in the backup."""

    path: Path | None
    from_revision: str
    revision: str
    tracks: int
    faces: int
    damaged: int


def restore(backup: Path, url: str, *, force: bool = False, progress: Progress = unseen) -> Restored:
    """The archive, a copy of the backup with today's schema and a name of its own, so that no index of another one is
    taken for its.

    With `force` it takes the place of an archive that is there: that one is kept as FILE.former until the new one is
    in its place. A server's database must be empty. Whoever is killed meanwhile leaves the former one as it was, or the
    new one whole.

    Raises ArchiveNotFound where there is no backup, ArchiveError where the backup is damaged or an archive is there (or
    in use), ArchiveFull where there is no room; then what was there is unharmed.
    """
    place = database(url)
    place.require_place(create=True)
    if place.file is None:
        return _onto_server(backup, url, progress)
    target = place.file
    if target.exists() and not force:
        raise ArchiveError(f"There is an archive {target} already: name another one, or replace it with --force.")
    if target.exists() and target.samefile(backup):
        raise ArchiveError(f"{backup} is the archive itself: name the backup.")
    before = verified_backup(backup, progress)
    clear_away(target)
    with whole(target, _aside(target)) as written:
        with opened(backup) as source, explained(target, source):
            copy_pages(source, written, progress)
        _name_anew(written)
        _, engine = open_archive(str(written), create=False)
        engine.dispose()
        after = _verified(written, before, progress)
    return Restored(target, before.revision, after.revision, after.rows["tracks"], after.rows["faces"], after.damaged)


def _onto_server(backup: Path, url: str, progress: Progress) -> Restored:
    """As `restore`; the server's database must be empty. All of it or, after a kill, nothing is there."""
    from storage.copying import copy_archive

    with tempfile.TemporaryDirectory(prefix="streamproc-") as folder:
        file = str(Path(folder) / "archive.db")
        made = restore(backup, file, progress=progress)  # of any schema; the backup itself stays as it is
        copy_archive(file, url, progress)
    return replace(made, path=None)


def _name_anew(written: Path) -> None:
    """Nothing; the archive has another name than what it is a copy of. Older ones get one as they are opened."""
    with closing(sqlite3.connect(written, isolation_level=None)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'archives'").fetchone():
            connection.execute("UPDATE archives SET id = ?", (uuid.uuid4().hex,))


def _verified(written: Path, before: Held, progress: Progress) -> Held:
    """What the new archive holds: all that the backup did."""
    with opened(written) as connection:
        after = held(connection, written, progress)
    # Where base layers had a table of their own, a face without one was none.
    expected = {table: before.rows[table] for table in KEPT} | {
        "faces": before.rows.get("base_layers", before.rows["faces"])
    }
    layers = (after.damaged_faces, after.damaged_pictures) == (before.damaged_faces, before.damaged_pictures)
    if not layers or {table: after.rows[table] for table in KEPT} != expected:
        raise ArchiveError(f"The copy {written} differs from the backup: see to the disk that it was written to.")
    return after


@contextmanager
def _aside(target: Path) -> Iterator[None]:
    """A block in which another file takes the place of the archive, which goes by another name until it has."""
    if not target.exists():
        yield
        return
    former = target.with_name(f"{target.name}.former")
    removed(former)
    with _alone(target):
        os.link(target, former)
        # A damaged archive's log stays with it, lest it be taken for the new one's.
        moved = [
            (side, Path(f"{former}{str(side).removeprefix(str(target))}")) for side in sides(target) if side.exists()
        ]
        for side, aside in moved:
            os.replace(side, aside)
        try:
            yield
        except BaseException:
            for side, aside in moved:
                os.replace(aside, side)
            removed(former)
            raise
    removed(former)
    gone(Path(f"{target}.index"))


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """A block in which nobody else has the archive open, and all of it is in one file; ArchiveError where somebody has.

    A damaged one is taken as it is."""
    connection = sqlite3.connect(target, timeout=ALONE_SECONDS, isolation_level=None)
    try:
        try:
            connection.execute("PRAGMA journal_mode=DELETE").fetchall()
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise ArchiveError(
                    f"The archive {target} is in use: end the service and all who read it first."
                ) from error
        except sqlite3.DatabaseError:
            pass
        try:
            yield
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
                connection.execute("PRAGMA journal_mode=WAL").fetchall()
            raise
    finally:
        connection.close()
