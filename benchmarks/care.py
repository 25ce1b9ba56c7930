"""What care of an archive takes: backup while it is written to, restore, doctor's look at its contents, an erasure.

    python benchmarks/care.py --tracks 100000

Faces are made up: three a track, 42 bytes of base layer and 1,200 of enhancement each. One JSON document.
"""

import argparse
import json
import random
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

from storage import Archive, examine
from storage.backup import back_up
from storage.erasing import Erasure
from storage.restoring import restore
from storage.verifying import unseen
from streamproc.types import CodedFace, CodedTrack, FaceCode, FrameTime

START = datetime(2026, 3, 1, tzinfo=UTC)
FACES, BASE, PICTURE = 3, 42, 1200
PERSON = 50
"""Tracks of the person who is erased."""
AT_ONCE = 500


def made(ordinal: int) -> CodedTrack:
    """A track of its own bytes."""
    chance, began = random.Random(ordinal), START + timedelta(seconds=ordinal)
    faces = []
    for k in range(FACES):
        base, at = chance.randbytes(BASE), began + timedelta(seconds=k)
        code = FaceCode("made", base, chance.randbytes(PICTURE))
        points = ((1.0, 2.0),) * 5
        when = FrameTime(0, ordinal, Fraction(1), at)
        faces.append(CodedFace(when, (1, 2, 81, 92), points, 0.9, 0.8, code, zlib.crc32(base)))
    return CodedTrack(ordinal, began, began + timedelta(seconds=FACES), 9, tuple(faces))


def main(tracks: int, folder: Path) -> dict[str, object]:
    """Seconds and bytes by what was done."""
    url = str(folder / "archive.db")
    with Archive.open(url, create=True) as archive:
        archive.register_codec("made", "default")
        source = archive.begin_source("gate", "gate.mp4", "hash", START, "made").id
        for start in range(0, tracks, AT_ONCE):
            archive.add_tracks(source, [made(k) for k in range(start, min(start + AT_ONCE, tracks))])
        alone = written(archive, source, tracks, lambda: time.sleep(5))
        beside = written(archive, source, 2 * tracks, lambda: back_up(url, folder / "backup.db"))
        chosen = random.Random(1).sample(range(tracks), PERSON)
        names = tuple(f"{source}-{k:04d}" for k in chosen)
        asked = Erasure(names, (), (), (), {}, '{"kind": "erased", "identities": []}', "bench", 0)
        erased = timed(lambda: archive.erasing.erase(asked, START, unseen))
    return {
        "faces": FACES * tracks,
        "file_mib": round(Path(url).stat().st_size / 2**20, 1),
        "backup_s": beside[0],
        "write_ms": {"alone": alone[1], "during_backup": beside[1]},
        "erase_s": erased,
        "restore_s": timed(lambda: restore(folder / "backup.db", str(folder / "restored.db"))),
        "doctor_contents_s": timed(lambda: examine(url)),
    }


def written(archive: Archive, source: str, first: int, work: Callable[[], object]) -> tuple[float, dict[str, float]]:
    """(seconds that the work took, how long each track that was added meanwhile took: median and longest)."""
    took, ended = list[float](), threading.Event()

    def write() -> None:
        ordinal = first
        while not ended.is_set():
            track = made(ordinal)
            began = time.perf_counter()
            archive.add_track(source, track)
            took.append(time.perf_counter() - began)
            ordinal += 1
            time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    seconds = timed(work)
    ended.set()
    writer.join()
    longest = sorted(took)
    return seconds, {"median": round(1000 * longest[len(took) // 2], 1), "longest": round(1000 * longest[-1], 1)}


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return round(time.perf_counter() - began, 2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=100_000)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(main(parser.parse_args().tracks, Path(folder)), indent=2))
