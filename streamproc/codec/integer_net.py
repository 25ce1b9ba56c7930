"""The hyper-decoder in integers: from z and the base layer's symbols to the mean and the table of each y, the same on
every machine.

A floating-point h_s (Balle et al. 2018, scale hyperprior) gives scales that differ in their last bits with the number
of threads, the batch and the library, and one scale that falls on the other side of a threshold ruins a stream: hence
`integer_layers`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from streamproc.codec.code_tables import IntArray
from streamproc.codec.integer_layers import (
    ACTIVATION_BITS,
    ACTIVATION_LIMIT,
    WEIGHT_BITS,
    Layer,
    Whole,
    fitted,
    rounded,
    whole,
)
from streamproc.errors import CodecError, WeightsError
from streamproc.types import Array

if TYPE_CHECKING:
    from torch import Tensor, nn

MAX_CHANNELS: Final = 1024
MAX_SCALES: Final = 4096
_SYMBOL_LIMIT: Final = 1 << 15
_TO_ACTIVATION: Final = 2 ** (WEIGHT_BITS - ACTIVATION_BITS)


@dataclass(frozen=True, slots=True, eq=False)
class LatentModel:
    """What is known of y before it is read: int32 `indexes` of its tables and int32 `means` in units of 1/256, both
    (B, M, 4h, 4w); and what they came from, scales then means `parameters` (B, 2M, 4h, 4w) and `hidden` (B, N, 4h, 4w),
    both with 8 fractional bits."""

    indexes: IntArray
    means: IntArray
    parameters: Whole
    hidden: Whole

    @classmethod
    def of(cls, parameters: Whole, hidden: Whole, thresholds: Whole) -> "LatentModel":
        """The model whose scales choose their tables by `thresholds`, ascending."""
        scales, means = np.split(parameters, 2, axis=1)
        indexes = np.searchsorted(thresholds, scales, side="right")
        return cls(indexes.astype(np.int32), means.astype(np.int32), parameters, hidden)


class IntegerHyperDecoder:
    """h_s of the mean-and-scale hyperprior (Minnen et al. 2018), told the base layer: (B, N, h, w) integer z and (B, D)
    integer symbols of the base to the model of y.

    The symbols add a picture of z's size, N channels, to z: what the base layer says about the face need not be said
    again. Its arrays are integers only: `base`, `first`, `second` and `last` have a weight, int32, laid out as torch
    does, and a bias, int64 with 20 fractional bits (the base's with 12); `thresholds` are int32 with 8.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        """Raises WeightsError for arrays that do not fit together, or where exactness is not certain."""
        parts = [Layer.from_arrays(arrays, name) for name in ("base", "first", "second", "last")]
        self._base, self._first, self._second, self._last = parts
        if "thresholds" not in arrays:
            raise WeightsError("The hyper-decoder's 'thresholds' is missing; the weights are damaged.")
        self.thresholds = whole(arrays["thresholds"])
        self._arrays = {name: np.array(array) for name, array in arrays.items()}
        self.hidden, self.symbols = self._first.weight.shape[0], self._base.weight.shape[-1]
        self.channels, self.scales = self._last.weight.shape[0] // 2, len(self.thresholds) + 1
        self.side = math.isqrt(len(self._base.weight) // max(self.hidden, 1))
        self._check()

    @classmethod
    def from_float(
        cls,
        base: "nn.Linear",
        first: "nn.ConvTranspose2d",
        second: "nn.ConvTranspose2d",
        last: "nn.Conv2d",
        scale_table: "Sequence[float] | Tensor",
    ) -> "IntegerHyperDecoder":
        """The float layers rounded; an index names the first scale of the ascending table not below the first half of
        `last`'s outputs, the other half are the means.

        Raises WeightsError for layers of another geometry and for weights too large to stay exact.
        """
        for layer in (first, second):
            found = (layer.stride, layer.padding, layer.output_padding, layer.dilation, layer.groups)
            if found != ((2, 2), (2, 2), (1, 1), (1, 1), 1):
                raise WeightsError(f"The hyper-decoder's deconvolutions must double the size exactly, not {found}.")
        found_last = (last.stride, last.padding, last.dilation, last.groups)
        if found_last != ((1, 1), (1, 1), (1, 1), 1):
            raise WeightsError(f"The hyper-decoder's last layer must keep the size, not {found_last}.")
        table = np.asarray(scale_table, np.float64)
        if table.ndim != 1 or not np.isfinite(table).all():
            raise WeightsError("The hyper-decoder's scale table must be one finite row.")
        # A scale s, in 8 fractional bits, is above t exactly when it reaches floor(2**8 t) + 1; the last table is open.
        arrays = {"thresholds": fitted(np.floor(table[:-1] * 2**ACTIVATION_BITS) + 1, np.int32)}
        parts = {"base": base, "first": first, "second": second, "last": last}
        for name, part in parts.items():
            bits = WEIGHT_BITS if name == "base" else WEIGHT_BITS + ACTIVATION_BITS
            state = {n: tensor.double().numpy() for n, tensor in part.state_dict().items()}
            arrays[f"{name}_weight"] = fitted(state["weight"] * 2**WEIGHT_BITS, np.int32)
            arrays[f"{name}_bias"] = fitted(state["bias"] * 2**bits, np.int64)
        return cls(arrays)

    def to_arrays(self) -> dict[str, Array]:
        """The integers that it is made from again."""
        return {name: array.copy() for name, array in self._arrays.items()}

    def __call__(self, hyper: IntArray, base: IntArray) -> LatentModel:
        """The model of y from integer `hyper` (B, N, side, side) and `base` (B, D); raises CodecError otherwise."""
        shape = (self.hidden, self.side, self.side)
        if hyper.ndim != 4 or hyper.shape[1:] != shape or hyper.dtype.kind not in "iu":
            raise CodecError(f"The hyper-decoder needs integers {('B', *shape)}, not {hyper.shape} {hyper.dtype}.")
        if base.shape != (len(hyper), self.symbols) or base.dtype.kind not in "iu":
            raise CodecError(f"The hyper-decoder needs (B, {self.symbols}) base symbols, not {base.shape}.")
        values = hyper.astype(np.float64) * 2**ACTIVATION_BITS + self._known(base).reshape(hyper.shape)
        values = values.clip(-ACTIVATION_LIMIT, ACTIVATION_LIMIT)
        values = rounded(_deconvolve(values, self._first)).clip(min=0)
        values = rounded(_deconvolve(values, self._second)).clip(min=0)
        return LatentModel.of(rounded(_convolve(values, self._last)), values, self.thresholds)

    def _known(self, base: IntArray) -> Whole:
        """(B, N * side * side) what the base's symbols add to z, with 8 fractional bits."""
        symbols = base.astype(np.float64).clip(-_SYMBOL_LIMIT, _SYMBOL_LIMIT)
        sums = symbols @ self._base.weight.T + self._base.bias
        known: Whole = np.floor((sums + _TO_ACTIVATION // 2) / _TO_ACTIVATION)
        return known

    def _check(self) -> None:
        """Raises WeightsError unless the layers fit together and stay exact and the thresholds ascend."""
        n, m = self.hidden, self.channels
        sizes = (n, m, self.symbols, self.side)
        if not (all(1 <= size <= MAX_CHANNELS for size in sizes) and 1 <= self.scales <= MAX_SCALES):
            raise WeightsError(f"A hyper-decoder {n} to {m} with {self.scales} scales is out of bounds.")
        self._base.check("base", (n * self.side**2, self.symbols), (1,), _SYMBOL_LIMIT)
        # A transposed convolution's weight has its inputs first.
        self._first.check("first", (n, n, 5, 5), (0, 2, 3))
        self._second.check("second", (n, n, 5, 5), (0, 2, 3))
        self._last.check("last", (2 * m, n, 3, 3), (1, 2, 3))
        if (np.diff(self.thresholds) < 0).any():
            raise WeightsError("The hyper-decoder's scale thresholds do not ascend; the weights are damaged.")


def _deconvolve(values: Whole, layer: Layer) -> Whole:
    """Transposed convolution 5x5, stride 2, to exactly twice the size."""
    batch, inputs, height, width = values.shape
    columns = layer.weight.reshape(inputs, -1).T @ values.reshape(batch, inputs, -1)
    columns = columns.reshape(batch, -1, 5, 5, height, width)
    out = np.zeros((batch, columns.shape[1], 2 * height + 3, 2 * width + 3))
    for y in range(5):
        for x in range(5):
            out[:, :, y : y + 2 * height : 2, x : x + 2 * width : 2] += columns[:, :, y, x]
    return out[:, :, 2 : 2 + 2 * height, 2 : 2 + 2 * width] + layer.bias[:, None, None]


def _convolve(values: Whole, layer: Layer) -> Whole:
    """Convolution 3x3, stride 1, to the same size."""
    batch, inputs, height, width = values.shape
    padded = np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = [padded[:, :, y : y + height, x : x + width] for y in range(3) for x in range(3)]
    columns = np.stack(windows, axis=2).reshape(batch, inputs * 9, -1)
    out: Whole = layer.weight.reshape(-1, inputs * 9) @ columns + layer.bias[:, None]
    return out.reshape(batch, -1, height, width)
