"""Bjontegaard's delta (2001): how many more bits one curve of rate and quality takes than another, on average, and at
each quality."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streamproc.evaluation.libraries import library
from streamproc.types import Array

FEWEST = 4
"""Points a curve needs: with fewer the interpolation says more than the points."""
QUALITIES = 33
"""Points of a gain's curve."""


@dataclass(frozen=True, slots=True)
class RateCurve:
    """Rates, and qualities in dB, of one method at its settings."""

    rate: tuple[float, ...]
    quality: tuple[float, ...]

    def rising(self) -> "RateCurve":
        """The points in the order of their rate, without those that a cheaper one surpasses."""
        kept: list[tuple[float, float]] = []
        for rate, quality in sorted(zip(self.rate, self.quality, strict=True)):
            if not kept or (quality > kept[-1][1] and rate > kept[-1][0]):
                kept.append((rate, quality))
        return RateCurve(tuple(rate for rate, _ in kept), tuple(quality for _, quality in kept))


@dataclass(frozen=True, slots=True)
class RateGain:
    """Per cent of rate that one curve takes beyond another (negative: it takes less) at qualities that both reach, dB,
    rising."""

    quality: tuple[float, ...]
    per_cent: tuple[float, ...]

    @property
    def ends(self) -> float | None:
        """The quality beyond which it never takes less; None where it takes less up to the highest one."""
        fewer = [quality for quality, more in zip(self.quality, self.per_cent, strict=True) if more < 0]
        if not fewer:
            return self.quality[0]
        return None if self.per_cent[-1] < 0 else fewer[-1]


def rate_delta(anchor: RateCurve, test: RateCurve) -> float | None:
    """Per cent of rate that `test` takes beyond `anchor` at equal quality, over the range of quality that both reach
    (negative: it takes less); None where there is no such range or a curve has fewer than four rising points."""
    compared = _compared(anchor, test)
    return None if compared is None else compared.delta


def rate_gain(anchor: RateCurve, test: RateCurve) -> RateGain | None:
    """The same at each quality, of which `rate_delta` is the mean (of logarithms); None where that is."""
    compared = _compared(anchor, test)
    if compared is None:
        return None
    quality = np.linspace(compared.lowest, compared.highest, QUALITIES)
    ratio = 10 ** (compared.test(quality) - compared.anchor(quality))
    return RateGain(tuple(quality.tolist()), tuple((100 * (ratio - 1)).tolist()))


@dataclass(frozen=True, slots=True)
class _Compared:
    """The mean delta, per cent; the range of quality that both reach; the rate's decadic logarithm at a quality."""

    delta: float
    lowest: float
    highest: float
    anchor: Callable[[Array], Array]
    test: Callable[[Array], Array]


def _compared(anchor: RateCurve, test: RateCurve) -> _Compared | None:
    first, second = anchor.rising(), test.rising()
    if min(len(first.rate), len(second.rate)) < FEWEST:
        return None
    lowest, highest = max(first.quality[0], second.quality[0]), min(first.quality[-1], second.quality[-1])
    if lowest >= highest:
        return None
    delta, of_anchor, of_test = library("bjontegaard").bd_rate(
        np.array(first.rate),
        np.array(first.quality),
        np.array(second.rate),
        np.array(second.quality),
        method="pchip",
        require_matching_points=False,
        interpolators=True,
        min_overlap=0,
    )
    return _Compared(float(delta), lowest, highest, of_anchor, of_test)
