"""The codec's weights on disk: one safetensors file a profile, named by the hash of what is in it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from streamproc.codec.profiles import profile_path
from streamproc.codec.shape import CodecShape
from streamproc.errors import WeightsError
from streamproc.inference import Net, NetInput, load_net, sources_hash
from streamproc.types import Array

if TYPE_CHECKING:
    from torch import nn

    Module = TypeVar("Module", bound=nn.Module)

FORMAT = "1"
"""Version of the file's layout; the payloads' own version stands in them."""
ID_LENGTH = 16
SCALE = ".scale"
"""Ending of the tensor that holds the scales of an int8 tensor."""
BYTE_LIMIT = 127
_NETS = ("coding_nets", "feature_pictures", "networks", "refinement", "shape")
CONVERTED = tuple(Path(__file__).with_name(f"{module}.py") for module in _NETS)
"""The sources of what the nets of `coding_nets` compute."""


@dataclass(frozen=True, slots=True, eq=False)
class CodecWeights:
    """A profile's tensors by name, its sizes, and the trunk that they were trained on (hash)."""

    profile: str
    shape: CodecShape
    trunk: str
    tensors: Mapping[str, Array]
    codec_id: str = field(init=False)
    """16 hex digits: the hash of the tensors and of the trunk. Another value means other codes."""

    def __post_init__(self) -> None:
        """Hashes once: it is asked for by every net."""
        object.__setattr__(self, "codec_id", tensors_hash(self.tensors, self.trunk)[:ID_LENGTH])

    def part(self, prefix: str) -> dict[str, Array]:
        """The tensors under `prefix.`, without it; halves and scaled bytes as float32."""
        start = f"{prefix}."
        found = {name[len(start) :]: tensor for name, tensor in self.tensors.items() if name.startswith(start)}
        scales = {name: found.pop(name + SCALE) for name in list(found) if name + SCALE in found}
        found |= {name: unscaled(found[name], scale) for name, scale in scales.items()}
        return {n: tensor.astype(np.float32) if tensor.dtype == np.float16 else tensor for n, tensor in found.items()}

    def net(self, name: str, inputs: Sequence[NetInput], device: str, at_once: int = 4, bfloat16: bool = False) -> Net:
        """The net called `name` in `streamproc.codec.coding_nets`, with these weights, on a device; `at_once` and
        `bfloat16` as `load_net` takes them."""

        def build() -> "nn.Module":
            from streamproc.codec import coding_nets

            net: nn.Module = getattr(coding_nets, name)(self)
            return net

        key = f"{name}-{sources_hash(*CONVERTED)}-{self.codec_id}"
        return load_net(key, build, inputs, device, at_once, bfloat16)

    def fill(self, net: "Module", prefix: str) -> "Module":
        """`net` with the tensors under `prefix`, ready for use; raises WeightsError where they do not fit."""
        import torch

        try:
            net.load_state_dict({name: torch.tensor(array) for name, array in self.part(prefix).items()}, strict=True)
        except RuntimeError as error:
            raise WeightsError(
                f"the weights' part '{prefix}' is not of this version of streamproc: use the file that came with it"
            ) from error
        return net.eval().requires_grad_(False)


def scaled(tensor: Array) -> tuple[Array, Array]:
    """A tensor as int8 of its shape, and the float32 scale of each of its rows (the first axis)."""
    rows = tensor.reshape(len(tensor), -1).astype(np.float32)
    scale = np.maximum(np.abs(rows).max(axis=1), np.float32(1e-12)) / np.float32(BYTE_LIMIT)
    return np.rint(rows / scale[:, None]).astype(np.int8).reshape(tensor.shape), scale


def unscaled(small: Array, scale: Array) -> Array:
    """The float32 tensor that `scaled` stored."""
    whole: Array = small.astype(np.float32) * scale.reshape(-1, *[1] * (small.ndim - 1))
    return whole


def tensors_hash(tensors: Mapping[str, Array], salt: str = "") -> str:
    """SHA-256 of names, types, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256(salt.encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        # The types are called as torch calls them, which the first hashes were made with.
        digest.update(f"{name} torch.{array.dtype} {tensors[name].shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def save_weights(weights: CodecWeights, path: Path) -> None:
    """Writes the file so that a kill leaves the old one or the new one."""
    metadata = {
        "format": FORMAT,
        "profile": weights.profile,
        "shape": json.dumps(weights.shape.as_dict()),
        "trunk": weights.trunk,
        "codec_id": weights.codec_id,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(dict(weights.tensors), partial, metadata)
    partial.replace(path)


def load_weights(profile: str) -> CodecWeights:
    """The weights of a shipped profile or of a file; raises WeightsError when they are missing or damaged."""
    path = profile_path(profile)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        if metadata.get("format") != FORMAT:
            raise WeightsError(f"{path} is in format {metadata.get('format')}: this streamproc reads format {FORMAT}")
        weights = CodecWeights(
            metadata["profile"],
            CodecShape(**json.loads(metadata["shape"])),
            metadata["trunk"],
            tensors,
        )
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise WeightsError(f"{path} is no codec of streamproc, or it is damaged ({error}): fetch it again") from error
    if weights.codec_id != metadata.get("codec_id"):
        raise WeightsError(f"{path} is damaged: its tensors do not have the hash that it states; fetch it again")
    return weights
