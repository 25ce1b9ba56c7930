"""Weights on disk: what a matrix in bytes loses, and what a file gives back."""

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamproc.codec import trunk as trunk_module
from streamproc.codec import weights as weights_module
from streamproc.codec.base_code import PREFIX, STATES, BaseCode
from streamproc.codec.code_tables import CodeTables, counts_from_pmf
from streamproc.codec.shape import CodecShape
from streamproc.codec.trellis import EIGHT_STATES, ROUNDING, SIXTY_FOUR_STATES
from streamproc.codec.weights import SCALE, CodecWeights, load_weights, save_weights, scaled, unscaled
from streamproc.errors import WeightsError
from streamproc.types import Array


@given(st.integers(0, 2**32 - 1), st.sampled_from([(3, 5), (7, 2, 4, 4)]), st.floats(1e-6, 1e6))
@settings(max_examples=60, deadline=None)
def test_a_matrix_in_bytes_is_near_itself(seed: int, shape: tuple[int, ...], size: float) -> None:
    chance = np.random.default_rng(seed)
    tensor = (chance.standard_normal(shape) * size).astype(np.float32)
    tensor[0] = 0
    small, scale = scaled(tensor)
    assert small.dtype == np.int8
    assert scale.shape == shape[:1]
    rows = np.abs(tensor).reshape(len(tensor), -1).max(axis=1)
    lost = np.abs(unscaled(small, scale) - tensor).reshape(len(tensor), -1).max(axis=1)
    assert (lost <= rows / 254 * 1.001).all()
    again, same = scaled(unscaled(small, scale))
    assert np.array_equal(again, small)
    np.testing.assert_allclose(same, scale, rtol=1e-6)


def weights() -> CodecWeights:
    small, scale = scaled(np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32))
    tensors = {
        "net.wide": small,
        "net.wide" + SCALE: scale,
        "net.half": np.ones((2, 3), np.float16),
        "net.bias": np.arange(4, dtype=np.float32),
        "network.other": np.zeros(1, np.float32),
    }
    return CodecWeights("made", CodecShape(), "trunk", tensors)


def test_a_part_comes_back_in_float32(tmp_path: Path) -> None:
    made = weights()
    save_weights(made, tmp_path / "made.safetensors")
    read = load_weights(str(tmp_path / "made.safetensors"))
    assert read.codec_id == made.codec_id
    part = read.part("net")
    assert sorted(part) == ["bias", "half", "wide"]
    assert {array.dtype for array in part.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(part["wide"], unscaled(made.tensors["net.wide"], made.tensors["net.wide" + SCALE]))


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "made.safetensors"
    save_weights(weights(), path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        load_weights(str(path))


def test_the_trellis_is_the_one_that_the_weights_state() -> None:
    states = np.array([64])
    assert BaseCode.of(based(2, {STATES: states})).trellis is SIXTY_FOUR_STATES
    assert BaseCode.of(based(2, {})).trellis is EIGHT_STATES
    assert BaseCode.of(based(1, {})).trellis is ROUNDING
    for damaged in (based(1, {STATES: states}), based(2, {STATES: np.array([5])}), based(3, {})):
        with pytest.raises(WeightsError, match="tables for"):
            BaseCode.of(damaged)


def based(turns: int, stated: dict[str, Array]) -> CodecWeights:
    """Weights that hold so many tables a latent of a base layer, and what is stated beside them."""
    shape = CodecShape()
    rows = [counts_from_pmf(np.full(3, 1 / 3))] * (shape.base_latents * turns)
    tables = CodeTables.from_counts(rows, np.full(len(rows), -1)).to_arrays(PREFIX)
    return CodecWeights("made", shape, "trunk", tables | stated)


@pytest.mark.parametrize("reader", [weights_module, trunk_module])
def test_kept_nets_are_named_by_all_that_they_compute(reader: ModuleType) -> None:
    """Each source that the nets import is one of them; what reads the file decides nothing that is computed."""
    allowed = {*reader.CONVERTED, Path(str(reader.__file__))}
    for source in reader.CONVERTED:
        imported = re.findall(r"^from streamproc\.codec\.(\w+) import", source.read_text(), re.MULTILINE)
        assert {source.with_name(f"{module}.py") for module in imported} <= allowed
