"""A range coder over integer tables: symbols to the fewest bytes, and back, the same on every machine.

Arithmetic coding with carry (Rissanen 1976; the bytewise form of Martin 1979). The interval [low, low + width) is held
in a window of 48 bits with width kept >= 2**40, so dividing it by 2**16 loses at most 2**-24 of it: 0.002 bits over
25,000 symbols.

Termination: a stream of which the window has left m bytes behind ends after m bytes if some m-byte number lies in the
final interval, else after m + 1, where one always does; the smallest such number is taken, and the decoder reads zeros
past the end. That is never more than ceil(ideal bits / 8) bytes but for the 2**-24 above. Trailing zeros below m bytes
are not stripped (it would save 1/256 byte a stream), because length is all that gives a cut stream away: a decoder
never has to look more than 6 bytes past the end of an honest one, and refuses to.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from streamproc.codec import range_kernels as kernels
from streamproc.codec.code_tables import TOTAL_BITS, VALUE_MAX, VALUE_MIN, CodeTables, IntArray, counts_from_pmf
from streamproc.codec.trellis import Trellis
from streamproc.errors import CodecError, CorruptCode

__all__ = ["CodeTables", "IntArray", "RangeDecoder", "RangeEncoder", "counts_from_pmf", "decode_rows", "ideal_bits"]

_REASONS: Final = {
    kernels.CUT: "is cut short or damaged",
    kernels.FOREIGN: "holds bytes that no encoder writes",
}


class RangeEncoder:
    """Symbols in, bytes out; several `encode` calls with different tables make one stream."""

    def __init__(self) -> None:
        """Begin an empty stream."""
        self._buffer = np.zeros(256, dtype=np.uint8)
        self._state = np.array([0, kernels.WINDOW, 0], dtype=np.int64)

    def encode(self, symbols: npt.ArrayLike, indexes: npt.ArrayLike, tables: CodeTables) -> None:
        """Nothing; appends `symbols`, each under the table that `indexes` (same shape) names.

        Raises CodecError, and appends nothing, for a symbol beyond 16 bits, one outside its table where the tables
        have no escape, and an index that names no table.
        """
        values, rows, _ = _checked(symbols, indexes, tables)
        room = int(self._state[2]) + kernels.BYTES_PER_SYMBOL * values.size
        if room > self._buffer.size:
            self._buffer = np.concatenate([self._buffer, np.zeros(room, dtype=np.uint8)])
        kernels.encode(
            values, rows, tables.cdf, tables.lengths, tables.offsets, tables.escape, self._buffer, self._state
        )

    def finish(self) -> bytes:
        """The shortest stream for what was encoded so far; does not change the encoder."""
        low, width, size = (int(number) for number in self._state)
        head = self._buffer[:size].tobytes()
        if low == 0:
            return head
        if low + width > kernels.WINDOW:
            return (int.from_bytes(head, "big") + 1).to_bytes(size, "big")
        return head + bytes([-(-low // kernels.TOP)])


class RangeDecoder:
    """Bytes in, symbols out, by the same calls in the same order as the encoder's.

    `name` is what the errors call the data. After an error the decoder is of no more use.
    """

    def __init__(self, data: bytes, name: str = "code") -> None:
        """Begin at the first byte."""
        self._data = np.frombuffer(bytes(data), dtype=np.uint8)
        self._name = name
        self._state = np.zeros(3, dtype=np.int64)
        kernels.start_decoding(self._data, 0, self._data.size, self._state)

    def decode(self, indexes: npt.ArrayLike, tables: CodeTables) -> IntArray:
        """The next symbols, int32, of the shape of `indexes`; raises CorruptCode where the bytes do not allow it."""
        shape = np.shape(indexes)
        rows = _checked_indexes(indexes, tables)
        out = np.empty(rows.size, dtype=np.int32)
        status = kernels.decode(
            self._data,
            self._data.size,
            rows,
            tables.cdf,
            tables.lengths,
            tables.offsets,
            tables.escape,
            self._state,
            out,
        )
        _check(status, self._name)
        return out.reshape(shape)

    def finish(self) -> None:
        """Nothing; raises CorruptCode unless an encoder of the same symbols would have written exactly these bytes."""
        _check(kernels.ending(self._data, self._data.size, self._state), self._name)


def decode_rows(
    data: bytes, ends: npt.ArrayLike, tables: CodeTables, trellis: Trellis, count: int, name: str = "code"
) -> IntArray:
    """The first `count` symbols of many streams, (N, count) int32: stream n ends at byte `ends[n]` of `data`.

    Each stream holds one symbol of each dimension, in order, under the table that the trellis names; where all of them
    are asked for, its ending is checked too. Raises CorruptCode, which counts the streams from 1, at the first that
    cannot be decoded.
    """
    stops = np.array(ends, dtype=np.int64)
    steps = np.diff(stops, prepend=0)
    dimensions = len(tables) // trellis.turns
    if not 0 <= count <= dimensions or stops.ndim != 1 or (steps < 0).any() or (stops > len(data)).any():
        raise CodecError(f"{count} symbols of {stops.size} streams were asked for, which the data cannot hold.")
    out = np.empty((stops.size, count), dtype=np.int32)
    row, status = kernels.decode_rows(
        np.frombuffer(bytes(data), dtype=np.uint8),
        stops,
        tables.cdf,
        tables.lengths,
        tables.offsets,
        tables.escape,
        trellis.successors,
        trellis.quantisers,
        trellis.turns,
        count == dimensions,
        out,
    )
    _check(status, name if stops.size == 1 else f"{name} {row + 1} of {stops.size}")
    return out


def ideal_bits(symbols: npt.ArrayLike, indexes: npt.ArrayLike, tables: CodeTables) -> float:
    """The code length, bits, that the tables give to the symbols: the least that a coder can reach."""
    values, rows, slots = _checked(symbols, indexes, tables)
    counts = tables.cdf[rows, slots + 1] - tables.cdf[rows, slots]
    bits = float(np.sum(TOTAL_BITS - np.log2(counts)))
    if tables.escape:
        last = tables.lengths[rows] - 1
        places = values.astype(np.int64) - tables.offsets[rows]
        rest = np.where(places < 0, -places, places - last + 1)[slots == last]
        bits += float(np.sum(2 + 2 * np.floor(np.log2(rest))))
    return bits


def _checked(
    symbols: npt.ArrayLike, indexes: npt.ArrayLike, tables: CodeTables
) -> tuple[IntArray, IntArray, npt.NDArray[np.int64]]:
    """Flat symbols, flat indexes, and each symbol's slot in its table; raises CodecError where it has none."""
    values = np.asarray(symbols)
    if values.dtype.kind not in "iu" or values.shape != np.shape(indexes):
        raise CodecError(f"Symbols must be integers, one an index; got {values.dtype} of shape {values.shape}.")
    rows = _checked_indexes(indexes, tables)
    flat = values.reshape(-1).astype(np.int64)
    if flat.size and not VALUE_MIN <= flat.min() <= flat.max() <= VALUE_MAX:
        raise CodecError(f"A symbol lies beyond 16 bits ({flat.min()} to {flat.max()}); it cannot be coded.")
    slots = flat - tables.offsets[rows]
    last = tables.lengths[rows].astype(np.int64) - (1 if tables.escape else 0)
    outside = (slots < 0) | (slots >= last)
    if tables.escape:
        slots = np.where(outside, last, slots)
    elif outside.any():
        at = int(np.argmax(outside))
        raise CodecError(f"Symbol {flat[at]} at {at} lies outside its code table; clip it or use an escape.")
    return flat.astype(np.int32), rows, slots


def _checked_indexes(indexes: npt.ArrayLike, tables: CodeTables) -> IntArray:
    """Flat int32 copy; raises CodecError for an index that names no table."""
    rows = np.asarray(indexes)
    if rows.size == 0:
        return np.empty(0, dtype=np.int32)
    if rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= len(tables):
        raise CodecError(f"An index names no code table; there are {len(tables)}.")
    return np.array(rows, dtype=np.int32, order="C").reshape(-1)


def _check(status: int, name: str) -> None:
    if status != kernels.OK:
        raise CorruptCode(f"The {name} {_REASONS[status]}; restore it from a backup or code the face again.")
