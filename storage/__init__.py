"""The archive of coded faces: its schema, its migrations, and `Archive`, the one door to it."""

from storage.archive import Archive
from storage.condition import archive_condition, require_sound
from storage.databases import Database, database
from storage.examining import Finding, examine
from storage.records import (
    ActRecord,
    ArchiveBytes,
    ArchiveCondition,
    ArchiveInfo,
    ArchiveRoom,
    CameraInfo,
    ClearedStep,
    CodecShare,
    FaceToRecode,
    Generation,
    HoldRecord,
    IdentityTracks,
    Progress,
    RecodingRecord,
    Removed,
    SightingRecord,
    SourceEntry,
    TrackAdded,
    TrackFaces,
    TrackRecord,
    WatchRecord,
)
from storage.reserve import RESERVE
from storage.rules import Exempt, Rules, Terms

__all__ = [
    "RESERVE",
    "ActRecord",
    "Archive",
    "ArchiveBytes",
    "ArchiveCondition",
    "ArchiveInfo",
    "ArchiveRoom",
    "CameraInfo",
    "ClearedStep",
    "CodecShare",
    "Database",
    "Exempt",
    "FaceToRecode",
    "Finding",
    "Generation",
    "HoldRecord",
    "IdentityTracks",
    "Progress",
    "RecodingRecord",
    "Removed",
    "Rules",
    "SightingRecord",
    "SourceEntry",
    "Terms",
    "TrackAdded",
    "TrackFaces",
    "TrackRecord",
    "WatchRecord",
    "archive_condition",
    "database",
    "examine",
    "require_sound",
]
