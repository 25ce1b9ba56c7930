"""`FaceCodec`: the one door to the codec."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self, get_args

import numpy as np
import numpy.typing as npt

from streamproc.codec.base_layer import BaseLayer
from streamproc.codec.bitstream import read_header
from streamproc.codec.calibration import Calibration, read_calibration
from streamproc.codec.conventional_layer import RATE_POINTS, ConventionalLayer, decode_files
from streamproc.codec.enhancement_layer import EnhancementLayer
from streamproc.codec.profiles import profile_path
from streamproc.codec.trunk import FEATURE_SIZE, load_features, load_multi_task
from streamproc.codec.weights import CodecWeights, load_weights
from streamproc.errors import CodecError, WeightsError
from streamproc.inference import Net, pick_device
from streamproc.types import CROP_SIZE, EnhancementCodec, FaceCode, FloatArray, Image

DEFAULT_QUALITY = 2
BATCH = 32
ENCODING = 3
"""Counts the changes to the codes that one codec makes of a face: what was measured of earlier ones holds no longer."""
PARTS = ("identity", "texture", "residual", "hyper_decoder")
"""What every codec's weights must hold, told at once and not when the part is first needed."""
SPLIT_PART, FEATURE_PART = "appearance", "trunk"
"""What they must hold beside those: with appearance latents, and with a feature that says everything."""


class FaceCodec:
    """Codes aligned faces into base and enhancement layers and decodes them: numpy in, numpy out."""

    def __init__(
        self, weights: CodecWeights, device: str, enhancement: EnhancementCodec = "learned", path: Path | None = None
    ) -> None:
        """`path`: the weights' file, beside which the calibration lies."""
        self.device = device
        self.profile: str = weights.profile
        self.codec_id: str = weights.codec_id
        for part in (*PARTS, SPLIT_PART if weights.shape.split else FEATURE_PART):
            if not any(name.startswith(f"{part}.") for name in weights.tensors):
                raise WeightsError(f"these weights lack the part '{part}': use a file of this version of streamproc")
        self.base = BaseLayer(weights, device)
        self.enhancement = EnhancementLayer(weights, device)
        """The learned one."""
        self._written = self.enhancement if enhancement == "learned" else ConventionalLayer(RATE_POINTS[enhancement])
        self.encoding_id = f"{weights.codec_id}-{ENCODING}"
        """Which codes `encode` makes; any encoding of a codec decodes alike."""
        self.trunk_id: str = weights.trunk
        self.shape = weights.shape
        self.pretrained = weights.shape.split
        """Whether raw features are the pretrained trunk's own, unchanged."""
        self._weights = weights
        self._path = path

    @classmethod
    def load(cls, profile: str = "default", device: str = "auto", enhancement: EnhancementCodec = "learned") -> Self:
        """The codec of a shipped profile or of a .safetensors file, on "cpu", "cuda" or whichever there is ("auto").

        `enhancement` chooses what `encode` writes the enhancement layer with; `reconstruct` reads all four. Raises
        WeightsError when the weights are missing or damaged, CodecError for an enhancement that does not exist.
        """
        if enhancement not in get_args(EnhancementCodec):
            raise CodecError(
                f"there is no enhancement '{enhancement}': choose one of {', '.join(get_args(EnhancementCodec))}"
            )
        return cls(load_weights(profile), pick_device(device), enhancement, profile_path(profile))

    @property
    def qualities(self) -> tuple[int, ...]:
        """The enhancement's rate points, lowest rate first."""
        return self._written.qualities

    @cached_property
    def calibration(self) -> Calibration:
        """What similarities say; only search needs it. WeightsError when there is none beside the weights."""
        if self._path is None:
            raise WeightsError(
                "These weights come from no file, so there is no calibration beside it: load them from one."
            )
        return read_calibration(self._path, self.codec_id)

    @cached_property
    def _trunk(self) -> Net:
        """The feature net: needed to code, not to decode or to search, so loaded when first asked for."""
        if self.shape.split:
            return load_features(self.trunk_id, self.device)
        return load_multi_task(self._weights, self.device)

    def raw_features(self, crops: Image) -> FloatArray:
        """(N, 128) float32 unit-norm features of crops (N, 256, 256, 3) uint8 RGB, before coding."""
        _check(crops)
        parts = [self._trunk(crops[i : i + BATCH])[0] for i in range(0, len(crops), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, FEATURE_SIZE), np.float32)

    def encode(
        self, crops: Image, quality: int | None = DEFAULT_QUALITY, features: FloatArray | None = None
    ) -> list[FaceCode]:
        """Codes of crops (N, 256, 256, 3) uint8 RGB at a rate point; None leaves the enhancement out.

        `features` (N, 128), of unit norm: who it is, where more than the crop tells it; `raw_features` of the crops by
        default. Raises CodecError for crops of another shape or a rate point that does not exist.
        """
        if quality is not None and quality not in self.qualities:
            raise CodecError(
                f"there is no quality {quality}: choose one of {self.qualities}, or None for the base alone"
            )
        _check(crops)
        codes: list[FaceCode] = []
        for i in range(0, len(crops), BATCH):
            part = crops[i : i + BATCH]
            bases = self.base.encode(part, self._trunk(part)[0] if features is None else features[i : i + BATCH])
            extra: Sequence[bytes | None] = [None] * len(bases)
            if quality is not None:
                extra = self._written.encode(part, self.base.pictures(bases), bases, quality)
            codes += [FaceCode(self.codec_id, b, e) for b, e in zip(bases, extra, strict=True)]
        return codes

    def features(self, bases: Sequence[bytes]) -> FloatArray:
        """(N, 128) float32 unit-norm features of base layers: what search compares. Raises CorruptCode."""
        return self.base.features(bases)

    def drawn_features(self, count: int) -> FloatArray:
        """(count, 128) float32 unit-norm features of made-up faces, as the base layer's code expects them to lie; the
        same each time."""
        return self.base.drawn_features(count)

    def reconstruct(self, bases: Sequence[bytes], enhancements: Sequence[bytes | None] | None = None) -> Image:
        """(N, 256, 256, 3) uint8 RGB pictures of base layers, finer where an enhancement is given.

        Raises CorruptCode for bytes that are no code of this codec, CodecError when the two lists do not pair up.
        """
        pictures = self.base.pictures(bases)
        if enhancements is not None:
            if len(enhancements) != len(bases):
                raise CodecError(f"{len(bases)} base layers came with {len(enhancements)} enhancements: pair them up")
            held = [n for n, enhancement in enumerate(enhancements) if enhancement is not None]
            payloads = [enhancement for enhancement in enhancements if enhancement is not None]
            if held:
                pictures[held] = self._decode(payloads, pictures[held], [bases[n] for n in held])
        return pictures

    def _decode(self, payloads: Sequence[bytes], shown: Image, bases: Sequence[bytes]) -> Image:
        """Pictures of enhancements over what their base layers show, whichever codec wrote each."""
        pictures = np.empty_like(shown)
        learned = np.array([read_header(payload).codec == "learned" for payload in payloads])
        for chosen, decode in ((learned, self.enhancement.decode), (~learned, decode_files)):
            if chosen.any():
                parts = [(payloads[n], bases[n]) for n in np.flatnonzero(chosen)]
                pictures[chosen] = decode([p for p, _ in parts], shown[chosen], [b for _, b in parts])
        return pictures


def _check(crops: npt.NDArray[np.uint8]) -> None:
    """Nothing; raises CodecError for anything but (N, 256, 256, 3) uint8."""
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE, 3):
        raise CodecError(
            f"crops must be (N, {CROP_SIZE}, {CROP_SIZE}, 3) uint8 RGB, not {crops.shape} {crops.dtype}: "
            "align them first"
        )
