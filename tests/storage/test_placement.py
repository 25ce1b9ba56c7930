"""Any box, any landmarks: what comes back is as near as is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.placement import Placement, pack, unpack

edges = st.floats(-8000, 7500)
shares = st.floats(0, 1)


@given(
    edges,
    edges,
    st.floats(1, 500),
    st.floats(1, 500),
    st.lists(st.tuples(shares, shares), min_size=5, max_size=5),
    shares,
    shares,
)
def test_a_face_comes_back_as_exactly_as_is_said(
    x: float,
    y: float,
    width: float,
    height: float,
    points: list[tuple[float, float]],
    confidence: float,
    quality: float,
) -> None:
    landmarks = tuple((x + (2 * u - 0.5) * width, y + (2 * v - 0.5) * height) for u, v in points)
    data = pack(Placement((x, y, x + width, y + height), landmarks, confidence, quality))
    assert len(data) == 20
    found = unpack(data)
    assert found.box == pytest.approx((x, y, x + width, y + height), abs=1 / 8)
    for (u, v), (a, b) in zip(found.landmarks, landmarks, strict=True):
        # An eighth of a pixel of the box's edge, and an eighth of its side, twice at most, and half a step.
        assert u == pytest.approx(a, abs=0.005 * width + 0.6)
        assert v == pytest.approx(b, abs=0.005 * height + 0.6)
    assert found.confidence == pytest.approx(confidence, abs=1 / 509)
    assert found.quality == pytest.approx(quality, abs=1 / 509)
    assert pack(found) == data


@given(st.tuples(*[st.floats(-1e9, 1e9)] * 4), st.tuples(*[st.floats(-1e9, 1e9)] * 2))
def test_what_is_out_of_range_is_taken_for_the_end_of_it(
    box: tuple[float, float, float, float], point: tuple[float, float]
) -> None:
    found = unpack(pack(Placement(box, (point,) * 5, 2.0, -1.0)))
    assert all(abs(edge) < 8192 for edge in found.box)
    assert (found.confidence, found.quality) == (1.0, 0.0)
