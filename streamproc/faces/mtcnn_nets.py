"""MTCNN's trained nets as torch modules that take pictures as they are; importing it loads torch."""

import torch
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
from torch import Tensor, nn

_NETS = {"pnet": PNet, "rnet": RNet, "onet": ONet}


class Stage(nn.Module):
    """A net of facenet-pytorch's behind its own normalisation; its outputs put in one order."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Score (N, ...), shift (N, ..., 4) and, where the net has them, landmarks (N, 10), of (N, H, W, 3) uint8
        RGB."""
        values = (pictures.permute(0, 3, 1, 2).float() - 127.5) * 0.0078125
        shift, *landmarks, classes = self.net(values)
        return classes[:, 1], torch.movedim(shift, 1, -1), *landmarks


def stage(name: str) -> nn.Module:
    """The trained net "pnet", "rnet" or "onet"."""
    return Stage(_NETS[name]()).eval().requires_grad_(False)
