"""How much identity a judge who knows nothing of our codec finds in its pictures."""

import numpy as np

from streamproc.evaluation.distortion_rows import JudgeRow
from streamproc.evaluation.judge import Judge
from streamproc.evaluation.lfw_set import SHARD, LfwPairs, LfwSet
from streamproc.evaluation.picture_methods import PictureMethod
from streamproc.training.loop import Progress
from streamproc.types import CROP_SIZE


def judged_row(
    name: str, method: PictureMethod | None, images: LfwSet, pairs: LfwPairs, progress: Progress
) -> JudgeRow:
    """The judge's figures of `pairs`, whose images are the first of `images`, after a method (None: as they are)."""
    judge = Judge()
    count = len(pairs.names)
    features, cosines, sizes = [], [], []
    for start in range(0, count, SHARD):
        crops = images.shard(start // SHARD).crops[: count - start]
        original = judge.features(crops)
        shown = original
        if method is not None:
            coded = method.code(crops)
            shown = judge.features(coded.pictures)
            sizes.append(coded.bytes)
        features.append(shown)
        cosines.append((original * shown).sum(axis=1))
        progress(f"judge: {name}", start + len(crops), count)
    figures = pairs.verify(np.concatenate(features))
    bpp = float(np.concatenate(sizes).mean() * 8 / CROP_SIZE**2) if sizes else 24.0
    cosine = float(np.concatenate(cosines).mean())
    return JudgeRow(name, bpp, figures.accuracy, figures.tar_at_far_1e3, cosine)
