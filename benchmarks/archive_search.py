"""How soon an archive of many faces answers, the first time and after, and how fast faces come in meanwhile.

    python benchmarks/archive_search.py --faces 1000000

The shipped codec; base layers of random bits, which decode to faces as different as the code expects them, three a
track before ten cameras. The index is built from them; then a fresh process opens archive and index and asks; then
faces are archived while that process goes on asking and keeps the index up to date.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
import zlib
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from pipelines.archive_index import ArchiveIndex
from storage import Archive
from streamproc.codec.face_codec import FaceCodec
from streamproc.query import search
from streamproc.types import CodedFace, CodedTrack, FaceCode, FrameTime

START = datetime(2026, 1, 1, tzinfo=UTC)
SHOTS, CAMERAS, TRACKS_AT_ONCE, QUESTIONS = 3, 10, 50, 50


def made_tracks(first: int, count: int, codec_id: str, chance: random.Random) -> list[CodedTrack]:
    """So many passages, one every two seconds."""
    tracks = []
    marks = ((10.0, 20.0),) * 5
    for ordinal in range(first, first + count):
        began = START + timedelta(seconds=2 * ordinal)
        faces = []
        for k in range(SHOTS):
            base = chance.randbytes(41)
            at = FrameTime(0, 0, Fraction(1, 25), began + timedelta(seconds=k))
            box = (10.0, 20.0, 90.0, 120.0)
            faces.append(CodedFace(at, box, marks, 0.99, 0.8, FaceCode(codec_id, base, None), zlib.crc32(base)))
        tracks.append(CodedTrack(ordinal, began, began + timedelta(seconds=SHOTS), 30, tuple(faces)))
    return tracks


def fill(archive: Archive, codec_id: str, first: int, faces: int, chance: random.Random) -> float:
    """Seconds that the archive took for so many faces more."""
    archive.register_codec(codec_id, "default")
    sources = [archive.begin_source(f"camera {k}", f"{k}.mp4", f"{k}", START, codec_id).id for k in range(CAMERAS)]
    spent = 0.0
    for number, ordinal in enumerate(range(first, first + faces // SHOTS, TRACKS_AT_ONCE)):
        tracks = made_tracks(ordinal, TRACKS_AT_ONCE, codec_id, chance)
        began = time.perf_counter()
        archive.add_tracks(sources[number % CAMERAS], tracks)
        spent += time.perf_counter() - began
    return spent


def ask(path: str, answers: Connection) -> None:
    """Sends how long the first answer took, opening included, and the median of the next; then, until it is told to
    stop, asks on, and sends the median and the number of those answers."""
    codec = FaceCodec.load("default", "cpu")
    questions = codec.drawn_features(QUESTIONS)
    began = time.perf_counter()
    with Archive.open(path) as archive, ArchiveIndex(archive, codec) as index:
        search(archive, codec, questions[0], index=index)
        first = time.perf_counter() - began
        again = [search(archive, codec, question, index=index).milliseconds for question in questions]
        answers.send((first, statistics.median(again)))
        meanwhile: list[float] = []
        while not answers.poll():
            index.catch_up(stay=True)
            meanwhile.append(search(archive, codec, questions[len(meanwhile) % QUESTIONS], index=index).milliseconds)
        answers.send((statistics.median(meanwhile), len(meanwhile)))


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the archive is made; a temporary one otherwise")
    asked = parser.parse_args()
    chance = random.Random(1)
    codec = FaceCodec.load("default", "cpu")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        path = str(Path(folder) / "archive.db")
        with Archive.open(path, create=True) as archive:
            alone = fill(archive, codec.codec_id, 0, asked.faces, chance)
            began = time.perf_counter()
            with ArchiveIndex(archive, codec) as index:
                index.catch_up()
            built = time.perf_counter() - began
            size = sum(file.stat().st_size for file in index.folder.iterdir())
            here, there = get_context("spawn").Pipe()
            process = get_context("spawn").Process(target=ask, args=(path, there), daemon=True)
            process.start()
            first, again = here.recv()
            more = fill(archive, codec.codec_id, asked.faces, asked.faces // 5, chance)
            here.send(None)
            meanwhile, answered = here.recv()
            process.join()
        figures = {
            "faces": asked.faces,
            "archived_per_second": round(asked.faces / alone),
            "index_built_s": round(built, 1),
            "index_bytes_per_face": round(size / asked.faces, 1),
            "opened_and_first_answer_s": round(first, 2),
            "answer_ms": round(again, 1),
            "archived_per_second_while_asked": round(asked.faces / 5 / more),
            "answer_ms_meanwhile": round(meanwhile, 1),
            "answers_meanwhile": answered,
        }
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
