"""How much identity a judge who knows nothing of our codec finds in its pictures."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from streamproc.evaluation.distortion_rows import JudgeRow
from streamproc.evaluation.judge import Judge
from streamproc.evaluation.lfw_set import SHARD, LfwPairs, LfwSet
from streamproc.evaluation.picture_methods import PictureMethod
from streamproc.training.loop import Progress
from streamproc.types import CROP_SIZE, FloatArray, Image

ORIGINAL_BPP = 24.0


class Hearing:
    """The judge before the images of `pairs`, which are the first of `images`."""

    def __init__(self, images: LfwSet, pairs: LfwPairs, progress: Progress) -> None:
        self._images = images
        self._pairs = pairs
        self._progress = progress

    def row(self, name: str, method: PictureMethod | None) -> JudgeRow:
        """The figures of the pictures after a method (None: as they are)."""
        features, bpp = self._originals, ORIGINAL_BPP
        if method is not None:
            features, bpp = self._decoded(name, method)
        figures = self._pairs.verify(features)
        cosine = float((self._originals * features).sum(axis=1).mean())
        return JudgeRow(name, bpp, figures.accuracy, figures.tar_at_far_1e3, cosine)

    @cached_property
    def _judge(self) -> Judge:
        return Judge()

    @cached_property
    def _originals(self) -> FloatArray:
        return np.concatenate([self._judge.features(self._crops(number)) for number in self._numbers("originals")])

    def _decoded(self, name: str, method: PictureMethod) -> tuple[FloatArray, float]:
        """(the judge's features of all decoded pictures, their bits a pixel)."""
        features, sizes = [], []
        for number in self._numbers(name):
            coded = method.code(self._crops(number))
            features.append(self._judge.features(coded.pictures))
            sizes.append(coded.bytes)
        return np.concatenate(features), float(np.concatenate(sizes).mean() * 8 / CROP_SIZE**2)

    def _numbers(self, name: str) -> Iterator[int]:
        """The numbers of the shards, the progress told after each."""
        count = -(-len(self._pairs.names) // SHARD)
        for number in range(count):
            yield number
            self._progress(f"judge: {name}", number + 1, count)

    def _crops(self, number: int) -> Image:
        """The crops of one shard that belong to the pairs."""
        return self._images.shard(number).crops[: len(self._pairs.names) - number * SHARD]
