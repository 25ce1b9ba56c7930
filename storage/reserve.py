"""Room that is kept beside an archive's file for the time when the disk is full.

Then not even deleting works: what it changes goes into the write-ahead log first, and what the log holds cannot be
taken into a file that has to grow for it. A few megabytes let both go on.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

RESERVE = 8 << 20
"""Twice what the log holds before it is taken in."""


class Reserve:
    """A file of zeros that stands for room; where `archive` is no file, there is none."""

    def __init__(self, archive: Path | None) -> None:
        self._path = None if archive is None else archive.with_name(f"{archive.name}-reserve")

    @property
    def kept(self) -> bool:
        """Whether the room is there."""
        return self._path is not None and self._path.exists()

    def keep(self) -> None:
        """Nothing; the room is kept from now on, if there is some more."""
        if self._path is None or self.kept or shutil.disk_usage(self._path.parent).free < RESERVE + RESERVE // 16:
            return
        with suppress(OSError):
            part = self._path.with_name(f"{self._path.name}.part")
            try:
                descriptor = os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
                try:
                    os.posix_fallocate(descriptor, 0, RESERVE)
                finally:
                    os.close(descriptor)
                part.rename(self._path)
            finally:
                part.unlink(missing_ok=True)

    def give(self) -> bool:
        """Whether there was room kept, which is the disk's now."""
        if not self.kept:
            return False
        assert self._path is not None
        self._path.unlink(missing_ok=True)
        return True
