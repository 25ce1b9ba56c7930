"""An archive's tracks and some known people, as `streamproc.evaluation.scene_matching` wants them."""

from collections.abc import Sequence

import numpy as np

from storage import Archive
from streamproc.codec.face_codec import FaceCodec
from streamproc.evaluation.portraits import Person
from streamproc.evaluation.scene_matching import Gallery, SeenTrack


def seen_tracks(archive: Archive, codec: FaceCodec) -> list[SeenTrack]:
    """Every track of the archive that has a face.

    Raises CorruptCode for a base layer that was damaged."""
    tracks = [track for track in archive.tracks() if track.face_ids]
    if not tracks:
        return []
    features = codec.features([archive.code(track.face_ids[0]).base for track in tracks])
    records = iter(archive.faces([face_id for track in tracks for face_id in track.face_ids]))
    return [
        SeenTrack(track.id, track.camera, tuple(next(records) for _ in track.face_ids), feature)
        for track, feature in zip(tracks, features, strict=True)
    ]


def gallery_of(people: Sequence[Person], codec: FaceCodec) -> Gallery:
    """The people by the features of their other photos, as a question has them: not coded."""
    features = codec.raw_features(np.stack([person.other.image for person in people]))
    return Gallery(tuple(person.identity for person in people), features)
