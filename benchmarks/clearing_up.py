"""How long clearing up keeps others from writing: an archive of made-up faces, half of which are over their time.

python benchmarks/clearing_up.py [--tracks 20000]
"""

import argparse
import os
import tempfile
import time
import zlib
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

from storage import Archive, Removed
from streamproc.types import CodedFace, CodedTrack, FaceCode, FrameTime

START = datetime(2024, 5, 1, tzinfo=UTC)
CODEC = "made up"
BASE, PICTURE = 41, 1000
"""Bytes of a face's layers."""


def fill(archive: Archive, camera: str, tracks: int) -> None:
    archive.register_codec(CODEC, "made up")
    source = archive.resume_session(camera, camera, START, CODEC).id
    for ordinal in range(tracks):
        at, base = START + timedelta(seconds=ordinal), os.urandom(BASE)
        code = FaceCode(CODEC, base, os.urandom(PICTURE))
        points = ((1.0, 2.0),) * 5
        time_ = FrameTime(0, 0, Fraction(1, 6), at)
        face = CodedFace(time_, (0, 0, 9, 9), points, 0.9, 0.5, code, zlib.crc32(base))
        archive.add_track(source, CodedTrack(ordinal, at, at, 3, (face,) * 3))


def clear(archive: Archive, what: str, pictures: datetime | None, faces: datetime | None) -> None:
    steps, removed = [], Removed()
    clearing = archive.clear(pictures, faces)
    while True:
        began = time.perf_counter()
        step = next(clearing, None)
        steps.append(1000 * (time.perf_counter() - began))
        if step is None:
            break
        removed += step
    steps.sort()
    print(
        f"{what}: {removed.tracks} tracks, {removed.pictures} pictures in {sum(steps) / 1000:.1f} s; "
        f"{len(steps)} steps, median {steps[len(steps) // 2]:.1f} ms, longest {steps[-1]:.1f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=20_000)
    tracks = parser.parse_args().tracks
    half = START + timedelta(seconds=tracks // 2)
    with tempfile.TemporaryDirectory() as folder, Archive.open(str(Path(folder) / "a.db"), create=True) as archive:
        fill(archive, "gate", tracks)
        print(f"{tracks} tracks, {archive.info().bytes.file / 2**20:.0f} MiB")
        clear(archive, "pictures", half, None)
        clear(archive, "pictures again", half, None)
        clear(archive, "tracks", None, half)
        fill(archive, "yard", tracks // 2)
        print(f"filled again: {archive.info().bytes.file / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
