"""The trellis: what it promises of its levels, and that a decoder follows it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamproc.codec.bitstream import pack_base, unpack_bases
from streamproc.codec.code_tables import CodeTables, counts_from_pmf
from streamproc.codec.trellis import BY_STATES, EIGHT_STATES, ROUNDING, SIXTY_FOUR_STATES, Trellis, level_costs
from streamproc.errors import CorruptCode
from streamproc.types import FloatArray

REACH = 20
DEVIATIONS = np.geomspace(8, 0.3, 12)
each = pytest.mark.parametrize("trellis", BY_STATES.values(), ids=["rounding", "eight states", "64 states"])
searched = pytest.mark.parametrize("trellis", [EIGHT_STATES, SIXTY_FOUR_STATES], ids=["eight states", "64 states"])


def tables(trellis: Trellis, coarser: float = 1.0) -> CodeTables:
    """Gaussian tables of every quantiser of twelve dimensions, of latents divided by `coarser`."""
    points = trellis.points(np.arange(-REACH, REACH + 1, dtype=np.int32)) * trellis.unit
    rows = [counts_from_pmf(np.exp(-0.5 * (turn * coarser / d) ** 2) + 1e-9) for d in DEVIATIONS for turn in points]
    return CodeTables.from_counts(rows, np.full(len(rows), -REACH))


def latents(seed: int, count: int) -> FloatArray:
    chance = np.random.default_rng(seed)
    return (chance.standard_normal((count, len(DEVIATIONS))) * DEVIATIONS).clip(-REACH, REACH).astype(np.float32)


def bits(found: CodeTables, trellis: Trellis, values: FloatArray, price: float) -> tuple[float, float]:
    """(bits, squared error) of a vector, in the mean."""
    costs = level_costs(found)
    levels = trellis.quantise(values, costs, -REACH, price)
    paid = costs[trellis.rows(levels), levels + REACH].sum(axis=1).mean()
    error = (trellis.multiples(levels) * trellis.unit - values) ** 2
    return float(paid), float(error.sum(axis=1).mean())


@each
@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), price=st.sampled_from([0.0, 0.05, 1.0, 50.0]), count=st.integers(0, 12))
def test_a_payload_leads_back_to_the_levels(trellis: Trellis, seed: int, price: float, count: int) -> None:
    code = tables(trellis)
    levels = trellis.quantise(latents(seed, 3), level_costs(code), -REACH, price)
    payloads = [pack_base(row, code, trellis) for row in levels]
    np.testing.assert_array_equal(unpack_bases(payloads, code, trellis), levels)
    np.testing.assert_array_equal(unpack_bases(payloads, code, trellis, count), levels[:, :count])


@each
def test_damage_is_refused_or_other_valid_levels(trellis: Trellis) -> None:
    code, chance = tables(trellis), np.random.default_rng(1)
    levels = trellis.quantise(latents(2, 1), level_costs(code), -REACH, trellis.price)
    honest, refused = pack_base(levels[0], code, trellis), 0
    for trial in range(2000):
        data = bytearray(honest if trial % 2 else chance.bytes(int(chance.integers(0, 30))))
        if trial % 2:
            data[int(chance.integers(len(data)))] ^= 1 << int(chance.integers(8))
        try:
            found = unpack_bases([bytes(data)], code, trellis)[0]
        except CorruptCode:
            refused += 1
        else:
            assert pack_base(found, code, trellis) == bytes(data)
    assert refused > 200


def test_rounding_is_rounding() -> None:
    values = latents(3, 50)
    levels = ROUNDING.quantise(values, level_costs(tables(ROUNDING)), -REACH, ROUNDING.price)
    np.testing.assert_array_equal(levels, np.rint(values))
    np.testing.assert_array_equal(ROUNDING.multiples(levels), levels)


@searched
def test_nothing_cheaper_is_near(trellis: Trellis) -> None:
    """No change of one level or of two neighbours is better than what the search found."""
    code, values = tables(trellis), latents(4, 1)
    costs = level_costs(code)
    found = trellis.quantise(values, costs, -REACH, trellis.price)

    def whole(levels: np.ndarray[tuple[int, int], np.dtype[np.int32]]) -> float:
        away = trellis.multiples(levels) * trellis.unit - values
        paid = costs[trellis.rows(levels), levels + REACH].sum()
        return float((away**2).sum() + trellis.price * paid)

    best = whole(found)
    for dimension in range(len(DEVIATIONS) - 1):
        for one in (-2, -1, 0, 1, 2):
            for two in (-2, -1, 0, 1, 2):
                other = found.copy()
                other[0, dimension : dimension + 2] += np.array([one, two], np.int32)
                if np.abs(other).max() <= REACH:
                    assert whole(other) >= best - 1e-9


def test_a_trellis_errs_less_at_the_same_bits() -> None:
    values, coarser = latents(5, 400), 1.1
    paid, error = bits(tables(EIGHT_STATES), EIGHT_STATES, values, EIGHT_STATES.price)
    rounding_paid, rounding_error = bits(tables(ROUNDING, coarser), ROUNDING, values / np.float32(coarser), 0.0)
    assert paid < rounding_paid
    assert error < 0.9 * coarser**2 * rounding_error


@each
def test_dearer_bits_are_fewer(trellis: Trellis) -> None:
    values, code = latents(6, 50), tables(trellis)
    spent = [bits(code, trellis, values, price)[0] for price in (0.0, 0.1, 0.5, 5.0, 500.0)]
    assert spent == sorted(spent, reverse=True)
    assert spent[-1] < 0.75 * spent[0]


def test_more_states_err_less_over_many_latents() -> None:
    values = np.random.default_rng(7).standard_normal((100, 128)).astype(np.float32) * 2

    def error(trellis: Trellis) -> float:
        points = trellis.points(np.arange(-REACH, REACH + 1, dtype=np.int32)) * trellis.unit
        rows = [counts_from_pmf(np.exp(-0.5 * (turn / 2) ** 2) + 1e-9) for turn in points] * 128
        paid, squared = bits(CodeTables.from_counts(rows, np.full(len(rows), -REACH)), trellis, values, trellis.price)
        assert 350 < paid < 400
        # What six decibels a bit a latent are worth makes the two comparable.
        return squared * 2 ** (2 * paid / 128)

    assert error(SIXTY_FOUR_STATES) < 0.98 * error(EIGHT_STATES)


@searched
def test_every_state_has_two_ways_in_and_both_quantisers_their_turn(trellis: Trellis) -> None:
    ways = np.bincount(trellis.successors.ravel(), minlength=len(trellis.quantisers))
    assert (ways == 2).all()
    assert trellis.quantisers.mean() == 0.5


def test_points_lie_twice_as_densely_as_in_either_quantiser() -> None:
    levels = np.arange(-3, 4, dtype=np.int32)
    even, odd = EIGHT_STATES.points(levels)
    np.testing.assert_array_equal(even, [-6, -4, -2, 0, 2, 4, 6])
    np.testing.assert_array_equal(odd, [-5, -3, -1, 0, 1, 3, 5])
