"""The archive stage's recorder on a small disk of its own that becomes full; prints what came of it as JSON.

Arguments: a folder to mount the disk at, and how many tracks come. Begun by `unshare -m`, so that nobody else sees
it.
"""

import json
import random
import subprocess
import sys
import zlib
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipelines.live_archive import Recorder
from pipelines.live_messages import ClearAsked, SessionCoded
from pipelines.messages import ArchiveState, Cleared, DiskState, Session
from storage import Archive, Rules
from streamproc.types import CodedFace, CodedTrack, FaceCode, FrameTime

START = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
PICTURE = 16000
HELD = 3


class Control:
    """Hears what the stage says; stops it when nothing goes on. It is its own event to wait for."""

    def __init__(self) -> None:
        self.said: list[object] = []
        self.stopping = self
        self.waits = 0

    def send(self, message: object) -> None:
        self.said.append(message)

    def beat(self, _report: object) -> None:
        pass

    def wait(self, _timeout: float) -> bool:
        """Whether it is over."""
        self.waits += 1
        return self.waits > 50


def made_track(ordinal: int) -> CodedTrack:
    chance = random.Random(ordinal)
    at, base = START + timedelta(minutes=ordinal), chance.randbytes(41)
    code = FaceCode("fake", base, chance.randbytes(PICTURE))
    points = ((1.0, 2.0),) * 5
    face = CodedFace(FrameTime(0, 0, Fraction(1, 6), at), (0, 0, 9, 9), points, 0.9, 0.5, code, zlib.crc32(base))
    return CodedTrack(ordinal, at, at, 3, (face,))


def main(folder: str, count: str) -> None:
    """Record so many tracks on a disk of 20 MiB, of which 4 are soon somebody else's."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", folder], check=True)
    path, control = Path(folder) / "a.db", Control()
    with Archive.open(str(path), create=True) as archive:
        stage: Any = control
        recorder, session = Recorder(archive, stage), Session("gate", "rtsp://gate", START)
        recorder.took(ClearAsked(Rules(free=2 << 20), START))
        recorder.clear_some()
        taken = 0
        for ordinal in range(int(count)):
            taken += recorder.took(SessionCoded(session, "fake", "fake", made_track(ordinal)))
            recorder.clear_some()
            if ordinal == HELD:
                archive.holds.add([archive.tracks()[-1].id], "me", START)
            if ordinal == 100:
                fill(Path(folder) / "another", 4 << 20)
        for _ in range(200):
            recorder.clear_some()
        tracks = archive.tracks()
        codes = {int(track.id[-4:]): archive.code(track.face_ids[0]) for track in tracks}
        wrong = [k for k, code in codes.items() if code.base != made_track(k).faces[0].code.base]
        states = [type(one).__name__ for one in control.said if isinstance(one, ArchiveState | Cleared | DiskState)]
        print(
            json.dumps(
                {
                    "taken": taken,
                    "tracks": sorted(codes),
                    "pictures": sorted(k for k, code in codes.items() if code.enhancement is not None),
                    "wrong": wrong,
                    "states": states,
                    "well": [one.well for one in control.said if isinstance(one, ArchiveState)][-1:],
                    "waits": control.waits,
                }
            )
        )


def fill(path: Path, size: int) -> None:
    """Somebody else's file."""
    path.write_bytes(b"0" * size)


if __name__ == "__main__":
    main(*sys.argv[1:])
