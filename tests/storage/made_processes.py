"""What tests let processes of their own do, that may be killed."""

from multiprocessing.connection import Connection

from made_tracks import CODEC, START, made_track

from storage import Archive
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
