"""What a query needs of an archive: its reading half, as a protocol, so that queries do not depend on a database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from streamproc.types import BaseLayers, FaceCode, FaceRecord, GapRecord


class ArchiveReader(Protocol):
    """An archive that can be read; `storage.Archive` is one."""

    def base_layers(
        self, codec_id: str, cameras: Sequence[str] = (), since: datetime | None = None, until: datetime | None = None
    ) -> BaseLayers:
        """The base layers that this codec wrote, seen by one of the cameras (none named: all), since <= time < until.

        UnknownRecord for a camera that is not there, naming those that are.
        """
        ...

    def faces(self, face_ids: Sequence[str]) -> list[FaceRecord]:
        """The faces' records in the order asked; UnknownRecord for one that is not there."""
        ...

    def code(self, face_id: str) -> FaceCode:
        """The face's layers; UnknownRecord when it is not there, CorruptCode when its base layer was damaged."""
        ...

    def gaps(
        self,
        cameras: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        now: datetime | None = None,
    ) -> tuple[GapRecord, ...]:
        """The gaps of the cameras (none named: all) that share a moment with since <= time < until.

        `now`, the moment of asking, lets a camera that was left unwatched without a word count as in a gap.
        UnknownRecord for a camera that is not there.
        """
        ...
