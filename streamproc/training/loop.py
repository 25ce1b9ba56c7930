"""The training loop: seeded, resumable, logged."""

import csv
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from streamproc.errors import WeightsError

CHECKPOINT_SECONDS = 60.0
LOG_STEPS = 20

Progress = Callable[[str, int, int], None]
"""Called with the part's name, the steps done and the steps in all."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast: Adam from `rate` down to a twentieth of it on a cosine, over `steps` of `batch` items.

    Parameters with `slow` in their name, which start at a good place, learn at a tenth of the rate.
    """

    steps: int
    batch: int
    rate: float
    seed: int = 1
    slow: str | None = None


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training run came to; `metrics` are means over its last steps and what validation measured."""

    part: str
    steps: int
    seconds: float
    checkpoint: str
    metrics: Mapping[str, float]


def checkpoint_path(work: Path, part: str) -> Path:
    """Where the checkpoint of `part` lies."""
    return work / part / "checkpoint.pt"


def load_trained(net: nn.Module, work: Path, part: str) -> None:
    """Fills `net` from a finished run of `part`; raises WeightsError when there is none."""
    path = checkpoint_path(work, part)
    if not path.exists():
        raise WeightsError(f"{path} is missing: run `train {part}` first")
    net.load_state_dict(torch.load(path, weights_only=True)["net"])
    net.eval()


def fit(
    part: str, net: nn.Module, losses: Callable[[int], dict[str, Tensor]], work: Path, plan: Plan, progress: Progress
) -> TrainResult:
    """Trains `net` by the "loss" among `losses(step)` and goes on from the checkpoint where there is one.

    Every random choice of a step comes from the plan's seed and the step's number, so a run that was stopped and went
    on sees what an undisturbed one sees. Writes `checkpoint.pt` and `losses.csv` in `work/part`.
    """
    folder = work / part
    folder.mkdir(parents=True, exist_ok=True)
    path = checkpoint_path(work, part)
    optimiser = torch.optim.Adam(_groups(net, plan))
    rates = [group["lr"] for group in optimiser.param_groups]
    first = 0
    if path.exists():
        stored = torch.load(path, weights_only=True)
        net.load_state_dict(stored["net"])
        optimiser.load_state_dict(stored["optimiser"])
        first = int(stored["step"])
    started = saved = time.monotonic()
    means: dict[str, float] = {}
    net.train()
    for step in range(first, plan.steps):
        torch.manual_seed(plan.seed * 1_000_003 + step)
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / plan.steps)))
        values = losses(step)
        optimiser.zero_grad(set_to_none=True)
        values["loss"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        means = {k: 0.95 * means.get(k, float(v.detach())) + 0.05 * float(v.detach()) for k, v in values.items()}
        if (step + 1) % LOG_STEPS == 0:
            _log(folder / "losses.csv", step + 1, means)
            progress(part, step + 1, plan.steps)
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            _save(path, net, optimiser, step + 1)
            saved = time.monotonic()
    _save(path, net, optimiser, max(first, plan.steps))
    net.eval()
    return TrainResult(part, plan.steps, time.monotonic() - started, str(path), means)


def _groups(net: nn.Module, plan: Plan) -> list[dict[str, Any]]:
    """What Adam is given: the parameters, in groups of one rate each."""
    slow = [parameter for name, parameter in net.named_parameters() if plan.slow and plan.slow in name]
    fast = [parameter for name, parameter in net.named_parameters() if not (plan.slow and plan.slow in name)]
    groups = [{"params": fast, "lr": plan.rate}, {"params": slow, "lr": plan.rate / 10}]
    return [group for group in groups if group["params"]]


def _save(path: Path, net: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Writes the checkpoint so that a kill leaves the old one or the new one."""
    partial = path.with_suffix(".partial")
    torch.save({"net": net.state_dict(), "optimiser": optimiser.state_dict(), "step": step}, partial)
    partial.replace(path)


def _log(path: Path, step: int, means: Mapping[str, float]) -> None:
    """Appends one line of running means."""
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(["step", *means])
        writer.writerow([step, *(f"{value:.6g}" for value in means.values())])
