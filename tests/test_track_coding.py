"""The tables of `benchmarks/track_coding.py` on made tracks, with the real codec's own tables."""

import numpy as np
import pytest

from benchmarks.track_coding import ConditionalTables, Shots, _cost
from streamproc.codec.code_tables import IntArray
from streamproc.codec.face_codec import FaceCodec

EMPTY = np.zeros((0, 128), np.float32)


@pytest.fixture(scope="module")
def codec() -> FaceCodec:
    return FaceCodec.load(device="cpu")


def drawn(codec: FaceCodec, random: np.random.Generator) -> IntArray:
    """Symbols as probable as the codec's own tables say."""
    tables = codec.base.code.tables
    slots = [np.searchsorted(row, random.integers(row[-1]), side="right") - 1 for row in tables.cdf]
    return (np.array(slots) + tables.offsets).astype(np.int32)


def track(*symbols: IntArray) -> Shots:
    return Shots("made", "clip", 3, (), np.stack(symbols), EMPTY, np.zeros((0, 256, 256, 3), np.uint8))


@pytest.mark.parametrize("mixed", [False, True])
def test_what_repeats_costs_little(codec: FaceCodec, mixed: bool) -> None:
    random, count = np.random.default_rng(1), codec.base.identity_latents
    firsts = [drawn(codec, random) for _ in range(9)]
    tables = ConditionalTables(codec.base.code.tables, count, [track(one, one) for one in firsts[1:]], mixed)
    alone = _cost(firsts[0], codec.base.code.tables, count)
    given = _cost(firsts[0], tables.given(firsts[0]), count)
    assert all(cost < own / 4 for cost, own in zip(given, alone, strict=True))


def test_mixing_bounds_what_a_stranger_costs(codec: FaceCodec) -> None:
    """A later shot that has nothing to do with the first costs little more than alone, where tables are mixed."""
    random, count = np.random.default_rng(2), codec.base.identity_latents
    tracks = [track(drawn(codec, random), drawn(codec, random)) for _ in range(9)]
    later, first = drawn(codec, random), drawn(codec, random)
    alone = sum(_cost(later, codec.base.code.tables, count)[:2])
    mixed, difference = (
        sum(_cost(later, ConditionalTables(codec.base.code.tables, count, tracks, kind).given(first), count)[:2])
        for kind in (True, False)
    )
    assert alone < mixed < 1.1 * alone
    assert difference > 1.1 * alone
