"""Training of the multi-task feature (Eq. 1).

L = cross-entropy + 10 * (1 - cosine to the pretrained feature) + W * (SATD + 10 MSE).

Cross-entropy is taken where identities are known (a thousand of them, which alone would be learned by heart); the
pretrained net teaches its feature's geometry on all faces. SATD is that of the 32x32 picture which transposed
convolutions make of the feature; the squared error stands beside it for the reason that `streamproc.training.texture`
gives. The trunk below the cut is frozen: what it gives is computed once, in shards.
"""

from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamproc.codec.feature_pictures import StructureNet
from streamproc.codec.multi_task import MultiTaskTop, TrunkOutputs
from streamproc.codec.trunk import FEATURE_SIZE
from streamproc.errors import WeightsError
from streamproc.training.calibration import accepted_share, pair_similarities
from streamproc.training.data import NO_IDENTITY, TrainingFaces, load_faces
from streamproc.training.loop import Plan, Progress, TrainResult, checkpoint_path, fit
from streamproc.training.losses import satd
from streamproc.training.trunk_inputs import CachedOutputs, cached_inputs
from streamproc.training.trunk_start import scale_picture, start_linear

PART = "trunk"
TEXTURE_WEIGHT = 30.0
"""W. The paper's is 100, of sums in units that it does not state; here every term is a mean, SATD that of absolute
coefficients in pixels of 0..1."""
SQUARED_WEIGHT = 10.0
TEACHER_WEIGHT = 10.0
CLASS_SCALE = 16.0
"""Cosines to the class centres are multiplied by this before the softmax."""


class MultiTaskNet(nn.Module):
    """The top with all that training needs beside it: the way back to the picture, and the identities' centres."""

    def __init__(self, identities: int) -> None:
        super().__init__()
        self.top = MultiTaskTop()
        self.structure = StructureNet(FEATURE_SIZE)
        self.centres = nn.Linear(FEATURE_SIZE, identities, bias=False)


def train(
    faces: Path, work: Path, plan: Plan, progress: Progress, device: str = "cpu", weight: float = TEXTURE_WEIGHT
) -> TrainResult:
    """Trains the multi-task feature on the faces that `prepare` left in `faces`, and measures it on held-out people."""
    data = load_faces(faces, crops=False)
    inputs = cached_inputs(faces, len(data.names), work, progress, device)
    result = train_weight(started(data, inputs), data, inputs, work, PART, plan, progress, weight, device)
    net = trained_trunk(work)
    features = features_of(net.top, inputs, torch.arange(len(data.names)))
    np.save(features_path(work), features.numpy())
    measured = measure(net, data, inputs)
    return replace(result, metrics={**result.metrics, **asdict(measured)})


@torch.no_grad()
def started(data: TrainingFaces, inputs: CachedOutputs) -> MultiTaskNet:
    """The net as training begins: at the best linear maps, each identity's centre at the mean of its features."""
    rows, labels = _labels(data)
    net = MultiTaskNet(int(labels.max()) + 1)
    start_linear(net.top, net.structure, inputs, torch.from_numpy(data.features), rows)
    known = rows[labels[rows] >= 0]
    net.centres.weight.zero_().index_add_(0, labels[known], features_of(net.top, inputs, known))
    return net


def _labels(data: TrainingFaces) -> tuple[Tensor, Tensor]:
    """The training faces, and (N,) the class of each face among them, -1 where there is none."""
    rows = np.flatnonzero(~data.held_out())
    found = data.identities[rows]
    labels = np.full(len(data.names), -1)
    labels[rows] = np.searchsorted(np.unique(found[found != NO_IDENTITY]), found)
    labels[data.identities == NO_IDENTITY] = -1
    return torch.from_numpy(rows), torch.from_numpy(labels)


def train_weight(
    start: MultiTaskNet,
    data: TrainingFaces,
    inputs: CachedOutputs,
    work: Path,
    part: str,
    plan: Plan,
    progress: Progress,
    weight: float,
    device: str = "cpu",
) -> TrainResult:
    """As `train`, from a net that has been started, for one weight of the texture, as the run called `part`."""
    rows, labels = _labels(data)
    teacher = torch.from_numpy(data.features)
    net = deepcopy(start)
    scale_picture(net.top, net.structure, teacher[rows], (weight / TEXTURE_WEIGHT) ** 0.5)
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def losses(step: int) -> dict[str, Tensor]:
        chosen = rows[torch.randint(len(rows), (plan.batch,))]
        seen = inputs.rows(chosen)
        with torch.autocast(device, torch.bfloat16):
            feature = net.top(TrunkOutputs(seen.middle.to(device), seen.late.to(device), seen.light.to(device))).float()
            # The picture's part costs most of a step: a quarter of the faces bear it.
            shown = net.structure(feature[: plan.batch // 4]).float()
        labelled = labels[chosen] >= 0
        cosines = F.normalize(feature[labelled]) @ F.normalize(net.centres.weight).T
        entropy = F.cross_entropy(cosines * CLASS_SCALE, labels[chosen][labelled].to(device))
        distance = 1 - (feature * teacher[chosen].to(device)).sum(dim=1).mean()
        error = shown - inputs.pictures[chosen[: len(shown)]].to(device).float() / 255
        texture = satd(error).mean()
        squared = error.square().mean()
        total = entropy + TEACHER_WEIGHT * distance + weight * (texture + SQUARED_WEIGHT * squared)
        return {
            "loss": total,
            "entropy": entropy,
            "distance": distance,
            "satd": texture,
            "mse": squared,
        }

    return fit(part, net, losses, work, plan, progress)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """On people kept out of training: the share of same-person pairs above the similarity that 1 in 1,000 pairs of
    strangers reach, the accuracy of the best threshold (both kinds of pairs weighing the same), and the PSNR (dB) of
    the 32x32 picture, against the face at 32x32."""

    tar: float
    accuracy: float
    psnr: float


@torch.no_grad()
def measure(net: MultiTaskNet, data: TrainingFaces, inputs: CachedOutputs) -> HeldOut:
    """The figures of the feature before coding."""
    rows = torch.from_numpy(np.flatnonzero(data.held_out()))
    return measure_features(features_of(net.top, inputs, rows), net.structure, data, inputs)


@torch.no_grad()
def measure_features(features: Tensor, structure: StructureNet, data: TrainingFaces, inputs: CachedOutputs) -> HeldOut:
    """The figures of the held-out faces' features (K, 128)."""
    held = data.held_out()
    shown = torch.cat([structure(part) for part in torch.split(features, 256)]).clamp(0, 1)
    errors = (shown - inputs.pictures[torch.from_numpy(held)].float() / 255).square().mean(dim=(1, 2, 3))
    unit = F.normalize(features).numpy()
    same, other = (np.sort(s) for s in pair_similarities(unit, data.identities[held]))
    accepted, refused = 1 - np.searchsorted(same, same) / len(same), np.searchsorted(other, same) / len(other)
    return HeldOut(
        accepted_share(same, other),
        float(((accepted + refused) / 2).max()),
        float(-10 * errors.log10().mean()),
    )


@torch.no_grad()
def features_of(top: MultiTaskTop, inputs: CachedOutputs, rows: Tensor) -> Tensor:
    """(K, 128) the multi-task features of some faces."""
    return torch.cat([top(inputs.rows(part)) for part in torch.split(rows, 256)])


def trained_trunk(work: Path, part: str = PART) -> MultiTaskNet:
    """The nets of a finished run; raises WeightsError when there is none."""
    path = checkpoint_path(work, part)
    if not path.exists():
        raise WeightsError(f"{path} is missing: run `train {PART}` first")
    state = torch.load(path, weights_only=True)["net"]
    net = MultiTaskNet(len(state["centres.weight"]))
    net.load_state_dict(state)
    return net.eval()


def stored_features(work: Path) -> Tensor:
    """(N, 128) the multi-task features of all training faces, which `train` left in `work`; raises WeightsError."""
    path = features_path(work)
    if not path.exists():
        raise WeightsError(f"{path} is missing: run `train {PART}` first")
    return torch.from_numpy(np.load(path))


def features_path(work: Path) -> Path:
    """Where the multi-task features of all training faces lie."""
    return work / PART / "features.npy"
