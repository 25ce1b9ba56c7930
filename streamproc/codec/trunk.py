"""The pretrained trunk: where it lies, the net itself for training, and its features without torch on a CPU."""

from pathlib import Path
from typing import TYPE_CHECKING

from streamproc.config import cache_dir
from streamproc.errors import WeightsError
from streamproc.inference import Net, NetInput, load_net, sources_hash
from streamproc.types import CROP_SIZE, Array

if TYPE_CHECKING:
    from torch import nn

    from streamproc.codec.facenet import FaceNet
    from streamproc.codec.weights import CodecWeights

FEATURE_SIZE = 128
CONVERTED = tuple(Path(__file__).with_name(f"{module}.py") for module in ("facenet", "multi_task"))
"""The sources of what `CropFeatures` and `MultiTaskFeatures` compute."""


def trunk_path() -> Path:
    """Where the pretrained trunk lies once `streamproc setup` has fetched it."""
    return cache_dir() / "facenet-128.safetensors"


def load_trunk(expected: str | None = None) -> "FaceNet":
    """The pretrained trunk, ready for use; raises WeightsError when it is missing or not the one `expected` (hash)."""
    import torch

    from streamproc.codec.facenet import FaceNet

    tensors = _trunk_tensors(expected)
    net = FaceNet().eval().fuse()
    net.load_state_dict({name: torch.tensor(array) for name, array in tensors.items()})
    return net.requires_grad_(False)


def require_trunk(expected: str) -> None:
    """Nothing; raises WeightsError where the pretrained trunk's file is missing or not the one `expected` (hash)."""
    _trunk_tensors(expected)


def _trunk_tensors(expected: str | None) -> dict[str, Array]:
    from safetensors import SafetensorError, safe_open

    from streamproc.codec.weights import tensors_hash

    path = trunk_path()
    if not path.is_file():
        raise WeightsError("the face feature's pretrained weights are not here yet: run `streamproc setup` once")
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged ({error}): remove it and run `streamproc setup` again") from error
    if expected is not None and tensors_hash(tensors) != expected:
        raise WeightsError(f"{path} is not the trunk that this codec was trained on: remove it, run `streamproc setup`")
    return tensors


def load_features(expected: str, device: str) -> Net:
    """The trunk whose hash is `expected` on "cpu" or "cuda": from crops (N, 256, 256, 3) uint8 RGB to (N, 128) float32
    unit-norm features. Raises WeightsError like `load_trunk`, whose hash is compared whenever the net is converted."""

    def build() -> "nn.Module":
        from streamproc.codec.facenet import CropFeatures

        return CropFeatures(load_trunk(expected))

    crops = NetInput((2, CROP_SIZE, CROP_SIZE, 3))
    return load_net(f"facenet-{sources_hash(*CONVERTED)}-{expected}", build, [crops], device)


def load_multi_task(weights: "CodecWeights", device: str) -> Net:
    """As `load_features`, for a codec whose weights hold a top of their own for the trunk (Eq. 1)."""

    def build() -> "nn.Module":
        from streamproc.codec.multi_task import MultiTaskFeatures, MultiTaskTop

        return MultiTaskFeatures(load_trunk(weights.trunk), weights.fill(MultiTaskTop(), "trunk"))

    crops = NetInput((2, CROP_SIZE, CROP_SIZE, 3))
    return load_net(f"multi-task-{sources_hash(*CONVERTED)}-{weights.codec_id}", build, [crops], device)
