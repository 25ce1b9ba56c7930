"""A process that begins a gap, says so once it is on the disk, and waits to be killed.

Argument: the archive.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from made_tracks import START

import storage
from storage import Archive
from streamproc.types import GapReason

HERE = Path(__file__)
DETAIL = "The camera does not answer."


def start(url: str) -> "subprocess.Popen[str]":
    """The process, begun."""
    paths = [str(HERE.parent), str(Path(storage.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, str(HERE), url],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def main(url: str) -> None:
    """Begin the gap, then wait."""
    with Archive.open(url, create=True) as archive:
        archive.ledger.watched("door", START)
        archive.ledger.begin_gap("door", START, GapReason.UNREACHABLE, DETAIL)
        print("begun", flush=True)
        time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1])
