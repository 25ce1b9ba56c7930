"""Files that are there whole or not at all: written under another name beside their own, put on the disk, renamed."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

_NAME = re.compile(r"\..+\.(\d+)\.unfinished(-wal|-shm|-journal)?", re.DOTALL)
SIDES = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database, by the end of its name."""


@contextmanager
def whole(target: Path, swapping: AbstractContextManager[None] | None = None) -> Iterator[Path]:
    """The name to write under; after the block the file is on the disk and has its own name, after an error it is gone.

    It gets its name inside `swapping`. Who is killed leaves a file that `left_over` finds.
    """
    written = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        yield written
        settled(written)
        with swapping or nullcontext():
            os.replace(written, target)
            settled(target.absolute().parent)
    finally:
        removed(written)


def left_over(folder: Path) -> list[Path]:
    """Files in the folder that somebody began who lives no more."""
    held = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [(path, _NAME.fullmatch(path.name)) for path in held]
    return [path for path, match in found if match is not None and not _lives(int(match[1]))]


def removed(database: Path) -> None:
    """Nothing; the file or folder is gone, with what SQLite keeps beside it."""
    for path in (database, *sides(database)):
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)


def gone(folder: Path) -> None:
    """Nothing; the folder is gone, whoever writes into it meanwhile."""
    if folder.exists():
        aside = folder.with_name(f".{folder.name}.{os.getpid()}.unfinished")
        os.replace(folder, aside)
        shutil.rmtree(aside)


def sides(database: Path) -> list[Path]:
    """The names of what SQLite keeps beside a database."""
    return [Path(f"{database}{end}") for end in SIDES]


def settled(path: Path) -> None:
    """Nothing; the file, or the names in the folder, outlast a power cut from now on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return process != os.getpid()
