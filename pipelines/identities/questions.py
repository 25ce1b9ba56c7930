"""What is asked of identity scenes: each person by the photo that was not shown, of the day on which the other one was,
before all cameras and before each; once as they are, and once more with that person's tracks left out: never there."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from streamproc.evaluation.identity_scenes import DAYS, SITES
from streamproc.query import ArchiveReader, SearchResult
from streamproc.types import BaseLayers, FaceCode, FaceRecord, GapRecord


@dataclass(frozen=True, slots=True)
class Question:
    """Whom is asked about (`person`, by number, by the photo of day `photo`), before which cameras (none: all) and on
    which day; `left_out`: that person's tracks are taken for not there."""

    person: int
    photo: int
    day: int
    cameras: tuple[str, ...]
    left_out: bool

    @property
    def since(self) -> datetime:
        """The day's beginning, UTC."""
        return DAYS[self.day].replace(hour=0)

    @property
    def until(self) -> datetime:
        """Its end."""
        return self.since + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Answered:
    """A question's answer: whether the person was there, whether that was said, the best match's probability and
    whether it is of the person asked for."""

    question: Question
    there: bool
    match: bool
    probability: float
    right: bool


def questions(people: int) -> Iterator[Question]:
    """All that is asked."""
    for person in range(people):
        for day in range(len(DAYS)):
            for cameras in ((), *((site.view.camera,) for site in SITES)):
                for left_out in (False, True):
                    yield Question(person, 1 - day, day, cameras, left_out)


def answered(
    question: Question,
    archive: ArchiveReader,
    own: dict[str, str],
    unknown: frozenset[str],
    ask: Callable[[ArchiveReader], SearchResult],
) -> Answered | None:
    """The answer; None where the person was not there anyhow and is to be left out. `own`: the cameras of the person's
    tracks of that day, by their ids; `unknown`: tracks of whom nobody knows whom they show, left out as well."""
    there = any(not question.cameras or camera in question.cameras for camera in own.values())
    if question.left_out and not there:
        return None
    result = ask(_LeftOut(archive, unknown | frozenset(own) if question.left_out else unknown))
    best = result.matches[0] if result.matches else None
    return Answered(
        question,
        there and not question.left_out,
        result.verdict == "match",
        best.probability if best else 0.0,
        best is not None and best.record.track_id in own,
    )


@dataclass(frozen=True, slots=True)
class _LeftOut:
    """An archive as it would be without some tracks."""

    archive: ArchiveReader
    tracks: frozenset[str]

    def base_layers(
        self, codec_id: str, cameras: Sequence[str] = (), since: datetime | None = None, until: datetime | None = None
    ) -> BaseLayers:
        """The others' base layers."""
        held = self.archive.base_layers(codec_id, cameras, since, until)
        kept = [k for k, track in enumerate(held.track_ids) if track not in self.tracks]
        return BaseLayers(
            tuple(held.face_ids[k] for k in kept),
            tuple(held.track_ids[k] for k in kept),
            tuple(held.payloads[k] for k in kept),
            tuple(held.checksums[k] for k in kept),
            held.other_codec,
        )

    def faces(self, face_ids: Sequence[str]) -> list[FaceRecord]:
        """As the archive has them."""
        return self.archive.faces(face_ids)

    def code(self, face_id: str) -> FaceCode:
        """As the archive has it."""
        return self.archive.code(face_id)

    def gaps(
        self,
        cameras: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        now: datetime | None = None,
    ) -> tuple[GapRecord, ...]:
        """As the archive has them."""
        return self.archive.gaps(cameras, since, until, now)
