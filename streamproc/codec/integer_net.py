"""The hyper-decoder in integers: from z and the base layer's symbols to the mean and the table of each y, the same on
every machine.

A floating-point h_s (Balle et al. 2018, scale hyperprior) gives scales that differ in their last bits with the number
of threads, the batch and the library, and one scale that falls on the other side of a threshold ruins a stream. Here
weights have 12 fractional bits and activations 8, all are integers held in float64, and no sum can reach 2**53, so
every order of summation gives the same integer. Only matrix products, additions and comparisons are used: no algorithm
(Winograd, FFT) that would leave the integers can be chosen behind our back.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamproc.errors import CodecError, WeightsError

WEIGHT_BITS: Final = 12
ACTIVATION_BITS: Final = 8
ACTIVATION_LIMIT: Final = 1 << 23
"""Clip on activations: 2**15, in 8 fractional bits; any 16-bit z passes it."""

MAX_CHANNELS: Final = 1024
MAX_SCALES: Final = 4096
_EXACT: Final = 1 << 53
_LAYERS: Final = ("first", "second", "last")
_SYMBOL_LIMIT: Final = 1 << 15
_TO_ACTIVATION: Final = 2 ** (WEIGHT_BITS - ACTIVATION_BITS)


@dataclass(frozen=True, slots=True, eq=False)
class LatentModel:
    """What is known of y before it is read: int32 `indexes` of its tables and int32 `means` in units of 1/256, both
    (B, M, 4h, 4w)."""

    indexes: Tensor
    means: Tensor


class IntegerHyperDecoder(nn.Module):
    """h_s of the mean-and-scale hyperprior (Minnen et al. 2018), told the base layer: (B, N, h, w) integer z and (B, D)
    integer symbols of the base to the model of y.

    The symbols add a picture of z's size, N channels, to z: what the base layer says about the face need not be said
    again. `hidden` N, `channels` M, `scales` the number of tables, `symbols` D, `side` h = w. Made empty, to be filled
    by `from_float` or `load_state_dict`; its state is integers only: weights int32, laid out as torch does, biases
    int64 with 20 fractional bits (12 for the base's), thresholds int32 with 8. Loading raises WeightsError where
    exactness is not certain.
    """

    def __init__(self, hidden: int, channels: int, scales: int, symbols: int, side: int) -> None:
        """Make it with zeros everywhere."""
        super().__init__()
        sizes = (hidden, channels, symbols, side)
        if not (all(1 <= size <= MAX_CHANNELS for size in sizes) and 1 <= scales <= MAX_SCALES):
            raise WeightsError(f"A hyper-decoder {hidden} to {channels} with {scales} scales is out of bounds.")
        self.hidden = hidden
        self.channels = channels
        self.scales = scales
        self.symbols = symbols
        self.side = side
        self.register_buffer("base_weight", torch.zeros(hidden * side**2, symbols, dtype=torch.int32))
        self.register_buffer("base_bias", torch.zeros(hidden * side**2, dtype=torch.int64))
        self.register_buffer("first_weight", torch.zeros(hidden, hidden, 5, 5, dtype=torch.int32))
        self.register_buffer("first_bias", torch.zeros(hidden, dtype=torch.int64))
        self.register_buffer("second_weight", torch.zeros(hidden, hidden, 5, 5, dtype=torch.int32))
        self.register_buffer("second_bias", torch.zeros(hidden, dtype=torch.int64))
        self.register_buffer("last_weight", torch.zeros(2 * channels, hidden, 3, 3, dtype=torch.int32))
        self.register_buffer("last_bias", torch.zeros(2 * channels, dtype=torch.int64))
        self.register_buffer("thresholds", torch.zeros(scales - 1, dtype=torch.int32))
        self.register_load_state_dict_post_hook(_check_loaded)  # type: ignore[no-untyped-call]

    @classmethod
    def from_float(
        cls,
        base: nn.Linear,
        first: nn.ConvTranspose2d,
        second: nn.ConvTranspose2d,
        last: nn.Conv2d,
        scale_table: Sequence[float] | Tensor,
    ) -> "IntegerHyperDecoder":
        """The float layers rounded; an index names the first scale of the ascending table not below the first half of
        `last`'s outputs, the other half are the means.

        Raises WeightsError for layers of another geometry and for weights too large to stay exact.
        """
        for layer in (first, second):
            _check_geometry(layer, nn.ConvTranspose2d, (5, 5), (2, 2), (2, 2))
            if layer.output_padding != (1, 1):
                raise WeightsError("The hyper-decoder's deconvolutions must double the size exactly.")
        _check_geometry(last, nn.Conv2d, (3, 3), (1, 1), (1, 1))
        table = torch.as_tensor(scale_table, dtype=torch.float64, device="cpu")
        if table.ndim != 1 or not bool(torch.isfinite(table).all()):
            raise WeightsError("The hyper-decoder's scale table must be one finite row.")
        side = math.isqrt(base.out_features // first.in_channels)
        net = cls(first.in_channels, last.out_channels // 2, len(table), base.in_features, side)
        # A scale s, in 8 fractional bits, is above t exactly when it reaches floor(2**8 t) + 1; the last table is open.
        state = {"thresholds": (torch.floor(table[:-1] * 2**ACTIVATION_BITS) + 1)}
        state["base_weight"] = torch.round(base.weight.detach().to("cpu", torch.float64) * 2**WEIGHT_BITS)
        state["base_bias"] = torch.round(base.bias.detach().to("cpu", torch.float64) * 2**WEIGHT_BITS)
        layers: tuple[nn.ConvTranspose2d | nn.Conv2d, ...] = (first, second, last)
        for name, part in zip(_LAYERS, layers, strict=True):
            weight = part.weight.detach().to("cpu", torch.float64)
            bias = torch.zeros(part.out_channels) if part.bias is None else part.bias.detach()
            state[f"{name}_weight"] = torch.round(weight * 2**WEIGHT_BITS)
            state[f"{name}_bias"] = torch.round(bias.to("cpu", torch.float64) * 2 ** (WEIGHT_BITS + ACTIVATION_BITS))
        net._fill(state)
        return net

    @torch.no_grad()
    def forward(self, hyper: Tensor, base: Tensor) -> LatentModel:
        """The model of y from integer `hyper` (B, N, side, side) and `base` (B, D); raises CodecError otherwise."""
        shape = (self.hidden, self.side, self.side)
        if hyper.ndim != 4 or hyper.shape[1:] != shape or hyper.is_floating_point():
            raise CodecError(f"The hyper-decoder needs integers {('B', *shape)}, not {tuple(hyper.shape)}.")
        if base.shape != (len(hyper), self.symbols) or base.is_floating_point():
            raise CodecError(f"The hyper-decoder needs (B, {self.symbols}) base symbols, not {tuple(base.shape)}.")
        known = self._known(base.to(torch.float64).clamp(-_SYMBOL_LIMIT, _SYMBOL_LIMIT)).reshape(-1, *shape)
        values = hyper.to(torch.float64) * 2**ACTIVATION_BITS
        values = (values + known).clamp(-ACTIVATION_LIMIT, ACTIVATION_LIMIT)
        values = _rounded(_deconvolve(values, *self._layer("first"))).clamp(min=0)
        values = _rounded(_deconvolve(values, *self._layer("second"))).clamp(min=0)
        values = _rounded(_convolve(values, *self._layer("last")))
        thresholds = self.get_buffer("thresholds").to(torch.float64)
        scales, means = values.chunk(2, dim=1)
        return LatentModel(
            torch.bucketize(scales.contiguous(), thresholds, out_int32=True, right=True), means.to(torch.int32)
        )

    def _known(self, base: Tensor) -> Tensor:
        """(B, N * side * side) what the base's symbols add to z, with 8 fractional bits."""
        weight, bias = self._layer("base")
        return torch.floor((base @ weight.T + bias + _TO_ACTIVATION // 2) / _TO_ACTIVATION)

    def check(self) -> None:
        """Nothing; raises WeightsError unless every sum stays below 2**53 and the thresholds ascend."""
        base, constant = (part.abs() for part in self._layer("base"))
        if not float((base.sum(dim=1) * _SYMBOL_LIMIT + constant).max()) + _TO_ACTIVATION < _EXACT:
            raise WeightsError("The hyper-decoder's base layer is too large to be exact; train it again.")
        for name in _LAYERS:
            weight, bias = (part.abs() for part in self._layer(name))
            inputs = weight.sum(dim=(1, 2, 3) if name == "last" else (0, 2, 3))
            worst = float((inputs * ACTIVATION_LIMIT + bias).max()) + 2**WEIGHT_BITS
            if not worst < _EXACT:
                raise WeightsError(f"The hyper-decoder's {name} layer is too large to be exact; train it again.")
        thresholds = self.get_buffer("thresholds")
        if bool((thresholds[1:] < thresholds[:-1]).any()):
            raise WeightsError("The hyper-decoder's scale thresholds do not ascend; the weights are damaged.")

    def _layer(self, name: str) -> tuple[Tensor, Tensor]:
        weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
        return weight.to(torch.float64), bias.to(torch.float64)

    def _fill(self, state: dict[str, Tensor]) -> None:
        """Copy integer-valued float64 tensors into the buffers; raises WeightsError where one does not fit."""
        for name, values in state.items():
            buffer = self.get_buffer(name)
            if values.shape != buffer.shape:
                found, needed = tuple(values.shape), tuple(buffer.shape)
                raise WeightsError(f"The hyper-decoder's {name} has shape {found}, not {needed}.")
            # NaN compares false; int64 would hold more than 2**53, but nothing exact needs it.
            if not bool((values.abs() < min(torch.iinfo(buffer.dtype).max, _EXACT)).all()):
                raise WeightsError(f"The hyper-decoder's {name} holds numbers that are too large; train it again.")
            buffer.copy_(values)
        self.check()


def _deconvolve(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Transposed convolution 5x5, stride 2, to exactly twice the size."""
    height, width = values.shape[2:]
    columns = weight.flatten(1).T @ values.flatten(2)
    out = functional.fold(columns, (2 * height, 2 * width), kernel_size=5, padding=2, stride=2)
    return out + bias[:, None, None]


def _convolve(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolution 3x3, stride 1, to the same size."""
    height, width = values.shape[2:]
    columns = functional.unfold(values, kernel_size=3, padding=1)
    out = weight.flatten(1) @ columns
    return out.reshape(*out.shape[:2], height, width) + bias[:, None, None]


def _rounded(sums: Tensor) -> Tensor:
    """Back to 8 fractional bits, half upwards, clipped."""
    return torch.floor((sums + 2 ** (WEIGHT_BITS - 1)) / 2**WEIGHT_BITS).clamp(-ACTIVATION_LIMIT, ACTIVATION_LIMIT)


def _check_geometry(
    layer: nn.Module, kind: type[nn.Module], kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> None:
    if not isinstance(layer, kind):
        raise WeightsError(f"The hyper-decoder needs a {kind.__name__}, not {type(layer).__name__}.")
    conv = cast(nn.Conv2d, layer)
    found = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)
    if found != (kernel, stride, padding, (1, 1), 1):
        raise WeightsError(f"The hyper-decoder's {kind.__name__} has another geometry: {found}.")


def _check_loaded(module: nn.Module, _: Any) -> None:
    cast(IntegerHyperDecoder, module).check()
