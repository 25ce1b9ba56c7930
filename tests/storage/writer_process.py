"""A process that ingests made-up tracks into an archive, says so after each, and may be killed meanwhile.

Arguments: the archive, the camera, the number of tracks.
"""

import os
import subprocess
import sys
from pathlib import Path

from made_tracks import CODEC, START, made_track

import storage
from storage import Archive
from streamproc.types import SourceResult

HERE = Path(__file__)


def start(url: str, camera: str, tracks: int) -> "subprocess.Popen[str]":
    """The process, begun; it prints a line after each step that is on the disk."""
    paths = [str(HERE.parent), str(Path(storage.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, str(HERE), url, camera, str(tracks)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_finished(process: "subprocess.Popen[str]") -> None:
    """Nothing, once the process has ingested everything and said so."""
    out, problems = process.communicate(timeout=60)
    assert process.returncode == 0, problems
    assert out.endswith("finished\n")


def main(url: str, camera: str, tracks: int) -> None:
    """Ingest, reporting each step on standard output once it is on the disk."""
    with Archive.open(url, create=True) as archive:
        print("open", flush=True)
        archive.register_codec(CODEC, "default")
        entry = archive.begin_source(camera, f"/videos/{camera}.mp4", "hash", START, CODEC)
        for ordinal in range(tracks):
            archive.add_track(entry.id, made_track(ordinal))
            print("track", flush=True)
        archive.finish_source(entry.id, SourceResult(camera, f"/videos/{camera}.mp4", tracks=tracks))
        print("finished", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
