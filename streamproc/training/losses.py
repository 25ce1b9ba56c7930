"""Losses of the paper."""

import torch
from torch import Tensor
from torch.nn import functional as F


def hadamard(size: int = 8) -> Tensor:
    """The orthonormal (size, size) Hadamard matrix; `size` is a power of two."""
    matrix = torch.ones(1, 1)
    while matrix.shape[0] < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)], 0)
    return torch.div(matrix, size**0.5)


def satd(difference: Tensor) -> Tensor:
    """Sum of absolute transformed differences, as a mean: (N,) for (N, C, H, W), H and W multiples of 8.

    The mean absolute coefficient of 8x8 orthonormal Hadamard blocks, in the units of `difference`.
    """
    n, c, h, w = difference.shape
    kernel = hadamard().to(difference)
    blocks = difference.reshape(n, c, h // 8, 8, w // 8, 8).transpose(3, 4)
    return (kernel @ blocks @ kernel).abs().mean(dim=(1, 2, 3, 4, 5))


def shrink(pictures: Tensor, size: int) -> Tensor:
    """(N, C, size, size) by averaging, of larger square pictures whose side is a multiple."""
    return F.avg_pool2d(pictures, pictures.shape[-1] // size)
