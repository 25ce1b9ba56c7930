"""How usable a face is for recognition: its size, its pose and how sharp it is."""

import cv2
import numpy as np

from streamproc.types import Detection, FloatArray, Image

FULL_SIZE = 112.0
"""Box height, pixels, from which on more pixels add nothing to the feature (the trunk sees 160)."""
SHARP = 12.0
"""Mean absolute Laplacian of a crop, in grey levels at 64x64, that counts as sharp."""


def frontality(landmarks: FloatArray) -> float:
    """1 for a face seen from the front, towards 0 in profile: how evenly the nose lies between the eyes and between
    the corners of the mouth, measured along the line of the eyes."""
    left, right, nose, mouth_left, mouth_right = landmarks.astype(np.float64)
    axis = right - left
    span = float(np.linalg.norm(axis))
    if span < 1e-6:
        return 0.0
    axis /= span
    centre = (left + right + mouth_left + mouth_right) / 4
    # In a frontal face the eyes stand as far apart as eyes and mouth do; in profile they come together.
    height = float(np.linalg.norm((left + right) / 2 - (mouth_left + mouth_right) / 2))
    offset = abs(float((nose - centre) @ axis)) / span
    narrow = min(1.0, span / (0.8 * height)) if height > 1e-6 else 0.0
    return float(np.clip(1.0 - 1.6 * offset, 0.0, 1.0) * narrow)


def sharpness(crop: Image) -> float:
    """0..1 for an aligned (256, 256, 3) crop: edges left at 64x64, where the trunk and the texture both live."""
    grey = cv2.cvtColor(cv2.resize(crop[32:224, 56:200], (48, 64), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    edges = np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean()
    return float(min(1.0, edges / SHARP))


def quality(crop: Image, detection: Detection, visible: float) -> float:
    """Quality in 0..1: the product of size, pose, sharpness (each at least a little), the detector's confidence and
    the visible share of the crop."""
    height = float(detection.box[3] - detection.box[1])
    size = min(1.0, height / FULL_SIZE) ** 0.5
    pose = 0.2 + 0.8 * frontality(detection.landmarks)
    sharp = 0.3 + 0.7 * sharpness(crop)
    return float(np.clip(size * pose * sharp * detection.confidence * visible, 0.0, 1.0))
