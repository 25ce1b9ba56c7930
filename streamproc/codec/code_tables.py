"""The integer tables that the range coder works with: how probable each value of each symbol is.

Probabilities are integer counts out of 2**16, made once when weights are exported and stored beside them: a table that
each machine computed again in floating point would one day differ in one count and ruin every stream.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streamproc.errors import WeightsError

IntArray = npt.NDArray[np.int32]

TOTAL_BITS: Final = 16
TOTAL: Final = 1 << TOTAL_BITS
VALUE_MIN: Final = -(1 << 15)
VALUE_MAX: Final = (1 << 15) - 1
MAX_TABLES: Final = 4096
MAX_SYMBOLS: Final = 4096
MAX_ENTRIES: Final = 1 << 22
"""Bound on tables times symbols: a small hostile file must not ask for a large matrix."""


@dataclass(frozen=True, slots=True, eq=False)
class CodeTables:
    """T tables of cumulative counts; raises WeightsError unless every one of them can be decoded with.

    `cdf` (T, L+1) int64: row t rises strictly from 0 to 2**16 over its first `lengths[t]` steps and stays there;
    `lengths` (T,) int32: symbols in each table; `offsets` (T,) int32: the value of each table's first symbol;
    `escape`: the last symbol of each table means "a value outside", which follows in plain bits.
    The arrays are copied and cannot be written to.
    """

    cdf: npt.NDArray[np.int64]
    lengths: IntArray
    offsets: IntArray
    escape: bool

    def __post_init__(self) -> None:
        """Check every table, then keep read-only copies."""
        cdf = _frozen(self.cdf, np.int64, 2, "cdf")
        lengths = _frozen(self.lengths, np.int32, 1, "lengths")
        offsets = _frozen(self.offsets, np.int32, 1, "offsets")
        tables, symbols = cdf.shape[0], cdf.shape[1] - 1
        _check_sizes(lengths, offsets, symbols)
        if tables != len(lengths):
            raise WeightsError(f"{tables} code tables have {len(lengths)} lengths; export the weights again.")
        inside = np.arange(symbols)[None, :] < lengths[:, None]
        steps = np.diff(cdf, axis=1)
        if (cdf[:, 0] != 0).any() or (cdf[:, -1] != TOTAL).any() or (np.where(inside, steps, 1) < 1).any():
            raise WeightsError(f"A code table does not rise from 0 to {TOTAL}; export the weights again.")
        if steps[~inside].any():
            raise WeightsError("A code table holds counts beyond its length; export the weights again.")
        object.__setattr__(self, "cdf", cdf)
        object.__setattr__(self, "lengths", lengths)
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "escape", bool(self.escape))

    def __len__(self) -> int:
        """How many tables there are."""
        return len(self.lengths)

    @classmethod
    def from_counts(
        cls, counts: Sequence[npt.ArrayLike], offsets: npt.ArrayLike, *, escape: bool = False
    ) -> "CodeTables":
        """Tables from integer counts, one row of any length each, every count >= 1 and every row's sum 2**16."""
        rows = [_frozen(row, np.int64, 1, "counts") for row in counts]
        lengths = np.array([len(row) for row in rows], dtype=np.int32)
        width = max((len(row) for row in rows), default=0)
        _check_sizes(lengths, _frozen(offsets, np.int32, 1, "offsets"), width)
        cdf = np.full((len(rows), width + 1), TOTAL, dtype=np.int64)
        for line, row in zip(cdf, rows, strict=True):
            if row.min() < 1 or row.max() > TOTAL or int(row.sum()) != TOTAL:
                raise WeightsError(f"A code table's counts must be >= 1 and sum to {TOTAL}; export the weights again.")
            line[0] = 0
            line[1 : len(row) + 1] = np.cumsum(row)
        return cls(cdf, lengths, np.asarray(offsets), escape)

    def to_arrays(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Four int32 arrays, named `prefix.counts` (all rows one after another), `.lengths`, `.offsets`, `.escape`."""
        inside = np.arange(self.cdf.shape[1] - 1)[None, :] < self.lengths[:, None]
        return {
            f"{prefix}.counts": np.diff(self.cdf, axis=1)[inside].astype(np.int32),
            f"{prefix}.lengths": self.lengths.copy(),
            f"{prefix}.offsets": self.offsets.copy(),
            f"{prefix}.escape": np.array([self.escape], dtype=np.int32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> "CodeTables":
        """The tables that `to_arrays` wrote; raises WeightsError for anything else."""
        missing = [name for name in ("counts", "lengths", "offsets", "escape") if f"{prefix}.{name}" not in arrays]
        if missing:
            raise WeightsError(f"The weights hold no '{prefix}.{missing[0]}'; they are damaged or of another kind.")
        counts = _frozen(arrays[f"{prefix}.counts"], np.int64, 1, f"{prefix}.counts")
        lengths = _frozen(arrays[f"{prefix}.lengths"], np.int32, 1, f"{prefix}.lengths")
        offsets = _frozen(arrays[f"{prefix}.offsets"], np.int32, 1, f"{prefix}.offsets")
        escape = _frozen(arrays[f"{prefix}.escape"], np.int32, 1, f"{prefix}.escape")
        _check_sizes(lengths, offsets, int(lengths.max(initial=0)))
        if int(lengths.sum(dtype=np.int64)) != len(counts) or escape.tolist() not in ([0], [1]):
            raise WeightsError(f"The code tables '{prefix}' do not fit together; the weights are damaged.")
        rows = np.split(counts, np.cumsum(lengths)[:-1])
        return cls.from_counts(rows, offsets, escape=bool(escape[0]))


def counts_from_pmf(pmf: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Integer counts (L,) int64 nearest to the probabilities `pmf` (L,), each >= 1, summing to 2**16.

    Rounds, then moves single counts where they cost least (the Sainte-Lague rule: p / (count -+ 1/2)); additions and
    divisions only, so the same input gives the same counts everywhere. Raises WeightsError for a pmf that is none.
    """
    weights = np.asarray(pmf, dtype=np.float64)
    if weights.ndim != 1 or not 1 <= len(weights) <= MAX_SYMBOLS:
        raise WeightsError(f"A probability table needs 1 to {MAX_SYMBOLS} entries, not shape {weights.shape}.")
    total = float(weights.sum())
    if not np.isfinite(total) or total <= 0 or (weights < 0).any():
        raise WeightsError("A probability table must be finite, not negative, and hold something above zero.")
    share = weights / total
    counts: npt.NDArray[np.int64] = np.maximum(np.rint(share * TOTAL), 1).astype(np.int64)
    while (excess := int(counts.sum()) - TOTAL) != 0:
        if excess > 0:
            counts[np.argmin(np.where(counts > 1, share / (counts - 0.5), np.inf))] -= 1
        else:
            counts[np.argmax(share / (counts + 0.5))] += 1
    return counts


def _frozen(values: npt.ArrayLike, dtype: type[np.signedinteger[Any]], ndim: int, name: str) -> npt.NDArray[Any]:
    """A read-only contiguous copy as `dtype`; raises WeightsError where that would change a value."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or array.ndim != ndim or array.size == 0:
        raise WeightsError(f"Code tables: '{name}' must hold integers in {ndim} dimension(s); export them again.")
    bounds = np.iinfo(dtype)
    if int(array.min()) < bounds.min or int(array.max()) > bounds.max:
        raise WeightsError(f"Code tables: '{name}' holds numbers that are too large; export the weights again.")
    copy: npt.NDArray[Any] = np.array(array, dtype=dtype, order="C")
    copy.flags.writeable = False
    return copy


def _check_sizes(lengths: npt.NDArray[Any], offsets: npt.NDArray[Any], symbols: int) -> None:
    """Raise WeightsError where the sizes are out of bounds: to be called before anything is allocated by them."""
    tables = len(lengths)
    if not (1 <= tables <= MAX_TABLES and 1 <= symbols <= MAX_SYMBOLS and tables * (symbols + 1) <= MAX_ENTRIES):
        raise WeightsError(f"{tables} code tables of {symbols} symbols are out of bounds; export the weights again.")
    if lengths.min() < 1 or lengths.max() != symbols or len(offsets) != tables:
        raise WeightsError("The code tables' lengths and offsets do not fit them; export the weights again.")
    if offsets.min() < VALUE_MIN or (offsets.astype(np.int64) + lengths - 1).max() > VALUE_MAX:
        raise WeightsError("A code table holds values beyond 16 bits; export the weights again.")
