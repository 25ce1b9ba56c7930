"""`bench codec`: faces a second that the codec codes and decodes, nets loaded, from aligned crops.

The crops are the six faces of the sample t1.jpg, repeated. `features` are those of 100,000 base layers: what search
decodes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipelines.samples import sample
from streamproc.codec.face_codec import FaceCodec
from streamproc.faces.finder import FaceFinder
from streamproc.media.photo import read_photo

FACES = 96
FEATURES = 100_000
RUNS = 3


@dataclass(frozen=True, slots=True)
class CodecRow:
    """One kind of work: how many faces, the seconds of the quickest of three runs, on how many CPU threads."""

    what: str
    faces: int
    seconds: float
    faces_per_second: float
    threads: int


def measure(threads: int, faces: int = FACES, features: int = FEATURES) -> list[CodecRow]:
    """A row a kind of work; `threads` is what the process was given, and is only noted."""
    codec = FaceCodec.load(device="cpu")
    found = [crop.image for crop in FaceFinder.load("cpu").find(read_photo(sample("t1.jpg")))]
    crops = np.stack([found[n % len(found)] for n in range(faces)])
    codes = codec.encode(crops)
    bases, extra = [code.base for code in codes], [code.enhancement for code in codes]
    many = [bases[n % faces] for n in range(features)]
    return [
        _timed("encode-base", faces, threads, lambda: codec.encode(crops, None)),
        _timed("encode-full", faces, threads, lambda: codec.encode(crops)),
        _timed("decode-base", faces, threads, lambda: codec.reconstruct(bases)),
        _timed("decode-full", faces, threads, lambda: codec.reconstruct(bases, extra)),
        _timed("decode-one-full", 1, threads, lambda: codec.reconstruct(bases[:1], extra[:1])),
        _timed("features", features, threads, lambda: codec.features(many)),
    ]


def _timed(what: str, faces: int, threads: int, work: Callable[[], object]) -> CodecRow:
    """The quickest run, after one that loads what is loaded late."""
    work()
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return CodecRow(what, faces, min(seconds), faces / min(seconds), threads)
