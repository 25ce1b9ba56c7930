"""The names by which the outside knows tracks and faces: they follow from the source's and the place in it.

<source>-<ordinal>          a track: 16 hex digits, at least four decimal ones
<source>-<ordinal>-<rank>   a face
"""

import re
from dataclasses import dataclass

_TRACK = re.compile(r"([0-9a-f]{16})-(0*\d{1,9})", re.ASCII)
_FACE = re.compile(rf"({_TRACK.pattern})-(\d{{1,9}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class TrackPlace:
    """Which track of which source."""

    source_id: str
    ordinal: int


def track_id(source_id: str, ordinal: int) -> str:
    """The track's name."""
    return f"{source_id}-{ordinal:04d}"


def face_id(source_id: str, ordinal: int, rank: int) -> str:
    """The face's name."""
    return f"{track_id(source_id, ordinal)}-{rank}"


def track_place(name: str) -> TrackPlace | None:
    """Where the track of this name is; None for what is no track's name."""
    found = _TRACK.fullmatch(name)
    if found is None:
        return None
    place = TrackPlace(found[1], int(found[2]))
    return place if track_id(place.source_id, place.ordinal) == name else None


def face_place(name: str) -> tuple[TrackPlace, int] | None:
    """The track that the face of this name is of, and its rank there; None for what is no face's name."""
    found = _FACE.fullmatch(name)
    track = None if found is None else track_place(found[1])
    if found is None or track is None:
        return None
    rank = int(found[4])
    return (track, rank) if face_id(track.source_id, track.ordinal, rank) == name else None
