"""What an archive is to keep: how long, how much, and what whatever happens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from storage.records import ArchiveRoom

SLACK = 0.02
"""Where there is too much, so much more goes, as a share of the bound: the next face is not too much again."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a camera's pictures and its tracks stay, and how many bytes of layers it may hold; None: no bound."""

    pictures: timedelta | None = None
    faces: timedelta | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """The terms of all cameras, and those of some by name; the bytes that the archive may use, and those of its disk
    that are to stay free. Where there is too much, the oldest pictures go first, then the oldest tracks."""

    terms: Terms = Terms()
    cameras: tuple[tuple[str, Terms], ...] = ()
    bytes: int | None = None
    free: int | None = None

    def of(self, camera: str) -> Terms:
        """The camera's."""
        return dict(self.cameras).get(camera, self.terms)

    @property
    def any(self) -> bool:
        """Whether anything ever goes by them."""
        terms = (self.terms, *dict(self.cameras).values())
        return self.bytes is not None or self.free is not None or any(one != Terms() for one in terms)

    def too_much(self, room: ArchiveRoom) -> float:
        """By how many bytes the archive is too large, or its disk too full; 0: by none, or nobody knows."""
        used = room.used or 0
        large = 0.0 if self.bytes is None or used <= self.bytes else used - (1 - SLACK) * self.bytes
        there = None if room.free is None else room.free + room.spare
        full = self.free is not None and there is not None and there < self.free
        return max(large, (1 + SLACK) * (self.free or 0) - (there or 0)) if full else large


@dataclass(frozen=True, slots=True)
class Exempt:
    """Whose tracks stay: those that a machine put into one of the identities `homes` (names); what `tracks` says of a
    track (id) goes before that."""

    homes: frozenset[str] = frozenset()
    tracks: Mapping[str, bool] = field(default_factory=dict)
