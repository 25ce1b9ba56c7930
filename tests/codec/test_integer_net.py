"""The integer hyper-decoder: exact against plain integers, the same whatever computes it, close to its float layers."""

import math
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.numpy import load, save
from torch import nn

from streamproc.codec.code_tables import IntArray
from streamproc.codec.integer_net import IntegerHyperDecoder
from streamproc.errors import CodecError, WeightsError
from streamproc.types import Array

SCALES = [0.11 * (256 / 0.11) ** (k / 63) for k in range(64)]
Layers = tuple[nn.Linear, nn.ConvTranspose2d, nn.ConvTranspose2d, nn.Conv2d]
SYMBOLS = 10
Ints = npt.NDArray[np.int64]

GOLDEN_MODEL = 1107181040
"""CRC-32 of what `test_golden_model` computes: rounding, clips and layout must never change."""


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


def hypers(batch: int, hidden: int, seed: int = 3) -> IntArray:
    return np.random.default_rng(seed).integers(-9, 10, (batch, hidden, 4, 4), np.int32)


def bases(batch: int, seed: int = 5) -> IntArray:
    return np.random.default_rng(seed).integers(-20, 21, (batch, SYMBOLS), np.int32)


def in_plain_integers(net: IntegerHyperDecoder, hyper: IntArray, base: IntArray) -> tuple[Ints, Ints]:
    """(indexes, means) by their definition, position by position in int64: (N, h, w) and (D,) to (M, 4h, 4w) each."""
    state = {name: values.astype(np.int64) for name, values in net.to_arrays().items()}

    def rounded(sums: Ints) -> Ints:
        return np.clip((sums + 2**11) >> 12, -(2**23), 2**23)

    known = (state["base_weight"] @ base.astype(np.int64) + state["base_bias"] + 8) >> 4
    values = np.clip((hyper.astype(np.int64) << 8) + known.reshape(hyper.shape), -(2**23), 2**23)
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
    assert found.indexes.dtype == found.means.dtype == np.int32
    assert found.indexes.shape == found.means.shape == (3, 12, 16, 16)
    assert len(np.unique(found.indexes)) > 20
    assert found.means.min() < -256
    assert found.means.max() > 256
    for n in range(3):
        indexes, means = in_plain_integers(net, hyper[n], base[n])
        assert np.array_equal(found.indexes[n], indexes)
        assert np.array_equal(found.means[n], means)


def test_the_base_says_something() -> None:
    net = IntegerHyperDecoder.from_float(*layers(8, 12), SCALES)
    hyper = hypers(1, 8)
    assert not np.array_equal(net(hyper, bases(1)).means, net(hyper, bases(1, seed=6)).means)


def test_equal_to_plain_integers_at_the_clips() -> None:
    net = IntegerHyperDecoder.from_float(*layers(4, 4, gain=60.0), SCALES)
    for value in (-(2**15), 2**15 - 1):
        hyper, base = np.full((1, 4, 4, 4), value, np.int32), np.full((1, SYMBOLS), value, np.int32)
        indexes, means = in_plain_integers(net, hyper[0], base[0])
        found = net(hyper, base)
        assert np.array_equal(found.indexes[0], indexes)
        assert np.array_equal(found.means[0], means)


MACHINES = [
    {"OPENBLAS_NUM_THREADS": "1"},
    {"OPENBLAS_NUM_THREADS": "2"},
    {"OPENBLAS_CORETYPE": "Prescott"},
    {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "2"},
]
"""Settings of numpy's matrix products: threads, and the kernels of other processors."""

SAY = """
import sys, zlib
sys.path.insert(0, "{folder}")
from test_integer_net import *
net = IntegerHyperDecoder.from_float(*layers(64, 96), SCALES)
hyper, base = hypers(64, 64), bases(64)
whole = net(hyper, base)
for n in (0, 5, 63):
    one = net(hyper[n : n + 1], base[n : n + 1])
    assert np.array_equal(one.means[0], whole.means[n]) and np.array_equal(one.indexes[0], whole.indexes[n])
print(zlib.crc32(whole.means.tobytes()), zlib.crc32(whole.indexes.tobytes()))
"""


def test_same_for_threads_batches_and_processors() -> None:
    said = set()
    for machine in MACHINES:
        code = SAY.format(folder=Path(__file__).parent)
        done = subprocess.run([sys.executable, "-c", code], env=os.environ | machine, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said.add(done.stdout)
    assert len(said) == 1


def test_same_for_other_layouts() -> None:
    net = IntegerHyperDecoder.from_float(*layers(8, 12), SCALES)
    hyper, base = hypers(5, 8), bases(5)
    expected = net(hyper, base)
    turned = np.asfortranarray(hyper)
    assert np.array_equal(net(turned, base[::-1][::-1]).means, expected.means)
    assert np.array_equal(net(turned, base[::-1][::-1]).indexes, expected.indexes)


def ramp(count: int, reach: int) -> Ints:
    values: Ints = np.arange(count, dtype=np.int64) * 7919 % (2 * reach) - reach
    return values


def test_golden_model() -> None:
    shapes = {"base": (96, 7), "first": (6, 6, 5, 5), "second": (6, 6, 5, 5), "last": (10, 6, 3, 3)}
    biases = {"base": 96, "first": 6, "second": 6, "last": 10}
    arrays: dict[str, Array] = {"thresholds": (np.arange(39) ** 3).astype(np.int32)}
    for name, shape in shapes.items():
        arrays[f"{name}_weight"] = ramp(int(np.prod(shape)), 4096).reshape(shape).astype(np.int32)
        arrays[f"{name}_bias"] = ramp(biases[name], 2**20)
    net = IntegerHyperDecoder(arrays)
    hyper = (np.arange(6 * 4 * 4, dtype=np.int32) * 31 % 17 - 8).reshape(1, 6, 4, 4)
    base = (np.arange(7, dtype=np.int32) * 13 % 11 - 5)[None]
    found = net(hyper, base)
    assert len(np.unique(found.indexes)) > 10
    assert len(np.unique(found.means)) > 10
    indexes, means = in_plain_integers(net, hyper[0], base[0])
    assert np.array_equal(found.indexes[0], indexes)
    assert np.array_equal(found.means[0], means)
    both = np.concatenate([found.indexes, found.means])
    assert zlib.crc32(both.astype("<i4").tobytes()) == GOLDEN_MODEL


def test_near_the_float_layers() -> None:
    dense, first, second, last = layers(32, 48)
    net = IntegerHyperDecoder.from_float(dense, first, second, last, SCALES)
    hyper, base = hypers(8, 32), bases(8)
    with torch.no_grad():
        known = torch.from_numpy(hyper).float() + dense(torch.from_numpy(base).float()).reshape(hyper.shape)
        scales, means = last(torch.relu(second(torch.relu(first(known))))).chunk(2, dim=1)
    found = net(hyper, base)
    np.testing.assert_allclose(found.means / 256, means, atol=0.1, rtol=0.01)
    floats = torch.bucketize(scales.contiguous(), torch.tensor(SCALES[:-1]), right=False)
    apart = (torch.from_numpy(found.indexes) - floats).abs()
    assert int(apart[scales > 1].max()) <= 1
    assert float((apart > 0).float().mean()) < 0.02


def test_thresholds_are_those_of_the_scale_table() -> None:
    # A net whose output is its one bias: index i must be the first scale that is not below it.
    arrays = IntegerHyperDecoder.from_float(*layers(1, 1), SCALES).to_arrays()
    arrays |= {name: np.zeros_like(array) for name, array in arrays.items() if name != "thresholds"}
    for fixed in (0, 28, 29, 31, 32, 256, 257, 65535, 65536, 70000):
        arrays["last_bias"] = np.full(2, fixed << 12, np.int64)
        found = IntegerHyperDecoder(arrays)(np.zeros((1, 1, 4, 4), np.int32), bases(1))
        assert np.unique(found.indexes).tolist() == [sum(fixed / 256 > scale for scale in SCALES[:-1])]
        assert np.unique(found.means).tolist() == [fixed]


def test_integers_round_trip_through_safetensors() -> None:
    net = IntegerHyperDecoder.from_float(*layers(8, 12), SCALES)
    arrays = load(save(net.to_arrays()))
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.int32), np.dtype(np.int64)}
    again = IntegerHyperDecoder(arrays)
    assert np.array_equal(again(hypers(2, 8), bases(2)).means, net(hypers(2, 8), bases(2)).means)


def test_arrays_that_might_not_be_exact_or_do_not_fit_are_refused() -> None:
    arrays = IntegerHyperDecoder.from_float(*layers(8, 12), SCALES).to_arrays()
    changes = {"first_weight": 2**31 - 1, "second_weight": -(2**31), "last_bias": 2**53, "base_bias": 2**53}
    for name, value in changes.items():
        with pytest.raises(WeightsError, match="exact"):
            IntegerHyperDecoder(arrays | {name: np.full_like(arrays[name], value)})
    with pytest.raises(WeightsError, match="ascend"):
        IntegerHyperDecoder(arrays | {"thresholds": arrays["thresholds"][::-1]})
    with pytest.raises(WeightsError, match="missing"):
        IntegerHyperDecoder({name: array for name, array in arrays.items() if name != "last_bias"})
    with pytest.raises(WeightsError, match="shapes"):
        IntegerHyperDecoder(arrays | {"second_weight": arrays["second_weight"][:, :7]})
    with pytest.raises(WeightsError, match="integers"):
        IntegerHyperDecoder(arrays | {"first_bias": arrays["first_bias"].astype(np.float32)})
    nothing: dict[str, Array] = {"last_weight": np.zeros((0, 8, 3, 3), np.int32), "last_bias": np.zeros(0, np.int64)}
    with pytest.raises(WeightsError, match="bounds"):
        IntegerHyperDecoder(arrays | nothing)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e6])
def test_float_weights_that_do_not_fit_are_refused(value: float) -> None:
    parts = layers(4, 4)
    parts[2].weight.data[0, 0, 0, 0] = value
    with pytest.raises(WeightsError):
        IntegerHyperDecoder.from_float(*parts, SCALES)


def test_other_layers_and_inputs_are_refused() -> None:
    base, first, second, last = layers(4, 4)
    with pytest.raises(WeightsError, match="double"):
        IntegerHyperDecoder.from_float(base, nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1), second, last, SCALES)
    with pytest.raises(WeightsError, match="keep"):
        IntegerHyperDecoder.from_float(base, first, second, nn.Conv2d(4, 8, 3), SCALES)
    with pytest.raises(WeightsError, match="double"):
        IntegerHyperDecoder.from_float(base, nn.ConvTranspose2d(4, 4, 5, stride=2, padding=2), second, last, SCALES)
    with pytest.raises(WeightsError, match="shapes"):
        IntegerHyperDecoder.from_float(base, first, nn.ConvTranspose2d(4, 6, 5, 2, 2, 1), last, SCALES)
    net = IntegerHyperDecoder.from_float(base, first, second, last, SCALES)
    for hyper in (
        np.zeros((1, 4, 4, 4)),
        np.zeros((1, 3, 4, 4), np.int32),
        np.zeros(4, np.int32),
    ):
        with pytest.raises(CodecError):
            net(hyper, bases(1))  # type: ignore[arg-type]
    for symbols in (bases(2), bases(1).astype(np.float32), bases(1)[:, :3]):
        with pytest.raises(CodecError):
            net(hypers(1, 4), symbols)  # type: ignore[arg-type]
