"""Faces a second that the codec codes and decodes, nets loaded, from aligned crops.

    python benchmarks/codec_speed.py [--threads N] [--json]

The crops are the six faces of the sample t1.jpg, repeated. `search` decodes features alone, of 100,000 base layers.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

FACES = 96
SEARCHED = 100_000


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of work."""

    what: str
    faces: int
    seconds: float
    faces_per_second: float
    threads: int


def timed(what: str, faces: int, threads: int, work: Callable[[], object]) -> Row:
    """The best of three runs, after one that loads what is loaded late."""
    work()
    runs = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        runs.append(time.perf_counter() - began)
    return Row(what, faces, min(runs), faces / min(runs), threads)


def rows(threads: int) -> list[Row]:
    """A row a kind of work."""
    # After the threads are set, which the libraries read at their import.
    import numpy as np

    from pipelines.samples import sample
    from streamproc import FaceCodec, FaceFinder
    from streamproc.media.photo import read_photo

    codec = FaceCodec.load(device="cpu")
    found = [crop.image for crop in FaceFinder.load("cpu").find(read_photo(sample("t1.jpg")))]
    crops = np.stack([found[n % len(found)] for n in range(FACES)])
    codes = codec.encode(crops)
    bases, extra = [code.base for code in codes], [code.enhancement for code in codes]
    many = [bases[n % FACES] for n in range(SEARCHED)]
    return [
        timed("encode-base", FACES, threads, lambda: codec.encode(crops, None)),
        timed("encode-full", FACES, threads, lambda: codec.encode(crops)),
        timed("decode-base", FACES, threads, lambda: codec.reconstruct(bases)),
        timed("decode-full", FACES, threads, lambda: codec.reconstruct(bases, extra)),
        timed("decode-one-full", 1, threads, lambda: codec.reconstruct(bases[:1], extra[:1])),
        timed("search", SEARCHED, threads, lambda: codec.features(many)),
    ]


def main() -> int:
    """Exit code 0; prints a row a kind of work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(arguments.threads)
    found = rows(arguments.threads)
    if arguments.json:
        print(json.dumps({"rows": [asdict(row) for row in found]}))
        return 0
    for row in found:
        print(f"{row.what:16} {row.seconds:8.3f} s  {row.faces:6} faces  {row.faces_per_second:10.1f} a second")
    return 0


if __name__ == "__main__":
    sys.exit(main())
