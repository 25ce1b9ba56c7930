"""Where the multi-task feature starts: the best linear maps from the frozen trunk to feature and picture.

The pretrained feature lives in half of its 128 dimensions. Those are foretold from what the trunk says of the crop; in
the other half lie the directions in which the picture is foretold best, small beside identity's.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from streamproc.codec.feature_pictures import StructureNet
from streamproc.codec.multi_task import MIDDLE, SIDE, MultiTaskTop
from streamproc.codec.trunk import FEATURE_SIZE, load_trunk
from streamproc.training.trunk_inputs import CachedOutputs

IDENTITY = FEATURE_SIZE // 2
PICTURE_SHARE = 0.06
"""Squared length of the picture's part of a feature, beside identity's 1, where it weighs TEXTURE_WEIGHT."""
EVENNESS = 0.5
"""Power of the deviations of the picture's directions by which they are divided: 1 makes them all equal."""
PICTURE_COMPONENTS = 256
PENALTY = 0.3
"""Of the squared weights, for inputs of unit mean variance, relative to the number of faces."""
SAMPLE = 300
"""Faces that the middle's principal channels are taken of."""


@torch.no_grad()
def start_linear(
    top: MultiTaskTop, structure: StructureNet, inputs: CachedOutputs, teacher: Tensor, rows: Tensor
) -> None:
    """Nothing; `top` and `structure` are set, by the training faces `rows` and the pretrained features `teacher`."""
    top.tuned_block.load_state_dict(load_trunk().net.block8.state_dict())
    _start_side(top, inputs, rows)
    pooled, beside = (torch.cat(parts) for parts in zip(*_seen(top, inputs, rows), strict=True))
    pictures = inputs.pictures[rows].flatten(1).float() / 255
    _, _, components = torch.svd_lowrank(pictures - pictures.mean(dim=0), q=PICTURE_COMPONENTS, niter=2)
    scores = (pictures - pictures.mean(dim=0)) @ components
    whole = torch.cat([pooled, beside], dim=1)
    centre, scale = whole.mean(dim=0), _scales(pooled, beside)
    whole = (whole - centre) * scale
    middle = teacher[rows].mean(dim=0)
    targets = torch.cat([teacher[rows] - middle, scores], dim=1)
    gram = whole.T @ whole
    gram.diagonal().add_(PENALTY * len(rows))
    weights = torch.cholesky_solve(whole.T @ targets, torch.linalg.cholesky(gram))
    to_feature = _both(weights, whole, teacher[rows] - middle)
    top.tuned_bottleneck.weight.copy_((to_feature * scale[:, None])[: pooled.shape[1]].T)
    top.side_out.weight.copy_((to_feature * scale[:, None])[pooled.shape[1] :].T)
    top.tuned_bottleneck.bias.copy_(middle - (centre * scale) @ to_feature)
    top.side_out.bias.zero_()
    features = torch.nn.functional.normalize(whole @ to_feature + middle, dim=1)
    weight, bias = linear_map(features, pictures)
    structure.linear.weight.copy_(weight)
    structure.linear.bias.copy_(bias)


@torch.no_grad()
def scale_picture(top: MultiTaskTop, structure: StructureNet, teacher: Tensor, ratio: float) -> None:
    """Nothing; the picture's part of the features is `ratio` times as long, and `structure` is ready for it."""
    identity, idle = _directions(teacher)
    whole, part = identity @ identity.T, idle @ idle.T
    for layer in (top.tuned_bottleneck, top.side_out):
        layer.weight.copy_((whole + ratio * part) @ layer.weight)
        layer.bias.copy_((whole + ratio * part) @ layer.bias)
    structure.linear.weight.copy_(structure.linear.weight @ (whole + (part / ratio if ratio else 0 * part)))


def _directions(teacher: Tensor) -> tuple[Tensor, Tensor]:
    """(128, 64) principal directions of the pretrained features (N, 128), and (128, 64) the idle ones."""
    centred = teacher - teacher.mean(dim=0)
    _, directions = torch.linalg.eigh(centred.T @ centred)
    return directions[:, IDENTITY:], directions[:, :IDENTITY]


def linear_map(inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """(weight (O, I), bias (O,)) of the least squares map from (N, I) to (N, O)."""
    centre, mean = inputs.mean(dim=0), outputs.mean(dim=0)
    away = inputs - centre
    gram = (away.T @ away).double()
    gram.diagonal().add_(1e-6 * gram.diagonal().mean())
    weight = torch.linalg.solve(gram, (away.T @ (outputs - mean)).double()).T.float()
    return weight, mean - weight @ centre


def _start_side(top: MultiTaskTop, inputs: CachedOutputs, rows: Tensor) -> None:
    """The path from the middle begins with its principal channels."""
    sample = inputs.outputs.middle[rows[:SAMPLE]].float().permute(0, 2, 3, 1).reshape(-1, MIDDLE[0])
    mean = sample.mean(dim=0)
    _, _, basis = torch.svd_lowrank(sample - mean, q=2 * SIDE, niter=2)
    top.side.weight.copy_(basis[:, :SIDE].T[:, :, None, None])
    top.side.get_parameter("bias").copy_(-(basis[:, :SIDE].T @ mean))


def _seen(top: MultiTaskTop, inputs: CachedOutputs, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for part in torch.split(rows, 256):
        seen = inputs.rows(part)
        yield top.pooled(seen), top.beside(seen)


def _scales(pooled: Tensor, beside: Tensor) -> Tensor:
    """(I,) what brings pooled outputs, the middle's and the light to unit mean variance, the two of light each."""
    middle = beside[:, :-2]
    parts = [(pooled, pooled.var(dim=0).mean()), (middle, middle.var(dim=0).mean())]
    scales = [torch.full((part.shape[1],), float(variance**-0.5)) for part, variance in parts]
    # Two numbers among thousands: what they say shall not be lost in the penalty.
    return torch.cat([*scales, 10 / beside[:, -2:].std(dim=0)])


def _both(weights: Tensor, whole: Tensor, teacher: Tensor) -> Tensor:
    """(I, 128) map to identity in the teacher's principal directions, and to the picture in the others."""
    identity, idle = _directions(teacher)
    to_identity = weights[:, :FEATURE_SIZE] @ identity @ identity.T
    foretold = whole @ weights[:, FEATURE_SIZE:]
    _, deviations, axes = torch.linalg.svd(foretold, full_matrices=False)
    to_picture = weights[:, FEATURE_SIZE:] @ axes[:IDENTITY].T * deviations[:IDENTITY] ** -EVENNESS
    energy = (whole @ to_picture).square().sum(dim=1).mean()
    both: Tensor = to_identity + (PICTURE_SHARE / energy) ** 0.5 * to_picture @ idle.T
    return both
