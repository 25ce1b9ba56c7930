"""The feature trunk: FaceNet (Schroff et al. 2015) on facenet-pytorch's Inception-ResNet-v1, 128 numbers a face."""

from typing import cast

import torch
from facenet_pytorch.models.inception_resnet_v1 import BasicConv2d, InceptionResnetV1
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from streamproc.codec.trunk import FEATURE_SIZE

INPUT_SIZE = 160
FACE_WINDOW = (56 / 256, 31 / 256, 200 / 256, 225 / 256)
"""Part of the aligned crop that the trunk sees, x0, y0, x1, y1 as shares of its side: the mean MTCNN box. It is
stretched to a square, as the pictures were that the trunk learned from."""


class FaceNet(nn.Module):
    """Inception-ResNet-v1 with a 128-d bottleneck; (N, 3, 160, 160) whitened pictures -> (N, 128) of unit norm."""

    def __init__(self) -> None:
        super().__init__()
        self.net = InceptionResnetV1(pretrained=None, classify=False)
        self.net.last_linear = nn.Linear(1792, FEATURE_SIZE, bias=False)
        self.net.last_bn = nn.BatchNorm1d(FEATURE_SIZE, eps=0.001)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 128) float32 unit-norm features of (N, 3, 256, 256) float crops in 0..255."""
        return cast(Tensor, self.net(prepare(pictures)))

    def fuse(self) -> "FaceNet":
        """The same net, ready to use: batch norms folded into their convolutions, channels last."""
        fold_norms(self.net)
        return self.eval().to(memory_format=torch.channels_last)


class CropFeatures(nn.Module):
    """The trunk from crops as they are to features, for `streamproc.inference`."""

    def __init__(self, trunk: FaceNet) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, crops: Tensor) -> Tensor:
        """(N, 128) float32 unit-norm features of (N, 256, 256, 3) uint8 crops."""
        return cast(Tensor, self.trunk(crops.permute(0, 3, 1, 2).float()))


def fold_norms(net: nn.Module) -> None:
    """Nothing; the batch norms of `net`, which is set to evaluation, are folded into their convolutions."""
    for module in net.eval().modules():
        if isinstance(module, BasicConv2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()


def prepare(crops: Tensor) -> Tensor:
    """(N, 3, 160, 160) pictures for the trunk from (N, 3, 256, 256) crops in 0..255: the face window, whitened."""
    size = int(crops.shape[-1])
    x0, y0, x1, y1 = (round(edge * size) for edge in FACE_WINDOW)
    return whiten(crops[..., y0:y1, x0:x1])[0]


def whiten(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """(pictures (N, 3, 160, 160), (N, 2) the means and deviations that they had): of pictures (N, 3, H, W) in 0..255,
    shrunk bicubically, each with its own mean 0 and deviation 1 ("prewhitened", davidsandberg/facenet)."""
    small = F.interpolate(pictures, (INPUT_SIZE, INPUT_SIZE), mode="bicubic", antialias=True, align_corners=False)
    small = small.clamp(0, 255)
    deviation, mean = torch.std_mean(small, dim=(1, 2, 3), keepdim=True)
    whitened = (small - mean) / deviation.clamp(min=1 / small[0].numel() ** 0.5)
    return whitened.contiguous(memory_format=torch.channels_last), torch.cat([mean, deviation], dim=1).flatten(1)
