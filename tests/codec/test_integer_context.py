"""The checkerboard context in integers: exact against plain integers, blind to what is not read yet, close to its float
layers."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from streamproc.codec.code_tables import IntArray
from streamproc.codec.integer_context import TAPS, IntegerContext, first_half
from streamproc.codec.integer_net import LatentModel
from streamproc.errors import WeightsError

HIDDEN, CHANNELS, WIDTH, SIDE = 6, 5, 8, 16
THRESHOLDS = np.sort(np.random.default_rng(1).integers(-2000, 2000, 20)).astype(np.float64)


def layers(gain: float = 1.0) -> tuple[nn.Conv2d, nn.Conv2d, nn.Conv2d]:
    torch.manual_seed(4)
    known, mix = nn.Conv2d(CHANNELS, WIDTH, 5, padding=2), nn.Conv2d(HIDDEN, WIDTH, 1)
    out = nn.Conv2d(WIDTH, 2 * CHANNELS, 1)
    for layer in (known, mix, out):
        layer.weight.data *= gain
    return known, mix, out


def model(seed: int = 2) -> LatentModel:
    chance = np.random.default_rng(seed)
    parameters = chance.integers(-3000, 3000, (2, 2 * CHANNELS, SIDE, SIDE)).astype(np.float64)
    hidden = chance.integers(0, 4000, (2, HIDDEN, SIDE, SIDE)).astype(np.float64)
    return LatentModel.of(parameters, hidden, THRESHOLDS)


def symbols(seed: int = 3) -> IntArray:
    return np.random.default_rng(seed).integers(-9, 10, (2, CHANNELS, SIDE, SIDE), np.int32)


def in_plain_integers(net: IntegerContext, known: LatentModel, read: IntArray) -> npt.NDArray[np.int64]:
    """(2, 2M, h, w) the parameters by their definition, place by place in int64."""
    arrays = {name: array.astype(np.int64) for name, array in net.to_arrays().items()}
    values = (read.astype(np.int64) << 8) + known.means
    found = known.parameters.astype(np.int64)
    hidden = known.hidden.astype(np.int64)
    for n, i, j in np.ndindex(2, SIDE, SIDE):
        if (i + j) % 2 == 0:
            continue
        sums = arrays["known_bias"].copy()
        for k, (y, x) in enumerate(TAPS):
            a, b = i + y - 2, j + x - 2
            if 0 <= a < SIDE and 0 <= b < SIDE:
                sums += arrays["known_weight"][:, :, k] @ values[n, :, a, b]
        mixed = arrays["mix_weight"] @ hidden[n, :, i, j] + arrays["mix_bias"]
        inner = np.maximum((sums + 2**11 >> 12) + (mixed + 2**11 >> 12), 0)
        found[n, :, i, j] += arrays["out_weight"] @ inner + arrays["out_bias"] + 2**11 >> 12
    return found


def test_equal_to_plain_integers() -> None:
    net = IntegerContext.from_float(*layers(), THRESHOLDS)
    found = net(model(), symbols())
    assert np.array_equal(found.parameters, in_plain_integers(net, model(), symbols()))
    assert not np.array_equal(found.indexes, model().indexes)
    assert found.indexes.dtype == found.means.dtype == np.int32


def test_the_second_half_is_not_looked_at_and_the_first_is_left_alone() -> None:
    net = IntegerContext.from_float(*layers(), THRESHOLDS)
    first = first_half(SIDE)
    assert int(first.sum()) == SIDE * SIDE // 2
    found = net(model(), symbols())
    again = net(model(), np.where(first, symbols(), symbols(7)).astype(np.int32))
    assert np.array_equal(found.parameters, again.parameters)
    assert np.array_equal(found.indexes[:, :, first], model().indexes[:, :, first])
    other = net(model(), np.where(first, symbols(7), symbols()).astype(np.int32))
    assert not np.array_equal(found.means, other.means)


def test_close_to_its_float_layers() -> None:
    known, mix, out = layers()
    net = IntegerContext.from_float(known, mix, out, THRESHOLDS)
    start, read = model(), symbols()
    first = torch.from_numpy(first_half(SIDE))
    with torch.no_grad():
        seen = torch.from_numpy(read + start.means / 256).float() * first
        inner = torch.relu(known(seen) + mix(torch.from_numpy(start.hidden / 256).float()))
        wanted = torch.from_numpy(start.parameters / 256).float() + out(inner) * ~first
    assert np.abs(net(start, read).parameters / 256 - wanted.numpy()).max() < 0.05


def test_weights_that_cannot_be_exact_or_do_not_fit_are_refused() -> None:
    with pytest.raises(WeightsError, match="too large"):
        IntegerContext.from_float(*layers(gain=1e4), THRESHOLDS)
    arrays = IntegerContext.from_float(*layers(), THRESHOLDS).to_arrays()
    for name in arrays:
        with pytest.raises(WeightsError):
            IntegerContext({n: a for n, a in arrays.items() if n != name}, THRESHOLDS)
        with pytest.raises(WeightsError):
            IntegerContext(arrays | {name: arrays[name].astype(np.float32)}, THRESHOLDS)
        with pytest.raises(WeightsError):
            IntegerContext(arrays | {name: arrays[name][:-1]}, THRESHOLDS)
