"""The compiled loops of `trellis`."""

from typing import Final

import numpy as np
import numpy.typing as npt

from streamproc.codec.code_tables import IntArray
from streamproc.codec.range_kernels import compiled

_Longs = npt.NDArray[np.int64]
_Doubles = npt.NDArray[np.float64]
_FAR: Final = 1e300


@compiled
def point(level: int, turn: int, turns: int) -> int:
    """The multiple of the unit that a level of quantiser `turn` means."""
    value = turns * level
    if turn == 1:
        value -= (level > 0) - (level < 0)
    return value


@compiled
def search(
    latents: _Doubles,
    costs: _Doubles,
    first: int,
    prices: _Doubles,
    successors: _Longs,
    quantisers: _Longs,
    turns: int,
    levels: IntArray,
) -> None:
    """Fill `levels` (N, D) with the cheapest way through the trellis, from state 0 to any (Viterbi)."""
    count, states = latents.shape[1], len(quantisers)
    last = first + costs.shape[1] - 1
    reached, next_reached = np.empty(states), np.empty(states)
    chosen = np.zeros((count, states), np.int64)
    before = np.zeros((count, states), np.int64)
    for row in range(len(latents)):
        reached[:] = _FAR
        reached[0] = 0.0
        for d in range(count):
            wanted = latents[row, d]
            below = min(max(int(np.floor(wanted / turns)), first), last)
            next_reached[:] = _FAR
            for state in range(states):
                if reached[state] >= _FAR:
                    continue
                turn = quantisers[state]
                # Four levels around the latent hold the two nearest of either parity; zero is the cheapest as a rule.
                for candidate in range(5):
                    level = below - 1 + candidate if candidate < 4 else 0
                    if level < first or level > last:
                        continue
                    away = wanted - point(level, turn, turns)
                    cost = reached[state] + away * away + prices[d] * costs[d * turns + turn, level - first]
                    arrival = successors[state, level & 1]
                    if cost < next_reached[arrival]:
                        next_reached[arrival] = cost
                        chosen[d, arrival] = level
                        before[d, arrival] = state
            reached[:] = next_reached
        state = int(np.argmin(reached))
        for d in range(count - 1, -1, -1):
            levels[row, d] = chosen[d, state]
            state = before[d, state]


@compiled
def follow(levels: IntArray, successors: _Longs, quantisers: _Longs, turns: int, rows: IntArray) -> None:
    """Fill `rows` (N, D) with the code table of each level."""
    for n in range(len(levels)):
        state = 0
        for d in range(levels.shape[1]):
            rows[n, d] = d * turns + quantisers[state]
            state = successors[state, levels[n, d] & 1]
