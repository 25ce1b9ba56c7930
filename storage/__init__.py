"""The archive of coded faces: its schema, its migrations, and `Archive`, the one door to it."""

from storage.archive import Archive
from storage.condition import archive_condition, require_sound
from storage.databases import Database, database
from storage.records import (
    ActRecord,
    ArchiveBytes,
    ArchiveCondition,
    ArchiveInfo,
    CameraInfo,
    CodecShare,
    IdentityTracks,
    Removed,
    SightingRecord,
    SourceEntry,
    TrackAdded,
    TrackFaces,
    TrackRecord,
    WatchRecord,
)

__all__ = [
    "ActRecord",
    "Archive",
    "ArchiveBytes",
    "ArchiveCondition",
    "ArchiveInfo",
    "CameraInfo",
    "CodecShare",
    "Database",
    "IdentityTracks",
    "Removed",
    "SightingRecord",
    "SourceEntry",
    "TrackAdded",
    "TrackFaces",
    "TrackRecord",
    "WatchRecord",
    "archive_condition",
    "database",
    "require_sound",
]
