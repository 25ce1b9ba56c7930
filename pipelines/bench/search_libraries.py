"""faiss and usearch, for `bench search`. Vectors are numbered as they come: number n is the face with key n + 1."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.bench.drawn_faces import LENGTH, Seen
from pipelines.bench.search_engines import Keys, Narrowed, passing
from storage.index import live_basis
from streamproc.types import FloatArray

WIDENED = 3_000
"""How many an engine without filters is asked for where 1 in 100 passes."""


class FaissEngine:
    """A faiss index. `selects`: it takes a filter while it searches."""

    def __init__(self, folder: Path, index: Any, selects: bool = True) -> None:
        import faiss

        self._faiss: Any = faiss
        self._path = folder / "faiss"
        self._index = index
        self._selects = selects
        self._parts: tuple[Any, ...] = ()  # of which the index is made; it does not own them
        self._selector: Any = None
        self._allowed: npt.NDArray[np.bool_] | None = None

    def prepared(self, features: FloatArray) -> FloatArray:
        """The vectors as this index takes them."""
        return features

    def add(self, features: FloatArray, seen: Seen) -> None:
        vectors = self.prepared(features)
        if not self._index.is_trained:
            self._index.train(vectors)
        self._index.add(vectors)

    def finish(self) -> None:
        """There is nothing to finish."""

    def size(self) -> int:
        self._faiss.write_index(self._index, str(self._path))
        return self._path.stat().st_size

    def ask(self, feature: FloatArray, top: int) -> Keys:
        question = self.prepared(feature[None])
        if self._allowed is None or self._selects:
            _, found = self._index.search(question, top, params=self._settings(top))
            keys: Keys = found[0] + 1
            return keys
        wide = min(WIDENED, len(self._allowed))
        _, found = self._index.search(question, wide, params=self._settings(wide))
        return passing(found[0] + 1, self._allowed, top)

    def narrow(self, filter: Narrowed, seen: Seen) -> None:
        self._allowed = filter.kept(seen)
        bits = np.packbits(self._allowed, bitorder="little")
        self._selector = self._faiss.IDSelectorBitmap(bits)

    def reopen(self) -> None:
        self._index = None  # ten million float32 do not fit twice
        self._parts = ()
        self._index = self._faiss.read_index(str(self._path))

    def _settings(self, top: int) -> Any:
        return None if self._selector is None else self._faiss.SearchParameters(sel=self._selector)


class FaissFlat(FaissEngine):
    """Every float32; a filter is a list of numbers, which this index goes through alone."""

    def __init__(self, folder: Path) -> None:
        import faiss

        super().__init__(folder, faiss.IndexFlatIP(LENGTH))

    def narrow(self, filter: Narrowed, seen: Seen) -> None:
        self._allowed = filter.kept(seen)
        self._selector = self._faiss.IDSelectorArray(np.flatnonzero(self._allowed))


class FaissBytes(FaissEngine):
    """One byte a number."""

    def __init__(self, folder: Path) -> None:
        import faiss

        metric = faiss.METRIC_INNER_PRODUCT
        super().__init__(folder, faiss.IndexScalarQuantizer(LENGTH, faiss.ScalarQuantizer.QT_8bit, metric))


class FaissFastScan(FaissEngine):
    """4-bit product quantisation, two numbers a code, scanned in registers; the best compared by every float32."""

    def __init__(self, folder: Path, length: int = LENGTH, refined: int = 200) -> None:
        import faiss

        scanned = faiss.IndexPQFastScan(length, length // 2, 4, faiss.METRIC_INNER_PRODUCT)
        parts = scanned, faiss.IndexFlatIP(length)
        super().__init__(folder, faiss.IndexRefine(*parts), selects=False)
        self._parts = parts
        self._refined = refined

    def _settings(self, top: int) -> Any:
        # Ten times as many faces lie closer together: more of them have to be compared.
        wide = self._refined * max(1.0, self._index.ntotal / 1e6) ** 0.3
        return self._faiss.IndexRefineSearchParameters(k_factor=max(1, round(wide / top)))


class FaissLiveScan(FaissFastScan):
    """The same over the 64 dimensions in which features live, which only the project's index finds out: half as long
    codes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 64, 500)
        self._basis: FloatArray | None = None

    def prepared(self, features: FloatArray) -> FloatArray:
        if self._basis is None:
            self._basis = live_basis(features[:10_000])
        return np.ascontiguousarray(features @ self._basis.T)


class FaissGraph(FaissEngine):
    """HNSW, 32 links a vector."""

    def __init__(self, folder: Path) -> None:
        import faiss

        index = faiss.IndexHNSWFlat(LENGTH, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 80
        super().__init__(folder, index)

    def _settings(self, top: int) -> Any:
        # Where few pass, the graph has to be walked further to meet ten of them.
        if self._selector is None:
            return self._faiss.SearchParametersHNSW(efSearch=256)
        return self._faiss.SearchParametersHNSW(efSearch=1024, sel=self._selector)


class Usearch:
    """Its HNSW on bytes, as its users run it; filters by dropping what does not pass."""

    def __init__(self, folder: Path) -> None:
        from usearch.index import Index

        self._kind = Index
        self._path = folder / "usearch"
        self._index = self._made()
        self._allowed: npt.NDArray[np.bool_] | None = None

    def _made(self) -> Any:
        return self._kind(
            ndim=LENGTH, metric="cos", dtype="i8", connectivity=32, expansion_add=128, expansion_search=384
        )

    def add(self, features: FloatArray, seen: Seen) -> None:
        self._index.add(seen.keys, features)

    def finish(self) -> None:
        """There is nothing to finish."""

    def size(self) -> int:
        self._index.save(str(self._path))
        return self._path.stat().st_size

    def ask(self, feature: FloatArray, top: int) -> Keys:
        if self._allowed is None:
            return np.asarray(self._index.search(feature, top).keys, np.int64)
        wide = min(WIDENED, len(self._allowed))
        return passing(np.asarray(self._index.search(feature, wide).keys, np.int64), self._allowed, top)

    def narrow(self, filter: Narrowed, seen: Seen) -> None:
        self._allowed = filter.kept(seen)

    def reopen(self) -> None:
        self._index = self._made()
        self._index.view(str(self._path))
