"""Tables and trellis of a base layer, as the weights hold them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from streamproc.codec.bitstream import pack_base, unpack_bases
from streamproc.codec.code_tables import CodeTables, IntArray
from streamproc.codec.range_coder import ideal_bits
from streamproc.codec.shape import CodecShape
from streamproc.codec.trellis import BY_STATES, EIGHT_STATES, ROUNDING, Trellis
from streamproc.codec.weights import CodecWeights
from streamproc.errors import WeightsError

PREFIX = "base_tables"
STATES = "base_trellis.states"
"""The tensor, (1,) int64, that says how many states the trellis has. Older weights lack it."""
REFINED_PRICE = 1.16
"""What a bit of appearance must save of error, relative to one of identity: refined latents would else take three bits
more."""
_BEFORE: Final = {1: ROUNDING, 2: EIGHT_STATES}
"""Their trellises, by the number of tables a latent."""


def latent_prices(trellis: Trellis, shape: CodecShape) -> npt.NDArray[np.float64]:
    """(D,) squared error of each latent that one of its bits must save."""
    prices = np.full(shape.base_latents, trellis.price)
    prices[shape.identity_latents :] *= REFINED_PRICE
    return prices


@dataclass(frozen=True, slots=True, eq=False)
class BaseCode:
    """Between the levels of a base layer's D latents and its payload."""

    tables: CodeTables
    trellis: Trellis

    @classmethod
    def of(cls, weights: CodecWeights) -> Self:
        """That of the weights. Raises WeightsError."""
        tables = CodeTables.from_arrays(weights.tensors, PREFIX)
        turns, rest = divmod(len(tables), weights.shape.base_latents)
        stated = weights.tensors.get(STATES)
        trellis = _BEFORE.get(turns) if stated is None else BY_STATES.get(int(stated[0]))
        if rest or trellis is None or trellis.turns != turns:
            raise WeightsError(
                f"These weights have {len(tables)} tables for {weights.shape.base_latents} latents of a base layer: "
                "use a file of this version of streamproc."
            )
        return cls(tables, trellis)

    def __len__(self) -> int:
        """How many latents there are."""
        return len(self.tables) // self.trellis.turns

    def pack(self, levels: IntArray) -> bytes:
        """The payload of levels (D,)."""
        return pack_base(levels, self.tables, self.trellis)

    def unpack(self, payloads: Sequence[bytes], count: int | None = None) -> IntArray:
        """(N, count) int32 levels, all D by default; raises CorruptCode."""
        return unpack_bases(payloads, self.tables, self.trellis, count)

    def multiples(self, payloads: Sequence[bytes], count: int | None = None) -> IntArray:
        """(N, count) int32: which multiples of the trellis' unit the latents are; raises CorruptCode."""
        return self.trellis.multiples(self.unpack(payloads, count))

    def ideal_bits(self, levels: IntArray) -> npt.NDArray[np.float64]:
        """(N,) ideal code lengths, bits, of the first levels (N, count) of base layers."""
        pairs = zip(levels, self.trellis.rows(levels), strict=True)
        return np.array([ideal_bits(symbols, rows, self.tables) for symbols, rows in pairs])
