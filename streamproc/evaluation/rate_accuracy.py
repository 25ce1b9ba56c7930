"""`evaluate rate-accuracy`: verification against the bits of the feature (the paper's Table I and Fig. 8).

Every competitor is trained on the training faces' raw features, the held-out tenth left out, and measured on the raw
features of the same trunk on LFW.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.feature_rates import FeatureRates, rates_path
from streamproc.errors import WeightsError
from streamproc.evaluation.coded_set import CodedSet, base_bits, coded_set, identity_bits
from streamproc.evaluation.feature_coders import FeatureCoder, RawCoder, ScalarCoder
from streamproc.evaluation.kept_rows import KeptRows, write_csv
from streamproc.evaluation.learned_coders import EnhancedScalarCoder, HashCoder
from streamproc.evaluation.lfw_set import LfwPairs, LfwSet
from streamproc.evaluation.page import Section, Table, number, percent, write_page
from streamproc.evaluation.plots import Curve, plot
from streamproc.evaluation.product_quantisers import ProductCoder
from streamproc.training.data import load_faces
from streamproc.training.loop import Progress
from streamproc.types import CROP_SIZE, FloatArray

NAME = "rate-accuracy"
OURS, IDENTITY, RATES, RAW = "our base layer", "its identity part", "our feature coder", "raw feature"
SCALAR_BITS = (64, 100, 128, 170, 256, 341, 512)
CODE_BITS = (64, 128, 256, 512)
QUOTED: dict[str, tuple[tuple[float, float], ...]] = {
    "PQ": ((0.0020, 98.48), (0.0040, 99.13), (0.0080, 99.28), (0.0160, 99.25)),
    "OPQ": ((0.0020, 98.40), (0.0040, 99.17), (0.0080, 99.25), (0.0160, 99.27)),
    "DBH": ((0.0020, 97.48), (0.0040, 98.23), (0.0080, 98.43), (0.0160, 98.83)),
    "DHN": ((0.0020, 98.25), (0.0040, 98.70), (0.0080, 99.08), (0.0160, 99.13)),
    "SQ": ((0.0024, 50.00), (0.0033, 98.60), (0.0050, 99.11), (0.0082, 99.23)),
    "SQ-E": ((0.0024, 50.41), (0.0033, 98.72), (0.0050, 99.15), (0.0082, 99.26)),
    "PRO": ((0.0016, 96.28), (0.0027, 98.74), (0.0039, 98.87), (0.0052, 99.00)),
}
"""The paper's Table I: (bits a pixel of 256x256, accuracy in per cent)."""
SAME_TRUNK = 0.999
"""Cosine above which two features of one crop are by one trunk: rounding differs, nets differ more."""


@dataclass(frozen=True, slots=True)
class AccuracyRow:
    """A method at a rate: bits a face (mean, counted from payload bytes; of the identity part alone, and where figures
    are the paper's, not from bytes), the ideal code length, shares of pairs. None: the paper does not say."""

    method: str
    bits: float
    ideal_bits: float | None
    accuracy: float
    standard_error: float | None
    tar_at_far_1e3: float | None
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class RateAccuracyResult:
    """All rows, measured ones first, then the paper's; the page, and the table as CSV."""

    rows: tuple[AccuracyRow, ...]
    images: int
    pairs: int
    training_faces: int
    codec_id: str
    page: Path
    table: Path


@dataclass(frozen=True, slots=True)
class Competitor:
    """A feature coder under a name, of which there may be several at several rates; `row` is unique."""

    method: str
    row: str
    make: Callable[[], FeatureCoder]


@dataclass(frozen=True, slots=True, eq=False)
class _Training:
    features: FloatArray
    identities: npt.NDArray[np.int64]


def competitors() -> Iterator[Competitor]:
    """The methods of Table I, and the Karhunen-Loeve transform as the simple bar."""
    for bits in CODE_BITS:
        yield Competitor("PQ", f"PQ {bits}", partial(ProductCoder, bits, False))
        yield Competitor("OPQ", f"OPQ {bits}", partial(ProductCoder, bits, True))
        yield Competitor("DBH", f"DBH {bits}", partial(HashCoder, bits, False))
        yield Competitor("DHN", f"DHN {bits}", partial(HashCoder, bits, True))
    for bits in SCALAR_BITS:
        yield Competitor("SQ", f"SQ {bits}", partial(ScalarCoder, bits, False))
        yield Competitor("SQ-E", f"SQ-E {bits}", partial(EnhancedScalarCoder, bits))
        yield Competitor("KLT", f"KLT {bits}", partial(ScalarCoder, bits, True))


def our_rates(codec: FaceCodec) -> Iterator[Competitor]:
    """Our feature coder at its rates; raises WeightsError when it was trained on another trunk."""
    rates = FeatureRates.load(rates_path())
    if rates.trunk != codec.trunk_id:
        raise WeightsError(f"{rates_path()} was trained on another feature net: run `train rates` again")
    for place, coder in enumerate(rates.coders):
        yield Competitor(RATES, f"{RATES} {rates.rates_id} {place}", partial(_trained, coder))


def _trained(coder: FeatureCoder) -> FeatureCoder:
    return coder


def evaluate(
    images: LfwSet,
    pairs: LfwPairs,
    codec: FaceCodec,
    faces: Path,
    out: Path,
    progress: Progress,
    coders: list[Competitor] | None = None,
) -> RateAccuracyResult:
    """The figures on `pairs`, whose images are the first of `images`; finished rows are kept in `out`.

    `faces` are the prepared training faces; `coders` other methods than the usual ones.
    """
    coders = coders if coders is not None else [*our_rates(codec), *competitors()]
    training = _training(faces, codec)
    coded = coded_set(images, codec, len(pairs.names), progress)
    key = {"images": images.key, "pairs": len(pairs.same)}
    own = KeptRows(out / "ours", key | {"codec": codec.encoding_id})
    rows = [own.row(name, AccuracyRow, partial(_own, name, codec, coded, pairs)) for name in (OURS, IDENTITY)]
    # The others hang on the feature net, not on our codec's weights.
    kept = KeptRows(out, key | {"trunk": codec.trunk_id, "faces": len(training.features)})
    for done, one in enumerate([Competitor(RAW, RAW, RawCoder), *coders]):
        rows.append(kept.row(one.row, AccuracyRow, partial(_row, one, training, coded.raw, pairs)))
        progress("methods", done, len(coders))
    rows += list(_quoted())
    page = _page(out, rows, pairs, codec.codec_id, len(training.features))
    table = write_csv(out / "rate-accuracy.csv", rows, AccuracyRow)
    count = len(training.features)
    return RateAccuracyResult(tuple(rows), len(pairs.names), len(pairs.same), count, codec.codec_id, page, table)


def _training(faces: Path, codec: FaceCodec) -> _Training:
    """The training faces' features, those held out left out; raises WeightsError when another trunk made them."""
    few = load_faces(faces, 4)
    if ((codec.raw_features(few.crops) * few.features).sum(axis=1) < SAME_TRUNK).any():
        raise WeightsError(f"the features in {faces} are of another feature net: empty it and run `train faces` again")
    data = load_faces(faces, crops=False)
    used = ~data.held_out()
    return _Training(data.features[used], data.identities[used])


def _row(one: Competitor, training: _Training, raw: FloatArray, pairs: LfwPairs) -> AccuracyRow:
    coder = one.make()
    coder.fit(training.features, training.identities)
    payloads = coder.encode(raw)
    figures = pairs.verify(coder.decode(payloads))
    bits = float(np.mean([8 * len(payload) for payload in payloads]))
    return AccuracyRow(
        one.method, bits, coder.ideal_bits(payloads), figures.accuracy, figures.standard_error, figures.tar_at_far_1e3
    )


def _own(name: str, codec: FaceCodec, coded: CodedSet, pairs: LfwPairs) -> AccuracyRow:
    """Our base layer, counted whole or with its identity's share of the bits alone: the feature is the same."""
    figures = pairs.verify(codec.features(coded.bases))
    ideal = float((base_bits if name == OURS else identity_bits)(codec, coded.bases).mean())
    bits = float(np.mean([8 * len(base) for base in coded.bases])) if name == OURS else ideal
    return AccuracyRow(name, bits, ideal, figures.accuracy, figures.standard_error, figures.tar_at_far_1e3)


def _quoted() -> Iterator[AccuracyRow]:
    for method, points in QUOTED.items():
        for bpp, accuracy in points:
            bits = bpp * CROP_SIZE**2
            yield AccuracyRow(f"{method} (quoted)", bits, None, accuracy / 100, None, None, True)


def _curves(rows: list[AccuracyRow], measure: str, quoted: tuple[str, ...]) -> list[Curve]:
    """A curve a method, the raw feature as a line across."""
    bits = [row.bits for row in rows if row.method != RAW]
    curves = []
    for method in dict.fromkeys(row.method for row in rows if not row.quoted or row.method in quoted):
        points = sorted((row.bits, 100 * getattr(row, measure)) for row in rows if row.method == method)
        if method == RAW:
            points = [(min(bits), points[0][1]), (max(bits), points[0][1])]
        x, y = zip(*points, strict=True)
        dashed = method == RAW or method in quoted
        curves.append(Curve(method, x, y, dashed, method in (OURS, IDENTITY, RATES)))
    return curves


def _page(out: Path, rows: list[AccuracyRow], pairs: LfwPairs, codec_id: str, faces: int) -> Path:
    x = "bits a face"
    figures = (
        (
            plot(out / "accuracy.png", _curves(rows, "accuracy", ("PRO (quoted)",)), x, "accuracy, %", 95, True),
            "Accuracy, ten folds, against bits; dashed: the raw feature, and what the paper states for its own coder",
        ),
        (
            plot(out / "tar.png", _curves(rows, "tar_at_far_1e3", ()), x, "accepted at FAR 0.001, %", 75, True),
            "Pairs of one person accepted where 1 in 1,000 pairs of strangers is, against bits",
        ),
    )
    table = Table(
        ("method", "bits", "bits a pixel", "ideal bits", "accuracy, %", "+-", "TAR at FAR 1e-3, %"),
        tuple(
            (
                row.method,
                number(row.bits, 1),
                number(row.bits / CROP_SIZE**2, 4),
                number(row.ideal_bits, 1),
                percent(row.accuracy),
                percent(row.standard_error),
                percent(row.tar_at_far_1e3, 1),
            )
            for row in rows
        ),
    )
    lead = (
        f"{len(pairs.same):,} pairs of LFW, {len(pairs.names):,} images; competitors trained on the raw features of "
        f"{faces:,} training faces; codec {codec_id}."
    )
    notes = (
        "Bits are counted from payload bytes, the mean over the images; the identity part's are its share of the base "
        "layer's ideal code length. Rows marked as quoted are the paper's Table I, whose feature net, training set (3 "
        "million faces) and edition of LFW differ.",
        "LFW here is the deep-funneled set.",
    )
    return write_page(
        out / "index.html", "Rate and accuracy", lead, [Section("Table I and Fig. 8", notes, figures, (table,))]
    )
