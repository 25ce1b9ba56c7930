"""The hyper-decoder in integers: from z to the table of each y, the same on every machine.

A floating-point h_s (Balle et al. 2018, scale hyperprior) gives scales that differ in their last bits with the number
of threads, the batch and the library, and one scale that falls on the other side of a threshold ruins a stream. Here
weights have 12 fractional bits and activations 8, all are integers held in float64, and no sum can reach 2**53, so
every order of summation gives the same integer. Only matrix products, additions and comparisons are used: no algorithm
(Winograd, FFT) that would leave the integers can be chosen behind our back.
"""

from collections.abc import Sequence
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


class IntegerHyperDecoder(nn.Module):
    """h_s of the scale hyperprior: (B, N, h, w) integer z to (B, M, 4h, 4w) int32 table indexes.

    `hidden` N, `channels` M, `scales` the number of tables. Made empty, to be filled by `from_float` or
    `load_state_dict`; its state is integers only: weights int32, laid out as torch does, biases int64 with 20
    fractional bits, thresholds int32 with 8. Loading raises WeightsError where exactness is not certain.
    """

    def __init__(self, hidden: int, channels: int, scales: int) -> None:
        """Make it with zeros everywhere."""
        super().__init__()
        if not (1 <= hidden <= MAX_CHANNELS and 1 <= channels <= MAX_CHANNELS and 1 <= scales <= MAX_SCALES):
            raise WeightsError(f"A hyper-decoder {hidden} to {channels} with {scales} scales is out of bounds.")
        self.hidden = hidden
        self.channels = channels
        self.scales = scales
        self.register_buffer("first_weight", torch.zeros(hidden, hidden, 5, 5, dtype=torch.int32))
        self.register_buffer("first_bias", torch.zeros(hidden, dtype=torch.int64))
        self.register_buffer("second_weight", torch.zeros(hidden, hidden, 5, 5, dtype=torch.int32))
        self.register_buffer("second_bias", torch.zeros(hidden, dtype=torch.int64))
        self.register_buffer("last_weight", torch.zeros(channels, hidden, 3, 3, dtype=torch.int32))
        self.register_buffer("last_bias", torch.zeros(channels, dtype=torch.int64))
        self.register_buffer("thresholds", torch.zeros(scales - 1, dtype=torch.int32))
        self.register_load_state_dict_post_hook(_check_loaded)  # type: ignore[no-untyped-call]

    @classmethod
    def from_float(
        cls,
        first: nn.ConvTranspose2d,
        second: nn.ConvTranspose2d,
        last: nn.Conv2d,
        scale_table: Sequence[float] | Tensor,
    ) -> "IntegerHyperDecoder":
        """The float layers rounded; an index names the first scale of the ascending table not below the output.

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
        net = cls(first.in_channels, last.out_channels, len(table))
        # A scale s, in 8 fractional bits, is above t exactly when it reaches floor(2**8 t) + 1; the last table is open.
        state = {"thresholds": (torch.floor(table[:-1] * 2**ACTIVATION_BITS) + 1)}
        layers: tuple[nn.ConvTranspose2d | nn.Conv2d, ...] = (first, second, last)
        for name, part in zip(_LAYERS, layers, strict=True):
            weight = part.weight.detach().to("cpu", torch.float64)
            bias = torch.zeros(part.out_channels) if part.bias is None else part.bias.detach()
            state[f"{name}_weight"] = torch.round(weight * 2**WEIGHT_BITS)
            state[f"{name}_bias"] = torch.round(bias.to("cpu", torch.float64) * 2 ** (WEIGHT_BITS + ACTIVATION_BITS))
        net._fill(state)
        return net

    @torch.no_grad()
    def forward(self, hyper: Tensor) -> Tensor:
        """int32 indexes (B, M, 4h, 4w) of integer `hyper` (B, N, h, w); raises CodecError for other input."""
        if hyper.ndim != 4 or hyper.shape[1] != self.hidden or hyper.is_floating_point():
            raise CodecError(f"The hyper-decoder needs integers (B, {self.hidden}, h, w), not {tuple(hyper.shape)}.")
        values = hyper.to(torch.float64) * 2**ACTIVATION_BITS
        values = values.clamp(-ACTIVATION_LIMIT, ACTIVATION_LIMIT)
        values = _rounded(_deconvolve(values, *self._layer("first")))
        values = _rounded(_deconvolve(values, *self._layer("second")))
        values = _rounded(_convolve(values, *self._layer("last")))
        thresholds = self.get_buffer("thresholds").to(torch.float64)
        return torch.bucketize(values, thresholds, out_int32=True, right=True)

    def check(self) -> None:
        """Nothing; raises WeightsError unless every sum stays below 2**53 and the thresholds ascend."""
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
    """Back to 8 fractional bits, half upwards; then ReLU and the clip."""
    return torch.floor((sums + 2 ** (WEIGHT_BITS - 1)) / 2**WEIGHT_BITS).clamp(0, ACTIVATION_LIMIT)


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
