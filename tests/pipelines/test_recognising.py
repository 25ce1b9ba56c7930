"""Who a track's shots show."""

import numpy as np
import pytest

from pipelines.recognising import ALIKE, shared
from streamproc.types import FloatArray


def unit(*rows: tuple[float, ...]) -> FloatArray:
    features = np.array(rows, np.float32)
    return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True), np.float32)


def test_shots_that_are_alike_share_their_mean() -> None:
    features = unit((1, 0.2, 0), (1, -0.2, 0), (1, 0, 0.3))
    told = shared(features)
    mean = features.mean(axis=0)
    assert told == pytest.approx(np.tile(mean / np.linalg.norm(mean), (3, 1)))
    assert np.linalg.norm(told, axis=1) == pytest.approx(1)
    assert told.dtype == np.float32


def test_a_shot_of_somebody_else_keeps_its_own() -> None:
    features = unit((1, 0.1, 0), (0.3, 1, 0), (1, -0.1, 0))
    assert features[0] @ features[1] < ALIKE
    told = shared(features)
    assert told[1] == pytest.approx(features[1])
    assert told[0] == pytest.approx(told[2])
    assert told[0] == pytest.approx([1, 0, 0], abs=1e-6)


def test_one_shot_or_none_stays_as_it_is() -> None:
    one = unit((0.6, 0.8))
    assert shared(one) == pytest.approx(one)
    assert shared(one[:0]).shape == (0, 2)
