"""Integer layers: what the nets that choose code tables are made of, so that every machine chooses the same.

Weights have 12 fractional bits and activations 8, all are integers held in float64, and no sum can reach 2**53, so
every order of summation gives the same integer. Only matrix products, additions and comparisons are used: no algorithm
(Winograd, FFT) that would leave the integers can be chosen behind our back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streamproc.errors import WeightsError
from streamproc.types import Array

WEIGHT_BITS: Final = 12
ACTIVATION_BITS: Final = 8
ACTIVATION_LIMIT: Final = 1 << 23
"""Clip on activations: 2**15, in 8 fractional bits; any 16-bit symbol passes it."""
_EXACT: Final = 1 << 53

Whole = npt.NDArray[np.float64]
"""Integers held in float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A layer's weight, laid out as torch does unless its user says otherwise, and bias."""

    weight: Whole
    bias: Whole

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], name: str) -> "Layer":
        """The layer called `name`; raises WeightsError where it is missing or not of integers."""
        try:
            return cls(whole(arrays[f"{name}_weight"]), whole(arrays[f"{name}_bias"]))
        except KeyError as error:
            raise WeightsError(f"The hyper-decoder's {error} is missing; the weights are damaged.") from error

    def check(self, name: str, weight: tuple[int, ...], inputs: tuple[int, ...], limit: int = ACTIVATION_LIMIT) -> None:
        """Raises WeightsError unless the weight has that shape and every sum over the axes `inputs` of values within
        +-limit stays below 2**53."""
        outputs = tuple(size for axis, size in enumerate(weight) if axis not in inputs)
        found, wanted = (self.weight.shape, self.bias.shape), (weight, outputs)
        if found != wanted:
            raise WeightsError(f"The hyper-decoder's layer {name} has the shapes {found}, not {wanted}.")
        worst = float((np.abs(self.weight).sum(axis=inputs) * limit + np.abs(self.bias)).max()) + 2**WEIGHT_BITS
        if not worst < _EXACT:
            raise WeightsError(f"The hyper-decoder's layer {name} is too large to be exact; train it again.")


def whole(array: Array) -> Whole:
    """Integers as float64; raises WeightsError for others."""
    if array.dtype.kind != "i":
        raise WeightsError("The hyper-decoder's arrays must be integers; the weights are damaged.")
    return array.astype(np.float64)


def fitted(values: Whole, dtype: type[np.signedinteger[Any]]) -> Array:
    """`values` rounded to integers of that type; raises WeightsError where one does not fit."""
    # NaN compares false; int64 would hold more than 2**53, but nothing exact needs it.
    if not bool((np.abs(values) < min(np.iinfo(dtype).max, _EXACT)).all()):
        raise WeightsError("The hyper-decoder holds numbers that are too large; train it again.")
    return np.rint(values).astype(dtype)


def rounded(sums: Whole) -> Whole:
    """Back to 8 fractional bits, half upwards, clipped."""
    near: Whole = np.floor((sums + 2 ** (WEIGHT_BITS - 1)) / 2**WEIGHT_BITS)
    return near.clip(-ACTIVATION_LIMIT, ACTIVATION_LIMIT)
