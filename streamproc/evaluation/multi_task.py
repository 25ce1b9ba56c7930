"""`evaluate multi-task`: what the picture costs the feature (Eq. 1), on people kept out of training."""

import csv
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from streamproc.evaluation.plots import Curve, plot
from streamproc.training.data import TrainingFaces, load_faces
from streamproc.training.loop import Plan, Progress
from streamproc.training.structured import StructuredVector
from streamproc.training.trunk import MultiTaskNet, features_of, measure_features, started, train_weight, trained_trunk
from streamproc.training.trunk_inputs import CachedOutputs, cached_inputs

WEIGHTS = (0.0, 3.0, 10.0, 30.0, 100.0)
"""What the picture weighs beside cross-entropy; the paper's is 100, in units that it does not state."""
CODER_FACES = 3000
"""Training faces that the coder's transform is taken of."""
PLAN = Plan(steps=60, batch=128, rate=3e-4, slow="top")


@dataclass(frozen=True, slots=True)
class TradeRow:
    """One weight of the picture: the held-out figures of `streamproc.training.trunk.HeldOut`, of the feature before
    coding and of the one that comes back from the bits of a base layer (the coder as its training starts)."""

    weight: float
    tar: float
    accuracy: float
    psnr: float
    coded_tar: float
    coded_accuracy: float
    coded_psnr: float


@dataclass(frozen=True, slots=True)
class TradeResult:
    """All rows, the table and the plot."""

    rows: tuple[TradeRow, ...]
    steps: int
    table: Path
    figure: Path


def evaluate(faces: Path, work: Path, out: Path, steps: int | None, progress: Progress) -> TradeResult:
    """Trains the multi-task feature for a short while at every weight, each a resumable run, and measures it."""
    plan = Plan(steps or PLAN.steps, PLAN.batch, PLAN.rate, PLAN.seed, PLAN.slow)
    data = load_faces(faces, crops=False)
    inputs = cached_inputs(faces, len(data.names), work, progress, "cpu")
    start = started(data, inputs)
    rows = []
    for weight in WEIGHTS:
        part = f"trade/{weight:g}-{plan.steps}"
        train_weight(start, data, inputs, work, part, plan, progress, weight)
        rows.append(_row(weight, trained_trunk(work, part), data, inputs))
    out.mkdir(parents=True, exist_ok=True)
    table = out / "multi-task.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    curves = [
        Curve("before coding, W = 0 to 100", tuple(row.psnr for row in rows), tuple(row.tar for row in rows)),
        Curve("coded", tuple(row.coded_psnr for row in rows), tuple(row.coded_tar for row in rows), heavy=True),
    ]
    figure = plot(out / "multi-task.png", curves, "picture from the feature: PSNR at 32x32 (dB)", "TAR at FAR 1e-3")
    return TradeResult(tuple(rows), plan.steps, table, figure)


def _row(weight: float, net: MultiTaskNet, data: TrainingFaces, inputs: CachedOutputs) -> TradeRow:
    held = torch.from_numpy(data.held_out())
    training = features_of(net.top, inputs, (~held).nonzero()[:CODER_FACES, 0])
    coder = StructuredVector()
    coder.start(training, net.structure)
    raw = features_of(net.top, inputs, held.nonzero()[:, 0])
    before = measure_features(raw, net.structure, data, inputs)
    after = measure_features(coder.rounded(raw), net.structure, data, inputs)
    return TradeRow(weight, before.tar, before.accuracy, before.psnr, after.tar, after.accuracy, after.psnr)
