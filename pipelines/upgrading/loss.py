"""What searches lose when faces are coded anew, measured on an archive's own tracks before anything is switched."""

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.identities.desk import whose
from storage import Archive
from streamproc.errors import ArchiveError
from streamproc.query.act_log import entries
from streamproc.query.acts import standing
from streamproc.query.search import FALSE_ALARMS, SearchCodec
from streamproc.types import FloatArray

TRACKS = 1000
"""Tracks that are compared with each other at most."""
NEAREST = 10


@dataclass(frozen=True, slots=True)
class Loss:
    """What became of searches among `tracks` tracks.

    `pairs` of shots of one track each: the share that is alike enough for a match, before and after. `known` tracks
    whose person has another track among them: the share of which the nearest other track is that person's. `same_first`
    and `same_ten`: the share of nearest tracks, and of the ten nearest ones, that are the same before and after.
    """

    tracks: int
    pairs: int
    accepted_before: float
    accepted_after: float
    known: int
    found_before: float
    found_after: float
    same_first: float
    same_ten: float


def measure_loss(archive: Archive, older: SearchCodec, newer: SearchCodec, tracks: int = TRACKS) -> Loss:
    """The loss over a sample of tracks of the older codec that the newer one has anew; ArchiveError for fewer than two.

    Identities are those of the archive: a machine's, which the older codec told apart, and what users said.
    """
    keys = archive.recodings.sample(newer.codec_id, tracks)
    before, after = (_layers(archive, codec, keys) for codec in (older, newer))
    faces = [face for face in before if face in after]
    names = [before[face][0] for face in faces]
    if len(set(names)) < 2:
        raise ArchiveError(
            "Fewer than two tracks are coded anew, so there is nothing to measure: `streamproc upgrade run` does that."
        )
    one, other = (
        codec.features([held[face][1] for face in faces]) for codec, held in ((older, before), (newer, after))
    )
    _, track = np.unique(names, return_inverse=True)
    people = _people(archive, list(dict.fromkeys(sorted(names))))
    near, nearer = _nearest(one, track), _nearest(other, track)
    known = np.array([person >= 0 and np.count_nonzero(people == person) > 1 for person in people])
    pairs = np.flatnonzero(track[1:] == track[:-1])
    return Loss(
        tracks=len(people),
        pairs=len(pairs),
        accepted_before=_accepted(one, pairs, older, len(people)),
        accepted_after=_accepted(other, pairs, newer, len(people)),
        known=int(known.sum()),
        found_before=_found(near, people, known),
        found_after=_found(nearer, people, known),
        same_first=float((near[:, 0] == nearer[:, 0]).mean()),
        same_ten=float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(near, nearer, strict=True)])),
    )


def _layers(archive: Archive, codec: SearchCodec, keys: list[int]) -> dict[str, tuple[str, bytes]]:
    """(track, base layer) of each sound face of the tracks, by its id."""
    held = archive.base_layers_of_tracks(codec.codec_id, keys)
    rows = zip(held.face_ids, held.track_ids, held.payloads, held.checksums, strict=True)
    return {face: (track, data) for face, track, data, checksum in rows if zlib.crc32(data) == checksum}


def _people(archive: Archive, track_ids: list[str]) -> npt.NDArray[np.int64]:
    """(T,) who each track is, as users see it; -1: nobody yet."""
    said = standing(entries(archive.identities.acts()))
    homes = {one.id: whose(one.id, one.identity_id, said) for one in archive.identities.tracks([], track_ids)}
    numbers: dict[str, int] = {}
    found = [homes.get(name) for name in track_ids]
    return np.array([-1 if home is None else numbers.setdefault(home, len(numbers)) for home in found], np.int64)


def _nearest(features: FloatArray, track: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(T, ten at most) the nearest other tracks of each, by the mean of their faces, nearest first."""
    sums = np.zeros((track.max() + 1, features.shape[1]), np.float32)
    np.add.at(sums, track, features)
    means = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    alike = means @ means.T
    np.fill_diagonal(alike, -2)
    return np.argsort(-alike, axis=1, kind="stable")[:, : min(NEAREST, len(means) - 1)]


def _accepted(features: FloatArray, pairs: npt.NDArray[np.int64], codec: SearchCodec, people: int) -> float:
    """The share of pairs of faces (each with the one after it) that are alike enough for a match."""
    alike = np.einsum("nd,nd->n", features[pairs], features[pairs + 1])
    return _share(alike >= codec.calibration.threshold(people, FALSE_ALARMS))


def _found(nearest: npt.NDArray[np.int64], people: npt.NDArray[np.int64], known: npt.NDArray[np.bool_]) -> float:
    return _share(people[nearest[known, 0]] == people[known])


def _share(right: npt.NDArray[np.bool_]) -> float:
    """1 for none: nothing was lost."""
    return float(right.mean()) if right.size else 1.0
