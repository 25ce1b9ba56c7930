"""A process that clears an archive up, says so after each step, and may be killed meanwhile.

Arguments: the archive, the ages of pictures and of tracks that go, in seconds.
"""

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from made_tracks import START

import storage
from storage import Archive, Rules, Terms, retention

HERE = Path(__file__)
NOW = START + timedelta(days=30)


def start(path: Path, pictures: timedelta, faces: timedelta) -> "subprocess.Popen[str]":
    """The process, begun; it prints a line after each step that is on the disk."""
    paths = [str(HERE.parent), str(Path(storage.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, str(HERE), str(path), str(pictures.total_seconds()), str(faces.total_seconds())],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def main(path: str, pictures: str, faces: str) -> None:
    """Clear up, then give back room, reporting each step on standard output once it is on the disk."""
    retention.TRACKS_A_STEP = 2
    rules = Rules(Terms(timedelta(seconds=float(pictures)), timedelta(seconds=float(faces))))
    with Archive.open(path) as archive:
        print("open", flush=True)
        for _ in archive.clear(rules, NOW):
            print("step", flush=True)
            time.sleep(0.02)  # whoever kills it may be slow
        while archive.shrink(1 << 14):
            print("shrunk", flush=True)
        print("finished", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
