"""The compiled loops of the range coder; `range_coder` says how it works and checks what goes in.

All numbers stay below 2**50, so int64 holds them exactly. `at` counts bytes read, zeros past the end included.
"""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from streamproc.codec.code_tables import TOTAL, TOTAL_BITS, VALUE_MAX, VALUE_MIN, IntArray

WINDOW_BYTES: Final = 6
WINDOW: Final = 1 << 48
TOP: Final = 1 << 40
GAMMA_BITS: Final = 16
BYTES_PER_SYMBOL: Final = 7
"""A bound: 16 bits of table, a sign, at most 33 bits of Elias-gamma."""

OK: Final = 0
CUT: Final = 1
FOREIGN: Final = 2

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Bytes = npt.NDArray[np.uint8]
_Longs = npt.NDArray[np.int64]


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function, compiled by numba; kept beside its source."""
    return cast(Callable[_P, _R], numba.njit(cache=True)(function))


@compiled
def _put(low: int, width: int, size: int, start: int, count: int, bits: int, buffer: _Bytes) -> tuple[int, int, int]:
    """Narrow to [start, start + count) out of 2**bits; a byte that is settled goes to the buffer."""
    step = width >> bits
    low += step * start
    width = step * count
    if low >= WINDOW:
        low -= WINDOW
        at = size - 1
        while buffer[at] == 255:
            buffer[at] = 0
            at -= 1
        buffer[at] += 1
    while width < TOP:
        buffer[size] = low >> 40
        size += 1
        low = (low << 8) & (WINDOW - 1)
        width <<= 8
    return low, width, size


@compiled
def encode(
    symbols: IntArray,
    indexes: IntArray,
    cdf: _Longs,
    lengths: IntArray,
    offsets: IntArray,
    escape: bool,
    buffer: _Bytes,
    state: _Longs,
) -> None:
    """Append to `buffer`, which has room; `state` is low, width, bytes written."""
    low, width, size = state[0], state[1], state[2]
    for k in range(symbols.size):
        table = indexes[k]
        place = symbols[k] - offsets[table]
        last = lengths[table] - 1
        outside = escape and (place < 0 or place >= last)
        slot = last if outside else place
        start = cdf[table, slot]
        low, width, size = _put(low, width, size, start, cdf[table, slot + 1] - start, 16, buffer)
        if outside:
            below = place < 0
            rest = -place if below else place - last + 1
            digits = 0
            while rest >> (digits + 1):
                digits += 1
            low, width, size = _put(low, width, size, 1 if below else 0, 1, 1, buffer)
            for _ in range(digits):
                low, width, size = _put(low, width, size, 0, 1, 1, buffer)
            low, width, size = _put(low, width, size, 1, 1, 1, buffer)
            low, width, size = _put(low, width, size, rest - (1 << digits), 1, digits, buffer)
    state[0], state[1], state[2] = low, width, size


@compiled
def _pull(ahead: int, width: int, at: int, data: _Bytes, end: int) -> tuple[int, int, int]:
    """Widen back to the window; zeros stand for bytes past the end, the caller looks how far past."""
    while width < TOP:
        byte = data[at] if at < end else 0
        ahead = (ahead << 8) | byte
        width <<= 8
        at += 1
    return ahead, width, at


@compiled
def _bits(ahead: int, width: int, at: int, bits: int, data: _Bytes, end: int) -> tuple[int, int, int, int]:
    """A plain number of so many bits, then the state; the number is 2**bits or more where no encoder goes."""
    step = width >> bits
    value = ahead // step
    ahead, width, at = _pull(ahead - value * step, step, at, data, end)
    return value, ahead, width, at


@compiled
def _outside(
    ahead: int, width: int, at: int, first: int, last: int, data: _Bytes, end: int
) -> tuple[int, int, int, int]:
    """A value below `first` or from `last` on, then the state; the value is beyond 16 bits where it is none."""
    impossible = VALUE_MAX + 1
    below, ahead, width, at = _bits(ahead, width, at, 1, data, end)
    digits, bit = -1, 0
    while bit == 0 and digits < GAMMA_BITS and at <= end + WINDOW_BYTES:
        bit, ahead, width, at = _bits(ahead, width, at, 1, data, end)
        digits += 1
    if below > 1 or bit != 1:
        return impossible, ahead, width, at
    rest, ahead, width, at = _bits(ahead, width, at, digits, data, end)
    if rest >> digits:
        return impossible, ahead, width, at
    rest += 1 << digits
    value = first - rest if below else last - 1 + rest
    return value, ahead, width, at


@compiled
def _symbol(
    ahead: int,
    width: int,
    at: int,
    table: int,
    data: _Bytes,
    end: int,
    cdf: _Longs,
    lengths: IntArray,
    offsets: IntArray,
    escape: bool,
) -> tuple[int, int, int, int, int]:
    """The next value under `table` and the status, then the state."""
    step = width >> TOTAL_BITS
    target = ahead // step
    if target >= TOTAL:
        return 0, FOREIGN, ahead, width, at
    slot, above = 0, lengths[table]
    while above - slot > 1:
        middle = (slot + above) // 2
        if cdf[table, middle] <= target:
            slot = middle
        else:
            above = middle
    start = cdf[table, slot]
    ahead, width, at = _pull(ahead - start * step, step * (cdf[table, slot + 1] - start), at, data, end)
    value = offsets[table] + slot
    if escape and slot == lengths[table] - 1:
        value, ahead, width, at = _outside(ahead, width, at, offsets[table], value, data, end)
    if at > end + WINDOW_BYTES:
        return value, CUT, ahead, width, at
    if value < VALUE_MIN or value > VALUE_MAX:
        return value, FOREIGN, ahead, width, at
    return value, OK, ahead, width, at


@compiled
def decode(
    data: _Bytes,
    end: int,
    indexes: IntArray,
    cdf: _Longs,
    lengths: IntArray,
    offsets: IntArray,
    escape: bool,
    state: _Longs,
    out: IntArray,
) -> int:
    """Fill `out` with one value for each of `indexes`; the status says whether the bytes up to `end` allowed it."""
    ahead, width, at = state[0], state[1], state[2]
    for k in range(indexes.size):
        value, status, ahead, width, at = _symbol(
            ahead, width, at, indexes[k], data, end, cdf, lengths, offsets, escape
        )
        if status != OK:
            return status
        out[k] = value
    state[0], state[1], state[2] = ahead, width, at
    return OK


@compiled
def ending(data: _Bytes, end: int, state: _Longs) -> int:
    """Whether an encoder of the decoded symbols would have ended exactly here."""
    ahead, width, left = state[0], state[1], state[2] - WINDOW_BYTES
    if end == left:
        return OK
    if end < left:
        return CUT
    if end > left + 1:
        return FOREIGN
    # One byte more than `left`: right only if no shorter number, and no smaller one, is in the interval.
    last = data[end - 1] * TOP
    longer = ahead < last and ahead - last + WINDOW >= width
    return OK if longer and ahead < TOP else FOREIGN


@compiled
def start_decoding(data: _Bytes, begin: int, end: int, state: _Longs) -> None:
    """Fill the window: `state` becomes value minus low, width, and where the next byte is read."""
    ahead = 0
    for at in range(begin, begin + WINDOW_BYTES):
        ahead = (ahead << 8) | (data[at] if at < end else 0)
    state[0], state[1], state[2] = ahead, WINDOW, begin + WINDOW_BYTES


@compiled
def decode_rows(
    data: _Bytes,
    ends: _Longs,
    cdf: _Longs,
    lengths: IntArray,
    offsets: IntArray,
    escape: bool,
    successors: _Longs,
    quantisers: _Longs,
    turns: int,
    whole: bool,
    out: IntArray,
) -> tuple[int, int]:
    """Row by row, a stream each, of levels whose tables a trellis names; the first row that cannot be decoded and its
    status, or (rows, ok)."""
    left = np.zeros(3, dtype=np.int64)
    begin = 0
    for row in range(len(ends)):
        end = ends[row]
        start_decoding(data, begin, end, left)
        ahead, width, at = left[0], left[1], left[2]
        state, status = 0, OK
        for d in range(out.shape[1]):
            table = d * turns + quantisers[state]
            level, status, ahead, width, at = _symbol(ahead, width, at, table, data, end, cdf, lengths, offsets, escape)
            if status != OK:
                break
            out[row, d] = level
            state = successors[state, level & 1]
        if status == OK and whole:
            left[0], left[1], left[2] = ahead, width, at
            status = ending(data, end, left)
        if status != OK:
            return row, status
        begin = end
    return len(ends), OK
