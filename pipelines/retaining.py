"""What an archive is to keep, by a site's settings and by what its users said."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from storage import Archive, ClearedStep, Exempt, Rules, Terms
from streamproc.config import CameraRetention, RetentionSettings, Settings
from streamproc.errors import ArchiveFull
from streamproc.query.act_log import entries, identity_id
from streamproc.query.acts import Standing, standing

SPARE = 0.02
"""Of what the archive uses, the share that its file keeps free for new faces when it gives back room."""
SHRINK_BYTES = 1 << 18
"""So much room is given back in one go: some milliseconds."""


def rules(settings: Settings) -> Rules:
    """Those of the settings; what a camera's do not say is as for all."""
    own = settings.retention
    return Rules(
        _terms(own, None),
        tuple((one.name, _terms(own, one.retention)) for one in settings.cameras if one.retention.model_fields_set),
        own.bytes,
        own.free,
    )


def _terms(of_all: RetentionSettings, camera: CameraRetention | None) -> Terms:
    given = frozenset[str]() if camera is None else camera.model_fields_set
    days = [
        getattr(camera if key in given else of_all, key)  # null, where it was given, is "never"
        for key in ("enhancement_days", "faces_days")
    ]
    pictures, faces = (None if count is None else timedelta(days=count) for count in days)
    return Terms(pictures, faces, None if camera is None else camera.bytes)


class Evidence:
    """Tells whose tracks stay: of identities that a user named, or that are watched for, by what was said last."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._seen: tuple[int, frozenset[int]] | None = None
        self._exempt = Exempt()

    def __call__(self) -> Exempt:
        """The same object as long as nothing new was said."""
        watched = frozenset(one.identity for one in self._archive.watches.all() if one.identity is not None)
        seen = self._archive.identities.newest_act(), watched
        if seen != self._seen:
            now = standing(entries(self._archive.identities.acts()))
            self._seen, self._exempt = seen, _exempt(now, watched)
        return self._exempt


def _exempt(now: Standing, watched: frozenset[int]) -> Exempt:
    people = set(now.given_names) | {now.identity(number) for number in watched}
    homes = frozenset(identity_id(member) for number in people for member in now.members(number))
    return Exempt(homes, {track: now.identity(whose) in people for track, whose in now.moved.items()})


def cleared(archive: Archive, kept: Rules, now: datetime, dry: bool = False) -> Iterator[ClearedStep | None]:
    """As `Archive.clear`, with what users said; a full disk gets the room that the service keeps for it."""
    evidence = Evidence(archive)
    try:
        yield from archive.clear(kept, now, evidence, dry=dry)
    except ArchiveFull:
        if not archive.reserve.give():
            raise
        archive.take_in_log()
        yield from archive.clear(kept, now, evidence, dry=dry)


def unheeded(archive: Archive, kept: Rules) -> str:
    """A sentence where the rules say what cannot be heeded; empty where they do not."""
    if (kept.bytes is None and kept.free is None) or archive.room().used is not None:
        return ""
    return (
        "retention.bytes and retention.free are not heeded: how much room an archive takes, only its server knows. "
        "Ages and cameras' own bytes are."
    )


def give_back(archive: Archive, all_of_it: bool = False) -> int:
    """The bytes that the archive's file gave back in one small step; 0: what is left is for new faces, or, with
    `all_of_it`, nothing is left."""
    room = archive.room()
    if room.used is None:
        return archive.shrink(SHRINK_BYTES)  # the server keeps what it has for new faces
    extra = room.spare - (0 if all_of_it else int(SPARE * room.used))
    return archive.shrink(min(extra, SHRINK_BYTES)) if extra > 0 else 0
