"""Training: losses against their definitions, runs that go on where they stopped."""

from pathlib import Path

import numpy as np
import pytest
import torch

from streamproc.errors import WeightsError
from streamproc.training import loop
from streamproc.training.data import NO_IDENTITY, TrainingFaces
from streamproc.training.loop import Plan, load_trained
from streamproc.training.losses import hadamard, satd, shrink


def test_hadamard_is_orthonormal() -> None:
    matrix = hadamard(8)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(8))


def test_satd_by_hand() -> None:
    """A flat difference d is one coefficient 8 d in each block of 64."""
    flat = torch.full((2, 3, 16, 24), 0.5)
    torch.testing.assert_close(satd(flat), torch.full((2,), 0.5 * 8 / 64))
    block = torch.zeros(1, 1, 8, 8)
    block[0, 0, 3, 5] = 1
    torch.testing.assert_close(satd(block), torch.tensor([1 / 8]))


def test_shrink_averages() -> None:
    picture = torch.arange(16.0).reshape(1, 1, 4, 4)
    torch.testing.assert_close(shrink(picture, 2), torch.tensor([[[[2.5, 4.5], [10.5, 12.5]]]]))


def train_line(work: Path, steps: int, stop_at: int | None = None) -> torch.nn.Linear:
    torch.manual_seed(0)
    net = torch.nn.Linear(2, 1)

    def losses(step: int) -> dict[str, torch.Tensor]:
        if step == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 2)
        return {"loss": (net(x) - x.sum(dim=1, keepdim=True)).square().mean()}

    loop.fit("line", net, losses, work, Plan(steps, 8, 0.05), lambda *_: None)
    return net


def test_a_stopped_run_ends_where_an_undisturbed_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train_line(tmp_path / "whole", 60)
    monkeypatch.setattr("streamproc.training.loop.CHECKPOINT_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        train_line(tmp_path / "stopped", 60, stop_at=33)
    resumed = train_line(tmp_path / "stopped", 60)
    torch.testing.assert_close(resumed.weight, whole.weight)
    torch.testing.assert_close(resumed.weight, torch.ones(1, 2), atol=0.1, rtol=0)
    loaded = torch.nn.Linear(2, 1)
    load_trained(loaded, tmp_path / "stopped", "line")
    torch.testing.assert_close(loaded.weight, resumed.weight)
    with pytest.raises(WeightsError, match="train other"):
        load_trained(loaded, tmp_path, "other")


def people(count: int, looks: int, spread: float, seed: int = 0) -> TrainingFaces:
    chance = np.random.default_rng(seed)
    centres = chance.normal(size=(count, 1, 128))
    features = (centres + spread * chance.normal(size=(count, looks, 128))).reshape(-1, 128)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    n = count * looks
    names = np.array([f"x/{i}" for i in range(n)])
    ones = np.ones(n, np.float32)
    identities = np.repeat(np.arange(count), looks)
    return TrainingFaces(np.zeros((n, 1, 1, 3), np.uint8), features.astype(np.float32), identities, ones, ones, names)


def test_people_are_held_out_whole() -> None:
    data = people(200, 3, 0.5)
    held = data.held_out()
    assert 0.03 < held.mean() < 0.25
    by_person = held.reshape(200, 3)
    assert (by_person.all(axis=1) == by_person.any(axis=1)).all()
    unknown = TrainingFaces(
        data.crops, data.features, np.full(600, NO_IDENTITY), data.visible, data.quality, data.names
    )
    assert 0.03 < unknown.held_out().mean() < 0.25
