"""A photo and an archive in, an answer out: what `search`, `demo` and `evaluate` share. Importing it loads torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pipelines.archive_index import ArchiveIndex
from pipelines.gaps import blind_clause
from pipelines.identities.desk import said_of, whose
from pipelines.upgrading.weights import WeightsAtHand
from storage import Archive
from streamproc.codec.face_codec import FaceCodec
from streamproc.config import Settings
from streamproc.faces.finder import FaceFinder
from streamproc.media.photo import read_photo
from streamproc.query import Blindness, SearchResult, ask_photo, blindness
from streamproc.query.acts import Standing
from streamproc.query.generations import Generation, search_generations
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

    def __init__(
        self,
        finder: FaceFinder,
        codec: FaceCodec,
        false_alarms: float = FALSE_ALARMS,
        settings: Settings | None = None,
    ) -> None:
        """`settings`, by default the defaults, tell where older weights may be."""
        self.finder = finder
        self.codec = codec
        self.false_alarms = false_alarms
        self._settings = settings or Settings()
        self._archive: Archive | None = None
        self._indexes: dict[str, ArchiveIndex] = {}

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """Finder and codec as the settings say."""
        detect, encode = settings.detect, settings.encode
        finder = FaceFinder.load(detect.device, detect.min_face, detect.yunet)
        return cls(finder, FaceCodec.load(encode.profile, encode.device), settings.search.false_alarms, settings)

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
        """Who this is: the face's feature, not coded, against those in the archive. `now` as `search` takes it.

        Tracks that the weights in use do not know are asked for by those that wrote them, where these are at hand.
        """
        if self._archive is not archive:
            self._archive, self._indexes = archive, {}
            self._weights = WeightsAtHand(archive, self._settings)
        asked = (cameras, since, until)
        older, left_out = [], False
        if archive.other_codec(self.codec.codec_id, *asked):
            for known in archive.recodings.generations(self.codec.codec_id, *asked):
                codec = self._weights.codec(known.codec_id)
                if codec is None:
                    left_out = True
                else:
                    older.append(self._generation(codec, face, known.tracks, known.alone))
        found = search_generations(
            archive,
            self._generation(self.codec, face),
            older,
            lambda tracks: archive.recodings.known(self.codec.codec_id, tracks),
            *(*asked, top, now, face.quality, self.false_alarms),
        )
        said = said_of(archive)
        matches = tuple(_identified(match, said) for match in found.matches)
        return replace(found, matches=matches, other_codec=found.other_codec if left_out else 0)

    def _generation(self, codec: FaceCodec, face: FaceCrop, tracks: int = 0, alone: int = 0) -> Generation:
        """The codec with the question in its terms, and with its index."""
        assert self._archive is not None
        index = self._indexes.setdefault(codec.codec_id, ArchiveIndex(self._archive, codec))
        return Generation(codec, codec.raw_features(face.image[None])[0], tracks, alone, index)

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
