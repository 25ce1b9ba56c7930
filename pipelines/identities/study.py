"""`evaluate identities`: composed people who pass four cameras on two days, gathered and asked about."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.batch import ingest
from pipelines.bench.seen import seen_tracks
from pipelines.identities.passages import passages
from pipelines.identities.questions import Answered, Question, answered, questions
from pipelines.supervisor import Progress as Ingested
from storage import Archive
from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.trunk import FEATURE_SIZE
from streamproc.config import Settings
from streamproc.errors import PipelineError
from streamproc.evaluation.identity_page import write_identity_page
from streamproc.evaluation.identity_rows import GatheringRow, IdentityResult, VerdictRow
from streamproc.evaluation.identity_scenes import DAYS, Day, Member, compose_days
from streamproc.evaluation.identity_scores import b_cubed, calibration_bins, expected_calibration_error
from streamproc.evaluation.portraits import photos_of, read_portrait
from streamproc.evaluation.scene_matching import Gallery, SeenTrack, match
from streamproc.faces.finder import FaceFinder
from streamproc.query import SearchResult, search
from streamproc.query.acts import standing
from streamproc.query.gathering import Gatherer, Passage
from streamproc.query.presence import Span
from streamproc.query.reader import ArchiveReader
from streamproc.types import FloatArray

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """A track that shows a person of the scenes, and the day, 0 or 1."""

    track: SeenTrack
    identity: str
    day: int


@dataclass(frozen=True, slots=True)
class IdentityStudy:
    """One run: portraits of the folder `data`, `limit` people at most; clips and archive are kept in `work`, the page
    lies in `out`."""

    data: Path
    work: Path
    out: Path
    settings: Settings
    limit: int | None
    progress: Progress

    def run(self) -> IdentityResult:
        """The figures. Raises SourceNotFound and NoFace for the portraits, PipelineError when an ingest failed."""
        members = self._members()
        days = compose_days(members, self.work / "scenes", self.progress)
        codec = FaceCodec.load(self.settings.encode.profile, self.settings.encode.device)
        url = str(self.work / f"archive-{codec.encoding_id}.db")
        self._ingest(days, url)
        with Archive.open(url) as archive:
            truth = _truth(archive, codec, days)
            gathering = _gathered(list(passages(archive, codec)), truth, codec)
            answers = self._asked(archive, codec, members, truth)
        said = np.array([one.probability for one in answers], np.float32)
        bins = calibration_bins(said, np.array([one.right for one in answers]))
        result = IdentityResult(
            people=len(members),
            passes=sum(len(scene.passes) for day in days for scene in day.scenes),
            tracks=len(truth),
            calibration_error=expected_calibration_error(bins),
            gathering=gathering,
            verdicts=tuple(_verdicts(answers)),
            calibration=bins,
            codec_id=codec.codec_id,
            page=self.out / "index.html",
        )
        self.out.mkdir(parents=True, exist_ok=True)
        write_identity_page(result)
        return result

    def _members(self) -> list[Member]:
        finder = FaceFinder.load(self.settings.detect.device)
        chosen = list(photos_of(self.data).items())[: self.limit]
        members = []
        for done, (identity, paths) in enumerate(chosen, start=1):
            first, last = (read_portrait(path, identity, finder) for path in (paths[0], paths[-1]))
            members.append(Member(identity, (first, last)))
            self.progress("portraits", done, len(chosen))
        return members

    def _ingest(self, days: Sequence[Day], url: str) -> None:
        """Nothing; the clips are archived; those that were before are left alone. Raises PipelineError."""
        clips = [self.work / "scenes" / f"day-{day.number + 1}" / scene.clip for day in days for scene in day.scenes]
        total, frames = sum(scene.frames for day in days for scene in day.scenes), dict[str, int]()

        def news(one: Ingested) -> None:
            frames[one.source] = one.frames
            self.progress("ingest", sum(frames.values()), total)

        for source in ingest([str(clip) for clip in clips], url, None, None, self.settings, news).sources:
            if source.error:
                raise PipelineError(f"the composed clip '{source.source}' was not ingested: {source.error}")

    def _asked(
        self, archive: Archive, codec: FaceCodec, members: Sequence[Member], truth: Sequence[_Shown]
    ) -> list[Answered]:
        """The answers to all questions."""
        crops = np.stack([photo.crop.image for member in members for photo in member.photos])
        features = codec.raw_features(crops).reshape(len(members), len(DAYS), -1)
        unknown = frozenset(track.id for track in archive.tracks()) - {one.track.id for one in truth}
        answers, asked = [], list(questions(len(members)))
        for done, question in enumerate(asked, start=1):
            own = {
                one.track.id: one.track.camera
                for one in truth
                if one.identity == members[question.person].identity and one.day == question.day
            }
            feature = features[question.person, question.photo]
            quality = members[question.person].photos[question.photo].crop.quality

            def ask(
                reader: ArchiveReader,
                question: Question = question,
                feature: FloatArray = feature,
                quality: float = quality,
            ) -> SearchResult:
                when, alarms = (question.since, question.until), self.settings.search.false_alarms
                return search(reader, codec, feature, question.cameras, *when, quality=quality, false_alarms=alarms)

            answer = answered(question, archive, own, unknown, ask)
            if answer is not None:
                answers.append(answer)
            self.progress("questions", done, len(asked))
        return answers


def _truth(archive: Archive, codec: FaceCodec, days: Sequence[Day]) -> list[_Shown]:
    """Whom the archive's tracks show; those that show nobody, or two, are left out."""
    nobody = Gallery(("",), np.zeros((1, FEATURE_SIZE), np.float32))
    tracks, shown = seen_tracks(archive, codec), []
    for day in days:
        found = match(day.scenes, [track for track in tracks if _on(day, track)], nobody)
        mixed = {track.id for track in found.mixed}
        for one in found.passes:
            shown += [_Shown(track, one.truth.identity, day.number) for track in one.tracks if track.id not in mixed]
    return shown


def _on(day: Day, track: SeenTrack) -> bool:
    return track.shots[0].time.date() == DAYS[day.number].date()


def _gathered(tracks: Sequence[Passage], truth: Sequence[_Shown], codec: FaceCodec) -> tuple[GatheringRow, ...]:
    """The scores after tracks were gathered as they ended, and after identities were compared with each other."""
    person = {one.track.id: one.identity for one in truth}
    gatherer = Gatherer(codec.calibration, standing(()), itertools.count(1).__next__)
    for passage in sorted(tracks, key=lambda passage: passage.span.ended):
        gatherer.gather(passage)
    spans = [passage.span for passage in tracks]
    online = _row("as they arrived", spans, person, gatherer)
    gatherer.consolidate()
    return online, _row("consolidated", spans, person, gatherer)


def _row(step: str, spans: Sequence[Span], person: dict[str, str], gatherer: Gatherer) -> GatheringRow:
    of = {span.track: gatherer.identity(span.track) for span in spans}
    shown = [span.track for span in spans if span.track in person]
    scores = b_cubed([person[track] for track in shown], [of[track] for track in shown])
    pairs = itertools.combinations(spans, 2)
    together = sum(of[one.track] == of[other.track] and one.meets(other) for one, other in pairs)
    return GatheringRow(step, len(set(of.values())), scores.precision, scores.recall, scores.f1, together)


def _verdicts(answers: Sequence[Answered]) -> Iterator[VerdictRow]:
    """A row for all cameras together, one for each, and one for everything asked."""
    sets: list[tuple[str, ...]] = list(dict.fromkeys(one.question.cameras for one in answers))
    for name, chosen in [(", ".join(cameras) or "all cameras", [cameras]) for cameras in sets] + [
        ("all questions", sets)
    ]:
        there = [one for one in answers if one.question.cameras in chosen and one.there]
        never = [one for one in answers if one.question.cameras in chosen and not one.there]
        yield VerdictRow(
            name,
            len(there),
            sum(not one.match for one in there),
            sum(one.match and not one.right for one in there),
            len(never),
            sum(one.match for one in never),
        )
