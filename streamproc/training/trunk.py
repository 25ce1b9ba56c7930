"""Training of the multi-task feature (Eq. 1).

L = cross-entropy + 10 * (1 - cosine to the pretrained feature) + W * (SATD + 10 MSE).

Cross-entropy is taken where identities are known (a thousand of them, which alone would be learned by heart); the
pretrained net teaches its feature's geometry on all faces. SATD is that of the 32x32 picture which transposed
convolutions make of the feature; the squared error stands beside it for the reason that `streamproc.training.texture`
gives. The trunk below the cut is frozen: what it gives is computed once, in shards.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from streamproc.codec.feature_pictures import STRUCTURE_SIDE, StructureNet
from streamproc.codec.multi_task import MultiTaskTop, TrunkBottom, TrunkOutputs
from streamproc.codec.trunk import FEATURE_SIZE, load_trunk, trunk_path
from streamproc.codec.weights import tensors_hash
from streamproc.errors import WeightsError
from streamproc.training.calibration import pair_similarities
from streamproc.training.data import NO_IDENTITY, TrainingFaces, load_faces
from streamproc.training.loop import Plan, Progress, TrainResult, checkpoint_path, fit
from streamproc.training.losses import satd, shrink
from streamproc.training.shards import read_shard, shard_path, write_shards
from streamproc.types import Array

PART = "trunk"
INPUTS = "trunk-inputs"
TEXTURE_WEIGHT = 30.0
"""W. The paper's is 100, of sums in units that it does not state; here every term is a mean, SATD that of absolute
coefficients in pixels of 0..1."""
SQUARED_WEIGHT = 10.0
TEACHER_WEIGHT = 10.0
CLASS_SCALE = 16.0
"""Cosines to the class centres are multiplied by this before the softmax."""
CACHE = 1
"""Counts the changes to what the shards hold."""
BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class CachedOutputs:
    """What the frozen trunk says of all training faces, float16 on the CPU, and their pictures (N, 3, 32, 32) uint8."""

    outputs: TrunkOutputs
    pictures: Tensor

    def rows(self, chosen: Tensor) -> TrunkOutputs:
        """The outputs of some faces, float32."""
        o = self.outputs
        return TrunkOutputs(o.middle[chosen].float(), o.late[chosen].float(), o.light[chosen].float())


def prepare_inputs(faces: Path, out: Path, device: str) -> Iterator[int]:
    """Yields the shards of faces done so far; computes what is missing in `out`, a shard for each of `faces`."""
    trunk = tensors_hash(load_file(trunk_path()))
    net = TrunkBottom(load_trunk()).to(device)
    shards = sorted(faces.glob("shard-*.npz"))
    yield from write_shards(out, shards, lambda paths: _outputs(net, paths[0], device), 1, f"{CACHE}-{trunk}")


@torch.inference_mode()
def _outputs(net: TrunkBottom, faces: Path, device: str) -> dict[str, Array]:
    """The arrays of one shard."""
    crops = read_shard(faces)["crops"]
    parts: dict[str, list[Array]] = {"middle": [], "late": [], "light": [], "pictures": []}
    for i in range(0, len(crops), BATCH):
        batch = torch.from_numpy(crops[i : i + BATCH]).to(device).permute(0, 3, 1, 2).float()
        with torch.autocast(device, torch.bfloat16):
            seen = net(batch)
        parts["middle"].append(seen.middle.half().cpu().numpy())
        parts["late"].append(seen.late.half().cpu().numpy())
        parts["light"].append(seen.light.half().cpu().numpy())
        parts["pictures"].append(shrink(batch, STRUCTURE_SIDE).round().to(torch.uint8).cpu().numpy())
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def load_inputs(folder: Path, count: int) -> CachedOutputs:
    """The outputs of all `count` faces, from the shards in `folder`."""
    arrays: dict[str, Tensor] = {}
    start, number = 0, 0
    while start < count:
        shard = read_shard(shard_path(folder, number))
        size = len(shard["light"])
        for name, array in shard.items():
            # One array is filled in place: two copies of three gigabytes would not fit beside each other everywhere.
            arrays.setdefault(name, torch.empty((count, *array.shape[1:]), dtype=torch.from_numpy(array[:1]).dtype))
            arrays[name][start : start + size] = torch.from_numpy(array)
        start, number = start + size, number + 1
    return CachedOutputs(TrunkOutputs(arrays["middle"], arrays["late"], arrays["light"]), arrays["pictures"])


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
    inputs = cached_inputs(faces, data, work, progress, device)
    result = train_weight(data, inputs, work, PART, plan, progress, weight, device)
    net = trained_trunk(work)
    features = features_of(net.top, inputs, torch.arange(len(data.names)))
    np.save(features_path(work), features.numpy())
    measured = measure(net, data, inputs)
    return replace(result, metrics={**result.metrics, **asdict(measured)})


def cached_inputs(faces: Path, data: TrainingFaces, work: Path, progress: Progress, device: str) -> CachedOutputs:
    """What the frozen trunk says of all faces, computed where it was not."""
    for done in prepare_inputs(faces, work / INPUTS, device):
        progress("what the trunk sees", done, len(list(faces.glob("shard-*.npz"))))
    return load_inputs(work / INPUTS, len(data.names))


def train_weight(
    data: TrainingFaces,
    inputs: CachedOutputs,
    work: Path,
    part: str,
    plan: Plan,
    progress: Progress,
    weight: float,
    device: str = "cpu",
) -> TrainResult:
    """As `train`, for one weight of the texture, as the run called `part`."""
    torch.manual_seed(plan.seed)
    rows = torch.from_numpy(np.flatnonzero(~data.held_out()))
    known, classes = np.unique(data.identities[rows], return_inverse=True)
    # NO_IDENTITY is the least of them.
    labels = torch.full((len(data.names),), -1).index_copy(0, rows, torch.from_numpy(classes) - int(known[0] < 0))
    teacher = torch.from_numpy(data.features)
    net = multi_task_net(int((known != NO_IDENTITY).sum()))
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def losses(step: int) -> dict[str, Tensor]:
        chosen = rows[torch.randint(len(rows), (plan.batch,))]
        seen = inputs.rows(chosen)
        with torch.autocast(device, torch.bfloat16):
            feature = net.top(TrunkOutputs(seen.middle.to(device), seen.late.to(device), seen.light.to(device))).float()
            # The picture's part costs most of a step: a third of the faces bear it.
            shown = net.structure(feature[: plan.batch // 3]).float()
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
    held = data.held_out()
    rows = torch.from_numpy(np.flatnonzero(held))
    features = features_of(net.top, inputs, rows)
    shown = torch.cat([net.structure(part) for part in torch.split(features, 256)]).clamp(0, 1)
    errors = (shown - inputs.pictures[rows].float() / 255).square().mean(dim=(1, 2, 3))
    same, other = (np.sort(s) for s in pair_similarities(features.numpy(), data.identities[held]))
    accepted, refused = 1 - np.searchsorted(same, same) / len(same), np.searchsorted(other, same) / len(other)
    return HeldOut(
        float((same > np.quantile(other, 0.999)).mean()),
        float(((accepted + refused) / 2).max()),
        float(-10 * errors.log10().mean()),
    )


def multi_task_net(identities: int) -> MultiTaskNet:
    """The net as training begins: the top gives what the pretrained trunk gives."""
    net = MultiTaskNet(identities)
    net.top.start_at(load_trunk())
    return net


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


def load_pictures(folder: Path) -> Tensor:
    """(N, 3, 32, 32) uint8 pictures of all training faces, from the shards in `folder`."""
    shards = sorted(folder.glob("shard-*.npz"))
    return torch.cat([torch.from_numpy(np.load(shard)["pictures"]) for shard in shards])
