"""The measures, against cases whose answers are known."""

from pathlib import Path

import numpy as np
import pytest

from streamproc.errors import SourceNotFound
from streamproc.evaluation.lfw_set import read_pairs
from streamproc.evaluation.pictures import bits_per_pixel, psnr
from streamproc.evaluation.verification import verify


def test_perfect_separation() -> None:
    same = np.tile([True, False], 3000)
    figures = verify(np.where(same, 0.8, 0.2).astype(np.float32), same, np.arange(6000) // 600)
    assert figures.accuracy == 1.0
    assert figures.tar_at_far_1e3 == 1.0


def test_chance_is_half() -> None:
    chance = np.random.default_rng(0)
    same = np.tile([True, False], 3000)
    figures = verify(chance.random(6000).astype(np.float32), same, np.arange(6000) // 600)
    assert figures.accuracy == pytest.approx(0.5, abs=0.03)
    assert figures.tar_at_far_1e3 < 0.01


def test_three_strangers_in_3000_are_let_in() -> None:
    """FAR 1e-3: the threshold lies under the three most similar strangers."""
    same = np.repeat([True, False], 3000)
    similarity = np.concatenate([np.full(3000, 0.5), np.linspace(0, 0.4, 2997), [0.9, 0.8, 0.7]]).astype(np.float32)
    assert verify(similarity, same, np.tile(np.arange(10), 600)).tar_at_far_1e3 == 1.0
    similarity[-4] = 0.6
    assert verify(similarity, same, np.tile(np.arange(10), 600)).tar_at_far_1e3 == 0.0


def test_psnr_and_rate() -> None:
    black = np.zeros((1, 8, 8, 3), np.uint8)
    assert psnr(black, np.full_like(black, 255))[0] == pytest.approx(0.0)
    assert psnr(black, np.full_like(black, 1))[0] == pytest.approx(48.13, abs=0.01)
    assert bits_per_pixel(b"x" * 41) == pytest.approx(0.005, abs=1e-4)


def test_pairs(tmp_path: Path) -> None:
    lines = ["10\t2"]
    for fold in range(10):
        lines += [f"A{fold}\t1\t2", f"B{fold}\t3\t4", f"A{fold}\t1\tB{fold}\t3", f"A{fold}\t2\tC{fold}\t9"]
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
    pairs = read_pairs(tmp_path)
    assert len(pairs.same) == 40
    assert pairs.same.sum() == 20
    assert pairs.names[pairs.right[3]] == "C0_0009.jpg"
    assert np.bincount(pairs.fold).tolist() == [4] * 10
    assert len(read_pairs(tmp_path, 1).same) == 20
    with pytest.raises(SourceNotFound, match=r"pairs\.txt"):
        read_pairs(tmp_path / "nowhere")
