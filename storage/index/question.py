"""One question to the segments: the most similar rows, found by all cores."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numba
import numpy as np

from storage.index.instructions import WORD
from storage.index.kernels import PLANES, UNSEEN, Floats, Longs, Words, scan, weigh
from storage.index.rows import unpacked
from storage.index.segment import Segment
from streamproc.types import FloatArray

SHARE = 131_072
"""Rows that a thread takes at a time."""
ALONE = 2 * SHARE
"""Up to so many rows, waking another thread costs more than it saves."""
DOUBT = 2.5
"""How much better than its signs promise a row may be, in standard deviations, and still be compared.

It costs little and decides what is found: of ten million drawn faces (`bench search`) 2.0 finds 98.8 % of the nearest
ten, 2.5 99.2 %, 3.5 99.3 %, which is what nine bits a coordinate tell apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Faces, the most similar first: keys and tracks (K,) int64, similarities (K,) float32, the cosines with the
    question up to 0.001. `compared`: rows that were looked at beyond their signs."""

    keys: Longs
    tracks: Longs
    similarities: Floats
    compared: int


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """A question as `scan` takes it: coordinates (D,), and what `kernels.weigh` makes of them; what a row's signs
    promise."""

    coordinates: Floats
    signs: Words
    planes: Words
    promise: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Best:
    """A heap of the most similar rows that a thread has found, and how many it has compared."""

    similarities: Floats
    places: Longs
    compared: int


def most_similar(
    segments: Sequence[Segment],
    coordinates: FloatArray,
    top: int,
    cameras: Sequence[int],
    since: int | None,
    until: int | None,
) -> Hits:
    """The `top` rows at the cameras (none named: all) and since <= time < until that resemble the question most;
    `coordinates` (D,) float32 are the question's, of length 1 at most."""
    question = _question(coordinates)
    ranges = [
        (number, first, last)
        for number, segment in enumerate(segments)
        for first, last in segment.ranges(cameras, since, until).tolist()
    ]
    rows = sum(last - first for _, first, last in ranges)
    shares = _shares(ranges)
    bar = np.full(1, UNSEEN, np.float32)
    threads = 1 if rows <= ALONE else cores()
    helping = [_helpers().submit(_search, segments, question, shares, bar, top) for _ in range(threads - 1)]
    found = [_search(segments, question, shares, bar, top)]
    found += [helper.result() for helper in helping if not helper.cancel()]  # nothing is left for one that slept
    return _hits(segments, found, top)


def evenly(
    segments: Sequence[Segment],
    coordinates: FloatArray,
    count: int,
    cameras: Sequence[int],
    since: int | None,
    until: int | None,
) -> FloatArray:
    """(K,) similarities to the question (D,) of `count` rows at the most, at equal distances among all at the cameras
    (none named: all) and since <= time < until; those that were removed are left out."""
    ranges = [
        (segment, first, last) for segment in segments for first, last in segment.ranges(cameras, since, until).tolist()
    ]
    ends = np.cumsum([last - first for _, first, last in ranges], dtype=np.int64)
    rows = int(ends[-1]) if len(ends) else 0
    places = np.arange(min(count, rows)) * rows // max(min(count, rows), 1)
    found = [np.empty(0, np.float32)]
    for (segment, first, last), end in zip(ranges, ends.tolist(), strict=True):
        start = end - (last - first)
        chosen = places[(places >= start) & (places < end)] - start + first
        if len(chosen):
            chosen = chosen[~segment.are_removed(chosen)]
            found.append(unpacked(segment.codes[:, chosen], segment.vectors[chosen]) @ coordinates)
    return np.concatenate(found)


def cores() -> int:
    """Threads of a search: as many as the process has processors, but where NUMBA_NUM_THREADS says otherwise."""
    return int(cast(Any, numba.config).NUMBA_NUM_THREADS)


@cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, cores() - 1), "index")


def _question(coordinates: FloatArray) -> _Question:
    """What RaBitQ (Gao and Long, 2024) estimates a product by: a row's signs, times the mean size of a coordinate."""
    dimensions = len(coordinates)
    signs = np.empty(dimensions // WORD, np.uint64)
    planes = np.empty((dimensions // WORD, PLANES), np.uint64)
    unit, weights = weigh(coordinates, signs, planes)
    # Rows are of unit norm and turned at random: their coordinates are like a normal distribution's.
    spread = math.sqrt(float(coordinates @ coordinates) * (math.pi / 2 - 1) / dimensions)
    step = unit / math.sqrt(2 / math.pi * dimensions)
    promise = np.array([step * weights, 2 * step, DOUBT * spread], np.float32)
    return _Question(coordinates, signs, planes, promise)


def _shares(ranges: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """The ranges cut into shares, in a queue of which several threads may take."""
    cut = [
        (number, start, min(start + SHARE, last))
        for number, first, last in ranges
        for start in range(first, last, SHARE)
    ]
    return iter(cut)


def _search(
    segments: Sequence[Segment], question: _Question, shares: Iterator[tuple[int, int, int]], bar: Floats, top: int
) -> _Best:
    """The best of the shares that this thread gets hold of."""
    similarities = np.full(top, UNSEEN, np.float32)
    places = np.full(top, -1, np.int64)
    compared = 0
    for number, first, last in shares:
        segment = segments[number]
        compared += scan(
            segment.codes,
            segment.vectors,
            segment.removed,
            first,
            last,
            question.signs,
            question.planes,
            question.coordinates,
            question.promise,
            bar,
            similarities,
            places,
            number,
        )
    return _Best(similarities, places, compared)


def _hits(segments: Sequence[Segment], found: Sequence[_Best], top: int) -> Hits:
    """The best of what the threads found."""
    every = [pair for best in found for pair in zip(best.similarities.tolist(), best.places.tolist(), strict=True)]
    best = sorted((-similarity, place) for similarity, place in every if place >= 0)[:top]
    where = [(segments[place >> 32], place & 0xFFFFFFFF) for _, place in best]
    return Hits(
        np.array([segment.keys.item(row) + segment.key_span[0] for segment, row in where], np.int64),
        np.array([segment.tracks.item(row) + segment.track_span[0] for segment, row in where], np.int64),
        np.array([-similarity for similarity, _ in best], np.float32),
        sum(one.compared for one in found),
    )
