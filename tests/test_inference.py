"""Nets behind one call: kept whole or not at all, the same numbers as torch's, and no torch when all is kept."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from streamproc import inference
from streamproc.codec.trunk import load_features, load_trunk, trunk_path
from streamproc.codec.weights import load_weights
from streamproc.errors import ConfigError, WeightsError
from streamproc.inference import NetInput, kept_path, load_net, pick_device
from streamproc.training.data import raw_features
from streamproc.types import Array

INPUTS = [NetInput((2, 6, 6, 3), (0, 1, 2)), NetInput((2, 3), (0,), "float32")]


class Sum(nn.Module):
    """A convolution of pictures plus a vector each; and the vector doubled."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Conv2d(3, 3, 3)

    def forward(self, pictures: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        return self.net(pictures.permute(0, 3, 1, 2).float() / 255) + vectors[:, :, None, None], 2 * vectors


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STREAMPROC_CACHE", str(tmp_path))
    return tmp_path


def counted(builds: list[int]) -> Callable[[], nn.Module]:
    """What builds the net, noting each call."""

    def build() -> nn.Module:
        builds.append(1)
        return Sum().eval()

    return build


def example() -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (5, 9, 7, 3), np.uint8), rng.random((5, 3), np.float32)


def test_openvino_and_torch_agree_and_the_net_is_kept(cache: Path) -> None:
    builds: list[int] = []
    made = load_net("sum", counted(builds), INPUTS, "cpu")(*example())
    kept = load_net("sum", counted(builds), INPUTS, "cpu")(*example())
    assert builds == [1], "the second net comes out of the cache"
    expected = inference._TorchNet(Sum(), "cpu")(*example())
    assert [array.shape for array in made] == [(5, 3, 7, 5), (5, 3)]
    for a, b, c in zip(made, kept, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, atol=1e-6)
    assert [path.name for path in (cache / "nets").iterdir()] == [kept_path("sum").name], "nothing else is left"


def test_a_cpu_sees_a_batch_in_parts_and_answers_for_every_row_in_order(cache: Path) -> None:
    whole, parts = (load_net("sum", Sum, INPUTS, "cpu", at_once) for at_once in (64, 4))
    assert [part.stop - part.start for part in inference._parts(27, 16)] == [16, 4, 4, 1, 1, 1]
    rng = np.random.default_rng(0)
    for rows in (0, 1, 3, 4, 5, 27):
        pictures, vectors = rng.integers(0, 256, (rows, 9, 7, 3), np.uint8), rng.random((rows, 3), np.float32)
        cut = parts(pictures, vectors)
        assert [array.shape for array in cut] == [(rows, 3, 7, 5), (rows, 3)]
        for a, b in zip(whole(pictures, vectors), cut, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_net_is_made_again(cache: Path, damage: str) -> None:
    builds: list[int] = []
    good = load_net("sum", counted(builds), INPUTS, "cpu")(*example())
    path = kept_path("sum")
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    path.write_bytes({"cut": whole[:-100], "flipped": bytes(flipped), "empty": b"", "foreign": b"x" * 1000}[damage])
    again = load_net("sum", counted(builds), INPUTS, "cpu")(*example())
    assert builds == [1, 1]
    np.testing.assert_array_equal(good[0], again[0])
    assert path.read_bytes()[:32] == hashlib.sha256(path.read_bytes()[32:]).digest(), "and kept whole"


def test_a_cache_that_cannot_be_written_is_no_error(cache: Path) -> None:
    (cache / "nets").write_text("a file where the folder would be")
    assert load_net("sum", counted([]), INPUTS, "cpu")(*example())[0].shape == (5, 3, 7, 5)


def test_a_net_cut_short_on_a_full_disk_is_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openvino = inference._openvino()
    save = openvino.save_model

    def save_part(model: object, path: Path, compress_to_fp16: bool) -> None:
        save(model, path, compress_to_fp16=compress_to_fp16)
        weights = path.with_suffix(".bin")
        weights.write_bytes(weights.read_bytes()[:-8])

    monkeypatch.setattr(openvino, "save_model", save_part)
    assert load_net("sum", counted([]), INPUTS, "cpu")(*example())[0].shape == (5, 3, 7, 5)
    assert not kept_path("sum").exists()


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_device("cpu") == "cpu"
    assert pick_device("cuda") == "cuda"
    assert pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="gpu"):
        pick_device("gpu")


def test_only_nets_that_may_round_to_bfloat16(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_multiplies_bfloat16", lambda core: True)
    exact, may = (load_net("sum", Sum, INPUTS, "cpu", bfloat16=allowed)(*example())[0] for allowed in (False, True))
    np.testing.assert_allclose(exact, inference._TorchNet(Sum(), "cpu")(*example())[0], atol=1e-6)
    np.testing.assert_allclose(may, exact, atol=2e-2)
    monkeypatch.setattr(inference, "_multiplies_bfloat16", lambda core: False)
    np.testing.assert_array_equal(load_net("sum", Sum, INPUTS, "cpu", bfloat16=True)(*example())[0], exact)


def test_the_trunk_computes_what_torch_does() -> None:
    """Resizing with antialias, whitening and net together."""
    trunk = load_weights("default").trunk
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(0, 256, (3, 16, 16, 3)), np.ones((1, 16, 16, 1)))
    crops = np.concatenate([smooth, rng.integers(0, 256, (1, 256, 256, 3))]).astype(np.uint8)
    net = load_features(trunk, "cpu")
    np.testing.assert_allclose(net(crops)[0], raw_features(load_trunk(trunk), crops), atol=1e-5)
    # Of a single colour whitening leaves nothing but rounding.
    flat = net(np.full((1, 256, 256, 3), 7, np.uint8))[0]
    assert np.linalg.norm(flat) == pytest.approx(1)


def test_another_trunk_is_refused_when_its_net_is_made(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMPROC_CACHE")
    real = trunk_path()
    monkeypatch.setenv("STREAMPROC_CACHE", str(cache))
    trunk_path().symlink_to(real)
    with pytest.raises(WeightsError, match="not the trunk"):
        load_features("0" * 64, "cpu")
    assert not (cache / "nets").exists()


def test_no_torch_where_all_is_kept() -> None:
    """Detecting a face, coding it and decoding both layers, in a process of its own; and nobody is told of it."""
    work = """
import sys
import numpy as np
from streamproc import FaceCodec, FaceFinder
finder, codec = FaceFinder.load("cpu"), FaceCodec.load(device="cpu")
finder.find(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8))
codes = codec.encode(np.zeros((1, 256, 256, 3), np.uint8))
assert codec.features([code.base for code in codes]).shape == (1, 128)
codec.reconstruct([code.base for code in codes], [code.enhancement for code in codes])
print([name for name in ("torch", "torchvision", "facenet_pytorch") if name in sys.modules])
print([name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module is not None])
"""
    root, run = Path(__file__).parents[1], [sys.executable, "-c", work]
    # The first run converts what is not kept yet.
    for _ in range(2):
        done = subprocess.run(run, cwd=root, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
