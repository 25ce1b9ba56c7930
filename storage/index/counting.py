"""How many tracks a question concerns."""

from collections.abc import Sequence

import numpy as np

from storage.index.instructions import compiled
from storage.index.kernels import Bytes
from storage.index.segment import Segment

KEPT = 10_000
"""Counts that are remembered at most."""


class TrackCounts:
    """Counts tracks in segments; what was counted once is remembered, for segments never change."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, int, int], int] = {}

    def of(self, segments: Sequence[Segment], cameras: Sequence[int], since: int | None, until: int | None) -> int:
        """The tracks with faces at the cameras (none named: all) and since <= time < until; one whose faces lie in two
        segments counts twice."""
        return sum(
            self._counted(segment, first, last)
            for segment in segments
            for first, last in segment.ranges(cameras, since, until).tolist()
        )

    def _counted(self, segment: Segment, first: int, last: int) -> int:
        removed = "" if segment.removed_mark is None else segment.removed_mark.name
        place = (segment.mark.name, removed, first, last)
        if place not in self._known:
            if len(self._known) >= KEPT:
                self._known.clear()
            seen = np.zeros(segment.track_span[1] - segment.track_span[0] + 1, np.uint8)
            mark_seen(segment.tracks[first:last], segment.removed, first, seen)
            self._known[place] = int(np.count_nonzero(seen))
        return self._known[place]


@compiled
def mark_seen(tracks: np.ndarray, removed: Bytes, first: int, seen: Bytes) -> None:  # type: ignore[type-arg]
    """Nothing; `seen` is 1 at the tracks (N,) of rows from `first` on that are not removed."""
    for k in range(len(tracks)):
        row = first + k
        if len(removed) == 0 or not (removed[row >> 3] >> (row & 7)) & 1:
            seen[tracks[k]] = 1
