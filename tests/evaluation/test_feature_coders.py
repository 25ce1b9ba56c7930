"""Feature coders on features made here: bytes there and back, bits as asked, better with more bits."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproc.codec.feature_rates import FeatureRates, rates_path
from streamproc.errors import WeightsError
from streamproc.evaluation import learned_coders
from streamproc.evaluation.feature_coders import FeatureCoder, RawCoder, ScalarCoder, SymbolCoder, entropy_bits, unit
from streamproc.evaluation.learned_coders import EnhancedScalarCoder, HashCoder
from streamproc.evaluation.product_quantisers import ProductCoder
from streamproc.types import FloatArray

PEOPLE, LOOKS = 150, 10


@pytest.fixture(scope="module")
def identities() -> npt.NDArray[np.int64]:
    return np.repeat(np.arange(PEOPLE), LOOKS)


@pytest.fixture(scope="module")
def features(identities: npt.NDArray[np.int64]) -> FloatArray:
    """(1500, 128): people in 24 dimensions, turned, each look a little off."""
    chance = np.random.default_rng(0)
    basis = np.linalg.qr(chance.normal(size=(128, 128)))[0][:24] * np.linspace(1, 0.2, 24)[:, None]
    centres, looks = chance.normal(size=(PEOPLE, 24)), chance.normal(size=(len(identities), 24))
    return unit((centres[identities] + 0.4 * looks) @ basis)


@pytest.fixture(autouse=True)
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned_coders, "STEPS", 300)


CODERS: dict[str, Callable[[], FeatureCoder]] = {
    "raw": RawCoder,
    "sq": lambda: ScalarCoder(128, False),
    "klt": lambda: ScalarCoder(128, True),
    "sq-e": lambda: EnhancedScalarCoder(128),
    "pq": lambda: ProductCoder(64, False),
    "opq": lambda: ProductCoder(64, True),
    "dbh": lambda: HashCoder(64, False),
    "dhn": lambda: HashCoder(64, True),
}


@pytest.mark.parametrize("name", CODERS)
def test_people_are_told_apart_after_coding(name: str, features: FloatArray, identities: npt.NDArray[np.int64]) -> None:
    coder = CODERS[name]()
    coder.fit(features, identities)
    payloads = coder.encode(features[:200])
    decoded = coder.decode(payloads)
    np.testing.assert_allclose(np.linalg.norm(decoded, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(decoded[:7], coder.decode(payloads[:7]), atol=1e-6)
    bits = np.mean([8 * len(payload) for payload in payloads])
    assert coder.ideal_bits(payloads) - 0.01 <= bits <= coder.ideal_bits(payloads) + 8
    similarity = decoded @ decoded.T
    same = identities[:200, None] == identities[None, :200]
    assert similarity[same].mean() > similarity[~same].mean() + 0.3


@pytest.mark.parametrize("transform", [False, True])
def test_scalar_coders_cost_what_was_asked(transform: bool, features: FloatArray) -> None:
    for bits in (64, 200):
        coder = ScalarCoder(bits, transform)
        coder.fit(features, np.zeros(len(features), np.int64))
        assert coder.ideal_bits(coder.encode(features)) == pytest.approx(bits, rel=0.12)


def loss(coder: FeatureCoder, features: FloatArray, identities: npt.NDArray[np.int64]) -> float:
    coder.fit(features, identities)
    return float(1 - (coder.decode(coder.encode(features)) * features).sum(axis=1).mean())


def test_known_orders(features: FloatArray, identities: npt.NDArray[np.int64]) -> None:
    """A transform helps, an enhancement helps, more bits help."""
    scalar, transformed = (loss(ScalarCoder(96, transform), features, identities) for transform in (False, True))
    assert transformed < 0.7 * scalar
    assert loss(EnhancedScalarCoder(96), features, identities) < scalar
    assert loss(ScalarCoder(192, True), features, identities) < transformed
    few, many = (loss(ProductCoder(bits, False), features, identities) for bits in (32, 128))
    assert many < few


def test_the_file_s_coders(features: FloatArray) -> None:
    """Rates rise, and each loses less than the one before, on features of no face at all."""
    rates = FeatureRates.load(rates_path())
    assert len(rates.coders) == 5
    bits, losses = [], []
    for coder in rates.coders:
        payloads = coder.encode(features[:50])
        decoded = coder.decode(payloads)
        bits.append(coder.ideal_bits(payloads))
        losses.append(float((1 - (decoded * features[:50]).sum(axis=1)).mean()))
        assert np.mean([8 * len(payload) for payload in payloads]) <= bits[-1] + 8
    assert bits == sorted(bits)
    assert losses == sorted(losses, reverse=True)
    assert rates_path().stat().st_size < 3_000_000


def test_no_file_of_rates() -> None:
    with pytest.raises(WeightsError, match="train rates"):
        FeatureRates.load(rates_path().with_name("none.safetensors"))


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 40))
def test_symbols_there_and_back(seed: int, dimensions: int, count: int) -> None:
    """What lies in the tables' range comes back as it was; what lies beyond is clipped to it."""
    chance = np.random.default_rng(seed)
    symbols = chance.integers(-9, 9, (count, dimensions)).astype(np.int32)
    coder = SymbolCoder(symbols)
    np.testing.assert_array_equal(coder.decode(coder.encode(symbols)), symbols)
    beyond = coder.decode(coder.encode(symbols + 1000))
    assert (beyond <= symbols.max(axis=0) + 2).all()
    bits = coder.ideal_bits(symbols)
    assert all(8 * len(data) <= b + 8.01 for data, b in zip(coder.encode(symbols), bits, strict=True))


def test_entropy_by_hand() -> None:
    assert entropy_bits(np.array([[0, 5], [1, 5], [2, 5], [3, 5]], np.int32)) == pytest.approx(2)
