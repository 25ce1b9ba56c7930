"""Motion smear of real faces: told, and taken back."""

import cv2
import numpy as np
import pytest

from pipelines.samples import sample
from streamproc.codec.face_codec import FaceCodec
from streamproc.evaluation.pictures import psnr
from streamproc.faces import smear
from streamproc.faces.finder import FaceFinder
from streamproc.media.photo import read_photo
from streamproc.training.smear import degraded
from streamproc.types import CROP_SIZE, FloatArray, Image


@pytest.fixture(scope="module")
def crops() -> Image:
    """(6, 256, 256, 3): the six people of t1.jpg, whose faces are 90 to 120 pixels wide."""
    return np.stack([crop.image for crop in FaceFinder.load("cpu").find(read_photo(sample("t1.jpg")))])


@pytest.fixture(scope="module")
def codec() -> FaceCodec:
    return FaceCodec.load(device="cpu")


def moved(crop: Image, share: float, degrees: float) -> Image:
    """The mean of pictures shifted along the way, then shrunk to a face 60 pixels wide and compressed."""
    length, heading = share * smear.FACE_WIDTH, np.radians(degrees)
    total = np.zeros(crop.shape, np.float64)
    steps = np.linspace(-0.5, 0.5, 65)
    for step in steps:
        shift = np.array([[1, 0, step * length * np.cos(heading)], [0, 1, step * length * np.sin(heading)]])
        total += cv2.warpAffine(crop, shift, (CROP_SIZE, CROP_SIZE), borderMode=cv2.BORDER_REFLECT)
    small = cv2.resize((total / len(steps)).astype(np.uint8), (107, 107), interpolation=cv2.INTER_AREA)
    small = cv2.imdecode(cv2.imencode(".jpg", small, [1, 85])[1], cv2.IMREAD_COLOR)
    return cv2.resize(small, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


@pytest.mark.parametrize("share", [0.0, 0.12, 0.2, 0.35, 0.5])
@pytest.mark.parametrize("degrees", [0, 180, 20, -45])
def test_a_smear_is_told(crops: Image, share: float, degrees: float) -> None:
    told = [smear.smear(moved(crop, share, degrees), float(np.radians(degrees))) for crop in crops]
    assert np.median(told) == pytest.approx(share, abs=0.04)
    assert max(abs(one - share) for one in told) < 0.17


def likeness(codec: FaceCodec, crops: Image, others: list[Image]) -> FloatArray:
    """(N,) cosines of features."""
    alike: FloatArray = (codec.raw_features(crops) * codec.raw_features(np.stack(others))).sum(axis=1)
    return alike


@pytest.mark.parametrize("degrees", [0, 30])
def test_a_smear_is_taken_back(crops: Image, codec: FaceCodec, degrees: float) -> None:
    heading = float(np.radians(degrees))
    smeared = [moved(crop, 0.25, degrees) for crop in crops]
    cleared = [smear.unsmeared(crop, heading)[0] for crop in smeared]
    before, after = likeness(codec, crops, smeared), likeness(codec, crops, cleared)
    assert after.mean() > before.mean() + 0.15
    assert (psnr(crops, np.stack(cleared)) > psnr(crops, np.stack(smeared))).all()


def test_a_smeared_feature_is_moved_towards_the_sharp_one(crops: Image, codec: FaceCodec) -> None:
    smeared = [moved(crop, 0.3, 0) for crop in crops]
    cleared, shares = zip(*(smear.unsmeared(crop, 0.0) for crop in smeared), strict=True)
    widths = np.full(len(crops), 60, np.float32)
    sharp, taken = codec.raw_features(crops), codec.raw_features(np.stack(cleared))
    restored = smear.restored(taken, np.array(shares, np.float32), widths)
    assert restored.dtype == np.float32
    assert np.linalg.norm(restored, axis=1) == pytest.approx(1, abs=1e-5)
    assert (restored * sharp).sum(axis=1).mean() > (taken * sharp).sum(axis=1).mean() + 0.02
    assert (smear.restored(taken, np.zeros(len(crops), np.float32), widths) == taken).all()


def test_what_hardly_moved_stays_as_it_is(crops: Image) -> None:
    for crop in crops:
        for heading in (0.0, None):
            still, share = smear.unsmeared(crop, heading)
            assert still is crop
            assert share == 0
    for flat in (np.zeros_like(crops[0]), np.full_like(crops[0], 255)):
        assert smear.taken_back(flat, 0.4, 0.0) == pytest.approx(flat)
        assert smear.unsmeared(flat, 1.0)[0].shape == flat.shape


def test_the_filter_is_a_mean_along_the_way() -> None:
    """A dot smeared over nine pixels is nine pixels of a ninth."""
    dot = np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8)
    dot[100, 80] = 180
    line = smear.filtered(dot, smear.smearing(CROP_SIZE + 64, 9.0, 0.0))
    assert line[100, 76:85].mean() == pytest.approx(20, abs=2)
    assert np.abs(line[99]).max() < 1
    upright = smear.filtered(dot, smear.smearing(CROP_SIZE + 64, 9.0, float(np.pi / 2)))
    assert upright[96:105, 80].mean() == pytest.approx(20, abs=2)


def test_what_training_smears_is_told_as_such(crops: Image) -> None:
    rng = np.random.default_rng(2)
    told = [smear.smear(degraded(crop, 0.3, 0.2, 80.0, rng), 0.2) for crop in crops]
    assert np.median(told) == pytest.approx(0.3, abs=0.06)
    still = [smear.smear(degraded(crop, 0.0, 0.2, 80.0, rng), 0.2) for crop in crops]
    assert max(still) < smear.LEAST
