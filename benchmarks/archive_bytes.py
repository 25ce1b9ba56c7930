"""How many bytes of a SQLite archive a face costs, and how many faces are archived a second while others read.

    python benchmarks/archive_bytes.py --faces 300000

Made faces, three a track, with base layers as long as the shipped codec's (41.4 bytes in the mean), no enhancement.
Tracks are added as the service does it, some tens in one transaction, each of which is on the disk when it returns;
another process asks for faces all the while.
"""

import argparse
import itertools
import json
import random
import sqlite3
import tempfile
import time
import zlib
from contextlib import closing
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


def ask(path: str, answers: "Queue[float]") -> None:
    """Puts how long each question took, in seconds; never ends."""
    with Archive.open(path) as archive:
        for k in itertools.count():
            began = time.perf_counter()
            archive.tracks(since=START + timedelta(seconds=60 * k), until=START + timedelta(seconds=60 * (k + 1)))
            answers.put(time.perf_counter() - began)
            time.sleep(0.02)


def page_bytes(path: Path) -> dict[str, int]:
    """Bytes of the pages of tables and of indexes."""
    question = (
        "SELECT type, sum(pgsize) FROM dbstat('main', 1) AS s JOIN sqlite_master AS m ON m.name = s.name GROUP BY type"
    )
    with closing(sqlite3.connect(path)) as connection:
        return {str(kind): int(size) for kind, size in connection.execute(question)}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=300_000)
    parser.add_argument("--folder", type=Path, help="where the archive is made; a temporary one otherwise")
    asked = parser.parse_args()
    chance = random.Random(1)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        path = Path(folder) / "archive.db"
        with Archive.open(str(path), create=True) as archive:
            archive.register_codec(CODEC, "default")
            source = archive.begin_source("door", "door.mp4", "hash", START, CODEC).id
            answers: Queue[float] = Queue()
            reader = Process(target=ask, args=(str(path), answers), daemon=True)
            reader.start()
            spent = 0.0
            for first in range(0, asked.faces // SHOTS, TRACKS_AT_ONCE):
                tracks = [made_track(first + k, chance) for k in range(TRACKS_AT_ONCE)]
                began = time.perf_counter()
                archive.add_tracks(source, tracks)
                spent += time.perf_counter() - began
            reader.terminate()
            questions = answers.qsize()
        sizes = page_bytes(path)
        faces = -(-asked.faces // SHOTS // TRACKS_AT_ONCE) * TRACKS_AT_ONCE * SHOTS
        figures = {
            "faces": faces,
            "file_bytes_per_face": round(path.stat().st_size / faces, 1),
            "tables_bytes_per_face": round(sizes["table"] / faces, 1),
            "indexes_bytes_per_face": round(sizes["index"] / faces, 1),
            "faces_per_second": round(faces / spent),
            "questions_meanwhile": questions,
        }
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
