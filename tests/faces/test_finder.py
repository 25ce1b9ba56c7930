"""The finder on real pictures."""

import cv2
import numpy as np
import pytest

from pipelines.samples import sample
from streamproc.faces.finder import FaceFinder
from streamproc.types import Image


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder.load("cpu")


@pytest.fixture(scope="module")
def six() -> Image:
    """t1.jpg: six people side by side."""
    picture: Image = cv2.cvtColor(cv2.imread(str(sample("t1.jpg"))), cv2.COLOR_BGR2RGB).astype(np.uint8)
    return picture


def test_six_people_largest_first(finder: FaceFinder, six: Image) -> None:
    crops = finder.find(six)
    assert len(crops) == 6
    areas = [np.prod(c.detection.box[2:] - c.detection.box[:2]) for c in crops]
    assert areas == sorted(areas, reverse=True)
    for crop in crops:
        assert crop.image.shape == (256, 256, 3)
        assert crop.image.dtype == np.uint8
        assert crop.detection.confidence > 0.9
        assert 0 < crop.quality <= 1
        assert (crop.detection.landmarks >= crop.detection.box[:2]).all()
        assert (crop.detection.landmarks <= crop.detection.box[2:]).all()


def test_a_batch_finds_what_single_pictures_do(finder: FaceFinder, six: Image) -> None:
    both = finder.detect([six, np.ascontiguousarray(six[:, ::-1]), np.zeros_like(six)])
    assert [len(found) for found in both] == [6, 6, 0]
    alone = finder.detect([six])[0]
    for a, b in zip(both[0], alone, strict=True):
        np.testing.assert_allclose(a.box, b.box, atol=0.5)


def test_colours_matter(finder: FaceFinder, six: Image) -> None:
    """Pictures are RGB: a swapped channel order must not go unnoticed here."""
    crop = finder.find(six)[0].image[100:160, 100:160].astype(float)
    assert crop[..., 0].mean() > crop[..., 2].mean() + 10, "skin is redder than blue"


@pytest.mark.parametrize("shape", [(1, 1, 3), (30, 500, 3), (64, 64, 3)])
def test_pictures_without_a_face(finder: FaceFinder, shape: tuple[int, int, int]) -> None:
    assert finder.find(np.full(shape, 128, np.uint8)) == []


def test_no_pictures(finder: FaceFinder) -> None:
    assert finder.detect([]) == []


def test_sharper_is_better(finder: FaceFinder, six: Image) -> None:
    sharp = finder.find(six)[0]
    blurred = finder.crop(cv2.GaussianBlur(six, (0, 0), 6).astype(np.uint8), sharp.detection)
    assert blurred.quality < 0.8 * sharp.quality
