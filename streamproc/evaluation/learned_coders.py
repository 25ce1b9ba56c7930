"""Learned competitors on the raw feature: a deep binary hash, a deep hashing net, SQ with an enhancement net.

Each is trained for seconds on the features of the training faces, the hashes on those with a known identity.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamproc.evaluation.feature_coders import ScalarCoder, unit
from streamproc.types import FloatArray

SEED = 1
STEPS = 1500
RATE = 1e-3
BATCH = 256
PEOPLE, LOOKS = 48, 6
"""A batch of the pairwise loss: so many people, so many faces of each."""
QUANTISATION_WEIGHT = 0.1
"""Weight of the pull towards +-1 (DHN's lambda)."""
SHARPNESS = 10.0
"""Scale of the pairwise logit: SHARPNESS times the mean product of two codes' numbers."""
ENHANCER_WIDTH = 256


class HashCoder:
    """A linear layer whose signs are the code, `bits` long; Hamming distance is compared. `pairwise` chooses the loss:

    False: deep binary hash (Lin et al. 2015): a sigmoid layer under a classifier of the identities.
    True: deep hashing network (Zhu et al. 2016): pairwise cross-entropy and a pull towards +-1. Pairs of one person
    weigh as much as those of two in all; without that few pairs in a batch would count.
    """

    def __init__(self, bits: int, pairwise: bool) -> None:
        self._bits = bits
        self._pairwise = pairwise

    def fit(self, features: FloatArray, identities: npt.NDArray[np.int64]) -> None:
        """The layer, from the faces whose identity is known."""
        torch.manual_seed(SEED)
        known = identities >= 0
        people, labels = np.unique(identities[known], return_inverse=True)
        table, targets = torch.from_numpy(features[known]), torch.from_numpy(labels)
        self._layer = nn.Linear(features.shape[1], self._bits)
        nn.init.orthogonal_(self._layer.weight, gain=features.shape[1] ** 0.5)
        nn.init.zeros_(self._layer.bias)
        if self._pairwise:
            members = [(targets == n).nonzero()[:, 0] for n in range(len(people))]
            groups = [rows for rows in members if len(rows) > 1]
            _train(self._layer, lambda: self._pairwise_loss(table, groups))
        else:
            classifier = nn.Linear(self._bits, len(people))
            both = nn.ModuleList([self._layer, classifier])
            _train(both, lambda: self._classifier_loss(table, targets, classifier))

    @torch.no_grad()
    def encode(self, features: FloatArray) -> list[bytes]:
        """A bit a number, eight a byte."""
        signs = (self._layer(torch.from_numpy(features)) > 0).numpy()
        return [row.tobytes() for row in np.packbits(signs, axis=1)]

    def decode(self, payloads: Sequence[bytes]) -> FloatArray:
        """(N, bits) of +-1 over the root of the bits: their cosine is 1 - 2 Hamming / bits."""
        packed = np.frombuffer(b"".join(payloads), np.uint8).reshape(len(payloads), -1)
        return unit(2.0 * np.unpackbits(packed, axis=1)[:, : self._bits] - 1)

    def ideal_bits(self, payloads: Sequence[bytes]) -> float:
        """As counted."""
        return float(self._bits)

    def _classifier_loss(self, table: Tensor, targets: Tensor, classifier: nn.Linear) -> Tensor:
        rows = torch.randint(len(table), (BATCH,))
        logits: Tensor = classifier(torch.sigmoid(self._layer(table[rows])))
        return F.cross_entropy(logits, targets[rows])

    def _pairwise_loss(self, table: Tensor, groups: list[Tensor]) -> Tensor:
        chosen = torch.randperm(len(groups))[:PEOPLE].tolist()
        rows = torch.cat([groups[n][torch.randint(len(groups[n]), (LOOKS,))] for n in chosen])
        person = torch.arange(len(chosen)).repeat_interleave(LOOKS)
        code = torch.tanh(self._layer(table[rows]))
        logit = SHARPNESS * code @ code.T / self._bits
        same = person[:, None] == person[None]
        each = F.softplus(logit) - same * logit
        pull = torch.log(torch.cosh(code.abs() - 1)).mean()
        loss: Tensor = each[same].mean() + each[~same].mean() + QUANTISATION_WEIGHT * pull
        return loss


class EnhancedScalarCoder(ScalarCoder):
    """SQ-E: the scalar quantiser, and a net at the decoder that gives back what quantising took (the paper's [42])."""

    def __init__(self, bits: float) -> None:
        super().__init__(bits, transform=False)

    def fit(self, features: FloatArray, identities: npt.NDArray[np.int64]) -> None:
        """The quantiser, then the net on what it leaves of the training faces."""
        super().fit(features, identities)
        torch.manual_seed(SEED)
        size = features.shape[1]
        self._net = nn.Sequential(
            nn.Linear(size, ENHANCER_WIDTH), nn.ReLU(), nn.Linear(ENHANCER_WIDTH, ENHANCER_WIDTH), nn.ReLU()
        )
        last = nn.Linear(ENHANCER_WIDTH, size)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self._net.append(last)
        coarse = torch.from_numpy(super().decode(self.encode(features)))
        target = torch.from_numpy(features)

        def loss() -> Tensor:
            rows = torch.randint(len(target), (BATCH,))
            error: Tensor = coarse[rows] + self._net(coarse[rows]) - target[rows]
            return error.square().sum(dim=1).mean()

        _train(self._net, loss)

    @torch.no_grad()
    def decode(self, payloads: Sequence[bytes]) -> FloatArray:
        """(N, 128), enhanced."""
        coarse = super().decode(payloads)
        return unit(coarse + self._net(torch.from_numpy(coarse)).numpy())


def _train(net: nn.Module, loss: Callable[[], Tensor]) -> None:
    """Adam on a cosine."""
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        optimiser.zero_grad(set_to_none=True)
        loss().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    net.eval().requires_grad_(False)
