"""How fast tracks are gathered into identities, and what that takes.

    python benchmarks/gathering.py [--people 20000] [--tracks 100000]

Features are drawn to be as alike as calibrated ones are: 64 dimensions, tracks of one person at a cosine of 0.75 in the
mean. Every camera sees somebody new every four seconds. Each row: so many tracks in all, how many identities there are,
tracks gathered a second over the last part, seconds that a comparison of all identities took, and memory.
"""

import argparse
import itertools
import time

import numpy as np
import psutil

from streamproc import FaceCodec
from streamproc.query.acts import standing
from streamproc.query.gathering import Gatherer, Passage
from streamproc.query.presence import Span

CAMERAS, DIMENSIONS, LIVE = 8, 128, 64
SPREAD = 0.58
"""Length of what differs from track to track, of the person's own direction's."""
SECOND = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--tracks", type=int, default=100_000)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    people = rng.standard_normal((options.people, LIVE)).astype(np.float32) / np.float32(np.sqrt(LIVE))
    gatherer = Gatherer(FaceCodec.load(device="cpu").calibration, standing(()), itertools.count(1).__next__)
    before, part = psutil.Process().memory_info().rss, max(1, options.tracks // 5)
    right = 0
    first: dict[int, int] = {}
    for start in range(0, options.tracks, part):
        who = rng.integers(0, options.people, part)
        features = np.zeros((part, DIMENSIONS), np.float32)
        features[:, :LIVE] = people[who] + SPREAD * rng.standard_normal((part, LIVE)) / np.sqrt(LIVE)
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        began = time.perf_counter()
        for number in range(part):
            at = (start + number) // CAMERAS * 4 * SECOND
            span = Span(str(start + number), str((start + number) % CAMERAS), at, at + 3 * SECOND)
            put = gatherer.gather(Passage(span, features[number], 0.8)).identity
            right += first.setdefault(int(who[number]), put) == put
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        joined = len(gatherer.consolidate())
        print(
            f"{start + part:,} tracks, {len(gatherer):,} identities, {part / seconds:,.0f} tracks/s, compared in "
            f"{time.perf_counter() - began:.1f} s ({joined} joined), "
            f"{(psutil.Process().memory_info().rss - before) / 2**20:,.0f} MiB, "
            f"{right / (start + part):.1%} with their person's first"
        )


if __name__ == "__main__":
    main()
