"""Nets at work: OpenVINO on the CPU, torch on a GPU, behind one call with numpy in and out.

A net is converted once and kept in the cache folder. From then on a process on the CPU runs it without torch, whose
import takes longer than many clips do. Nothing is imported here before it is needed.
"""

import hashlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from streamproc.config import cache_dir
from streamproc.errors import ConfigError
from streamproc.types import Array

if TYPE_CHECKING:
    from torch import nn

_DIGEST, _LENGTH = 32, 8
"""Bytes of a kept net's SHA-256 and of its description's length; description and weights follow."""


class Net(Protocol):
    """A trained net, ready to use."""

    def __call__(self, *inputs: Array) -> tuple[Array, ...]:
        """Every output for every input, in the order of the module that the net was made from."""
        ...


@dataclass(frozen=True, slots=True)
class NetInput:
    """An input: the shape of an example, the axes of it that may have other lengths, and the numpy type."""

    shape: tuple[int, ...]
    free: tuple[int, ...] = (0,)
    dtype: str = "uint8"


def pick_device(name: str) -> str:
    """ "cpu" or "cuda" as `name` says; for "auto" CUDA where there is one. Raises ConfigError for another name."""
    if name == "auto":
        # Torch is asked only where an NVIDIA driver is: its import takes seconds.
        if not Path("/dev/nvidiactl").exists() and shutil.which("nvidia-smi") is None:
            return "cpu"
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and name.partition(":")[0] != "cuda":
        raise ConfigError(f'There is no device "{name}": choose auto, cpu or cuda.')
    return name


def load_net(
    key: str,
    build: "Callable[[], nn.Module]",
    inputs: Sequence[NetInput],
    device: str,
    at_once: int = 4,
    bfloat16: bool = False,
) -> Net:
    """The net of the module that `build` makes, on `device` ("cpu", "cuda").

    `key` names what the net is made from (a file name without a suffix, with hashes of the weights and the sources):
    under it the converted net is kept. `build` is called where none is kept, or a damaged one, and its errors are
    passed on. A CPU takes `at_once` rows of the inputs, a power of four, in one go: more than fill its cores are no
    quicker. One that multiplies `bfloat16` in hardware may do so for nets whose outputs are quantised next: twice as
    quick, and the rounding is far below a quantiser's step (docs/decisions.md); all others give float32's results.
    """
    if device != "cpu":
        return _TorchNet(build(), device)
    openvino = _openvino()
    path = kept_path(key)
    # An unreadable or unwritable cache costs time, nothing else.
    with suppress(OSError):
        kept = _kept(path)
        if kept is not None:
            description, weights = kept
            shared = openvino.Tensor(weights, shared_memory=True)
            return _CpuNet(openvino, openvino.Core().read_model(description, shared), at_once, bfloat16, weights)
    model = _convert(openvino, build(), inputs)
    # A disk that is full is a RuntimeError of OpenVINO's.
    with suppress(OSError, RuntimeError):
        written = _written(openvino, model)
        # Read back even now, so that this process rounds as all later ones do; that fails where the weights were cut.
        model = openvino.Core().read_model(*written)
        _keep(path, *written)
    return _CpuNet(openvino, model, at_once, bfloat16)


@cache
def sources_hash(*sources: Path) -> str:
    """What a key says of the code that a net is made by: where it changed, no kept net is taken for today's."""
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


def kept_path(key: str) -> Path:
    """Where the converted net of `key` lies once it was made; each version of OpenVINO makes its own."""
    version = _openvino().__version__.partition("-")[0]
    return cache_dir() / "nets" / f"{key}-openvino-{version}.net"


class _CpuNet:
    """A net compiled by OpenVINO."""

    def __init__(
        self, openvino: ModuleType, model: Any, at_once: int, bfloat16: bool, weights: Array | None = None
    ) -> None:
        """`weights`: memory that the model may point into."""
        self._at_once, self._weights = at_once, weights
        core = openvino.Core()
        hints: dict[str, str | bool | int] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 and _multiplies_bfloat16(core) else "f32",
            # A pinned thread shares its core with that of another process.
            "ENABLE_CPU_PINNING": False,
        }
        threads = os.environ.get("OMP_NUM_THREADS", "")
        if threads.isdecimal() and int(threads):
            hints["INFERENCE_NUM_THREADS"] = int(threads)
        self._request = core.compile_model(model, "CPU", hints).create_infer_request()

    def __call__(self, *inputs: Array) -> tuple[Array, ...]:
        """Every output for every input."""
        parts = [self._outputs([rows[part] for rows in inputs]) for part in _parts(len(inputs[0]), self._at_once)]
        return parts[0] if len(parts) == 1 else tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def _outputs(self, inputs: list[Array]) -> tuple[Array, ...]:
        return tuple(self._request.infer(inputs, share_inputs=True).to_tuple())


def _multiplies_bfloat16(core: Any) -> bool:
    """Whether the CPU has instructions for it; OpenVINO would emulate them on others."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _parts(rows: int, at_once: int) -> list[slice]:
    """`rows` in parts of `at_once` and, for the rest, of ever lower powers of four: each other number of rows costs a
    net as much to make ready for as several faces do to code."""
    parts: list[slice] = []
    done = 0
    while done < rows or not parts:
        while at_once > max(1, rows - done):
            at_once //= 4
        parts.append(slice(done, done + at_once))
        done += at_once
    return parts


class _TorchNet:
    """A torch module on its device."""

    def __init__(self, module: "nn.Module", device: str) -> None:
        import torch

        self._torch, self._device = torch, device
        self._module = module.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def __call__(self, *inputs: Array) -> tuple[Array, ...]:
        """Every output for every input."""
        torch = self._torch
        with torch.inference_mode():
            outputs = self._module(*(torch.tensor(array, device=self._device) for array in inputs))
        return tuple(output.cpu().numpy() for output in ((outputs,) if torch.is_tensor(outputs) else outputs))


def _openvino() -> ModuleType:
    """The module `openvino`, which at its import would tell its makers of each use if it could."""
    if "openvino" not in sys.modules:
        # What is None here counts as not installed.
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    return import_module("openvino")


def _convert(openvino: ModuleType, module: "nn.Module", inputs: Sequence[NetInput]) -> Any:
    """OpenVINO's model of a torch module."""
    import torch

    examples = tuple(torch.zeros(i.shape, dtype=getattr(torch, i.dtype)) for i in inputs)
    shapes = [[-1 if axis in i.free else length for axis, length in enumerate(i.shape)] for i in inputs]
    places = [(openvino.PartialShape(s), openvino.Type(i.dtype)) for s, i in zip(shapes, inputs, strict=True)]
    with warnings.catch_warnings(), torch.inference_mode():
        # The converter traces, which torch warns of at every turn.
        warnings.simplefilter("ignore")
        return openvino.convert_model(module.eval(), example_input=examples, input=places)


def _written(openvino: ModuleType, model: Any) -> tuple[bytes, bytes]:
    """Description and weights of a model; raises OSError or RuntimeError."""
    with tempfile.TemporaryDirectory() as folder:
        description = Path(folder) / "net.xml"
        openvino.save_model(model, description, compress_to_fp16=False)
        return description.read_bytes(), description.with_suffix(".bin").read_bytes()


def _keep(path: Path, description: bytes, weights: bytes) -> None:
    """The net lies at `path`, whole, for whoever else makes it at the same time; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = len(description).to_bytes(_LENGTH, "little") + description + weights
    partial = path.with_suffix(f".{os.getpid()}")
    try:
        partial.write_bytes(hashlib.sha256(content).digest() + content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _kept(path: Path) -> tuple[bytes, Array] | None:
    """Description and weights of the net kept at `path`; None for a damaged one. Raises OSError where there is none.

    The weights stay in the file until they are needed, and processes share them.
    """
    if path.stat().st_size < _DIGEST + _LENGTH:
        return None
    # Copy on write: OpenVINO takes no memory that cannot be written to.
    data = np.memmap(path, np.uint8, "c")
    content = data[_DIGEST:]
    if hashlib.sha256(content.data).digest() != data[:_DIGEST].tobytes():
        return None
    end = _LENGTH + int.from_bytes(content[:_LENGTH].tobytes(), "little")
    return content[_LENGTH:end].tobytes(), content[end:]
