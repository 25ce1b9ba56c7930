"""The training commands: `train PART`, in the order faces, feature, texture, residual, export, calibration; rates for
evaluation; smear, which is no part of the codec.

The profile "paper" has a part more, trunk, before feature. Its parts lie in WORK/paper.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from streamproc.codec.trunk import load_trunk
from streamproc.codec.weights import CodecWeights, load_weights
from streamproc.faces.finder import FaceFinder
from streamproc.training import (
    calibration,
    export,
    feature,
    laplacian,
    rates,
    residual,
    smear,
    structured,
    texture,
    trunk,
)
from streamproc.training.data import SHARD, load_faces, pictures, prepare
from streamproc.training.loop import Plan, Progress, TrainResult
from streamproc.training.trunk import TEXTURE_WEIGHT

MIN_FACE = 60
"""Faces fill most of a training picture: nothing smaller is looked for."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What a training command is given: `data` the folder of training pictures, `work` the folder of everything made
    on the way, `steps` another length than the plan's (None: the plan's), `alone` the residual
    net without a base layer, `further` from the shipped weights on (texture begins at theirs; identity coder and
    enhancement layer are theirs where they have no run), `profile` whose parts are trained, `texture_weight` W of
    Eq. 1."""

    data: Path
    work: Path
    device: str = "cpu"
    seed: int = 1
    steps: int | None = None
    threads: int = 1
    alone: bool = False
    further: bool = False
    profile: str = "default"
    texture_weight: float = TEXTURE_WEIGHT

    @property
    def parts(self) -> Path:
        """Where the trained parts lie."""
        return self.work if self.profile == "default" else self.work / self.profile

    @property
    def faces(self) -> Path:
        """Where the prepared faces lie."""
        return self.work / "faces"

    @property
    def kept(self) -> CodecWeights | None:
        """The shipped weights, where they are what this run goes on from."""
        return load_weights(self.profile) if self.further else None

    def plan(self, default: Plan) -> Plan:
        """The default plan with this run's seed and length."""
        return replace(default, seed=self.seed, steps=self.steps or default.steps)


def train_faces(options: TrainOptions, progress: Progress) -> TrainResult:
    """Finds, aligns and rates every training picture."""
    total = len(pictures(options.data))
    finder, trunk = FaceFinder.load(options.device, MIN_FACE), load_trunk().to(options.device)
    for done in prepare(options.data, options.faces, finder, trunk):
        progress("faces", done, total)
    kept = len(load_faces(options.faces).identities)
    return TrainResult("faces", -(-total // SHARD), 0.0, str(options.faces), {"pictures": total, "faces": kept})


def train_trunk(options: TrainOptions, progress: Progress) -> TrainResult:
    """Trains the multi-task feature."""
    weight = options.texture_weight
    return trunk.train(options.faces, options.parts, options.plan(TRUNK), progress, options.device, weight)


def train_feature(options: TrainOptions, progress: Progress) -> TrainResult:
    """Trains the feature's coder."""
    train, plan = (feature.train, FEATURE) if options.profile == "default" else (structured.train, STRUCTURED)
    return train(options.faces, options.parts, options.plan(plan), progress, options.device)


def train_texture(options: TrainOptions, progress: Progress) -> TrainResult:
    """Trains the texture net, and the appearance net where there is one."""
    if options.profile != "default":
        return laplacian.train(options.faces, options.parts, options.plan(LAPLACIAN), progress, options.device)
    return texture.train(options.faces, options.parts, options.plan(TEXTURE), progress, options.device, options.kept)


def train_residual(options: TrainOptions, progress: Progress) -> TrainResult:
    """Trains the enhancement layer, or its net alone, which is exported at once: nothing else needs it."""
    plan = options.plan(RESIDUAL)
    result = residual.train(
        options.faces, options.parts, plan, progress, options.device, options.alone, options.profile, options.kept
    )
    return replace(result, checkpoint=str(export.export_alone(options.work))) if options.alone else result


def train_rates(options: TrainOptions, progress: Progress) -> TrainResult:
    """Trains the identity coder at several rates and exports them."""
    return rates.train(options.faces, options.work, options.plan(FEATURE), progress, options.device)


def train_smear(options: TrainOptions, progress: Progress) -> TrainResult:
    """Trains what tells motion smear, and writes its weights."""
    return smear.train(options.faces, options.work, options.plan(SMEAR), progress)


def train_export(options: TrainOptions, progress: Progress) -> TrainResult:
    """Writes the weights file."""
    return export.export(options.faces, options.parts, options.profile, options.kept)


def train_calibration(options: TrainOptions, progress: Progress) -> TrainResult:
    """Fits what search makes of similarities, and writes it beside the weights file."""
    return calibration.train(options.data, options.parts, options.profile, progress)


FEATURE = Plan(steps=2000, batch=256, rate=1e-3)
TRUNK = Plan(steps=300, batch=128, rate=3e-4, slow="top")
STRUCTURED = Plan(steps=600, batch=128, rate=3e-4, slow="linear")
LAPLACIAN = Plan(steps=2500, batch=32, rate=1e-3, slow="linear")
TEXTURE = Plan(steps=10000, batch=32, rate=5e-4, slow="linear")
RESIDUAL = Plan(steps=12000, batch=8, rate=5e-4)
SMEAR = Plan(steps=8000, batch=256, rate=2e-3)

PARTS: dict[str, Callable[[TrainOptions, Progress], TrainResult]] = {
    "faces": train_faces,
    "trunk": train_trunk,
    "feature": train_feature,
    "texture": train_texture,
    "residual": train_residual,
    "export": train_export,
    "calibration": train_calibration,
    "rates": train_rates,
    "smear": train_smear,
}


def train(part: str, options: TrainOptions, progress: Progress) -> TrainResult:
    """Runs one part on `options.threads` CPU threads (more threads than free cores make it several times slower)."""
    torch.set_num_threads(options.threads)
    return PARTS[part](options, progress)
