"""The codes of `benchmarks/track_coding.py` on made tracks, latents rounded or through the trellis."""

import numpy as np
import pytest

from benchmarks.track_coding import ConditionalCode, Shots, _cost
from streamproc.codec.base_code import BaseCode
from streamproc.codec.code_tables import CodeTables, IntArray, counts_from_pmf
from streamproc.codec.trellis import BY_STATES, level_costs

EMPTY = np.zeros((0, 128), np.float32)
IDENTITY, REACH = 64, 20
DEVIATIONS = np.tile(np.geomspace(5, 0.5, 64), 3)


@pytest.fixture(params=BY_STATES.values(), ids=["rounding", "eight states", "64 states"])
def code(request: pytest.FixtureRequest) -> BaseCode:
    """Gaussian latents."""
    trellis = request.param
    points = trellis.points(np.arange(-REACH, REACH + 1, dtype=np.int32)) * trellis.unit
    rows = [counts_from_pmf(np.exp(-0.5 * (turn / d) ** 2) + 1e-9) for d in DEVIATIONS for turn in points]
    return BaseCode(CodeTables.from_counts(rows, np.full(len(rows), -REACH)), trellis)


def drawn(code: BaseCode, random: np.random.Generator) -> IntArray:
    """Levels of a shot."""
    latents = (random.standard_normal((1, len(DEVIATIONS))) * DEVIATIONS).astype(np.float32)
    levels: IntArray = code.trellis.quantise(latents, level_costs(code.tables), -REACH, code.trellis.price)[0]
    return levels


def track(*levels: IntArray) -> Shots:
    return Shots("made", "clip", 3, (), np.stack(levels), EMPTY, np.zeros((0, 256, 256, 3), np.uint8))


@pytest.mark.parametrize("mixed", [False, True])
def test_what_repeats_costs_little(code: BaseCode, mixed: bool) -> None:
    random = np.random.default_rng(1)
    firsts = [drawn(code, random) for _ in range(9)]
    given = ConditionalCode(code, IDENTITY, [track(one, one) for one in firsts[1:]], mixed).given(firsts[0])
    alone = _cost(firsts[0], code, IDENTITY)
    assert all(cost < own / 4 for cost, own in zip(_cost(firsts[0], given, IDENTITY), alone, strict=True))


def test_mixing_bounds_what_a_stranger_costs(code: BaseCode) -> None:
    """A later shot that has nothing to do with the first costs little more than alone, where codes are mixed."""
    random = np.random.default_rng(2)
    tracks = [track(drawn(code, random), drawn(code, random)) for _ in range(9)]
    later, first = drawn(code, random), drawn(code, random)
    alone = sum(_cost(later, code, IDENTITY)[:2])
    mixed, difference = (
        sum(_cost(later, ConditionalCode(code, IDENTITY, tracks, kind).given(first), IDENTITY)[:2])
        for kind in (True, False)
    )
    assert 0.98 * alone < mixed < 1.1 * alone
    assert difference > 1.1 * alone
