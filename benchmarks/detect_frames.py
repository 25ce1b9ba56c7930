"""What searching a clip's frames for faces costs on one thread: loading, and a frame once all is warm.

OMP_NUM_THREADS=1 python benchmarks/detect_frames.py CLIP [--every 5] [--json]
"""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import cv2

from streamproc.media.source import VideoSource

BATCH = 4


def main() -> int:
    """Exit code 0; prints CPU seconds of loading and CPU milliseconds a frame."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with VideoSource(str(arguments.clip), "bench", datetime(2026, 1, 1, tzinfo=UTC)) as source:
        frames = [frame.image for frame in source if frame.index % arguments.every == 0]
    began = time.process_time()
    from streamproc.faces.finder import FaceFinder

    finder = FaceFinder.load("cpu")
    loaded = time.process_time()
    finder.detect(frames[:BATCH])
    warm = time.process_time()
    found = [f for start in range(0, len(frames), BATCH) for f in finder.detect(frames[start : start + BATCH])]
    ended = time.process_time()
    row = {
        "frames": len(frames),
        "faces": sum(len(faces) for faces in found),
        "load_s": loaded - began,
        "frame_ms": (ended - warm) / len(frames) * 1e3,
    }
    print(json.dumps(row) if arguments.json else "  ".join(f"{name} {value:.4g}" for name, value in row.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
