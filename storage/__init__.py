"""The archive of coded faces: its schema, its migrations, and `Archive`, the one door to it."""

from storage.archive import Archive
from storage.condition import archive_condition, archive_path, require_sound
from storage.records import (
    ArchiveBytes,
    ArchiveCondition,
    ArchiveInfo,
    CameraInfo,
    CodecShare,
    Removed,
    SourceEntry,
    TrackAdded,
    TrackRecord,
)

__all__ = [
    "Archive",
    "ArchiveBytes",
    "ArchiveCondition",
    "ArchiveInfo",
    "CameraInfo",
    "CodecShare",
    "Removed",
    "SourceEntry",
    "TrackAdded",
    "TrackRecord",
    "archive_condition",
    "archive_path",
    "require_sound",
]
