"""What a query needs of an archive: its reading half, as a protocol, so that queries do not depend on a database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from streamproc.types import BaseLayers, FaceCode, FaceRecord, FloatArray, GapRecord


@dataclass(frozen=True, slots=True)
class Nearest:
    """The base layers of the tracks of which a face resembles a feature most, and how many tracks were compared.

    `damaged`: faces that were not compared, since their base layer does not match its checksum. `sample` (K,): how
    much some of all faces asked about, evenly chosen, resemble the feature.
    """

    layers: BaseLayers
    searched: int
    damaged: int
    sample: FloatArray


class FaceIndex(Protocol):
    """What finds in an archive whom to compare, without comparing all; `pipelines.archive_index` has one."""

    def nearest(
        self, feature: FloatArray, wanted: int, cameras: Sequence[str], since: datetime | None, until: datetime | None
    ) -> Nearest:
        """At least the `wanted` nearest tracks with faces at the cameras (none named: all), since <= time < until, as
        far as there are so many; of each all its faces of that time.

        `feature` (D,) is of unit norm. UnknownRecord for a camera that is not there, naming those that are.
        """
        ...


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
