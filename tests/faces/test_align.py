"""Alignment puts landmarks where the geometry says, whatever the face's place, size and turn."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamproc.faces.align import TEMPLATE, align, alignment, visible_share
from streamproc.faces.quality import frontality
from streamproc.types import FloatArray


def moved(scale: float, angle: float, x: float, y: float) -> FloatArray:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks: FloatArray = ((TEMPLATE - 128) @ turn.T * scale + [x, y]).astype(np.float32)
    return landmarks


@given(st.floats(0.05, 8), st.floats(-3, 3), st.floats(-500, 500), st.floats(-500, 500))
@settings(max_examples=200, deadline=None)
def test_alignment_undoes_any_similarity(scale: float, angle: float, x: float, y: float) -> None:
    landmarks = moved(scale, angle, x, y)
    matrix = alignment(landmarks)
    back = landmarks.astype(np.float64) @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(back, TEMPLATE, atol=0.05)


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5, 6.0])
def test_a_mark_lands_where_it_should_at_every_size(scale: float) -> None:
    """Large faces are shrunk before the warp: the marks must not shift by it."""
    image = np.zeros((2000, 2000, 3), np.uint8)
    landmarks = moved(scale, 0.2, 900, 1000)
    for place in landmarks:
        cv2.circle(image, tuple(round(float(v)) for v in place), max(2, round(6 * scale)), (255, 255, 255), -1)
    crop = align(image, landmarks)
    for place in TEMPLATE:
        window = crop[int(place[1]) - 20 : int(place[1]) + 20, int(place[0]) - 20 : int(place[0]) + 20, 0].astype(float)
        ys, xs = np.mgrid[-20:20, -20:20]
        centre = np.array([(xs * window).sum(), (ys * window).sum()]) / window.sum()
        offset = place - np.floor(place)
        assert np.abs(centre - offset).max() < 1.5 + 0.6 / scale


def test_degenerate_landmarks_still_give_a_crop() -> None:
    image = np.full((100, 100, 3), 7, np.uint8)
    crop = align(image, np.full((5, 2), 50, np.float32))
    assert crop.shape == (256, 256, 3)
    assert np.isfinite(alignment(np.zeros((5, 2), np.float32))).all()


def test_visible_share() -> None:
    assert visible_share(moved(1, 0, 200, 200), 400, 400) == 1.0
    assert visible_share(moved(1, 0, 0, 200), 400, 400) == pytest.approx(0.5, abs=0.1)
    assert visible_share(moved(1, 0, -900, 200), 400, 400) == 0.0


def test_a_profile_is_less_frontal() -> None:
    frontal = moved(1, 0.3, 100, 100)
    profile = frontal.copy()
    profile[:, 0] = frontal[:, 0].mean() + (frontal[:, 0] - frontal[:, 0].mean()) * 0.3
    profile[2, 0] += 25
    assert frontality(frontal) > 0.95
    assert frontality(profile) < 0.5
    assert frontality(np.zeros((5, 2), np.float32)) == 0.0
