"""Training what tells motion smear from a crop and what it does to a feature (`streamproc.faces.smear`): sharp faces
smeared, shrunk, compressed."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from streamproc.codec.trunk import load_trunk
from streamproc.faces import smear
from streamproc.training.data import load_faces, raw_features
from streamproc.training.loop import Plan, Progress, TrainResult, fit
from streamproc.types import CROP_SIZE, Array, FloatArray, Image

PART = "smear"
FACES, SAMPLES, TESTS = 6000, 24000, 1000
SHARP = 8000
"""Faces whose features before and after smearing are compared."""
RIDGE = 10.0
"""Squared length that the restoring matrix is held to, against one sample's squared error."""
STILL = 0.2
"""Share of the samples that did not move."""
MOST = 0.6
"""Of the face's width: the furthest smear that is trained."""
WIDTHS = (32.0, 160.0)
"""Pixels that a face is wide in the camera's picture."""
TILT = 0.25
"""Standard deviation of the heading, radians: people pass level rather than up and down."""
MISTAKEN = 0.1
"""Standard deviation of what the heading is told wrong by, radians."""
AROUND = 64
"""Pixels of mirrored surroundings that are smeared into a crop."""
BATCH = 32
FLIGHT = 0.02
"""Error of the share above which the loss grows linearly."""


class SmearNet(nn.Sequential):
    """Spectra (N, 128), normalised, to shares (N, 1)."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(2 * smear.BANDS, 96), nn.ReLU(), nn.Linear(96, 48), nn.ReLU(), nn.Linear(48, 1))


def train(faces: Path, work: Path, plan: Plan, progress: Progress) -> TrainResult:
    """Trains, measures on held-out faces, and writes the weights beside `streamproc.faces.smear`."""
    data = load_faces(faces, FACES)
    held_out = data.held_out()
    rng = np.random.default_rng(plan.seed)
    seen, shares = _samples(data.crops[~held_out], SAMPLES, rng, progress)
    mean, deviation = seen.mean(axis=0), seen.std(axis=0)
    inputs, targets = torch.from_numpy((seen - mean) / deviation), torch.from_numpy(shares)
    net = SmearNet()

    def losses(_step: int) -> dict[str, Tensor]:
        rows = torch.randint(len(inputs), (plan.batch,))
        return {"loss": F.smooth_l1_loss(net(inputs[rows])[:, 0], targets[rows], beta=FLIGHT)}

    result = fit(PART, net, losses, work, plan, progress)
    tensors: dict[str, Array] = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    path = Path(smear.__file__).with_name(smear.WEIGHTS)
    tensors |= {"mean": mean, "deviation": deviation}
    _write(tensors, path)
    chosen = load_faces(faces)
    rows = rng.permutation(np.flatnonzero(~chosen.held_out()))[:SHARP]
    tensors["restoring"] = _restoring(chosen.crops[rows], chosen.features[rows], rng, progress)
    _write(tensors, path)
    tests = data.crops[held_out][:TESTS]
    return replace(result, checkpoint=str(path), metrics={**result.metrics, **_measured(tests, rng)})


def _write(tensors: dict[str, Array], path: Path) -> None:
    """The weights as the package reads them from here on."""
    save_file(tensors, path)
    smear.weights.cache_clear()


def _restoring(crops: Image, sharp: FloatArray, rng: np.random.Generator, progress: Progress) -> Array:
    """(645, 128) float16: the map of `smear.restored`, from crops as cameras smear them to their features as they are,
    `sharp`."""
    told, shares, widths = _seen_moving(crops, rng, progress)
    inputs = smear.known(told, shares, widths).astype(np.float64)
    still = sharp / np.linalg.norm(sharp, axis=1, keepdims=True)
    square = inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1])
    matrix: Array = np.linalg.solve(square, inputs.T @ still).astype(np.float16)
    return matrix


def _seen_moving(
    crops: Image, rng: np.random.Generator, progress: Progress
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(features (N, 128), shares taken back (N,), widths in pixels (N,)) of crops that moved by chance."""
    trunk, told, shares, widths = load_trunk(), [], [], []
    for start in range(0, len(crops), BATCH):
        pictures = []
        for crop in crops[start : start + BATCH]:
            picture, _, believed, width = _drawn(np.ascontiguousarray(crop), rng)
            still, share = smear.unsmeared(picture, believed)
            pictures.append(still)
            shares.append(share)
            widths.append(width)
        told.append(raw_features(trunk, np.stack(pictures)))
        progress("features", len(shares), len(crops))
    return np.concatenate(told), np.array(shares, np.float32), np.array(widths, np.float32)


def degraded(crop: Image, share: float, heading: float, width: float, rng: np.random.Generator) -> Image:
    """The crop as a camera would give it, its face `width` pixels wide and smeared over `share` of that: smaller,
    noisy, compressed, and enlarged again."""
    passed = smear.smearing(CROP_SIZE + 2 * AROUND, share * smear.FACE_WIDTH, heading)
    moved = smear.filtered(crop, passed)
    side = round(CROP_SIZE * min(1.0, width / smear.FACE_WIDTH))
    small = cv2.resize(moved, (side, side), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        small = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.3, 0.9))
    noisy = small * rng.uniform(0.5, 1.1) + rng.standard_normal(small.shape) * rng.uniform(0, 4)
    _, file = cv2.imencode(".jpg", noisy.clip(0, 255).astype(np.uint8), [1, int(rng.integers(35, 95))])
    back = cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC
    large = cv2.resize(cv2.imdecode(file, cv2.IMREAD_COLOR), (CROP_SIZE, CROP_SIZE), interpolation=back)
    return large.astype(np.uint8, copy=False)


def _samples(crops: Image, count: int, rng: np.random.Generator, progress: Progress) -> tuple[FloatArray, FloatArray]:
    """(spectra (count, 128), shares (count,)), both float32."""
    seen, shares = np.empty((count, 2 * smear.BANDS), np.float32), np.empty(count, np.float32)
    for number in range(count):
        crop = crops[rng.integers(len(crops))][:, :: rng.choice((1, -1))]
        picture, shares[number], believed, _ = _drawn(np.ascontiguousarray(crop), rng)
        seen[number] = smear.spectra(picture, believed)
        if number % 100 == 99:
            progress("samples", number + 1, count)
    return seen, shares


def _drawn(crop: Image, rng: np.random.Generator) -> tuple[Image, float, float, float]:
    """(the crop degraded by chance, the share of its smear, the heading that is believed, the face's width)."""
    share = 0.0 if rng.random() < STILL else float(rng.uniform(0, MOST))
    heading = rng.normal(0, TILT)
    width = float(np.exp(rng.uniform(*np.log(WIDTHS))))
    picture = degraded(crop, share, heading, width, rng)
    return picture, share, heading + rng.normal(0, MISTAKEN), width


def _measured(crops: Image, rng: np.random.Generator) -> dict[str, float]:
    """How well the smear of held-out faces is told, and what taking it back does for the trunk's feature."""
    trunk = load_trunk()
    told, true, smeared, sharper, taken, widths = [], [], [], [], [], []
    for crop in crops:
        picture, share, believed, width = _drawn(crop, rng)
        told.append(smear.smear(picture, believed))
        true.append(share)
        smeared.append(picture)
        still, back = smear.unsmeared(picture, believed)
        sharper.append(still)
        taken.append(back)
        widths.append(width)
    features = [raw_features(trunk, np.stack(pictures)) for pictures in (list(crops), smeared, sharper)]
    features.append(smear.restored(features[2], np.array(taken, np.float32), np.array(widths, np.float32)))
    shares, error = np.array(true), np.abs(np.array(told) - np.array(true))
    before, after, restored = ((features[0] * other).sum(axis=1) for other in features[1:])
    large = shares > 0.1
    metrics = {
        "error_median": float(np.median(error[large] / shares[large])),
        "error_p90": float(np.quantile(error[large] / shares[large], 0.9)),
        "still_taken_for_smeared": float((np.array(told)[shares == 0] >= smear.LEAST).mean()),
    }
    for low, high in ((0.0, 0.08), (0.08, 0.2), (0.2, 0.35), (0.35, MOST)):
        part = (shares >= low) & (shares < high)
        metrics[f"similarity_{low:g}_{high:g}"] = float(before[part].mean())
        metrics[f"similarity_{low:g}_{high:g}_taken_back"] = float(after[part].mean())
        metrics[f"similarity_{low:g}_{high:g}_restored"] = float(restored[part].mean())
    return metrics
