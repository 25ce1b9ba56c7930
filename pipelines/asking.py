"""A photo and an archive in, an answer out: what `search`, `demo` and `evaluate` share. Importing it loads torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pipelines.archive_index import ArchiveIndex
from pipelines.gaps import blind_clause
from pipelines.identities.desk import whose
from storage import Archive
from streamproc.codec.face_codec import FaceCodec
from streamproc.config import Settings
from streamproc.faces.finder import FaceFinder
from streamproc.media.photo import read_photo
from streamproc.query import Blindness, SearchResult, ask_photo, blindness, search
from streamproc.query.act_log import entries
from streamproc.query.acts import Standing, standing
from streamproc.query.search import FALSE_ALARMS
from streamproc.types import FaceCrop, Image, Match


@dataclass(frozen=True, slots=True)
class Answer:
    """A photo that was searched for; `face` is the aligned face in it, `found` the best match's id."""

    photo: Path
    face: Image
    verdict: str
    sentence: str
    probability: float
    found: str | None


class Asker:
    """The models that a question needs, loaded once."""

    def __init__(self, finder: FaceFinder, codec: FaceCodec, false_alarms: float = FALSE_ALARMS) -> None:
        self.finder = finder
        self.codec = codec
        self.false_alarms = false_alarms
        self._index: ArchiveIndex | None = None

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """Finder and codec as the settings say."""
        detect, encode = settings.detect, settings.encode
        finder = FaceFinder.load(detect.device, detect.min_face, detect.yunet)
        return cls(finder, FaceCodec.load(encode.profile, encode.device), settings.search.false_alarms)

    def face(self, path: Path, number: int | None = None) -> FaceCrop:
        """The one face of the photo, or face `number` of several, 1 the leftmost.

        Raises NoFace, SeveralFaces, and what `read_photo` raises.
        """
        return ask_photo(read_photo(path), self.finder.find, number, f"'{path}'")

    def ask(
        self,
        archive: Archive,
        face: FaceCrop,
        cameras: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        top: int = 10,
        now: datetime | None = None,
    ) -> SearchResult:
        """Who this is: the face's feature, not coded, against those in the archive. `now` as `search` takes it."""
        feature = self.codec.raw_features(face.image[None])[0]
        alarms = self.false_alarms
        if self._index is None or self._index.archive is not archive:
            self._index = ArchiveIndex(archive, self.codec)
        index = self._index
        found = search(archive, self.codec, feature, cameras, since, until, top, now, face.quality, alarms, index)
        said = standing(entries(archive.identities.acts()))
        return replace(found, matches=tuple(_identified(match, said) for match in found.matches))

    def answer(self, archive: Archive, photo: Path) -> Answer:
        """The answer about the one face of a photo, with its picture."""
        face = self.face(photo)
        now = datetime.now(UTC)
        result = self.ask(archive, face, now=now)
        best = result.matches[0] if result.matches else None
        return Answer(
            photo,
            face.image,
            result.verdict,
            answer_sentence(result, blindness(result.gaps, None, now)),
            best.probability if best else 0.0,
            best.record.id if best else None,
        )


def _identified(match: Match, said: Standing) -> Match:
    """The match, its identity as users see it."""
    record = match.record
    return replace(match, record=replace(record, identity_id=whose(record.track_id, record.identity_id, said)))


def answer_sentence(result: SearchResult, blind: Sequence[Blindness] = ()) -> str:
    """The verdict for people; where nobody was found, also how long nobody could have been, by `blind`."""
    tracks = f"{result.searched} track{'' if result.searched == 1 else 's'}"
    if result.verdict == "no match":
        verdict = f"No match: nobody in the {tracks} searched is likely to be this person"
        return f"{verdict}, {blind_clause(blind)}." if blind else f"{verdict}."
    best = result.matches[0]
    seen = best.record.time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return (
        f"Match: seen by {best.record.camera_id} at {seen}, "
        f"with a probability of {best.probability:.1%} ({tracks} searched)."
    )
