"""The names by which the outside knows tracks and faces: they follow from the source's and the place in it.

<source>-<ordinal>          a track: 16 hex digits, at least four decimal ones
<source>-<ordinal>-<rank>   a face
"""

import re
from dataclasses import dataclass

_FACE = re.compile(r"([0-9a-f]{16})-(0*\d{1,9})-(\d{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class FacePlace:
    """Which face of which track of which source."""

    source_id: str
    ordinal: int
    rank: int


def track_id(source_id: str, ordinal: int) -> str:
    """The track's name."""
    return f"{source_id}-{ordinal:04d}"


def face_id(source_id: str, ordinal: int, rank: int) -> str:
    """The face's name."""
    return f"{track_id(source_id, ordinal)}-{rank}"


def face_place(name: str) -> FacePlace | None:
    """Where the face of this name is; None for what is no face's name."""
    found = _FACE.fullmatch(name)
    if found is None:
        return None
    place = FacePlace(found[1], int(found[2]), int(found[3]))
    return place if face_id(place.source_id, place.ordinal, place.rank) == name else None
