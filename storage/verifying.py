"""Whether an archive's file holds what it should: every page, every row's references, every layer's checksum.

It reads files of every released schema as they are, through connections of the standard library: nothing is migrated.
"""

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage.unfinished import sides
from storage.writing import DIGEST_BYTES
from streamproc.errors import ArchiveError, ArchiveNotFound

Progress = Callable[[str, int, int], None]
"""Hears what is done, how much of it and of how much."""
AT_ONCE = 10_000

_BASE = {
    False: ("SELECT face_key, payload, checksum FROM base_layers", "base_layers"),
    True: ('SELECT "key", payload, checksum FROM faces', "faces"),
}
"""Where base layers are, by whether the schema is packed (0004)."""


@dataclass(frozen=True, slots=True)
class Held:
    """What an archive's file holds: its schema, how many rows by table, the keys of the faces whose base layer does not
    match its checksum, and the digests of the enhancement layers that do not match theirs."""

    revision: str
    rows: dict[str, int]
    damaged_faces: tuple[int, ...]
    damaged_pictures: tuple[bytes, ...]

    @property
    def damaged(self) -> int:
        """Layers that do not match their checksums."""
        return len(self.damaged_faces) + len(self.damaged_pictures)


def unseen(what: str, done: int, total: int) -> None:
    """Nothing; nobody looks on."""


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads the file, which may lie on a disk that cannot be written to; ArchiveError where it is no
    database, or damaged."""
    if not path.is_file():
        raise ArchiveNotFound(f"There is no file {path}: check its name.")
    lone = "" if any(side.exists() for side in sides(path)) else "&immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{lone}", uri=True, isolation_level=None)
    try:
        yield connection
    except sqlite3.DatabaseError as error:
        raise ArchiveError(
            f"{path} cannot be read as an archive ({error}): it is damaged, or another program's file."
        ) from error
    finally:
        connection.close()


def held(connection: sqlite3.Connection, path: Path, progress: Progress = unseen) -> Held:
    """What the file holds, after all of it was read. ArchiveError names the first damage of its structure, and tells a
    file of another program or of a newer version."""
    revision = revision_of(connection, path)
    progress("reading every page", 0, 1)
    (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise ArchiveError(f"{path} is damaged ({' '.join(str(said).split())}): use another backup.")
    progress("reading every page", 1, 1)
    (pages,), (size,) = (connection.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
    if not any(side.exists() for side in sides(path)) and path.stat().st_size != pages * size:
        raise ArchiveError(f"{path} was cut short: use another backup.")
    rows = row_counts(connection)
    return Held(revision, rows, *_damaged(connection, rows, progress))


def revision_of(connection: sqlite3.Connection, path: Path) -> str:
    """The revision of the archive's schema; ArchiveError for what is no archive, or a newer one's."""
    tables = _tables(connection)
    row = None
    if {"alembic_version", "enhancement_layers"} <= set(tables):
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if row is None:
        raise ArchiveError(f"{path} holds no archive: it is empty, or a database of another program.")
    from storage.upgrading import schema_revisions  # Alembic, as in `storage.opening`

    revision, known = str(row[0]), schema_revisions()
    if revision not in known:
        raise ArchiveError(
            f"{path} was made by a newer streamproc (its schema is {revision}, this one knows {known[0]}): "
            "use that one, or upgrade this."
        )
    return revision


def row_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """How many rows each table has."""
    return {table: connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in _tables(connection)}


def layers_alike(one: sqlite3.Connection, other: sqlite3.Connection, damaged: Held) -> bool:
    """Whether the damaged layers of the one are the same bytes in the other: then it is no worse a copy."""
    packed = "enhancement_blobs" in damaged.rows
    base = f'{_BASE[packed][0]} WHERE "{"key" if packed else "face_key"}" = ?'
    asked = [(base, (key,)) for key in damaged.damaged_faces]
    pictures = "SELECT payload FROM enhancement_blobs WHERE digest = ?"
    return all(
        one.execute(question, values).fetchone() == other.execute(question, values).fetchone()
        for question, values in [*asked, *((pictures, (digest,)) for digest in damaged.damaged_pictures)]
    )


def _tables(connection: sqlite3.Connection) -> list[str]:
    question = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
    return [name for (name,) in connection.execute(question)]


def _damaged(
    connection: sqlite3.Connection, rows: dict[str, int], progress: Progress
) -> tuple[tuple[int, ...], tuple[bytes, ...]]:
    """(keys of faces, digests of pictures) whose bytes do not match their checksums."""
    packed = "enhancement_blobs" in rows
    question, table = _BASE[packed]
    faces: list[int] = []
    for done, (key, payload, checksum) in enumerate(connection.execute(question)):
        if zlib.crc32(payload) != checksum % 2**32:
            faces.append(key)
        if done % AT_ONCE == 0:
            progress("comparing checksums", done, rows[table])
    progress("comparing checksums", rows[table], rows[table])
    pictures: list[bytes] = []
    if packed:
        question, total = "SELECT digest, payload FROM enhancement_blobs", rows["enhancement_blobs"]
        for done, (digest, payload) in enumerate(connection.execute(question)):
            if hashlib.blake2b(payload, digest_size=DIGEST_BYTES).digest() != digest:
                pictures.append(digest)
            if done % AT_ONCE == 0:
                progress("comparing pictures", done, total)
        progress("comparing pictures", total, total)
    return tuple(faces), tuple(pictures)
