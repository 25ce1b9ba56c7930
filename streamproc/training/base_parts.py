"""The trained base layer of either profile, as the residual's training and the export need it."""

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from streamproc.codec.refinement import refined_latents
from streamproc.codec.shape import PICTURE_SIDE, SHAPES, CodecShape
from streamproc.codec.trellis import ROUNDING, SIXTY_FOUR_STATES, Trellis
from streamproc.codec.weights import CodecWeights
from streamproc.training.data import TrainingFaces
from streamproc.training.feature import trained_identity
from streamproc.training.laplacian import trained_laplacian
from streamproc.training.levels import expected
from streamproc.training.losses import shrink
from streamproc.training.structured import trained_structured
from streamproc.training.texture import trained_base
from streamproc.training.trunk import stored_features, trained_trunk


class TrainedBase(Protocol):
    """A base layer out of its finished runs; `trellis` quantises its latents."""

    shape: CodecShape
    trellis: Trellis

    def features(self, data: TrainingFaces) -> Tensor:
        """(N, 128) the raw features that it codes, of all training faces."""
        ...

    def latents(self, crops: Tensor, features: Tensor) -> Tensor:
        """(N, D) not rounded, of crops (N, 3, 256, 256) uint8 and their raw features (N, 128)."""
        ...

    def picture(self, symbols: Tensor) -> Tensor:
        """(N, 3, 256, 256) in 0..1 of the quantised latents (N, D)."""
        ...

    def expected(self) -> npt.NDArray[np.float64]:
        """(D * turns, 41) probabilities of the levels, by the learned entropy model."""
        ...

    def nets(self) -> dict[str, nn.Module]:
        """What the weights file holds in full precision or as bytes, by name."""
        ...


class SplitBase:
    """Identity and appearance."""

    shape, trellis = SHAPES["default"], SIXTY_FOUR_STATES

    def __init__(self, work: Path, kept: CodecWeights | None) -> None:
        self._identity, self._base = trained_identity(work, kept), trained_base(work)

    def features(self, data: TrainingFaces) -> Tensor:
        """Those of the pretrained trunk."""
        return torch.from_numpy(data.features)

    def latents(self, crops: Tensor, features: Tensor) -> Tensor:
        """Identity's, then appearance's."""
        small = shrink(crops.float() / 255, PICTURE_SIDE)
        coder = self._identity.coder
        identity = coder.analyse(features)
        appearance = refined_latents(self._base.appearance, self._base.texture, coder.synthesise(identity), small)
        return torch.cat([identity, appearance], dim=1)

    def picture(self, latents: Tensor) -> Tensor:
        """The texture net's."""
        count = self._identity.coder.linear_in.out_features
        identity = self._identity.coder.synthesise(latents[:, :count])
        return self._base.picture(identity, latents[:, count:])

    def expected(self) -> npt.NDArray[np.float64]:
        """Of the two entropy models."""
        appearance = expected(self._base.prior, self.shape.appearance_latents, self.trellis)
        return np.concatenate([self._identity.expected(), appearance])

    def nets(self) -> dict[str, nn.Module]:
        """Three nets."""
        base = self._base
        return {"identity": self._identity.coder, "appearance": base.appearance, "texture": base.texture}


class FeatureBase:
    """The multi-task feature alone, its latents rounded as the paper's are."""

    shape, trellis = SHAPES["paper"], ROUNDING

    def __init__(self, work: Path) -> None:
        self._work = work
        self._coded, self._texture = trained_structured(work), trained_laplacian(work)

    def features(self, data: TrainingFaces) -> Tensor:
        """Those of the tuned trunk."""
        return stored_features(self._work)

    def latents(self, crops: Tensor, features: Tensor) -> Tensor:
        """The feature's."""
        return self._coded.coder.analyse(features)

    def picture(self, latents: Tensor) -> Tensor:
        """The texture net's."""
        return torch.clamp(self._texture(self._coded.coder.synthesise(latents))[-1], 0, 1)

    def expected(self) -> npt.NDArray[np.float64]:
        """Of the entropy model."""
        return expected(self._coded.prior, self.shape.base_latents, self.trellis)

    def nets(self) -> dict[str, nn.Module]:
        """Three nets."""
        return {"identity": self._coded.coder, "texture": self._texture, "trunk": trained_trunk(self._work).top}


def trained_parts(work: Path, profile: str, kept: CodecWeights | None = None) -> TrainedBase:
    """The base layer of a profile, from its runs in `work`; the default's identity coder that of `kept` without a run.
    Raises WeightsError where one is missing."""
    return SplitBase(work, kept) if profile == "default" else FeatureBase(work)
