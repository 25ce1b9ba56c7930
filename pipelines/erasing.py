"""Whom to erase: an identity, tracks, faces; and what that takes of names, watches and pictures."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipelines.encode import crop_name
from pipelines.identities.desk import Desk, whose
from pipelines.identities.keeper import KeeperCodec
from storage import Archive, TrackRecord, WatchRecord
from storage.erasing import Erasure, Going
from streamproc.errors import UnknownRecord
from streamproc.query.act_log import encoded, identity_id, identity_number
from streamproc.query.acts import Act, Entry, Erased, Named, Split, Standing, standing
from streamproc.query.search import FALSE_ALARMS
from streamproc.types import FaceCode, FloatArray


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom to erase: identities by id or name, tracks and faces by id; `pictures`: folders with pictures of faces."""

    identities: tuple[str, ...] = ()
    tracks: tuple[str, ...] = ()
    faces: tuple[str, ...] = ()
    pictures: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be erased: these tracks, of which those in `whole` with all their faces, people by name, and rows;
    `erasure` does it."""

    tracks: tuple[TrackRecord, ...]
    whole: frozenset[str]
    names: tuple[str, ...]
    watches: tuple[str, ...]
    going: Going
    erasure: Erasure


def planned(archive: Archive, asked: Asked, by: str, codec: Callable[[], KeeperCodec]) -> Plan:
    """What is to go. An identity that is left without tracks goes with its name, and so do watches for it, and those
    for a photo that resembles an erased track; `codec` is called where there are such.

    Raises UnknownRecord for who or what is not there.
    """
    desk = Desk(archive, by)
    log = desk.log()
    said = standing(log)
    own = [track for who in asked.identities for track in desk.tracks(desk.find(who))]
    tracks = {track.id: track for track in [*own, *_known(archive, asked.tracks)]}
    faces = tuple(record.id for record in archive.faces(asked.faces) if record.track_id not in tracks)
    of_faces = {record.track_id for record in archive.faces(faces)}
    shown = [*tracks.values(), *(one for one in _known(archive, sorted(of_faces)))]
    whole = frozenset(tracks) | {one.id for one in shown if set(one.face_ids) <= set(faces)}
    gone = {desk.find(who) for who in asked.identities} | _emptied(desk, said, shown, whole)
    members = sorted({member for number in gone for member in said.members(number)})
    chosen = [face for one in shown for face in one.face_ids if one.id in whole or face in faces]
    watches = _watches(archive, said, gone, chosen, codec)
    codes = [archive.code(face) for face in chosen] if asked.pictures else []
    erasure = Erasure(
        tracks=tuple(sorted(whole)),
        faces=faces,
        identities=tuple(members),
        watches=tuple(watch.name for watch in watches),
        acts=_rewritten(log, frozenset(members), whole),
        act=encoded(Erased(tuple(members))),
        by=by,
        after=log[-1].number if log else 0,
        pictures=tuple(map(str, asked.pictures)),
        picture_names=frozenset(crop_name(code) for code in codes) | _bases(codes),
    )
    names = tuple(dict.fromkeys(name for number in gone for name in said.given_names.get(number, ())))
    return Plan(tuple(shown), whole, names, erasure.watches, archive.erasing.going(erasure), erasure)


def _known(archive: Archive, track_ids: Sequence[str]) -> list[TrackRecord]:
    """The tracks in the order asked. Raises UnknownRecord."""
    found = {track.id: track for track in archive.identities.tracks((), track_ids)} if track_ids else {}
    for name in track_ids:
        if name not in found:
            raise UnknownRecord(f"The archive has no track '{name}': take its id from a search.")
    return [found[name] for name in track_ids]


def _emptied(desk: Desk, said: Standing, shown: Iterable[TrackRecord], whole: frozenset[str]) -> set[int]:
    """The identities that all tracks of go."""
    touched = {identity_number(whose(track.id, track.identity_id, said) or "") for track in shown} - {None}
    return {number for number in touched if number is not None and {t.id for t in desk.tracks(number)} <= whole}


def _watches(
    archive: Archive, said: Standing, gone: set[int], faces: Sequence[str], codec: Callable[[], KeeperCodec]
) -> list[WatchRecord]:
    """The watches for who goes."""
    every = archive.watches.all()
    found = [one for one in every if one.identity is not None and said.identity(one.identity) in gone]
    photos = [one for one in every if one.feature is not None]
    if not photos or not faces:
        return found
    loaded = codec()
    needed = loaded.calibration.threshold(1, FALSE_ALARMS)  # rather one watch too many: they are listed before
    means = _directions(archive, loaded, faces)
    for watch in photos:
        if watch.feature is not None and watch.codec_id == loaded.codec_id and len(means):
            found += [watch] if float(np.max(means @ watch.feature)) >= needed else []
    return found


def _directions(archive: Archive, codec: KeeperCodec, faces: Sequence[str]) -> FloatArray:
    """(T, D): the mean feature of each track's faces, of unit norm; of those that the codec wrote."""
    layers: dict[str, list[bytes]] = {}
    for face in faces:
        code = archive.code(face)
        if code.codec_id == codec.codec_id:
            layers.setdefault(face.rpartition("-")[0], []).append(code.base)
    means = [codec.features(own).mean(axis=0) for own in layers.values()]
    return np.array([mean / np.linalg.norm(mean) for mean in means], np.float32)


def _rewritten(log: Sequence[Entry], members: frozenset[int], tracks: frozenset[str]) -> dict[int, str]:
    """The acts that name who goes, by number, as they are without: the log comes to the same of everybody else."""
    acts: dict[int, Act] = {}
    for entry in log:
        match entry.act:
            case Named(identity, name) if identity in members and name is not None:
                acts[entry.number] = Named(identity, None)
            case Split(_, _, of) if not tracks.isdisjoint(of):
                acts[entry.number] = replace(entry.act, tracks=tuple(one for one in of if one not in tracks))
    return {number: encoded(act) for number, act in acts.items()}


def _bases(codes: Sequence[FaceCode]) -> frozenset[str]:
    """Names of crops that were archived with an enhancement layer and have none any more."""
    return frozenset(crop_name(replace(code, enhancement=None)) for code in codes)


def told(plan: Plan) -> list[str]:
    """What would go, in sentences."""
    goes = plan.going
    lines = [
        f"{goes.tracks} tracks, {goes.faces} faces and {goes.pictures} enhancement layers",
        f"{goes.identities} identities by number, {goes.acts} things that users said of them",
        f"{goes.watches} watches, {goes.sightings} sightings",
    ]
    if goes.holds:
        lines.append(f"{goes.holds} tracks that somebody holds (`streamproc hold list`)")
    if plan.watches:
        lines.append(f"the watches {', '.join(plan.watches)}")
    if plan.names:
        lines.append(f"the names {', '.join(plan.names)}")
    if plan.erasure.identities:
        lines.append(f"the identities {', '.join(map(identity_id, plan.erasure.identities))}")
    return lines
