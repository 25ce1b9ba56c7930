"""Face detection by YuNet (Wu et al., Machine Intelligence Research 2023), which OpenCV runs; its model file is the
user's own: `face_detection_yunet_2023mar.onnx` of OpenCV Zoo, or one in int8."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from streamproc.errors import WeightsError
from streamproc.faces.detect import shrunk, working_scale
from streamproc.types import Detection, FloatArray, Image

LARGEST = 300
"""Side, pixels, up to which YuNet finds faces (OpenCV Zoo): larger ones are looked for in the picture `LEVEL` times
smaller, and so on."""
LEVEL = 4

OVERLAP = 0.3
"""Of two boxes that overlap by more than this the weaker goes: OpenCV's own figure."""
_PROBE = 320
_SILENT = 0  # LOG_LEVEL_SILENT


class YunetDetector:
    """YuNet on pictures that are shrunk to the smallest face asked for, one after the other, on the CPU."""

    def __init__(self, model: Path, min_face: int = 40) -> None:
        """Loads the model; `min_face` is the shortest side of a face in pixels. Thresholds are OpenCV's own.

        Raises WeightsError for a file that is not there or is no YuNet.
        """
        self.min_face = min_face
        if not model.is_file():
            raise WeightsError(
                f"YuNet's model '{model}' does not exist: check detect.yunet, or leave it out for MTCNN."
            )
        level = cv2.getLogLevel()
        cv2.setLogLevel(_SILENT)  # its sentence is ours to write
        try:
            self._net = cv2.FaceDetectorYN.create(str(model), "", (_PROBE, _PROBE))
            self._net.detect(np.zeros((_PROBE, _PROBE, 3), np.uint8))
        except cv2.error as error:
            raise WeightsError(
                f"'{model}' is no model of YuNet's that OpenCV {cv2.__version__} can run: give "
                "face_detection_yunet_2023mar.onnx of OpenCV Zoo as detect.yunet, or leave it out for MTCNN."
            ) from error
        finally:
            cv2.setLogLevel(level)

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Detections of each picture (H, W, 3) uint8 RGB, all of one size, largest face first."""
        return [self._detect(image) for image in images]

    def _detect(self, image: Image) -> list[Detection]:
        side = min(image.shape[:2])
        if side < self.min_face:
            return []
        scale = working_scale(self.min_face, side)
        rows = [self._search(image, scale)]
        while side * scale > LARGEST:
            scale /= LEVEL
            rows.append(self._search(image, scale))
        found = np.concatenate(rows)
        large = found[found[:, 2:4].min(axis=1) >= self.min_face]
        kept = large[np.asarray(cv2.dnn.NMSBoxes(large[:, :4].tolist(), large[:, 14].tolist(), 0.0, OVERLAP), np.intp)]
        return [_detection(row) for row in kept[np.argsort(-kept[:, 2:4].prod(axis=1), kind="stable")]]

    def _search(self, image: Image, scale: float) -> FloatArray:
        """(n, 15) OpenCV's rows, in pixels of the picture, of the faces in it at `scale`."""
        bgr = cv2.cvtColor(shrunk(image, scale), cv2.COLOR_RGB2BGR)
        height, width = bgr.shape[:2]
        self._net.setInputSize((width, height))
        rows = self._net.detect(bgr)[1]
        found = np.zeros((0, 15), np.float32) if rows is None else rows.astype(np.float32)
        found[:, 0:14:2] *= image.shape[1] / width
        found[:, 1:14:2] *= image.shape[0] / height
        return found


def _detection(row: FloatArray) -> Detection:
    """OpenCV's row: x, y, width, height, five landmarks, score. Its "right eye" is the person's own, on the left as
    seen, and so on: the order is ours."""
    corner, sides = row[:2], row[2:4]
    box, landmarks = np.concatenate([corner, corner + sides]), row[4:14].reshape(5, 2)
    return Detection(box.astype(np.float32), landmarks.astype(np.float32), float(row[14]))
