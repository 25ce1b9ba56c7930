"""The integer hyper-decoder: exact against plain integers, the same whatever computes it, close to its float layers."""

import math
import time
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from streamproc.codec.integer_net import IntegerHyperDecoder
from streamproc.errors import CodecError, WeightsError

SCALES = [0.11 * (256 / 0.11) ** (k / 63) for k in range(64)]
Layers = tuple[nn.Linear, nn.ConvTranspose2d, nn.ConvTranspose2d, nn.Conv2d]
SYMBOLS = 10
Ints = npt.NDArray[np.int64]

GOLDEN_MODEL = 1107181040
"""CRC-32 of what `test_golden_model` computes: rounding, clips and layout must never change."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def layers(hidden: int, channels: int, gain: float = 4.0) -> Layers:
    """Float layers whose outputs spread over most of the scale table."""
    torch.manual_seed(7)
    found = (
        nn.Linear(SYMBOLS, hidden * 16),
        nn.ConvTranspose2d(hidden, hidden, 5, stride=2, padding=2, output_padding=1),
        nn.ConvTranspose2d(hidden, hidden, 5, stride=2, padding=2, output_padding=1),
        nn.Conv2d(hidden, 2 * channels, 3, padding=1),
    )
    for layer in found[1:]:
        layer.weight.data *= gain
    return found


def hypers(batch: int, hidden: int, seed: int = 3) -> torch.Tensor:
    return torch.randint(-9, 10, (batch, hidden, 4, 4), generator=torch.Generator().manual_seed(seed))


def bases(batch: int, seed: int = 5) -> torch.Tensor:
    return torch.randint(-20, 21, (batch, SYMBOLS), generator=torch.Generator().manual_seed(seed))


def in_plain_integers(net: IntegerHyperDecoder, hyper: Ints, base: Ints) -> tuple[Ints, Ints]:
    """(indexes, means) by their definition, position by position in int64: (N, h, w) and (D,) to (M, 4h, 4w) each."""
    state = {name: values.numpy().astype(np.int64) for name, values in net.state_dict().items()}

    def rounded(sums: Ints) -> Ints:
        return np.clip((sums + 2**11) >> 12, -(2**23), 2**23)

    known = (state["base_weight"] @ base + state["base_bias"] + 8) >> 4
    values = np.clip((hyper << 8) + known.reshape(hyper.shape), -(2**23), 2**23)
    for name in ("first", "second"):
        weight = state[f"{name}_weight"]
        _, height, width = values.shape
        sums = np.zeros((weight.shape[1], 2 * height + 3, 2 * width + 3), dtype=np.int64)
        for y in range(height):
            for x in range(width):
                sums[:, 2 * y : 2 * y + 5, 2 * x : 2 * x + 5] += np.einsum("i,iokl->okl", values[:, y, x], weight)
        values = rounded(sums[:, 2 : 2 + 2 * height, 2 : 2 + 2 * width] + state[f"{name}_bias"][:, None, None])
        values = np.maximum(values, 0)
    last_weight = state["last_weight"].reshape(*state["last_weight"].shape[:2], 9)
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
    height, width = values.shape[1:]
    windows = np.stack([padded[:, k : k + height, m : m + width] for k in range(3) for m in range(3)], axis=-1)
    values = rounded(np.einsum("iyxk,oik->oyx", windows, last_weight) + state["last_bias"][:, None, None])
    scales, means = np.split(values, 2)
    return np.sum(scales[..., None] >= state["thresholds"], axis=-1), means


def test_equal_to_plain_integers() -> None:
    net = IntegerHyperDecoder.from_float(*layers(8, 12), SCALES)
    hyper, base = hypers(3, 8), bases(3)
    found = net(hyper, base)
    assert found.indexes.dtype == found.means.dtype == torch.int32
    assert found.indexes.shape == found.means.shape == (3, 12, 16, 16)
    assert len(found.indexes.unique()) > 20
    assert found.means.min() < -256
    assert found.means.max() > 256
    for n in range(3):
        indexes, means = in_plain_integers(net, hyper[n].numpy(), base[n].numpy())
        assert np.array_equal(found.indexes[n], indexes)
        assert np.array_equal(found.means[n], means)


def test_the_base_says_something() -> None:
    net = IntegerHyperDecoder.from_float(*layers(8, 12), SCALES)
    hyper = hypers(1, 8)
    assert not torch.equal(net(hyper, bases(1)).means, net(hyper, bases(1, seed=6)).means)


def test_equal_to_plain_integers_at_the_clips() -> None:
    net = IntegerHyperDecoder.from_float(*layers(4, 4, gain=60.0), SCALES)
    for value in (-(2**15), 2**15 - 1):
        hyper, base = torch.full((1, 4, 4, 4), value), torch.full((1, SYMBOLS), value)
        indexes, means = in_plain_integers(net, hyper[0].numpy(), base[0].numpy())
        found = net(hyper, base)
        assert np.array_equal(found.indexes[0], indexes)
        assert np.array_equal(found.means[0], means)


@pytest.mark.filterwarnings("ignore:TF32")
def test_same_for_threads_batches_and_libraries() -> None:
    net = IntegerHyperDecoder.from_float(*layers(64, 96), SCALES)
    hyper, base = hypers(64, 64), bases(64)

    def everything(hyper: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        found = net(hyper, base)
        return torch.cat([found.indexes, found.means], dim=1)

    expected = everything(hyper, base)
    assert torch.equal(torch.cat([everything(z[None], s[None]) for z, s in zip(hyper, base, strict=True)]), expected)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        assert torch.equal(everything(hyper, base), expected)
        assert torch.equal(everything(hyper[5:6], base[5:6]), expected[5:6])
        with torch.backends.mkldnn.flags(enabled=False):
            assert torch.equal(everything(hyper, base), expected)
            assert torch.equal(everything(hyper[:1], base[:1]), expected[:1])
    strided = hyper.to(torch.int32).to(memory_format=torch.channels_last)
    assert torch.equal(everything(strided, base), expected)


def test_golden_model() -> None:
    net = IntegerHyperDecoder(6, 5, 40, 7, 4)
    state = net.state_dict()
    for name, values in state.items():
        if name.endswith(("weight", "bias")):
            reach = 4096 if name.endswith("weight") else 2**20
            ramp = torch.arange(values.numel(), dtype=torch.int64) * 7919 % (2 * reach) - reach
            values.copy_(ramp.reshape(values.shape))
    state["thresholds"].copy_(torch.arange(39) ** 3)
    net.load_state_dict(state)
    hyper = (torch.arange(6 * 4 * 4) * 31 % 17 - 8).reshape(1, 6, 4, 4)
    base = (torch.arange(7) * 13 % 11 - 5)[None]
    found = net(hyper, base)
    assert len(found.indexes.unique()) > 10
    assert len(found.means.unique()) > 10
    indexes, means = in_plain_integers(net, hyper[0].numpy(), base[0].numpy())
    assert np.array_equal(found.indexes[0], indexes)
    assert np.array_equal(found.means[0], means)
    both = torch.cat([found.indexes, found.means])
    assert zlib.crc32(both.numpy().astype("<i4").tobytes()) == GOLDEN_MODEL


def test_near_the_float_layers() -> None:
    dense, first, second, last = layers(32, 48)
    net = IntegerHyperDecoder.from_float(dense, first, second, last, SCALES)
    hyper, base = hypers(8, 32), bases(8)
    with torch.no_grad():
        known = hyper.float() + dense(base.float()).reshape(hyper.shape)
        scales, means = last(torch.relu(second(torch.relu(first(known))))).chunk(2, dim=1)
    found = net(hyper, base)
    torch.testing.assert_close(found.means / 256, means, atol=0.1, rtol=0.01)
    floats = torch.bucketize(scales.contiguous(), torch.tensor(SCALES[:-1]), right=False)
    apart = (found.indexes - floats).abs()
    assert int(apart[scales > 1].max()) <= 1
    assert float((apart > 0).float().mean()) < 0.02


def test_thresholds_are_those_of_the_scale_table() -> None:
    # A net whose output is its one input, z / 256 + bias: index i must be the first scale that is not below it.
    net = IntegerHyperDecoder(1, 1, len(SCALES), 1, 1)
    state = net.state_dict()
    state["thresholds"].copy_(IntegerHyperDecoder.from_float(*layers(2, 2), SCALES).get_buffer("thresholds"))
    for fixed in (0, 28, 29, 31, 32, 256, 257, 65535, 65536, 70000):
        state["last_bias"].fill_(fixed << 12)
        net.load_state_dict(state)
        expected = sum(fixed / 256 > scale for scale in SCALES[:-1])
        found = net(torch.zeros(1, 1, 1, 1, dtype=torch.int32), torch.zeros(1, 1, dtype=torch.int32))
        assert found.indexes.unique().tolist() == [expected]
        assert found.means.unique().tolist() == [fixed]


def test_integers_round_trip_through_safetensors() -> None:
    net = IntegerHyperDecoder.from_float(*layers(8, 12), SCALES)
    state = load(save(net.state_dict()))
    assert {values.dtype for values in state.values()} == {torch.int32, torch.int64}
    again = IntegerHyperDecoder(8, 12, len(SCALES), SYMBOLS, 4)
    again.load_state_dict(state)
    assert torch.equal(again(hypers(2, 8), bases(2)).means, net(hypers(2, 8), bases(2)).means)


def test_weights_that_might_not_be_exact_are_refused() -> None:
    state = IntegerHyperDecoder.from_float(*layers(8, 12), SCALES).state_dict()
    changes: dict[str, Any] = {
        "first_weight": 2**31 - 1,
        "second_weight": -(2**31),
        "last_bias": 2**53,
        "base_bias": 2**53,
    }
    for name, value in changes.items():
        bad = {key: values.clone() for key, values in state.items()} | {name: torch.full_like(state[name], value)}
        with pytest.raises(WeightsError, match="exact"):
            IntegerHyperDecoder(8, 12, len(SCALES), SYMBOLS, 4).load_state_dict(bad)
    with pytest.raises(WeightsError, match="ascend"):
        IntegerHyperDecoder(8, 12, len(SCALES), SYMBOLS, 4).load_state_dict(
            state | {"thresholds": state["thresholds"].flip(0)}
        )
    with pytest.raises(WeightsError, match="bounds"):
        IntegerHyperDecoder(10**9, 12, 64, SYMBOLS, 4)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e6])
def test_float_weights_that_do_not_fit_are_refused(value: float) -> None:
    parts = layers(4, 4)
    parts[2].weight.data[0, 0, 0, 0] = value
    with pytest.raises(WeightsError):
        IntegerHyperDecoder.from_float(*parts, SCALES)


def test_other_layers_and_inputs_are_refused() -> None:
    base, first, second, last = layers(4, 4)
    with pytest.raises(WeightsError, match="geometry"):
        IntegerHyperDecoder.from_float(base, nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1), second, last, SCALES)
    with pytest.raises(WeightsError, match="double"):
        IntegerHyperDecoder.from_float(base, nn.ConvTranspose2d(4, 4, 5, stride=2, padding=2), second, last, SCALES)
    with pytest.raises(WeightsError, match="shape"):
        IntegerHyperDecoder.from_float(base, first, nn.ConvTranspose2d(4, 6, 5, 2, 2, 1), last, SCALES)
    net = IntegerHyperDecoder.from_float(base, first, second, last, SCALES)
    for hyper in (
        torch.zeros(1, 4, 4, 4),
        torch.zeros(1, 3, 4, 4, dtype=torch.int32),
        torch.zeros(4, dtype=torch.int32),
    ):
        with pytest.raises(CodecError):
            net(hyper, bases(1))
    for symbols in (bases(2), bases(1).float(), bases(1)[:, :3]):
        with pytest.raises(CodecError):
            net(hypers(1, 4), symbols)


def test_fast_enough_for_one_core() -> None:
    net = IntegerHyperDecoder.from_float(*layers(64, 96), SCALES)
    hyper, base = hypers(1, 64), bases(1)
    seconds = []
    for _ in range(10):
        begin = time.perf_counter()
        net(hyper, base)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.020
