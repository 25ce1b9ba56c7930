"""What it costs to code faces anew with newer weights: recall, time, room, and what an answer takes meanwhile.

    python benchmarks/recoding.py loss --photos DATA/train/celeba --older default --newer paper
    python benchmarks/recoding.py archive --faces 300000

`loss` takes three photos of every seventh person of a folder of PERSON_ANY.webp: the first is archived, the others ask.
`archive` makes an archive of so many faces of three shots a track, half of them coded anew, of made-up bytes.
"""

import argparse
import os
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np

from pipelines.upgrading.photos import measure_photos
from storage import Archive
from streamproc.codec.face_codec import DEFAULT_QUALITY, FaceCodec
from streamproc.config import Settings
from streamproc.faces.finder import FaceFinder
from streamproc.types import CodedFace, CodedTrack, FaceCode, FrameTime

START = datetime(2026, 3, 1, tzinfo=UTC)
BASE, SHOTS, TIMED = 44, 3, 64


def loss(photos: Path, older: str, newer: str) -> None:
    """Print what each way of being archived finds, and how fast faces are coded anew."""
    people: defaultdict[str, list[Path]] = defaultdict(list)
    for path in sorted(photos.iterdir()):
        people[path.stem.rpartition("_")[0]].append(path)
    chosen = [paths[:3] for paths in people.values() if len(paths) >= 3][6::7]
    one, other = FaceCodec.load(older), FaceCodec.load(newer)
    detect = Settings().detect
    finder = FaceFinder.load(detect.device, detect.min_face, detect.yunet)
    with tempfile.TemporaryDirectory() as folder:
        for path in (path for paths in chosen for path in paths):
            os.symlink(path.resolve(), Path(folder) / path.name)
        for row in measure_photos(Path(folder), finder, one, other, DEFAULT_QUALITY):
            print(
                f"{row.way:45} first of {row.people}: {row.first:.3f}  accepted: {row.accepted:.3f}  ({row.questions})"
            )
    pictures = np.random.default_rng(1).integers(0, 256, (TIMED, 256, 256, 3), np.uint8)
    codes = one.encode(pictures, DEFAULT_QUALITY)
    bases, finer = [code.base for code in codes], [code.enhancement for code in codes]
    other.encode(one.reconstruct(bases[:2], finer[:2]), None)
    seconds = timed(lambda: other.encode(one.reconstruct(bases, finer), None))
    print(f"{TIMED / seconds:.1f} faces a second are coded anew")


def archive(faces: int) -> None:
    """Print room and times."""
    chance = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        with Archive.open(str(path), create=True) as opened:
            opened.register_codec("old", "old")
            source = opened.begin_source("door", "door.mp4", "door", START, "old").id
            tracks = faces // SHOTS
            for first in range(0, tracks, 1000):
                made = [track(k, chance) for k in range(first, min(first + 1000, tracks))]
                opened.add_tracks(source, made)
            opened.recodings.begin("new", "new", "new", "old", START)
        size = path.stat().st_size
        with Archive.open(str(path)) as opened:
            seconds, position, count = 0.0, 0, 0
            while count < faces // 2:
                to_do = opened.recodings.to_do("new", position, 2000)
                position, count = to_do[-1].key, count + len(to_do)
                layers = [(face.key, chance.bytes(BASE)) for face in to_do]
                seconds += timed(lambda layers=layers: opened.recodings.add("new", layers))  # type: ignore[misc]
            print(f"{seconds / count * 32000:.1f} ms for 32 layers, before syncing counts, in parts of 2,000")
        print(f"{(path.stat().st_size - size) / count:.0f} bytes a face that is coded anew")
        with Archive.open(str(path)) as opened:
            ids = [f"{source}-{k:04d}" for k in range(0, tracks, tracks // 160)]
            for name, question in (
                ("where to go on after a kill", lambda: opened.recodings.to_do("new", 0, 32)),
                ("progress", lambda: opened.recodings.progress("new")),
                ("faces left out", lambda: opened.other_codec("new")),
                ("tracks of older weights alone", lambda: opened.recodings.generations("new", (), None, None)),
                ("which of 160 tracks are known", lambda: opened.recodings.known("new", ids)),
            ):
                print(f"{name}: {1000 * min(timed(question) for _ in range(3)):.0f} ms")


def track(ordinal: int, chance: np.random.Generator) -> CodedTrack:
    """A track of made-up bytes, with a picture of one byte."""
    began = START + timedelta(seconds=ordinal)
    moment, points = FrameTime(0, 0, Fraction(1), began), ((1.0, 2.0),) * 5
    bases = [chance.bytes(BASE) for _ in range(SHOTS)]
    shots = tuple(
        CodedFace(moment, (1, 2, 81, 92), points, 0.9, 0.8, FaceCode("old", base, b"x"), zlib.crc32(base))
        for base in bases
    )
    return CodedTrack(ordinal, began, began, SHOTS, shots)


def timed(work: Callable[[], object]) -> float:
    """The seconds that it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="what", required=True)
    photos = kinds.add_parser("loss")
    photos.add_argument("--photos", type=Path, required=True)
    photos.add_argument("--older", default="default")
    photos.add_argument("--newer", default="paper")
    kinds.add_parser("archive").add_argument("--faces", type=int, default=300_000)
    asked = parser.parse_args()
    if asked.what == "loss":
        loss(asked.photos, asked.older, asked.newer)
    else:
        archive(asked.faces)


if __name__ == "__main__":
    main()
