"""Alignment: five landmarks to one geometry, the same in training, evaluation and ingest.

The crop is a square of 1.32 times the height of MTCNN's box (the margin 44/182 of davidsandberg/facenet), turned,
scaled and moved (never sheared or stretched) so that the landmarks come as near as possible to their mean places.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from streamproc.types import CROP_SIZE, FloatArray, Image

BOX_HEIGHT = CROP_SIZE / 1.32
"""Height of MTCNN's box inside the crop, pixels."""
TEMPLATE: npt.NDArray[np.float64] = CROP_SIZE / 2 + BOX_HEIGHT * np.array(
    [[-0.172, -0.107], [0.172, -0.107], [0.0, 0.102], [-0.154, 0.252], [0.154, 0.252]]
)
"""(5, 2) places of the landmarks in the crop: their mean in MTCNN's boxes over 1,480 CelebA faces, made symmetric
about the vertical middle."""


def alignment(
    landmarks: npt.NDArray[np.floating[Any]], target: npt.NDArray[np.float64] = TEMPLATE
) -> npt.NDArray[np.float64]:
    """(2, 3) matrix from picture to crop pixels: the least-squares similarity (Umeyama 1991) of (5, 2) `landmarks`
    to `target`, the places in the crop. Landmarks that coincide give a matrix of the picture's own scale."""
    source = landmarks.astype(np.float64)
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = source - source_mean, target - target_mean
    u, singular, vt = np.linalg.svd(b.T @ a)
    flip = np.array([1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    rotation = u @ np.diag(flip) @ vt
    spread = float((a**2).sum())
    scale = float((singular * flip).sum()) / spread if spread > 1e-6 else 1.0
    return np.column_stack([scale * rotation, target_mean - scale * rotation @ source_mean])


def align(image: Image, landmarks: FloatArray) -> Image:
    """(256, 256, 3) uint8 RGB crop of `image` (H, W, 3); what lies outside the picture repeats its border."""
    matrix = alignment(landmarks)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.5:
        # A warp samples single pixels: shrink first, so that a large face does not alias.
        image, matrix = _shrink(image, matrix, 1 / (2 * scale))
    return cv2.warpAffine(
        image, matrix, (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8, copy=False)


def _shrink(image: Image, matrix: npt.NDArray[np.float64], factor: float) -> tuple[Image, npt.NDArray[np.float64]]:
    """The part of `image` under the crop made smaller by about `factor`, and the matrix from it to the crop."""
    corners = np.array([[0, 0], [CROP_SIZE, 0], [0, CROP_SIZE], [CROP_SIZE, CROP_SIZE]], np.float64)
    inverse = cv2.invertAffineTransform(matrix)
    places = corners @ inverse[:, :2].T + inverse[:, 2]
    height, width = image.shape[:2]
    x0, y0 = np.clip(np.floor(places.min(axis=0)), 0, [width - 1, height - 1]).astype(int)
    x1, y1 = np.clip(np.ceil(places.max(axis=0)), [x0 + 1, y0 + 1], [width, height]).astype(int)
    size = (max(1, round((x1 - x0) / factor)), max(1, round((y1 - y0) / factor)))
    small = cv2.resize(image[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA)
    ratio = np.array([(x1 - x0) / size[0], (y1 - y0) / size[1]])
    moved = matrix.copy()
    moved[:, :2] = matrix[:, :2] * ratio
    # Pixel centres: the small picture's pixel 0 lies at (ratio - 1) / 2 of the part.
    moved[:, 2] = matrix @ np.array([x0 + (ratio[0] - 1) / 2, y0 + (ratio[1] - 1) / 2, 1.0])
    return small.astype(np.uint8, copy=False), moved


def visible_share(landmarks: FloatArray, width: int, height: int) -> float:
    """Share (0..1) of the crop that lies inside a picture of `width` x `height`."""
    inverse = cv2.invertAffineTransform(alignment(landmarks))
    grid = (np.stack(np.meshgrid(np.arange(16), np.arange(16)), axis=-1).reshape(-1, 2) + 0.5) * (CROP_SIZE / 16)
    places = grid @ inverse[:, :2].T + inverse[:, 2]
    inside = (places >= 0).all(axis=1) & (places < [width, height]).all(axis=1)
    return float(inside.mean())
