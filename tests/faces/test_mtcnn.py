"""The cascade against facenet-pytorch's own."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
from facenet_pytorch.models.utils import detect_face as reference
from torch import Tensor, nn

from pipelines.samples import sample
from streamproc.faces.detect import MIN_CONFIDENCE
from streamproc.faces.mtcnn import PYRAMID_FACTOR, THRESHOLDS, Candidates, Mtcnn, _crops, _outside, pyramid
from streamproc.media.photo import read_photo
from streamproc.types import Array, FloatArray, Image

PICTURES = [("t1.jpg", 6), ("multi_face.jpg", 5), ("single_face.jpg", 1), ("0-f15-hao-ph.jpg", 1)]
MIN_FACE = 40


@pytest.fixture(scope="module")
def mtcnn() -> Mtcnn:
    return Mtcnn("cpu")


@pytest.fixture(scope="module")
def nets() -> list[Any]:
    return [net().eval() for net in (PNet, RNet, ONet)]


class Levels(nn.Module):
    """PNet on levels of its own, one a call, whatever it is given."""

    def __init__(self, pnet: nn.Module, levels: list[Image]) -> None:
        super().__init__()
        self.pnet, self.left = pnet, levels

    def forward(self, _: Tensor) -> Any:
        return self.pnet((torch.from_numpy(self.left.pop(0)).permute(0, 3, 1, 2).float() - 127.5) * 0.0078125)


@torch.inference_mode()
def theirs(picture: Image, nets: list[Any]) -> tuple[Array, Array]:
    """facenet-pytorch's boxes (n, 5) and landmarks (n, 5, 2)."""
    boxes, points = reference.detect_face(
        picture[None].copy(), MIN_FACE, *nets, THRESHOLDS, PYRAMID_FACTOR, torch.device("cpu")
    )
    return boxes[0].astype(np.float32), points[0].astype(np.float32)


def nearest(box: FloatArray, found: FloatArray) -> tuple[int, float]:
    """Index of, and intersection over union with, the box of `found` (n, 4) that `box` overlaps most."""
    low, high = np.maximum(box[:2], found[:, :2]), np.minimum(box[2:], found[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    overlaps = shared / ((box[2:] - box[:2]).prod() + (found[:, 2:] - found[:, :2]).prod(axis=1) - shared)
    return int(overlaps.argmax()), float(overlaps.max())


@pytest.mark.parametrize(("name", "faces"), PICTURES)
def test_as_the_original_finds_them(mtcnn: Mtcnn, nets: list[Any], name: str, faces: int) -> None:
    """Theirs averages over whole pixels, ours over shares of them: other candidates come through, a little aside.

    Half a grey level's rounding alone moves the original's boxes to an overlap of 0.9 with themselves.
    """
    picture = read_photo(sample(name))
    boxes, points = theirs(picture, nets)
    sure = boxes[:, 4] >= MIN_CONFIDENCE
    boxes, points = boxes[sure], points[sure]
    found = mtcnn.find([picture], MIN_FACE)
    found = found.take(found.score >= MIN_CONFIDENCE)
    assert len(found.box) == len(boxes) == faces
    overlaps, distances = [], []
    for box, landmarks in zip(boxes, points, strict=True):
        index, overlap = nearest(box[:4], found.box)
        overlaps.append(overlap)
        distances.append(float(np.abs(found.landmarks[index] - landmarks).max() / (box[2] - box[0])))
    assert min(overlaps) > 0.8
    assert np.mean(overlaps) > 0.9
    assert max(distances) < 0.08


@pytest.mark.parametrize(("name", "faces"), PICTURES)
def test_the_same_to_the_pixel_from_the_same_pictures(
    mtcnn: Mtcnn, nets: list[Any], monkeypatch: pytest.MonkeyPatch, name: str, faces: int
) -> None:
    """Given our pyramid and our way to resize a crop, theirs finds what ours does: every rounding is theirs."""
    picture = read_photo(sample(name))
    levels = Levels(nets[0], [level for _, level in pyramid([picture], MIN_FACE)])

    def resized(crop: Tensor, size: tuple[int, int]) -> Tensor:
        if size not in ((24, 24), (48, 48)):
            return crop  # a level, which `levels` stands in for
        pixels = crop[0].permute(1, 2, 0).byte().numpy()
        return torch.from_numpy(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)).permute(2, 0, 1)[None].float()

    monkeypatch.setattr(reference, "imresample", resized)
    boxes, points = theirs(picture, [levels, *nets[1:]])
    found = mtcnn.find([picture], MIN_FACE)
    assert not levels.left, "both pyramids have as many levels"
    assert len(boxes) >= faces
    np.testing.assert_allclose(found.box, boxes[:, :4], atol=0.02)
    np.testing.assert_allclose(found.score, boxes[:, 4], atol=1e-4)
    np.testing.assert_allclose(found.landmarks, points, atol=0.02)


def test_pictures_together_and_alone(mtcnn: Mtcnn) -> None:
    picture = read_photo(sample("t1.jpg"))
    together = mtcnn.find([np.zeros_like(picture), picture, picture[:, ::-1]], MIN_FACE)
    alone = mtcnn.find([picture], MIN_FACE)
    sure = together.picture[together.score >= MIN_CONFIDENCE]
    assert np.bincount(sure, minlength=3).tolist() == [0, 6, 6]
    np.testing.assert_allclose(together.take(together.picture == 1).box, alone.box, atol=1e-2)


@pytest.mark.parametrize("shape", [(12, 12), (11, 400), (1, 1), (40, 39), (41, 41), (48, 2000)])
@pytest.mark.parametrize("level", [0, 128, None])
def test_small_and_empty_pictures(mtcnn: Mtcnn, shape: tuple[int, int], level: int | None) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    picture = noise if level is None else np.full_like(noise, level)
    found = mtcnn.find([picture, picture], MIN_FACE)
    assert found.landmarks.shape == (len(found.box), 5, 2)
    assert found.box.shape == (len(found.score), 4)


def candidates(boxes: Sequence[Sequence[float]], scores: list[float], pictures: list[int]) -> Candidates:
    n = len(boxes)
    box = np.array(boxes, np.float32)
    score = np.array(scores, np.float32)
    return Candidates(np.array(pictures), box, score, np.zeros((n, 4), np.float32), np.zeros((n, 5, 2), np.float32))


def test_of_a_face_within_a_face_the_better_stays() -> None:
    boxes: list[list[float]] = [[0, 0, 99, 99], [10, 10, 39, 39], [10, 10, 39, 39], [80, 80, 179, 179]]
    assert _outside(candidates(boxes, [0.8, 0.9, 0.7, 0.75], [0, 0, 1, 0]), 0.7).tolist() == [1, 3, 2]


def test_crops_end_at_the_border() -> None:
    """A box's pixels count from 1: 1..4 of both axes are the picture's first four."""
    picture = np.arange(10 * 12 * 3, dtype=np.uint8).reshape(10, 12, 3)
    boxes: list[list[float]] = [[-5, -2, 4.9, 4.9], [9, 7, 30, 30], [12.5, 3, 20, 9], [-9, 2, -1, 8], [13, 3, 20, 9]]
    crops, kept = _crops([picture], candidates(boxes, [1.0] * 5, [0] * 5), 4)
    np.testing.assert_array_equal(crops[0], picture[:4, :4])
    np.testing.assert_array_equal(crops[1], picture[6:10, 8:12])
    np.testing.assert_array_equal(kept.box, np.array(boxes[:3], np.float32))
