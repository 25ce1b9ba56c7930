"""How many bits one way to code pictures saves against another: in the mean, and where that ends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streamproc.codec.ms_ssim import decibels
from streamproc.evaluation.bjontegaard import RateCurve, RateGain, rate_delta, rate_gain
from streamproc.evaluation.distortion_rows import OURS, OVER_BASE, DeltaRow, DistortionRow, GainRow

MEASURES = ("psnr", "ms_ssim")


@dataclass(frozen=True, slots=True)
class Gain:
    """A gain by a measure, "psnr" or "ms_ssim", headers counted."""

    against: str
    measure: str
    curve: RateGain

    @property
    def row(self) -> GainRow:
        """What a table says of it."""
        quality, per_cent = self.curve.quality, self.curve.per_cent
        return GainRow(self.against, self.measure, quality[0], per_cent[0], quality[-1], per_cent[-1], self.curve.ends)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two methods that are compared."""

    name: str
    anchor: Sequence[DistortionRow]
    test: Sequence[DistortionRow]


def deltas_of(rows: Sequence[DistortionRow]) -> Iterator[DeltaRow]:
    """Bjontegaard's delta of every pair of methods that is compared."""
    for pair in _pairs(rows):
        deltas = [
            rate_delta(_curve(pair.anchor, measure, headers), _curve(pair.test, measure, headers))
            for headers in (True, False)
            for measure in MEASURES
        ]
        yield DeltaRow(pair.name, *deltas)


def gains_of(rows: Sequence[DistortionRow]) -> Iterator[Gain]:
    """The gain at each quality of every pair that has a range of quality in common."""
    for pair in _pairs(rows):
        for measure in MEASURES:
            gain = rate_gain(_curve(pair.anchor, measure, True), _curve(pair.test, measure, True))
            if gain is not None:
                yield Gain(pair.name, measure, gain)


def _pairs(rows: Sequence[DistortionRow]) -> Iterator[_Pair]:
    """Our codec against every method that has a curve; conventional codecs over our base picture are compared with
    themselves alone, as the paper does (Figs. 10 to 12)."""
    methods: dict[str, list[DistortionRow]] = {}
    for row in rows:
        methods.setdefault(row.method, []).append(row)
    for name, points in methods.items():
        if name == OURS or len(points) == 1:
            continue
        test, anchor = (OURS, name) if not name.endswith(OVER_BASE) else (name, name.removesuffix(OVER_BASE))
        yield _Pair(f"{test} against {anchor}", methods[anchor], methods[test])


def _curve(rows: Sequence[DistortionRow], measure: str, headers: bool) -> RateCurve:
    rates = tuple(row.bpp - (0.0 if headers else row.header_bpp) for row in rows)
    return RateCurve(rates, tuple(shown(row, measure) for row in rows))


def shown(row: DistortionRow, measure: str) -> float:
    """A row's quality by a measure, dB."""
    return row.psnr if measure == "psnr" else decibels(row.ms_ssim)
