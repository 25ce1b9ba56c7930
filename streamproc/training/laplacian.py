"""Training of the texture net that sees the decoded feature alone (Eq. 4).

L = sum over three scales of (20 MSE + SATD / 2), as in `streamproc.training.texture` and for the reasons given there.
The net starts at the best linear map from feature to picture and at the coarse picture's net of Eq. 3.
"""

from pathlib import Path

import torch
from torch import Tensor

from streamproc.codec.feature_pictures import LaplacianNet
from streamproc.codec.shape import PICTURE_SIDE, SHAPES
from streamproc.training.data import load_faces
from streamproc.training.loop import Plan, Progress, TrainResult, fit, load_trained
from streamproc.training.losses import satd, shrink
from streamproc.training.structured import trained_structured
from streamproc.training.texture import (
    FINE_BATCH,
    FINE_SHARE,
    MIDDLE,
    SATD_WEIGHT,
    SQUARED_WEIGHT,
    as_pictures,
    usable,
)
from streamproc.training.trunk import stored_features
from streamproc.training.trunk_start import linear_map

PART = "texture"


def train(faces: Path, work: Path, plan: Plan, progress: Progress, device: str = "cpu") -> TrainResult:
    """Trains the texture net on decoded features and the crops that `prepare` left in `faces`."""
    torch.manual_seed(plan.seed)
    data = load_faces(faces)
    crops, rows = torch.from_numpy(data.crops), usable(data)
    structured = trained_structured(work)
    coder = structured.coder
    with torch.no_grad():
        latents = coder.analyse(stored_features(work))
    parts = torch.split(crops, 256)
    small = torch.cat([shrink(as_pictures(part), PICTURE_SIDE).mul(255).round().byte() for part in parts])
    net = LaplacianNet(SHAPES["paper"].identity)
    with torch.no_grad():
        weight, bias = linear_map(coder.synthesise(latents[rows].round()), small[rows].flatten(1).float() / 255)
        net.linear.weight.copy_(weight)
        net.linear.bias.copy_(bias)
    # "first utilized as the initialization of feature based texture generation" (III-C).
    for block, trained in zip(net.blocks, structured.structure.layers, strict=False):
        block.load_state_dict(trained.state_dict())
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    fine_from = int(plan.steps * (1 - FINE_SHARE))

    def losses(step: int) -> dict[str, Tensor]:
        fine = step >= fine_from
        chosen = rows[torch.randint(len(rows), (FINE_BATCH if fine else plan.batch,))]
        if fine:
            full = as_pictures(crops[chosen]).to(device)
            targets = [shrink(full, PICTURE_SIDE), shrink(full, MIDDLE), full]
        else:
            targets = [small[chosen].to(device).float() / 255]
        with torch.no_grad():
            # Noise for rounding, another one each time: a face's own code would soon be known by heart.
            feature = coder.synthesise(latents[chosen] + torch.rand(len(chosen), latents.shape[1]) - 0.5).to(device)
        with torch.autocast(device, torch.bfloat16):
            pictures = [picture.float() for picture in net(feature, len(targets))]
        errors = [picture - target for picture, target in zip(pictures, targets, strict=True)]
        each = [SATD_WEIGHT * satd(error).mean() + SQUARED_WEIGHT * error.square().mean() for error in errors]
        return {"loss": torch.stack(each).sum(), "mse64": errors[0].square().mean()}

    return fit(PART, net, losses, work, plan, progress)


def trained_laplacian(work: Path) -> LaplacianNet:
    """The texture net of a finished run."""
    net = LaplacianNet(SHAPES["paper"].identity)
    load_trained(net, work, PART)
    return net
