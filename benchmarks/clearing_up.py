"""How long clearing up keeps others from writing: an archive of made-up faces, half of which are over their time.

python benchmarks/clearing_up.py [--tracks 20000] [--folder DIR]
"""

import argparse
import os
import tempfile
import time
import zlib
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

from pipelines.retaining import SHRINK_BYTES
from storage import Archive, ClearedStep, Removed, Rules, Terms
from streamproc.types import CodedFace, CodedTrack, FaceCode, FrameTime

START = datetime(2024, 5, 1, tzinfo=UTC)
CODEC = "made up"
BASE, PICTURE = 41, 1000
"""Bytes of a face's layers."""
NOW = START + timedelta(days=30)
POINTS = ((1.0, 2.0),) * 5
AT_ONCE = 200
"""Tracks that are written in one transaction."""


def fill(archive: Archive, camera: str, tracks: int) -> None:
    archive.register_codec(CODEC, "made up")
    source = archive.resume_session(camera, camera, START, CODEC).id
    for first in range(0, tracks, AT_ONCE):
        archive.add_tracks(source, [made_track(ordinal) for ordinal in range(first, min(first + AT_ONCE, tracks))])


def made_track(ordinal: int) -> CodedTrack:
    at = START + timedelta(seconds=ordinal)
    return CodedTrack(ordinal, at, at, 3, tuple(made_face(at) for _ in range(3)))


def made_face(at: datetime) -> CodedFace:
    base = os.urandom(BASE)
    code = FaceCode(CODEC, base, os.urandom(PICTURE))
    return CodedFace(FrameTime(0, 0, Fraction(1, 6), at), (0, 0, 9, 9), POINTS, 0.9, 0.5, code, zlib.crc32(base))


def clear(archive: Archive, what: str, rules: Rules, dry: bool = False) -> None:
    steps, removed = [], Removed()
    clearing = archive.clear(rules, NOW, dry=dry)
    while True:
        began = time.perf_counter()
        step = next(clearing, Removed())
        steps.append(1000 * (time.perf_counter() - began))
        if isinstance(step, ClearedStep):
            removed += step.removed
        elif step is not None:
            break
    said = f"{removed.tracks} tracks, {removed.pictures} pictures in {sum(steps) / 1000:.1f} s"
    print(f"{what}: {said}; {told(steps)}", flush=True)


def shrink(archive: Archive) -> None:
    steps, freed = [], 0
    while True:
        began = time.perf_counter()
        given = archive.shrink(SHRINK_BYTES)
        steps.append(1000 * (time.perf_counter() - began))
        freed += given
        if not given:
            break
    print(f"room given back: {freed / 2**20:.0f} MiB in {sum(steps) / 1000:.1f} s; {told(steps)}", flush=True)


def told(steps: list[float]) -> str:
    steps = sorted(steps)
    high = steps[int(0.99 * (len(steps) - 1))]
    return f"{len(steps)} steps, median {steps[len(steps) // 2]:.1f} ms, 99 % {high:.1f} ms, longest {steps[-1]:.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=20_000, help="of three faces each")
    parser.add_argument("--folder", type=Path, help="where the archive is made; default: the temporary folder")
    arguments = parser.parse_args()
    tracks = arguments.tracks
    half = NOW - START - timedelta(seconds=tracks // 2)
    folder = tempfile.TemporaryDirectory(dir=arguments.folder)
    with folder as name, Archive.open(str(Path(name) / "a.db"), create=True) as archive:
        fill(archive, "gate", tracks)
        print(f"{3 * tracks} faces of {tracks} tracks, {archive.info().bytes.file / 2**20:.0f} MiB", flush=True)
        clear(archive, "told, not done", Rules(Terms(pictures=half)), dry=True)
        clear(archive, "pictures", Rules(Terms(pictures=half)))
        clear(archive, "pictures again", Rules(Terms(pictures=half)))
        clear(archive, "tracks", Rules(Terms(faces=half)))
        fill(archive, "yard", tracks // 2)
        print(f"filled again: {archive.info().bytes.file / 2**20:.0f} MiB", flush=True)
        clear(archive, "too large by a tenth", Rules(bytes=int(0.9 * (archive.room().used or 0))))
        shrink(archive)


if __name__ == "__main__":
    main()
