"""Training of the multi-task feature's coder (Eq. 3): L = ||f - f_rec||^2 + l * bits + 0.5 * (20 MSE + SATD / 2) of the
32x32 picture that transposed convolutions make of the decoded feature.

The paper's 0.01 * SATD is of a sum in units of its own; here the weight is chosen so that both distortions count. l
follows the bits that are asked for, and the squared error stands beside SATD, for the reasons that
`streamproc.training.texture` gives. The coder starts as a Karhunen-Loeve transform, the other net at the trunk's.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from streamproc.codec.feature_pictures import StructureNet
from streamproc.codec.shape import SHAPES
from streamproc.training.data import load_faces
from streamproc.training.feature import START_STEP, CodedVector, identity_net, start_at_klt
from streamproc.training.loop import Plan, Progress, TrainResult, fit, load_trained
from streamproc.training.losses import satd
from streamproc.training.trunk import INPUTS, load_pictures, stored_features, trained_trunk

PART = "feature"
BITS = 345.0
"""Bits asked for, by the noisy estimate that training sees, which is a little above what rounding takes."""
FIRST_PRICE = 4e-4
PRICE_GAIN = 2e-5
"""As in `streamproc.training.texture`: what a bit must save at the start, and how fast that follows the bits."""
PICTURE_WEIGHT = 0.5
SQUARED_WEIGHT = 20.0
SATD_WEIGHT = 0.5
FINEST = 1.2
"""No direction of the feature starts with a quantiser step above its standard deviation divided by this: the picture is
in the directions that vary least."""


class StructuredVector(nn.Module):
    """The feature's coder with its way back to the picture."""

    price: Tensor

    def __init__(self) -> None:
        super().__init__()
        shape = SHAPES["paper"]
        self.coded = identity_net(shape)
        self.structure = StructureNet(shape.identity)
        self.register_buffer("price", torch.tensor(FIRST_PRICE))


def train(faces: Path, work: Path, plan: Plan, progress: Progress, device: str = "cpu") -> TrainResult:
    """Trains the coder on the multi-task features that `train trunk` left in `work`."""
    torch.manual_seed(plan.seed)
    rows = torch.from_numpy(np.flatnonzero(~load_faces(faces, crops=False).held_out()))
    features, pictures = stored_features(work), load_pictures(work / INPUTS)
    net = StructuredVector()
    start_at_klt(net.coded, features[rows].numpy(), START_STEP)
    _refine_steps(net.coded, features[rows])
    net.structure.load_state_dict(trained_trunk(work).structure.state_dict())
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def losses(step: int) -> dict[str, Tensor]:
        chosen = rows[torch.randint(len(rows), (plan.batch,))]
        feature = features[chosen].to(device)
        decoded, bits = net.coded(feature)
        distance = (decoded - feature).square().sum(dim=1).mean()
        with torch.autocast(device, torch.bfloat16):
            shown = net.structure(decoded).float()
        error = shown - pictures[chosen].to(device).float() / 255
        texture = SQUARED_WEIGHT * error.square().mean() + SATD_WEIGHT * satd(error).mean()
        rate = bits.mean()
        total = distance + PICTURE_WEIGHT * texture + net.price.clone() * rate
        net.price.mul_(torch.exp(PRICE_GAIN * (rate.detach() - BITS)))
        values = {"loss": total, "distance": distance, "mse": error.square().mean(), "bits": rate}
        return values | {"price": net.price.clone()}

    return fit(PART, net, losses, work, plan, progress)


@torch.no_grad()
def _refine_steps(net: CodedVector, features: Tensor) -> None:
    """Nothing; latents that hardly vary get finer steps."""
    deviations = net.coder.linear_in(features).std(dim=0)
    finer = (FINEST / deviations).clamp(min=1)
    net.coder.linear_in.weight.mul_(finer[:, None])
    net.coder.linear_in.bias.mul_(finer)
    net.coder.linear_out.weight.div_(finer)


def trained_structured(work: Path) -> StructuredVector:
    """The coder of a finished run."""
    net = StructuredVector()
    load_trained(net, work, PART)
    return net
