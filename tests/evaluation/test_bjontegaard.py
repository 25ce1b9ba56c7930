"""Bjontegaard's delta on curves whose answer is known."""

from dataclasses import replace

import pytest

from streamproc.evaluation.bjontegaard import RateCurve, rate_delta

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
