"""Training of the identity coder at several bit prices (Eqs. 2-3): the rate points of Table I and Fig. 8."""

import math
import time
from pathlib import Path

import torch
from compressai.layers import GDN
from safetensors.numpy import load_file
from safetensors.torch import save_file
from torch import Tensor

from streamproc.codec.feature_rates import FEATURE, LATENTS, net_prefix, rate_net, rates_path, tables_prefix
from streamproc.codec.networks import VectorGdn
from streamproc.codec.trellis import ROUNDING
from streamproc.codec.trunk import trunk_path
from streamproc.codec.weights import tensors_hash
from streamproc.training.data import load_faces
from streamproc.training.export import as_halves, level_tables, named, table_tensors
from streamproc.training.feature import CodedVector, decoded_features, start_at_klt
from streamproc.training.loop import Plan, Progress, TrainResult, fit

PART = "rates"
BIT_PRICES = (3.25e-3, 2e-3, 6.7e-4, 9e-5, 3.5e-5)
"""Squared distance of unit features that one bit must save: about 100, 122, 170, 256 and 300 bits on held-out faces,
and 5 % more on LFW's, of which the second is to take no more than 131 (0.0020 bits a pixel). The latents' limit of
+-20 (the paper's) lets 64 of them hold no more than 343 bits."""
STEP_SQUARED = 6 / math.log(2)
"""Square of the quantiser step that is worth a price of 1: a step s loses s^2 / 12 a dimension, a quarter of that with
a bit more, so at high rates a bit saves s^2 ln(2) / 6."""


def train(faces: Path, work: Path, plan: Plan, progress: Progress, device: str = "cpu") -> TrainResult:
    """Trains the coders, each a resumable run of its own, and writes all into the shipped file."""
    started = time.monotonic()
    data = load_faces(faces, crops=False)
    held = data.held_out()
    features = torch.from_numpy(data.features[~held])
    tensors: dict[str, Tensor] = {}
    metrics: dict[str, float] = {}
    for rate, price in enumerate(BIT_PRICES):
        net = _train(features.to(device), rate, price, work, plan, progress).cpu()
        stored = named(net_prefix(rate), net.coder, as_halves)
        tensors |= stored
        # Halved weights are what will code: the tables are counted with them.
        coder = rate_net(VectorGdn)
        coder.load_state_dict({name.removeprefix(f"{net_prefix(rate)}."): t.float() for name, t in stored.items()})
        with torch.no_grad():
            tables = level_tables(net.expected(), coder.analyse(features), net.trellis, net.trellis.price)
        tensors |= table_tensors(tables_prefix(rate), tables)
        metrics |= _measure(net, torch.from_numpy(data.features[held]), rate)
    target = rates_path()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    trunk = tensors_hash(load_file(trunk_path()))
    save_file(tensors, partial, {"rates": str(len(BIT_PRICES)), "trunk": trunk})
    partial.replace(target)
    return TrainResult(PART, plan.steps, time.monotonic() - started, str(target), metrics)


def _train(table: Tensor, rate: int, price: float, work: Path, plan: Plan, progress: Progress) -> CodedVector:
    """The coder of one price."""
    torch.manual_seed(plan.seed)
    net = CodedVector(FEATURE, LATENTS, ROUNDING)
    net.coder = rate_net(GDN)
    start_at_klt(net.coder, table.cpu().numpy(), (STEP_SQUARED * price) ** 0.5)
    net.to(table.device)

    def losses(step: int) -> dict[str, Tensor]:
        batch = table[torch.randint(len(table), (plan.batch,))]
        decoded, bits = net(batch)
        distortion = (decoded - batch).square().sum(dim=1).mean()
        return {"loss": distortion + price * bits.mean(), "distortion": distortion, "bits": bits.mean()}

    fit(f"{PART}-{rate}", net, losses, work, plan, progress)
    return net


@torch.no_grad()
def _measure(net: CodedVector, features: Tensor, rate: int) -> dict[str, float]:
    """Estimated bits and squared distance on held-out faces."""
    _, likelihood = net.prior(net.coder.analyse(features).round()[:, :, None, None])
    bits = -likelihood.log2().sum(dim=(1, 2, 3)).mean()
    distance = (decoded_features(net, features) - features).square().sum(dim=1).mean()
    return {f"bits_{rate}": float(bits), f"distance_{rate}": float(distance)}
