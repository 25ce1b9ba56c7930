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
Layers = tuple[nn.ConvTranspose2d, nn.ConvTranspose2d, nn.Conv2d]
Ints = npt.NDArray[np.int64]

GOLDEN_INDEXES = 1395184068
"""CRC-32 of the indexes of `test_golden_indexes`: rounding, clips and layout must never change."""


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
        nn.ConvTranspose2d(hidden, hidden, 5, stride=2, padding=2, output_padding=1),
        nn.ConvTranspose2d(hidden, hidden, 5, stride=2, padding=2, output_padding=1),
        nn.Conv2d(hidden, channels, 3, padding=1),
    )
    for layer in found:
        layer.weight.data *= gain
    return found


def hypers(batch: int, hidden: int, seed: int = 3) -> torch.Tensor:
    return torch.randint(-9, 10, (batch, hidden, 4, 4), generator=torch.Generator().manual_seed(seed))


def in_plain_integers(net: IntegerHyperDecoder, hyper: Ints) -> Ints:
    """The same by its definition, position by position in int64: (N, h, w) to (M, 4h, 4w)."""
    state = {name: values.numpy().astype(np.int64) for name, values in net.state_dict().items()}

    def rounded(sums: Ints) -> Ints:
        return np.clip((sums + 2**11) >> 12, 0, 2**23)

    values = hyper << 8
    for name in ("first", "second"):
        weight = state[f"{name}_weight"]
        _, height, width = values.shape
        sums = np.zeros((weight.shape[1], 2 * height + 3, 2 * width + 3), dtype=np.int64)
        for y in range(height):
            for x in range(width):
                sums[:, 2 * y : 2 * y + 5, 2 * x : 2 * x + 5] += np.einsum("i,iokl->okl", values[:, y, x], weight)
        values = rounded(sums[:, 2 : 2 + 2 * height, 2 : 2 + 2 * width] + state[f"{name}_bias"][:, None, None])
    last_weight = state["last_weight"].reshape(*state["last_weight"].shape[:2], 9)
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
    height, width = values.shape[1:]
    windows = np.stack([padded[:, k : k + height, m : m + width] for k in range(3) for m in range(3)], axis=-1)
    values = rounded(np.einsum("iyxk,oik->oyx", windows, last_weight) + state["last_bias"][:, None, None])
    indexes: Ints = np.sum(values[..., None] >= state["thresholds"], axis=-1)
    return indexes


def test_equal_to_plain_integers() -> None:
    net = IntegerHyperDecoder.from_float(*layers(8, 12), SCALES)
    hyper = hypers(3, 8)
    found = net(hyper)
    assert found.dtype == torch.int32
    assert found.shape == (3, 12, 16, 16)
    assert len(found.unique()) > 20
    for one, indexes in zip(hyper.numpy(), found.numpy(), strict=True):
        assert np.array_equal(indexes, in_plain_integers(net, one))


def test_equal_to_plain_integers_at_the_clips() -> None:
    net = IntegerHyperDecoder.from_float(*layers(4, 4, gain=60.0), SCALES)
    for value in (-(2**15), 2**15 - 1):
        hyper = torch.full((1, 4, 2, 3), value)
        assert np.array_equal(net(hyper)[0].numpy(), in_plain_integers(net, hyper[0].numpy()))


@pytest.mark.filterwarnings("ignore:TF32")
def test_same_for_threads_batches_and_libraries() -> None:
    net = IntegerHyperDecoder.from_float(*layers(64, 96), SCALES)
    hyper = hypers(64, 64)
    expected = net(hyper)
    assert torch.equal(torch.cat([net(one[None]) for one in hyper]), expected)
    torch.set_num_threads(2)
    assert torch.equal(net(hyper), expected)
    assert torch.equal(net(hyper[5:6]), expected[5:6])
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with torch.backends.mkldnn.flags(enabled=False):
            assert torch.equal(net(hyper), expected)
            assert torch.equal(net(hyper[:1]), expected[:1])
    strided = hyper.to(torch.int32).to(memory_format=torch.channels_last)
    assert torch.equal(net(strided), expected)


def test_golden_indexes() -> None:
    net = IntegerHyperDecoder(6, 5, 40)
    state = net.state_dict()
    for name, values in state.items():
        if name.endswith(("weight", "bias")):
            reach = 4096 if name.endswith("weight") else 2**20
            ramp = torch.arange(values.numel(), dtype=torch.int64) * 7919 % (2 * reach) - reach
            values.copy_(ramp.reshape(values.shape))
    state["thresholds"].copy_(torch.arange(39) ** 3)
    net.load_state_dict(state)
    hyper = (torch.arange(6 * 4 * 4) * 31 % 17 - 8).reshape(1, 6, 4, 4)
    indexes = net(hyper)
    assert len(indexes.unique()) > 10
    assert np.array_equal(indexes[0].numpy(), in_plain_integers(net, hyper[0].numpy()))
    assert zlib.crc32(indexes.numpy().astype("<i4").tobytes()) == GOLDEN_INDEXES


def test_near_the_float_layers() -> None:
    first, second, last = layers(32, 48)
    net = IntegerHyperDecoder.from_float(first, second, last, SCALES)
    hyper = hypers(8, 32)
    with torch.no_grad():
        scales = torch.relu(last(torch.relu(second(torch.relu(first(hyper.float()))))))
    floats = torch.bucketize(scales, torch.tensor(SCALES[:-1]), right=False)
    apart = (net(hyper) - floats).abs()
    assert int(apart[scales > 1].max()) <= 1
    assert float((apart > 0).float().mean()) < 0.02


def test_thresholds_are_those_of_the_scale_table() -> None:
    # A net whose output is its one input, z / 256 + bias: index i must be the first scale that is not below it.
    net = IntegerHyperDecoder(1, 1, len(SCALES))
    state = net.state_dict()
    state["thresholds"].copy_(IntegerHyperDecoder.from_float(*layers(2, 2), SCALES).get_buffer("thresholds"))
    for fixed in (0, 28, 29, 31, 32, 256, 257, 65535, 65536, 70000):
        state["last_bias"].fill_(fixed << 12)
        net.load_state_dict(state)
        expected = sum(fixed / 256 > scale for scale in SCALES[:-1])
        assert net(torch.zeros(1, 1, 1, 1, dtype=torch.int32)).unique().tolist() == [expected]


def test_integers_round_trip_through_safetensors() -> None:
    net = IntegerHyperDecoder.from_float(*layers(8, 12), SCALES)
    state = load(save(net.state_dict()))
    assert {values.dtype for values in state.values()} == {torch.int32, torch.int64}
    again = IntegerHyperDecoder(8, 12, len(SCALES))
    again.load_state_dict(state)
    assert torch.equal(again(hypers(2, 8)), net(hypers(2, 8)))


def test_weights_that_might_not_be_exact_are_refused() -> None:
    state = IntegerHyperDecoder.from_float(*layers(8, 12), SCALES).state_dict()
    changes: dict[str, Any] = {"first_weight": 2**31 - 1, "second_weight": -(2**31), "last_bias": 2**53}
    for name, value in changes.items():
        bad = {key: values.clone() for key, values in state.items()} | {name: torch.full_like(state[name], value)}
        with pytest.raises(WeightsError, match="exact"):
            IntegerHyperDecoder(8, 12, len(SCALES)).load_state_dict(bad)
    with pytest.raises(WeightsError, match="ascend"):
        IntegerHyperDecoder(8, 12, len(SCALES)).load_state_dict(state | {"thresholds": state["thresholds"].flip(0)})
    with pytest.raises(WeightsError, match="bounds"):
        IntegerHyperDecoder(10**9, 12, 64)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e6])
def test_float_weights_that_do_not_fit_are_refused(value: float) -> None:
    parts = layers(4, 4)
    parts[1].weight.data[0, 0, 0, 0] = value
    with pytest.raises(WeightsError):
        IntegerHyperDecoder.from_float(*parts, SCALES)


def test_other_layers_and_inputs_are_refused() -> None:
    first, second, last = layers(4, 4)
    with pytest.raises(WeightsError, match="geometry"):
        IntegerHyperDecoder.from_float(nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1), second, last, SCALES)
    with pytest.raises(WeightsError, match="double"):
        IntegerHyperDecoder.from_float(nn.ConvTranspose2d(4, 4, 5, stride=2, padding=2), second, last, SCALES)
    with pytest.raises(WeightsError, match="shape"):
        IntegerHyperDecoder.from_float(first, nn.ConvTranspose2d(4, 6, 5, 2, 2, 1), last, SCALES)
    net = IntegerHyperDecoder.from_float(first, second, last, SCALES)
    for hyper in (
        torch.zeros(1, 4, 4, 4),
        torch.zeros(1, 3, 4, 4, dtype=torch.int32),
        torch.zeros(4, dtype=torch.int32),
    ):
        with pytest.raises(CodecError):
            net(hyper)


def test_fast_enough_for_one_core() -> None:
    net = IntegerHyperDecoder.from_float(*layers(64, 96), SCALES)
    hyper = hypers(1, 64)
    seconds = []
    for _ in range(10):
        begin = time.perf_counter()
        net(hyper)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.020
