"""What `bench search` measures: this project's index, and peers behind the same few calls.

Peers get what serves them best: parameters at which they find at least 99 of 100 where they can, and filters prepared
beforehand. Libraries without filters search for more and drop what does not pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipelines.bench.drawn_faces import Seen
from storage.index import VectorIndex, live_basis
from streamproc.types import FloatArray

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A filter: one camera, and since <= time < until in microseconds."""

    camera: int
    since: int
    until: int

    def kept(self, seen: Seen) -> npt.NDArray[np.bool_]:
        """(N,): whether each face passes."""
        passes: npt.NDArray[np.bool_] = seen.cameras == self.camera
        passes &= (seen.times >= self.since) & (seen.times < self.until)
        return passes


class Engine(Protocol):
    """An engine that is filled once, in blocks, and then asked."""

    def add(self, features: FloatArray, seen: Seen, /) -> None:
        """Nothing; these faces are in. The first block also trains what has to be trained."""
        ...

    def finish(self) -> None:
        """Nothing; all faces are in, and questions may come."""
        ...

    def size(self) -> int:
        """Bytes in memory, or of the file or table where it keeps one."""
        ...

    def ask(self, feature: FloatArray, top: int, /) -> Keys:
        """Keys of the most similar faces."""
        ...

    def narrow(self, filter: Narrowed, seen: Seen, /) -> None:
        """Nothing; `ask` answers under the filter from now on."""
        ...

    def reopen(self) -> None:
        """Nothing; it is as it would be in a process that just began. Raises NotImplementedError where that is not
        measured."""
        ...


class OwnIndex:
    """`storage.index.VectorIndex`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index: VectorIndex | None = None
        self._filter: Narrowed | None = None

    @property
    def _open(self) -> VectorIndex:
        assert self._index is not None
        return self._index

    def add(self, features: FloatArray, seen: Seen) -> None:
        if self._index is None:
            self._index = VectorIndex.create(self._folder, live_basis(features[:10_000]))
        self._open.add(seen.keys, seen.tracks, seen.cameras, seen.times, features)
        self._open.flush(str(seen.keys[-1]))

    def finish(self) -> None:
        """There is nothing to finish."""

    def size(self) -> int:
        return self._open.file_bytes

    def ask(self, feature: FloatArray, top: int) -> Keys:
        if self._filter is None:
            return self._open.search(feature, top).keys
        only = self._filter
        return self._open.search(feature, top, (only.camera,), only.since, only.until).keys

    def narrow(self, filter: Narrowed, seen: Seen) -> None:
        self._filter = filter

    def reopen(self) -> None:
        self._open.close()
        self._index = VectorIndex.open(self._folder)


def passing(keys: Keys, allowed: npt.NDArray[np.bool_], top: int) -> Keys:
    """The first `top` keys that may pass; key k is face number k - 1, 0 is none."""
    kept: Keys = keys[keys > 0]
    kept = kept[allowed[kept - 1]]
    return kept[:top]


Factory = Callable[[Path], Engine]
