"""Who was before which camera when: tracks that share a moment on one camera show different people."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from streamproc.query.movements import Sighting

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
BUCKET = 600_000_000
"""Microseconds of a camera's time that are looked through together."""


@dataclass(frozen=True, slots=True)
class Span:
    """A track's time before a camera, microseconds since 1970; both ends were seen."""

    track: str
    camera: str
    began: int
    ended: int

    @classmethod
    def of(cls, track: Sighting) -> Self:
        """The span of a track as an archive tells of it."""
        began, ended = ((time - _EPOCH) // _MICROSECOND for time in (track.started_at, track.ended_at))
        return cls(track.id, track.camera, began, ended)

    def meets(self, other: "Span") -> bool:
        """Whether both were seen by one camera at one time."""
        return self.camera == other.camera and self.began <= other.ended and other.began <= self.ended


class Presence:
    """The spans of many tracks, found by camera and time."""

    def __init__(self) -> None:
        self._spans: dict[str, Span] = {}
        self._buckets: defaultdict[tuple[str, int], dict[str, Span]] = defaultdict(dict)

    def put(self, span: Span) -> None:
        """Nothing; the track was there, and nowhere else."""
        self.drop(span.track)
        self._spans[span.track] = span
        for bucket in _buckets(span):
            self._buckets[bucket][span.track] = span

    def drop(self, track: str) -> None:
        """Nothing; nothing is known of the track."""
        span = self._spans.pop(track, None)
        if span is not None:
            for bucket in _buckets(span):
                del self._buckets[bucket][track]

    def span(self, track: str) -> Span:
        """The track's span; KeyError for one that is not there."""
        return self._spans[track]

    def meeting(self, span: Span) -> set[str]:
        """The other tracks that share a moment with this one."""
        near = (one for bucket in _buckets(span) for one in self._buckets.get(bucket, {}).values())
        return {one.track for one in near if one.track != span.track and one.meets(span)}


def _buckets(span: Span) -> Iterator[tuple[str, int]]:
    return ((span.camera, number) for number in range(span.began // BUCKET, span.ended // BUCKET + 1))
