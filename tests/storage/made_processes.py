"""What tests let processes of their own do, that may be killed."""

import time
from datetime import datetime
from multiprocessing.connection import Connection

from made_tracks import CODEC, START, made_track

from storage import Archive, Rules, retention
from storage.copying import copy_archive
from storage.erasing import Erasure
from storage.verifying import unseen
from streamproc.types import SourceResult


def ingest(said: Connection, url: str, camera: str, tracks: int) -> None:
    """Says each step once it is on the disk."""
    with Archive.open(url, create=True) as archive:
        said.send("open")
        archive.register_codec(CODEC, "default")
        entry = archive.begin_source(camera, f"/videos/{camera}.mp4", "hash", START, CODEC)
        for ordinal in range(tracks):
            archive.add_track(entry.id, made_track(ordinal))
            said.send("track")
        archive.finish_source(entry.id, SourceResult(camera, f"/videos/{camera}.mp4", tracks=tracks))
        said.send("finished")


def open_only(said: Connection, url: str) -> None:
    """Makes the archive, or brings it up to date."""
    Archive.open(url, create=True).close()
    said.send("open")


def copy_all(said: Connection, source: str, target: str) -> None:
    """Copies an archive."""
    copy_archive(source, target, lambda name, done, total: said.send(name))


def erase(url: str, asked: Erasure) -> None:
    """Erases somebody."""
    with Archive.open(url) as archive:
        archive.erasing.erase(asked, START, unseen)


def clear(said: Connection, url: str, rules: Rules, now: datetime) -> None:
    """Clears up and gives back room, a step of two tracks a time, and says each step once it is on the disk."""
    retention.TRACKS_A_STEP = 2
    with Archive.open(url) as archive:
        said.send("open")
        for _ in archive.clear(rules, now):
            said.send("step")
            time.sleep(0.005)  # whoever kills it may be slow
        while archive.shrink(1 << 14):
            said.send("shrunk")
        said.send("finished")
