"""Bjontegaard's delta (2001): how many more bits one curve of rate and quality takes than another, on average."""

from dataclasses import dataclass

import numpy as np

from streamproc.evaluation.libraries import library

FEWEST = 4
"""Points a curve needs: with fewer the interpolation says more than the points."""


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


def rate_delta(anchor: RateCurve, test: RateCurve) -> float | None:
    """Per cent of rate that `test` takes beyond `anchor` at equal quality, over the range of quality that both reach
    (negative: it takes less); None where there is no such range or a curve has fewer than four rising points."""
    first, second = anchor.rising(), test.rising()
    if min(len(first.rate), len(second.rate)) < FEWEST:
        return None
    if max(first.quality[0], second.quality[0]) >= min(first.quality[-1], second.quality[-1]):
        return None
    delta = library("bjontegaard").bd_rate(
        np.array(first.rate),
        np.array(first.quality),
        np.array(second.rate),
        np.array(second.quality),
        method="pchip",
        require_matching_points=False,
        min_overlap=0,
    )
    return float(delta)
