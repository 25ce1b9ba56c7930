"""Export: trained parts to one weights file with integer tables and an integer hyper-decoder."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from compressai.entropy_models import EntropyBottleneck
from compressai.layers import GDN
from compressai.models.google import get_scale_table
from safetensors.numpy import load_file
from torch import Tensor, nn

from streamproc.codec.base_code import PREFIX as BASE_TABLES
from streamproc.codec.base_code import STATES, latent_prices
from streamproc.codec.code_tables import CodeTables, counts_from_pmf
from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.integer_context import IntegerContext
from streamproc.codec.integer_net import IntegerHyperDecoder
from streamproc.codec.profiles import shipped_folder
from streamproc.codec.shape import LATENT_LIMIT, SHAPES, CodecShape
from streamproc.codec.trellis import Trellis
from streamproc.codec.trunk import trunk_path
from streamproc.codec.weights import SCALE, CodecWeights, save_weights, scaled, tensors_hash, unscaled
from streamproc.training.alone import ALONE, alone_path
from streamproc.training.base_parts import TrainedBase, trained_parts
from streamproc.training.calibration import accepted_share, pair_similarities
from streamproc.training.data import NO_IDENTITY, TrainingFaces, load_faces
from streamproc.training.levels import LEVELS, bin_likelihood
from streamproc.training.loop import TrainResult, checkpoint_path
from streamproc.training.residual import PART as RESIDUAL
from streamproc.training.residual import Hyperprior, trained_residual
from streamproc.training.texture import usable
from streamproc.types import Array

PART = "export"
PRIOR_WEIGHT = 200.0
"""Faces that the learned entropy model counts for against the counted symbols of the training faces."""
HYPER_LIMIT = 48
"""Hyper-latents beyond +-48 are escaped."""
SCALE_LEVELS = 64
SCALE_RANGE = (0.11, 64.0)
TAIL = 4.5
"""A Gaussian table reaches this many standard deviations; beyond lies the escape."""
TABLE_FACES = 4000
TABLE_ROUNDS = 6
LARGE_FROM = 4096
"""Weight matrices with more entries than this are stored in fewer bits."""


def export(faces: Path, work: Path, profile: str = "default", kept: CodecWeights | None = None) -> TrainResult:
    """Writes the weights file of the profile from the finished runs in `work`, and measures it on held-out faces.
    Identity coder and enhancement layer are those of `kept` where they have no run."""
    started = time.monotonic()
    base = trained_parts(work, profile, kept)
    if kept is not None and not checkpoint_path(work, RESIDUAL).exists():
        # Of its tensors all that the base layer has are replaced.
        tensors = {name: torch.tensor(array) for name, array in kept.tensors.items()}
    else:
        tensors = residual_tensors(trained_residual(work, profile=profile))
    data = load_faces(faces)
    features = base.features(data)
    rows = usable(data)[:TABLE_FACES]
    for prefix, net in base.nets().items():
        # Weights as they are stored are what will code: the tables are counted with them.
        tensors |= named(prefix, net, STORED.get(prefix))
        if STORED.get(prefix) is _as_bytes:
            _take_bytes(net)
    prices = latent_prices(base.trellis, base.shape)
    tables = level_tables(base.expected(), _latents(base, data, features, rows), base.trellis, prices)
    tensors |= table_tensors(BASE_TABLES, tables) | {STATES: torch.tensor([len(base.trellis.quantisers)])}
    trunk = tensors_hash(load_file(trunk_path()))
    target = shipped_folder() / f"{profile}.safetensors"
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    weights = CodecWeights(profile, SHAPES[profile], trunk, arrays)
    codec = FaceCodec(weights, "cpu")
    labelled = data.held_out() & (data.identities != NO_IDENTITY)
    raw = features.numpy()
    bases = codec.base.encode(data.crops[labelled], raw[labelled])
    decoded = codec.features(bases)
    same, other = pair_similarities(decoded, data.identities[labelled], raw[labelled])
    save_weights(weights, target)
    lengths = [len(b) for b in bases]
    metrics = {
        "base_bytes_mean": float(np.mean(lengths)),
        "base_bytes_max": float(np.max(lengths)),
        "tar_raw_far_1e-3": accepted_share(*pair_similarities(raw[labelled], data.identities[labelled])),
        "tar_asked_far_1e-3": accepted_share(same, other),
    }
    return TrainResult(PART, 1, time.monotonic() - started, str(target), metrics)


def residual_tensors(residual: Hyperprior) -> dict[str, Tensor]:
    """All that coding with a trained hyperprior takes: nets, tables, integer hyper-decoder."""
    scales = get_scale_table(*SCALE_RANGE, SCALE_LEVELS)
    hyper_decoder = IntegerHyperDecoder.from_float(*residual.hyper_layers, scales)
    arrays = {f"hyper_decoder.{name}": array for name, array in hyper_decoder.to_arrays().items()}
    if residual.context_layers:
        context = IntegerContext.from_float(*residual.context_layers, hyper_decoder.thresholds)
        arrays |= {f"context.{name}": array for name, array in context.to_arrays().items()}
    return (
        table_tensors("hyper_tables", _hyper_tables(residual.hyper_prior))
        | table_tensors("latent_tables", _latent_tables(scales))
        | {name: torch.from_numpy(array) for name, array in arrays.items()}
        | named("residual", residual.net, as_halves)
    )


def export_alone(work: Path) -> Path:
    """Path of the weights file, written from the finished run, of the hyperprior without a base layer."""
    target = alone_path(work)
    shape = CodecShape()
    # A base layer that has nothing to say, in no bits.
    silent = [counts_from_pmf(np.ones(1))] * shape.base_latents
    tables = CodeTables.from_counts(silent, np.zeros(len(silent), np.int32))
    tensors = residual_tensors(trained_residual(work, ALONE)) | table_tensors(BASE_TABLES, tables)
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    save_weights(CodecWeights("alone", shape, "", arrays), target)
    return target


Stored = Callable[[str, Tensor], dict[str, Tensor]]
"""What a large matrix is stored as, by name."""


def as_halves(name: str, matrix: Tensor) -> dict[str, Tensor]:
    """The matrix as float16."""
    return {name: matrix.half()}


def _as_bytes(name: str, matrix: Tensor) -> dict[str, Tensor]:
    """The matrix as int8 with a scale for each row."""
    small, scale = scaled(matrix.numpy())
    return {name: torch.from_numpy(small), name + SCALE: torch.from_numpy(scale)}


STORED: dict[str, Stored] = {"appearance": _as_bytes, "texture": _as_bytes, "trunk": as_halves}
"""How the large matrices of the base's nets are stored; those of others as they are."""


def named(prefix: str, net: nn.Module, large: Stored | None = None) -> dict[str, Tensor]:
    """A net's tensors under `prefix.`, its matrices of many weights as `large` stores them, its GDNs as beta and gamma
    alone."""
    state = {name: tensor.detach() for name, tensor in net.state_dict().items()}
    for name, module in net.named_modules():
        if isinstance(module, GDN):
            state = {key: tensor for key, tensor in state.items() if not key.startswith(f"{name}.")}
            state[f"{name}.beta"] = module.beta_reparam(module.beta).detach()
            state[f"{name}.gamma"] = module.gamma_reparam(module.gamma).detach()
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        tensors |= large(name, tensor) if large and _is_large(tensor) else {name: tensor}
    return {f"{prefix}.{name}": tensor.contiguous().clone() for name, tensor in tensors.items()}


def _is_large(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.ndim >= 2 and tensor.numel() > LARGE_FROM


def _take_bytes(net: nn.Module) -> None:
    """Rounds the net's large matrices as its stored file does."""
    for tensor in net.state_dict().values():
        if _is_large(tensor):
            tensor.copy_(torch.from_numpy(unscaled(*scaled(tensor.numpy()))))


def table_tensors(prefix: str, tables: CodeTables) -> dict[str, Tensor]:
    """The tables as tensors under `prefix.`."""
    return {name: torch.from_numpy(array.copy()) for name, array in tables.to_arrays(prefix).items()}


@torch.no_grad()
def _latents(base: TrainedBase, data: TrainingFaces, features: Tensor, rows: Tensor) -> Tensor:
    """(K, D) the base layer's latents of some faces."""
    crops = torch.from_numpy(data.crops)
    return torch.cat([base.latents(crops[part].permute(0, 3, 1, 2), features[part]) for part in torch.split(rows, 256)])


def level_tables(likely: Array, latents: Tensor, trellis: Trellis, prices: npt.ArrayLike) -> CodeTables:
    """Tables of the levels of latents (N, D) of training faces: counted, smoothed by what the learned entropy model
    expects, `likely` (D * turns, 41). The levels follow the tables' costs (at `prices` of a bit, by dimension or one
    for all) and the tables the levels, so a trellis goes round a few times."""
    values, shares = latents.numpy(), likely
    for _ in range(1 if trellis.turns == 1 else TABLE_ROUNDS):
        levels = trellis.quantise(values, -np.log2(shares), -LATENT_LIMIT, prices)
        places = trellis.rows(levels) * len(LEVELS) + levels + LATENT_LIMIT
        counted = np.bincount(places.ravel(), minlength=likely.size).reshape(likely.shape) + PRIOR_WEIGHT * likely
        shares = counted / counted.sum(axis=1, keepdims=True)
    return CodeTables.from_counts([counts_from_pmf(row) for row in shares], np.full(len(shares), -LATENT_LIMIT))


def _hyper_tables(prior: EntropyBottleneck) -> CodeTables:
    """Tables of the hyper-latent's channels, each as wide as its density, with an escape."""
    rows, offsets = [], []
    reach = torch.arange(-HYPER_LIMIT, HYPER_LIMIT + 1.0)[:, None].expand(-1, prior.channels)
    for likelihood in bin_likelihood(prior, reach).T.double().numpy():
        likely = np.flatnonzero(likelihood > 1e-6)
        first, last = (int(likely[0]), int(likely[-1])) if len(likely) else (HYPER_LIMIT, HYPER_LIMIT)
        inside = likelihood[first : last + 1]
        rows.append(counts_from_pmf(np.append(inside, max(1 - inside.sum(), 1e-6))))
        offsets.append(first - HYPER_LIMIT)
    return CodeTables.from_counts(rows, np.array(offsets, np.int32), escape=True)


def _latent_tables(scales: Tensor) -> CodeTables:
    """Tables of zero-mean Gaussians rounded to integers, one a scale, with an escape."""
    rows, offsets = [], []
    for scale in scales.tolist():
        reach = max(1, math.ceil(TAIL * scale))
        edges = np.array([0.5 * math.erfc(-(k - 0.5) / (scale * math.sqrt(2))) for k in range(-reach, reach + 2)])
        inside = np.diff(edges)
        rows.append(counts_from_pmf(np.append(inside, max(1 - inside.sum(), 1e-6))))
        offsets.append(-reach)
    return CodeTables.from_counts(rows, np.array(offsets, np.int32), escape=True)
