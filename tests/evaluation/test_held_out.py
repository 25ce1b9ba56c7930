"""`evaluate held-out` on a few faces: what it counts, and of whom."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from made_lfw import LittleLfw, made_lfw

from streamproc.errors import SourceNotFound
from streamproc.evaluation import held_out
from streamproc.training.data import NO_IDENTITY, load_faces

STRANGERS = 400


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> LittleLfw:
    return made_lfw(tmp_path_factory.mktemp("little"))


def silent(name: str, done: int, total: int) -> None:
    assert 0 <= done <= total, name


def with_two_held_out(faces: Path, folder: Path) -> Path:
    """The faces under other identities, those of two people held out, and among 400 more of nobody that is named."""
    kept_out = [n for n in range(1000) if hashlib.sha256(f"i{n}".encode()).digest()[0] < 26][:2]
    others = [n for n in range(100) if n not in kept_out]
    with np.load(faces / "shard-000.npz") as arrays:
        stored = {name: arrays[name] for name in arrays.files}
    named = np.array([*kept_out, *others])[stored["identities"]]
    chance = np.random.default_rng(0)
    features = np.concatenate([stored["features"], chance.standard_normal((STRANGERS, 128)).astype(np.float32)])
    folder.mkdir()
    np.savez(
        folder / "shard-000.npz",
        crops=np.concatenate([stored["crops"], np.resize(stored["crops"], (STRANGERS, 256, 256, 3))]),
        features=features / np.linalg.norm(features, axis=1, keepdims=True),
        identities=np.concatenate([named, np.full(STRANGERS, NO_IDENTITY)]),
        visible=np.ones(len(features), np.float32),
        quality=np.ones(len(features), np.float32),
        names=np.array([f"celeba/{n}.webp" for n in range(len(features))]),
    )
    return folder


def test_trained_and_held_out_faces_are_told_apart(
    little: LittleLfw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "COMPONENT_SIZE", 16)
    faces = with_two_held_out(little.work / "faces", tmp_path / "faces")
    data = load_faces(faces)
    assert 0 < data.held_out().sum() < len(data.names)
    result = held_out.evaluate(faces, little.codec, 6, silent)
    assert [(row.method, row.faces) for row in result.pictures[:2]] == [
        ("base layer", "held out"),
        ("base layer", "trained on"),
    ]
    rows = np.flatnonzero(data.held_out())[:6]
    bases = little.codec.base.encode(data.crops[rows], data.features[rows])
    assert result.pictures[0].bits == pytest.approx(8 * np.mean([len(base) for base in bases]))
    assert all(10 < row.psnr < 60 for row in result.pictures)
    raw, coded, asked, klt = result.features
    assert raw.tar == 1
    assert raw.bits == 4096
    assert coded.bits < 0.6 * result.pictures[0].bits
    assert asked.bits == coded.bits
    assert coded.tar <= asked.tar <= 1
    assert klt.method == "Karhunen-Loeve transform"
    assert 0 <= klt.tar <= 1


def test_without_faces_the_error_says_what_to_run(little: LittleLfw, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="train faces"):
        held_out.evaluate(tmp_path, little.codec, 1, silent)
