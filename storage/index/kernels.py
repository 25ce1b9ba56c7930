"""The compiled loops of the index: what becomes of a vector, and the scan that finds the nearest.

A vector's coordinate is kept in nine bits: its sign is a bit of the row's code, its size a byte m that stands for
(m + 1/2) times a unit that makes the row's norm 1. The signs alone, 64 to a word, are what a scan reads of every row.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from storage.index.instructions import WORD, Shorts, below, compiled, fetch, lowest_bit, set_bits, signed_product

PLANES: Final = 3
"""Bits in which a scan knows how much a coordinate of the question weighs."""
STRIDE: Final = 1024
"""Rows whose penalties are counted at a time: they stay in the nearest cache."""
FIRST: Final = 64
"""Of the first ones, of which all are compared, fewer are taken."""

UNSEEN: Final = np.float32(-2)
"""The similarity of what is no face."""

_ONE: Final = np.uint64(1)
_TWO: Final = np.uint64(2)
_FAR: Final = np.uint16(65535)

Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Longs = npt.NDArray[np.int64]


@compiled
def quantise(coordinates: Floats, codes: Words, vectors: Bytes) -> None:
    """Nothing; rows (N, D) become codes (D / 64, N) and vectors (N, D), in place."""
    for row in range(coordinates.shape[0]):
        largest = np.float32(0)
        for d in range(coordinates.shape[1]):
            largest = max(largest, abs(coordinates[row, d]))
        steps = np.float32(256) / max(largest, np.float32(1e-30))
        for word in range(codes.shape[0]):
            signs = np.uint64(0)
            for bit in range(WORD):
                coordinate = coordinates[row, word * WORD + bit]
                vectors[row, word * WORD + bit] = min(int(abs(coordinate) * steps), 255)
                if coordinate < 0:
                    signs |= _ONE << np.uint64(bit)
            codes[word, row] = signs


@compiled
def weigh(coordinates: Floats, signs: Words, planes: Words) -> tuple[float, int]:
    """(the unit in which the question's coordinates (D,) are weighed, the sum of their weights of `PLANES` bits).

    In place: their signs (D / 64,) and the bits of their weights (D / 64, PLANES)."""
    largest = np.float32(0)
    for d in range(coordinates.shape[0]):
        largest = max(largest, abs(coordinates[d]))
    unit = max(largest, np.float32(1e-30)) / np.float32(2**PLANES - 1)
    total = 0
    signs[:] = 0
    planes[:] = 0
    for d in range(coordinates.shape[0]):
        word, bit = d // WORD, np.uint64(d % WORD)
        weight = int(np.rint(abs(coordinates[d]) / unit))
        total += weight
        if coordinates[d] < 0:
            signs[word] |= _ONE << bit
        for plane in range(PLANES):
            planes[word, plane] |= np.uint64((weight >> plane) & 1) << bit
    return float(unit), total


@compiled
def _similarity(question: Floats, codes: Words, vectors: Bytes, row: int) -> float:
    """The row's product with the question, as if the row's norm were 1."""
    product, square = np.float32(0), np.float32(0)
    for word in range(codes.shape[0]):
        some, more = signed_product(question, word * WORD, vectors, row, codes[word, row])
        product += some
        square += more
    return float(product / np.sqrt(square))


@compiled
def _replace_least(similarities: Floats, places: Longs, similarity: float, place: int) -> None:
    """Nothing; the least of a binary heap is gone and the new one has found its level."""
    at, size = 0, similarities.shape[0]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and similarities[child + 1] < similarities[child]:
            child += 1
        if similarities[child] >= similarity:
            break
        similarities[at] = similarities[child]
        places[at] = places[child]
        at = child
    similarities[at] = similarity
    places[at] = place


@compiled
def _count_penalties(codes: Words, first: int, last: int, signs: Words, planes: Words, penalties: Shorts) -> None:
    """Nothing; the question's weights where its signs differ from a row's, summed, for the rows first..last; the
    penalties after those are beyond all bounds."""
    penalties[: last - first] = 0
    penalties[last - first :] = _FAR
    for word in range(codes.shape[0]):
        column = codes[word, first:last]
        sign, ones, twos, fours = signs[word], planes[word, 0], planes[word, 1], planes[word, 2]
        for row in range(column.shape[0]):
            differ = column[row] ^ sign
            weight = set_bits(differ & ones) + (set_bits(differ & twos) << _ONE) + (set_bits(differ & fours) << _TWO)
            penalties[row] += np.uint16(weight)


@compiled
def _bound(least: float, promise: Floats) -> np.uint16:
    """The penalties below this one let a row be more similar than `least`, perhaps."""
    doubt = promise[2] * np.sqrt(max(np.float32(0), np.float32(1) - least * least))
    bound = np.floor((promise[0] + doubt - least) / promise[1]) + np.float32(1)
    return np.uint16(min(max(bound, np.float32(0)), np.float32(_FAR)))


@compiled
def _near(penalties: Shorts, bound: np.uint16, first: int, vectors: Bytes, near: Longs) -> int:
    """How many penalties are below the bound; their rows, counted from `first`, stand in `near` and are on their way
    from memory, which is slower than all that is done with them."""
    found = 0
    for start in range(0, penalties.shape[0], WORD):
        passing = below(penalties, start, bound)
        while passing != 0:
            row = first + start + lowest_bit(passing)
            fetch(vectors, row)
            near[found] = row
            found += 1
            passing &= passing - _ONE
    return found


@compiled
def scan(
    codes: Words,
    vectors: Bytes,
    removed: Bytes,
    first: int,
    last: int,
    signs: Words,
    planes: Words,
    question: Floats,
    promise: Floats,
    bar: Floats,
    similarities: Floats,
    places: Longs,
    segment: int,
) -> int:
    """How many of the rows first..last were compared in full; the heap of the most similar ones is kept up to date.

    What a row's signs promise is promise[0] less promise[1] for each unit of its penalty, give or take promise[2] times
    the sine of the angle. Rows that promise less than the least of the heap, or than `bar[0]`, which the heaps of other
    threads raise, are passed over. `removed` has a bit a row, or is empty. A place in the heap is the segment's number,
    shifted by 32 bits, and the row.
    """
    penalties = np.empty(STRIDE, np.uint16)
    near = np.empty(STRIDE, np.int64)
    start, found, compared = first, 0, 0
    size = STRIDE if bar[0] > UNSEEN else FIRST
    while start < last or found > 0:
        # The rows before are compared while these are counted: so long it takes until their memory is there.
        end = min(start + size, last)
        _count_penalties(codes, start, end, signs, planes, penalties)
        for row in near[:found]:
            if removed.shape[0] > 0 and (removed[row >> 3] >> (row & 7)) & 1:
                continue
            compared += 1
            similarity = _similarity(question, codes, vectors, row)
            if similarity > similarities[0]:
                _replace_least(similarities, places, similarity, (segment << 32) | row)
        bar[0] = max(bar[0], similarities[0])
        found = _near(penalties, _bound(bar[0], promise), start, vectors, near)
        start, size = end, min(2 * size, STRIDE)
    return compared


@compiled
def kept_rows(
    times: Longs,
    cameras: npt.NDArray[np.int32],
    starts: Longs,
    wanted: npt.NDArray[np.int32],
    since: int,
    until: int,
    ranges: Longs,
) -> int:
    """How many of `ranges` (C, 2) hold, in place, the first row and the row after the last of the rows with since <=
    time < until of a `wanted` camera (none named: all); camera c has the rows starts[c]..starts[c + 1], by time."""
    kept = 0
    for camera in range(cameras.shape[0]):
        if wanted.shape[0] > 0 and not np.any(wanted == cameras[camera]):
            continue
        for side, moment in enumerate((since, until)):
            low, high = starts[camera], starts[camera + 1]
            while low < high:
                middle = (low + high) // 2
                if times[middle] < moment:
                    low = middle + 1
                else:
                    high = middle
            ranges[kept, side] = low
        if ranges[kept, 0] < ranges[kept, 1]:
            kept += 1
    return kept
