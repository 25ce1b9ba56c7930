"""The multi-task feature (Eq. 1): the pretrained trunk up to a cut, and a top that was trained to keep the picture too.

The paper fine-tunes all of FaceNet. Here the net up to its last block stays as it was, so that what it gives need be
computed once for training, and only the top is stored with the codec. What the last layers have forgotten of pose,
light and colour reaches the feature by a path of its own from the net's middle; brightness and contrast, which
whitening takes away, as two numbers.
"""

from dataclasses import dataclass
from typing import cast

import torch
from facenet_pytorch.models.inception_resnet_v1 import Block8, InceptionResnetV1
from torch import Tensor, nn
from torch.nn import functional as F

from streamproc.codec.facenet import FaceNet, fold_norms, whiten
from streamproc.codec.trunk import FEATURE_SIZE

MIDDLE, LATE = (896, 8, 8), (1792, 3, 3)
"""Shapes of what the trunk gives at its middle (after Mixed-6a) and at the cut (before the last Block8)."""
VIEW = (24 / 256, 232 / 256)
"""Columns of the crop that the trunk sees, in full height: nearly all of it, for what is not seen cannot be brought
back, and stretched a little to the square, as in its own training."""
SIDE = 48
INPUT_GAIN = 1 / 32
"""The last layers' thousands of inputs are shrunk: small steps of all weights then make a small one of the feature."""
LIGHT_UNIT = 64.0
"""Pixel values that brightness and contrast are counted in; 128 and 64 of them are 0."""


@dataclass(frozen=True, slots=True, eq=False)
class TrunkOutputs:
    """What the frozen trunk says of N crops: `middle` (N, 896, 8, 8), `late` (N, 1792, 3, 3), `light` (N, 2)."""

    middle: Tensor
    late: Tensor
    light: Tensor


class TrunkBottom(nn.Module):
    """The pretrained trunk up to the cut, on (nearly) whole crops, as in the paper."""

    def __init__(self, trunk: FaceNet) -> None:
        super().__init__()
        self.net = trunk.net

    def forward(self, crops: Tensor) -> TrunkOutputs:
        """What it says of crops (N, 3, 256, 256) float in 0..255."""
        net: InceptionResnetV1 = self.net
        width = int(crops.shape[-1])
        first, last = (round(edge * width) for edge in VIEW)
        x, light = whiten(crops[..., first:last])
        for layer in (net.conv2d_1a, net.conv2d_2a, net.conv2d_2b, net.maxpool_3a, net.conv2d_3b, net.conv2d_4a):
            x = layer(x)
        middle = net.mixed_6a(net.repeat_1(net.conv2d_4b(x)))
        late = net.repeat_3(net.mixed_7a(net.repeat_2(middle)))
        return TrunkOutputs(middle, late, (light - light.new_tensor([128.0, 64.0])) / LIGHT_UNIT)


class MultiTaskTop(nn.Module):
    """What is trained and stored: the trunk's last block and bottleneck, and the path from its middle."""

    def __init__(self) -> None:
        super().__init__()
        self.tuned_block = Block8(noReLU=True)
        fold_norms(self.tuned_block)
        self.tuned_bottleneck = nn.Linear(LATE[0], FEATURE_SIZE)
        channels, height, width = MIDDLE
        self.side = nn.Conv2d(channels, SIDE, 1)
        self.side_out = nn.Linear(SIDE * height * width + 2, FEATURE_SIZE)

    def pooled(self, seen: TrunkOutputs) -> Tensor:
        """(N, 1792) what the bottleneck is given."""
        return cast(Tensor, self.tuned_block(seen.late)).mean(dim=(2, 3)) * INPUT_GAIN

    def beside(self, seen: TrunkOutputs) -> Tensor:
        """(N, 3074) what the path beside it brings."""
        return torch.cat([self.side(seen.middle).flatten(1), seen.light], dim=1) * INPUT_GAIN

    def forward(self, seen: TrunkOutputs) -> Tensor:
        """(N, 128) features of unit norm."""
        return F.normalize(self.tuned_bottleneck(self.pooled(seen)) + self.side_out(self.beside(seen)), dim=1)


class MultiTaskFeatures(nn.Module):
    """The whole feature net from crops as they are, for `streamproc.inference`."""

    def __init__(self, trunk: FaceNet, top: MultiTaskTop) -> None:
        super().__init__()
        self.bottom, self.top = TrunkBottom(trunk), top

    def forward(self, crops: Tensor) -> Tensor:
        """(N, 128) float32 unit-norm features of (N, 256, 256, 3) uint8 crops."""
        return cast(Tensor, self.top(self.bottom(crops.permute(0, 3, 1, 2).float())))
