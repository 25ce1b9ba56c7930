"""The compiled loops of the index: what becomes of a vector, and the scan that finds the nearest.

A vector's coordinate x is kept in nine bits: v = floor(x / scale) in -256..255 stands for (v + 1/2) scale. The sign of
v is a bit of the row's code, the low eight bits a byte of its own, so that v = byte - 256 where the sign bit is set.
The signs alone, 64 to a word, are what a scan reads of every row.
"""

from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

WORD: Final = 64
"""Signs a word of a code holds."""
PLANES: Final = 3
"""Bits in which a scan knows how much a coordinate of the question weighs."""
STRIDE: Final = 1024
"""Rows whose penalties are counted at a time: they stay in the nearest cache."""

_ONE: Final = np.uint64(1)
_TWO: Final = np.uint64(2)

Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Longs = npt.NDArray[np.int64]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function, compiled by numba and kept beside its source; other threads go on while it runs.

    Sums may be reordered: that is what lets the processor add sixteen numbers at once.
    """
    options: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": {"reassoc", "nsz", "contract"}}
    return cast(Callable[_P, _R], numba.njit(**options)(function))


def _set_bits(_context: Any, _word: Any) -> tuple[Signature, Any]:
    """How many bits of a word are set: the processor's own instruction, over whole vectors where it has one."""

    def generate(_target: Any, builder: ir.IRBuilder, _signature: Signature, arguments: Any) -> ir.Value:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


_set = cast(Callable[[np.uint64], np.uint64], intrinsic(_set_bits))


@compiled
def quantise(coordinates: Floats, codes: Words, vectors: Bytes, scales: Floats) -> None:
    """Nothing; rows (N, D) become codes (D / 64, N), vectors (N, D) and scales (N,), in place."""
    for row in range(coordinates.shape[0]):
        largest = np.float32(0)
        for d in range(coordinates.shape[1]):
            largest = max(largest, abs(coordinates[row, d]))
        scale = max(largest, np.float32(1e-30)) / np.float32(255.5)
        scales[row] = scale
        for word in range(codes.shape[0]):
            signs = np.uint64(0)
            for bit in range(WORD):
                d = word * WORD + bit
                value = int(np.floor(coordinates[row, d] / scale))
                value = min(max(value, -256), 255)
                vectors[row, d] = value & 255
                if value < 0:
                    signs |= _ONE << np.uint64(bit)
            codes[word, row] = signs


@compiled
def _product(question: Floats, codes: Words, vectors: Bytes, row: int) -> float:
    """The sum over d of question[d] (v[d] + 1/2)."""
    total = np.float32(0)
    for d in range(vectors.shape[1]):
        total += question[d] * (np.float32(vectors[row, d]) + np.float32(0.5))
    negative = np.float32(0)
    for word in range(codes.shape[0]):
        signs = codes[word, row]
        for bit in range(WORD):
            weight = np.float32((signs >> np.uint64(bit)) & _ONE)
            negative += question[word * WORD + bit] * weight
    return float(total - np.float32(256) * negative)


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
def _count_penalties(
    codes: Words, first: int, last: int, signs: Words, planes: Words, penalties: npt.NDArray[np.uint32]
) -> None:
    """Nothing; the question's weights where its signs differ from a row's, summed, for the rows first..last."""
    for word in range(codes.shape[0]):
        column = codes[word, first:last]
        sign, ones, twos, fours = signs[word], planes[word, 0], planes[word, 1], planes[word, 2]
        if word == 0:
            penalties[:] = 0
        for row in range(column.shape[0]):
            differ = column[row] ^ sign
            weight = _set(differ & ones) + (_set(differ & twos) << _ONE) + (_set(differ & fours) << _TWO)
            penalties[row] += np.uint32(weight)


@compiled
def _limit(least: float, promise: Floats) -> int:
    """The highest penalty with which a row may still be more similar than `least`; -1 where none may."""
    doubt = promise[2] * np.sqrt(max(np.float32(0), np.float32(1) - least * least))
    return int(max(np.floor((promise[0] + doubt - least) / promise[1]), np.float32(-1)))


@compiled
def _within(penalties: npt.NDArray[np.uint32], count: int, limit: int, near: Longs) -> int:
    """How many of the first `count` penalties are at most `limit`; their numbers stand first in `near`."""
    found = 0
    for row in range(count):
        if penalties[row] <= limit:
            near[found] = row
            found += 1
    return found


@compiled
def scan(
    codes: Words,
    vectors: Bytes,
    scales: Floats,
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
    penalties = np.empty(STRIDE, np.uint32)
    near = np.empty(STRIDE, np.int64)
    compared = 0
    for start in range(first, last, STRIDE):
        count = min(STRIDE, last - start)
        _count_penalties(codes, start, start + count, signs, planes, penalties)
        bar[0] = max(bar[0], similarities[0])
        found = _within(penalties, count, _limit(bar[0], promise), near)
        for n in range(found):
            row = start + near[n]
            if removed.shape[0] > 0 and (removed[row >> 3] >> (row & 7)) & 1:
                continue
            compared += 1
            similarity = _product(question, codes, vectors, row) * scales[row]
            if similarity > similarities[0]:
                _replace_least(similarities, places, similarity, (segment << 32) | row)
    bar[0] = max(bar[0], similarities[0])
    return compared


@compiled
def kept_rows(times: Longs, starts: Longs, since: int, until: int, ranges: Longs) -> None:
    """Nothing; ranges (C, 2) become the first row and the row after the last of each camera's rows with since <= time <
    until: camera c has the rows starts[c]..starts[c + 1], in order of time."""
    for camera in range(starts.shape[0] - 1):
        for side, moment in enumerate((since, until)):
            low, high = starts[camera], starts[camera + 1]
            while low < high:
                middle = (low + high) // 2
                if times[middle] < moment:
                    low = middle + 1
                else:
                    high = middle
            ranges[camera, side] = low
