"""The checkerboard context in integers (He et al. 2021): half of the latent is read first, the other half is foretold
from it.

The places of y are coloured like a chessboard. The first half is coded as the hyper-decoder says; each place of the
second half then has four neighbours, and twelve places of its 5x5 window, that are known. Exact for the reasons that
`integer_layers` gives.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from streamproc.codec.code_tables import IntArray
from streamproc.codec.integer_layers import (
    ACTIVATION_BITS,
    ACTIVATION_LIMIT,
    WEIGHT_BITS,
    Layer,
    Whole,
    fitted,
    rounded,
)
from streamproc.codec.integer_net import LatentModel
from streamproc.errors import WeightsError
from streamproc.types import Array

if TYPE_CHECKING:
    from torch import nn

REACH: Final = 2
TAPS: Final = tuple((y, x) for y in range(5) for x in range(5) if (y + x) % 2)
"""Places of the 5x5 window that are of the other colour than its middle."""
WEIGHT_TYPE: Final = np.int16
MAX_CHANNELS: Final = 1024


def first_half(side: int) -> npt.NDArray[np.bool_]:
    """(side, side) True where y is read first."""
    half: npt.NDArray[np.bool_] = np.indices((side, side)).sum(axis=0) % 2 == 0
    return half


class IntegerContext:
    """From the first half of y to a better model of the second.

    Parameters of the second half = those of the hyper-decoder + out(relu(known(first half) + mix(hidden))), with
    `known` over the 5x5 window, `mix` and `out` place by place. Its arrays are integers: `known_weight` (K, M, 12),
    `mix_weight` (K, N), `out_weight` (2M, K), int16 with 12 fractional bits, and their biases, int64 with 20.
    """

    def __init__(self, arrays: Mapping[str, Array], thresholds: Whole) -> None:
        """Raises WeightsError for arrays that do not fit together, or where exactness is not certain."""
        self._known, self._mix, self._out = (Layer.from_arrays(arrays, name) for name in ("known", "mix", "out"))
        self._arrays = {name: np.array(array) for name, array in arrays.items()}
        self._thresholds = thresholds
        if any(layer.weight.ndim != axes for layer, axes in [(self._known, 3), (self._mix, 2), (self._out, 2)]):
            raise WeightsError("The context's layers have the wrong number of axes; the weights are damaged.")
        width, channels = self._known.weight.shape[:2]
        hidden = self._mix.weight.shape[1]
        if not all(1 <= size <= MAX_CHANNELS for size in (width, channels, hidden)):
            raise WeightsError(f"A context of {channels} channels and width {width} is out of bounds.")
        self._known.check("known", (width, channels, len(TAPS)), (1, 2))
        self._mix.check("mix", (width, hidden), (1,))
        # Two clipped activations are added before it.
        self._out.check("out", (2 * channels, width), (1,), 2 * ACTIVATION_LIMIT)
        self.channels, self.hidden = channels, hidden

    @classmethod
    def from_float(cls, known: "nn.Conv2d", mix: "nn.Conv2d", out: "nn.Conv2d", thresholds: Whole) -> "IntegerContext":
        """The float layers (5x5, 1x1, 1x1) rounded; raises WeightsError for weights too large."""
        arrays: dict[str, Array] = {}
        for name, layer in [("known", known), ("mix", mix), ("out", out)]:
            state = {n: tensor.detach().double().numpy() for n, tensor in layer.state_dict().items()}
            weight = state["weight"]
            weight = np.stack([weight[:, :, y, x] for y, x in TAPS], axis=2) if name == "known" else weight[:, :, 0, 0]
            arrays[f"{name}_weight"] = fitted(weight * 2**WEIGHT_BITS, WEIGHT_TYPE)
            arrays[f"{name}_bias"] = fitted(state["bias"] * 2 ** (WEIGHT_BITS + ACTIVATION_BITS), np.int64)
        return cls(arrays, thresholds)

    def to_arrays(self) -> dict[str, Array]:
        """The integers that it is made from again."""
        return {name: array.copy() for name, array in self._arrays.items()}

    def __call__(self, model: LatentModel, symbols: IntArray) -> LatentModel:
        """`model` with the second half's tables and means chosen anew; of `symbols` (B, M, h, w), whole numbers added
        to the means, those of the first half are looked at."""
        first = first_half(symbols.shape[-1])
        values = np.where(first, symbols * float(2**ACTIVATION_BITS) + model.means, 0)
        windows = self._windows(values.clip(-ACTIVATION_LIMIT, ACTIVATION_LIMIT), ~first)
        known = rounded(self._known.weight.reshape(len(self._known.weight), -1) @ windows + self._known.bias[:, None])
        mixed = rounded(self._mix.weight @ model.hidden[:, :, ~first] + self._mix.bias[:, None])
        added = rounded(self._out.weight @ (known + mixed).clip(min=0) + self._out.bias[:, None])
        parameters = model.parameters.copy()
        parameters[:, :, ~first] = (parameters[:, :, ~first] + added).clip(-ACTIVATION_LIMIT, ACTIVATION_LIMIT)
        return LatentModel.of(parameters, model.hidden, self._thresholds)

    def _windows(self, values: Whole, wanted: npt.NDArray[np.bool_]) -> Whole:
        """(B, M * 12, P) the places of the other colour in the windows of the P `wanted` places."""
        height, width = values.shape[2:]
        padded = np.pad(values, ((0, 0), (0, 0), (REACH, REACH), (REACH, REACH)))
        taps = [padded[:, :, y : y + height, x : x + width][:, :, wanted] for y, x in TAPS]
        windows: Whole = np.stack(taps, axis=2).reshape(len(values), -1, int(wanted.sum()))
        return windows
