"""The archive of coded faces: its schema, its migrations, and `Archive`, the one door to it."""

from storage.archive import Archive
from storage.condition import archive_condition, archive_path, require_sound
from storage.records import (
    ActRecord,
    ArchiveBytes,
    ArchiveCondition,
    ArchiveInfo,
    CameraInfo,
    CodecShare,
    FaceToRecode,
    Generation,
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

__all__ = [
    "ActRecord",
    "Archive",
    "ArchiveBytes",
    "ArchiveCondition",
    "ArchiveInfo",
    "CameraInfo",
    "CodecShare",
    "FaceToRecode",
    "Generation",
    "IdentityTracks",
    "Progress",
    "RecodingRecord",
    "Removed",
    "SightingRecord",
    "SourceEntry",
    "TrackAdded",
    "TrackFaces",
    "TrackRecord",
    "WatchRecord",
    "archive_condition",
    "archive_path",
    "require_sound",
]
