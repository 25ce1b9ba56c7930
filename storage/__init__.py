"""The archive of coded faces: its schema, its migrations, and `Archive`, the one door to it."""

from storage.archive import Archive
from storage.records import ArchiveBytes, ArchiveInfo, CameraInfo, Removed, SourceEntry, TrackRecord

__all__ = ["Archive", "ArchiveBytes", "ArchiveInfo", "CameraInfo", "Removed", "SourceEntry", "TrackRecord"]
