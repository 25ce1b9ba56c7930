"""Bjontegaard's delta on curves whose answer is known."""

from dataclasses import replace

import pytest

from streamproc.evaluation.bjontegaard import RateCurve, RateGain, rate_delta, rate_gain

CURVE = RateCurve((0.05, 0.1, 0.2, 0.4, 0.7), (26.0, 29.0, 32.0, 34.5, 36.0))


def test_against_itself() -> None:
    assert rate_delta(CURVE, CURVE) == pytest.approx(0)


@pytest.mark.parametrize("factor", [1.1, 0.8])
def test_dearer_and_cheaper(factor: float) -> None:
    other = replace(CURVE, rate=tuple(factor * rate for rate in CURVE.rate))
    assert rate_delta(CURVE, other) == pytest.approx(100 * (factor - 1), abs=0.1)


def test_order_and_surpassed_points_do_not_matter() -> None:
    mixed = RateCurve((*CURVE.rate[::-1], 0.3), (*CURVE.quality[::-1], 31.0))
    assert rate_delta(CURVE, mixed) == pytest.approx(0)


def test_nothing_in_common() -> None:
    above = replace(CURVE, quality=tuple(quality + 20 for quality in CURVE.quality))
    assert rate_delta(CURVE, above) is None
    assert rate_delta(CURVE, RateCurve(CURVE.rate[:3], CURVE.quality[:3])) is None
    assert rate_gain(CURVE, above) is None


def test_the_gain_is_what_the_delta_is_the_mean_of() -> None:
    other = replace(CURVE, rate=tuple(0.8 * rate for rate in CURVE.rate))
    gain = rate_gain(CURVE, other)
    assert gain is not None
    assert gain.per_cent == pytest.approx([-20] * len(gain.per_cent))
    assert (gain.quality[0], gain.quality[-1]) == (26.0, 36.0)
    assert gain.ends is None


def test_where_the_gain_ends() -> None:
    dearer_above = RateCurve((0.04, 0.09, 0.2, 0.44, 0.8), CURVE.quality)
    gain = rate_gain(CURVE, dearer_above)
    assert gain is not None
    assert gain.ends == pytest.approx(32, abs=10 / 32)
    assert RateGain((26.0, 30.0), (1.0, 2.0)).ends == 26
    assert RateGain((26.0, 30.0), (1.0, -2.0)).ends is None
