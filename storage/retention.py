"""What goes when its time is over, or when there is no room for it: in steps so small that writing new faces waits for
none of them.

Deleted rows leave free pages in the file, which new rows fill again, or which it gives back in small steps, too. What
would go is told by the same code that lets it go.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from storage.candidates import (
    BEGINNING,
    PAGE,
    Asked,
    Candidate,
    Exemption,
    What,
    candidates,
    pictures_of,
    tracks_with,
)
from storage.lookup import some
from storage.records import ArchiveRoom, ClearedStep, Removed
from storage.rules import SLACK, Exempt, Rules
from storage.schema import Camera, EnhancementLayer, Face, RemovedFace, Source, Track, Transaction
from streamproc.errors import ArchiveFull

TRACKS_A_STEP = 25
"""Tracks that go, or lose their pictures, in one transaction: some ten milliseconds. Fewer where the disk is full."""
REMOVED_KEPT = 1_000_000
"""So many removed faces are remembered: an index that missed more of them is made anew."""
PICTURE_ROOM, FACE_ROOM = 100, 60
"""About how many bytes of a database a picture and a face take beside their layers."""


@dataclass(frozen=True, slots=True)
class Clearing:
    """One clearance: where, by which rules, at what time; a `dry` one changes nothing."""

    writing: Transaction
    reading: Transaction
    room: Callable[[], ArchiveRoom]
    rules: Rules
    now: datetime
    exempt: Callable[[], Exempt]
    dry: bool

    def steps(self) -> Iterator[ClearedStep | None]:
        """What each step removed or would remove; None where it found nothing to remove. See `Archive.clear`."""
        return _Run(self).steps()


class _Run:
    """A clearance under way: how far it is with each camera, by key."""

    def __init__(self, asked: Clearing) -> None:
        self._asked, self._rules = asked, asked.rules
        self._exemption = Exemption(asked.exempt)
        with asked.reading() as connection:
            names = connection.execute(select(Camera.key, Camera.name).where(~Camera.hidden).order_by(Camera.name))
            self._names = {row.key: row.name for row in names}
        self._reached = {what: dict.fromkeys(self._names, BEGINNING) for what in What}
        self._freed = 0

    def steps(self) -> Iterator[ClearedStep | None]:
        too_much = self._rules.too_much(self._asked.room())
        for camera, name in self._names.items():
            terms = self._rules.of(name)
            if terms.faces is not None:
                yield from self._clear(What.ALL, [camera], self._asked.now - terms.faces)
            if terms.pictures is not None:
                yield from self._clear(What.PICTURES, [camera], self._asked.now - terms.pictures)
        for camera, name in self._names.items():
            if (most := self._rules.of(name).bytes) is not None:
                held = yield from self._held(camera)
                if held > most:
                    yield from self._squeeze([camera], held - (1 - SLACK) * most, lambda removed: removed.bytes)
        yield from self._squeeze(list(self._names), too_much - self._freed, room_of)
        if not self._asked.dry:
            with self._asked.writing() as connection:
                _forget_removed(connection)

    def _held(self, camera: int) -> Generator[ClearedStep | None, None, int]:
        """How many bytes of layers the camera holds."""
        asked = self._ask(What.ALL, camera, None)
        held = 0
        for count, candidate in enumerate(candidates(self._asked.reading, lambda *_: set(), What.ALL, [asked])):
            held += candidate.removes.bytes if candidate is not None else 0
            if count % PAGE == 0:
                yield None
        return held

    def _squeeze(
        self, cameras: Sequence[int], bytes_: float, counts: Callable[[Removed], int]
    ) -> Iterator[ClearedStep | None]:
        """Steps by which the oldest pictures of the cameras go until so many bytes did, and then the oldest tracks."""
        for what in (What.PICTURES, What.ALL):
            if bytes_ > 0:
                bytes_ = yield from self._clear(what, cameras, None, bytes_, counts)

    def _clear(
        self,
        what: What,
        cameras: Sequence[int],
        before: datetime | None,
        bytes_: float = float("inf"),
        counts: Callable[[Removed], int] = lambda removed: 0,
    ) -> Generator[ClearedStep | None, None, float]:
        """How many of so many bytes are still to go, once what ended before that time went, oldest first."""
        asked = [self._ask(what, camera, before) for camera in cameras]
        batch: list[Candidate] = []
        for candidate in candidates(self._asked.reading, self._exemption.staying, what, asked):
            if candidate is None:
                yield None
                continue
            batch.append(candidate)
            if len(batch) < TRACKS_A_STEP and sum(counts(one.removes) for one in batch) < bytes_:
                continue
            for step in self._take(what, batch, before):
                bytes_ -= counts(step.removed)
                yield step
            batch = []
            if bytes_ <= 0:
                break
        for step in self._take(what, batch, before):
            bytes_ -= counts(step.removed)
            yield step
        if what is What.ALL and not self._asked.dry:
            with self._asked.writing() as connection:
                for camera in cameras:
                    _forget_sessions(connection, camera, before or self._reached[What.ALL][camera][0])
        return bytes_

    def _ask(self, what: What, camera: int, before: datetime | None) -> Asked:
        tracks, pictures = (self._reached[one][camera] for one in (What.ALL, What.PICTURES))
        after = tracks if what is What.ALL else max(tracks, pictures)
        return Asked(camera, after, before, pictures_gone=pictures)

    def _take(self, what: What, batch: Sequence[Candidate], before: datetime | None) -> list[ClearedStep]:
        """What went of each camera: all of it in one transaction, or in several where the disk is too full for that."""
        if not batch:
            return []
        for one in batch:
            self._reached[what][one.camera] = one.started_at, one.key
        if self._asked.dry:
            taken = [(one, one.removes) for one in batch]
        else:
            try:
                with self._asked.writing() as connection:
                    taken = self._removed(connection, what, batch, before)
            except ArchiveFull:
                if len(batch) == 1:
                    raise
                half = len(batch) // 2
                return self._take(what, batch[:half], before) + self._take(what, batch[half:], before)
        self._freed += sum(room_of(removed) for _, removed in taken)
        return self._told(taken)

    def _removed(
        self, connection: Connection, what: What, batch: Sequence[Candidate], before: datetime | None
    ) -> list[tuple[Candidate, Removed]]:
        """Those that still are what they were, with what went of them."""
        found = select(Track.key, Track.started_at, Track.ended_at, Track.identity_id)
        rows = connection.execute(found.where(Track.key.in_([one.key for one in batch]))).all()
        began = {row.key: row.started_at for row in rows if before is None or row.ended_at < before}
        staying = self._exemption.staying(connection, [(row.key, row.identity_id) for row in rows])
        going = [one for one in batch if began.get(one.key) == one.started_at and one.key not in staying]
        goes = _delete(connection, what, [one.key for one in going])
        return [(one, goes[one.key]) for one in going if one.key in goes]

    def _told(self, taken: Sequence[tuple[Candidate, Removed]]) -> list[ClearedStep]:
        by_camera: defaultdict[int, list[tuple[Candidate, Removed]]] = defaultdict(list)
        for one, removed in taken:
            by_camera[one.camera].append((one, removed))
        return [
            ClearedStep(
                self._names[camera],
                min(one.started_at for one, _ in some),
                sum((removed for _, removed in some), Removed()),
            )
            for camera, some in by_camera.items()
        ]


def room_of(removed: Removed) -> int:
    """About how many bytes of a database come free with that."""
    return removed.bytes + PICTURE_ROOM * removed.pictures + FACE_ROOM * removed.faces


def forget_hidden(connection: Connection, camera: str, before: datetime) -> Removed:
    """What was removed: the sessions of the hidden camera that began before that time."""
    of_camera = select(Camera.key).where(Camera.name == camera, Camera.hidden)
    old = Source.camera_key.in_(of_camera), Source.started_at < before
    removed = Removed()
    for keys in some(list(connection.execute(select(Track.key).join(Source).where(*old)).scalars())):
        removed = sum(_delete(connection, What.ALL, keys).values(), removed)
    connection.execute(delete(Source).where(*old))
    return removed


def _delete(connection: Connection, what: What, keys: Sequence[int]) -> dict[int, Removed]:
    """What went with each of those tracks that had something to lose."""
    goes = pictures_of(connection, keys)
    if what is What.ALL:
        goes = tracks_with(connection, keys, goes)
        connection.execute(delete(Track).where(Track.key.in_(keys)))
    elif goes:
        faces = select(Face.key).where(Face.track_key.in_(list(goes)))
        connection.execute(delete(EnhancementLayer).where(EnhancementLayer.face_key.in_(faces)))
    return goes


def _forget_sessions(connection: Connection, camera: int, before: datetime) -> None:
    """Nothing; sessions of which nothing is left are gone. A file's stays: it says that the file was seen already."""
    left = select(Track.key).where(Track.source_key == Source.key).exists()
    connection.execute(
        delete(Source).where(
            Source.camera_key == camera, Source.content_hash.is_(None), Source.started_at < before, ~left
        )
    )


def _forget_removed(connection: Connection) -> None:
    """Nothing; of what was removed long ago the list says nothing any more."""
    last = select(func.max(RemovedFace.key)).scalar_subquery()
    connection.execute(delete(RemovedFace).where(RemovedFace.key <= last - REMOVED_KEPT))
