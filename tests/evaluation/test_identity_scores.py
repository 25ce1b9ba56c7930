"""B-cubed and calibration against what can be counted by hand; who comes when in identity scenes."""

from collections import Counter

import numpy as np
import pytest

from streamproc.evaluation.identity_scenes import GROUPS, SITES, comes, groups
from streamproc.evaluation.identity_scores import b_cubed, calibration_bins, expected_calibration_error


def test_b_cubed_of_one_identity_too_many_and_one_too_few() -> None:
    assert b_cubed("aabb", [1, 1, 2, 2]).f1 == 1
    split, merged = b_cubed("aabb", [1, 1, 2, 3]), b_cubed("aabb", [1, 1, 1, 1])
    assert (split.precision, split.recall) == (1, 0.75)
    assert (merged.precision, merged.recall) == (0.5, 1)
    # Bagga and Baldwin's own way: element by element.
    mixed = b_cubed("aaabc", [1, 1, 2, 2, 2])
    assert mixed.precision == pytest.approx((1 + 1 + 1 / 3 * 3) / 5)
    assert mixed.recall == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1 + 1) / 5)
    assert b_cubed([], []).f1 == 0


def test_calibration_error_is_how_far_words_are_from_deeds() -> None:
    said = np.array([0.05, 0.05, 0.95, 0.95, 1.0], np.float32)
    right = np.array([False, False, True, False, True])
    bins = calibration_bins(said, right)
    assert [(one.low, one.answers, round(one.right, 3)) for one in bins] == [(0.0, 2, 0.0), (0.9, 3, 0.667)]
    assert expected_calibration_error(bins) == pytest.approx((2 * 0.05 + 3 * (2.9 / 3 - 2 / 3)) / 5)
    assert expected_calibration_error(()) == 0


@pytest.mark.parametrize("day", [0, 1])
def test_everybody_who_comes_passes_two_cameras_a_day(day: int) -> None:
    cameras = [groups(60, day, camera) for camera in range(len(SITES))]
    visits = Counter(person for camera in cameras for together in camera for person in together)
    assert visits == {person: 2 for person in range(60) if comes(person, day)}
    assert len(visits) == 50
    sizes = Counter(len(together) for camera in cameras for together in camera)
    assert sizes[2] > 8
    assert sizes[3] > 4
    assert max(sizes) == max(GROUPS)


def test_days_differ_in_who_comes_with_whom() -> None:
    pairs = [
        {frozenset((a, b)) for camera in range(4) for g in groups(60, day, camera) for a in g for b in g if a < b}
        for day in (0, 1)
    ]
    assert len(pairs[0] & pairs[1]) < len(pairs[0]) / 4
