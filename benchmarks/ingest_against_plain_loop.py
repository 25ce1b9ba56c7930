"""How much faster `ingest` is than the loop that a user would write with facenet-pytorch, in one run on one clip.

The plain loop: MTCNN as it comes on every frame, a feature of every face, one picture after the other. A person is
what the loop's faces, followed frame by frame, show in at least 5 frames; `ingest` has found that person when one of
its archived faces lies on one of those faces in the same frame.

    python benchmarks/ingest_against_plain_loop.py CLIP [--json]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from storage import Archive
from streamproc.evaluation.plain_loop import PlainFace, people, plain_loop
from streamproc.evaluation.scene_truth import overlap
from streamproc.types import FaceRecord

ROOT = Path(__file__).parents[1]
START = datetime(2026, 1, 1, tzinfo=UTC)
SAME_PLACE = 0.3
"""Overlap (intersection over union) of two boxes of one face."""


@dataclass(frozen=True, slots=True)
class Row:
    """One engine's figures."""

    engine: str
    seconds: float
    frames: int
    faces: int
    people_found: int
    people_true: int


def was_found(person: Sequence[PlainFace], records: Sequence[FaceRecord], rate: float) -> bool:
    """True when an archived face lies on one of the person's, in the same frame."""
    return any(
        abs((record.time - face.at).total_seconds()) < 0.5 / rate and overlap(record.box, _box(face)) > SAME_PLACE
        for record in records
        for face in person
    )


def _box(face: PlainFace) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(v) for v in face.detection.box)
    return x0, y0, x1, y1


def main() -> int:
    """Exit code 0; prints a row an engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        url = str(Path(folder) / "archive.db")
        began = time.monotonic()
        # The command as it is typed: a process of its own, everything loaded anew.
        command = [sys.executable, str(ROOT / "run_pipeline.py"), "ingest", str(arguments.clip), "--archive", url]
        command += ["--camera", "bench", "--start", START.isoformat(), "--json"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        ours = time.monotonic() - began
        frames = json.loads(done.stdout)["sources"][0]["frames"]
        with Archive.open(url) as archive:
            ids = [face for track in archive.tracks() for face in track.face_ids]
            records = archive.faces(ids)
    loop = plain_loop(arguments.clip, START)
    everybody = people(loop)
    seen = sum(was_found(person, records, loop.rate) for person in everybody)
    rows = [
        Row("streamproc", ours, frames, len(records), seen, len(everybody)),
        Row("plain-loop", loop.seconds, len(loop.found), loop.faces, len(everybody), len(everybody)),
    ]
    if arguments.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "ratio": loop.seconds / ours}))
        return 0
    for row in rows:
        print(
            f"{row.engine:12} {row.seconds:7.1f} s  {row.frames} frames  {row.faces} faces  "
            f"{row.people_found} of {row.people_true} people"
        )
    print(f"ratio        {loop.seconds / ours:7.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
