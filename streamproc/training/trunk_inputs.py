"""What the frozen trunk says of the training faces, computed once, in shards."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor

from streamproc.codec.feature_pictures import STRUCTURE_SIDE
from streamproc.codec.multi_task import TrunkBottom, TrunkOutputs
from streamproc.codec.trunk import load_trunk, trunk_path
from streamproc.codec.weights import tensors_hash
from streamproc.training.loop import Progress
from streamproc.training.losses import shrink
from streamproc.training.shards import read_shard, shard_path, write_shards
from streamproc.types import Array

INPUTS = "trunk-inputs"
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


def cached_inputs(faces: Path, count: int, work: Path, progress: Progress, device: str) -> CachedOutputs:
    """What the frozen trunk says of all faces, computed where it was not."""
    for done in prepare_inputs(faces, work / INPUTS, device):
        progress("what the trunk sees", done, len(list(faces.glob("shard-*.npz"))))
    return load_inputs(work / INPUTS, count)


def load_pictures(folder: Path) -> Tensor:
    """(N, 3, 32, 32) uint8 pictures of all training faces, from the shards in `folder`."""
    shards = sorted(folder.glob("shard-*.npz"))
    return torch.cat([torch.from_numpy(np.load(shard)["pictures"]) for shard in shards])
