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
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from storage import Archive
from streamproc.faces import track
from streamproc.media.source import VideoSource
from streamproc.types import Detection, FaceCrop, FloatArray, Frame, Image

ROOT = Path(__file__).parents[1]
START = datetime(2026, 1, 1, tzinfo=UTC)
MIN_FRAMES = 5
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


def plain_loop(clip: Path) -> tuple[float, list[tuple[Frame, list[Detection]]]]:
    """(seconds, every frame with its faces) of the plain loop, loading included."""
    began = time.monotonic()
    import torch
    from facenet_pytorch import MTCNN

    from streamproc.codec.trunk import load_trunk

    detector, net = MTCNN(keep_all=True), load_trunk()
    found = []
    with VideoSource(str(clip), "plain", START) as source:
        for frame in source:
            boxes, scores, points = detector.detect(frame.image, landmarks=True)
            faces = [] if boxes is None else [Detection(*row) for row in zip(boxes, points, scores, strict=True)]
            for face in faces:
                x0, y0, x1, y1 = np.clip(face.box, 0, None).astype(int)
                crop = torch.from_numpy(frame.image[y0:y1, x0:x1].copy()).permute(2, 0, 1)[None].float()
                if crop.numel():
                    with torch.inference_mode():
                        small = torch.nn.functional.interpolate(crop, (160, 160), mode="bilinear")
                        net.net((small - small.mean()) / small.std())
            found.append((replace(frame, image=np.zeros((1, 1, 3), np.uint8)), faces))
    return time.monotonic() - began, found


def people(found: list[tuple[Frame, list[Detection]]], rate: float) -> list[list[tuple[datetime, Detection]]]:
    """Each person's faces: those of the tracks with at least MIN_FRAMES of them."""
    # Every face of a track is wanted here, not the best ones alone, and however near in time.
    track.SHOT_SPACING = timedelta(0)
    builder = track.TrackBuilder(rate, shots=10_000, min_detections=MIN_FRAMES)

    def keep(image: Image, detection: Detection) -> FaceCrop:
        return FaceCrop(None, None, detection, detection.confidence, image)

    shots: dict[int, list[tuple[datetime, Detection]]] = {}
    ended = [person for frame, faces in found for person in builder.update(frame, faces, keep)] + builder.finish()
    for person in ended:
        shots[person.ordinal] = [(shot.time.captured_at, shot.detection) for shot in person.shots if shot.time]
    return list(shots.values())


def overlap(a: FloatArray, b: FloatArray) -> float:
    """Intersection over union of two boxes."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    inside = float(np.prod(np.clip(high - low, 0, None)))
    return inside / (float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - inside)


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
    seconds, found = plain_loop(arguments.clip)
    with VideoSource(str(arguments.clip), "rate", START) as source:
        rate = float(source.info.rate or 25)
    everybody = people(found, rate)
    seen = [
        any(
            abs((record.time - at).total_seconds()) < 0.5 / rate
            and overlap(np.array(record.box), detection.box) > SAME_PLACE
            for record in records
            for at, detection in person
        )
        for person in everybody
    ]
    rows = [
        Row("streamproc", ours, frames, len(records), sum(seen), len(everybody)),
        Row("plain-loop", seconds, len(found), sum(len(faces) for _, faces in found), len(everybody), len(everybody)),
    ]
    if arguments.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "ratio": seconds / ours}))
        return 0
    for row in rows:
        print(
            f"{row.engine:12} {row.seconds:7.1f} s  {row.frames} frames  {row.faces} faces  "
            f"{row.people_found} of {row.people_true} people"
        )
    print(f"ratio        {seconds / ours:7.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
