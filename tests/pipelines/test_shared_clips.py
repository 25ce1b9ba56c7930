"""Real clips with known people, where they are (STREAMPROC_DATA, or `../shared/data` beside the checkout): ingest finds
each clip's person, search finds that person in the other clips and knows who was never there."""

import csv
import os
from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.batch import BatchResult, ingest
from storage import Archive
from storage.records import TrackRecord
from streamproc import FaceCodec, FaceFinder
from streamproc.evaluation.identity_scores import b_cubed
from streamproc.query.search import SearchResult, search
from streamproc.types import Image

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("STREAMPROC_DATA", ROOT.parent / "shared" / "data")) / "videos"
OFFICE, STREET = DATA / "office", DATA / "street"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the clips are not in {DATA}")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> tuple[BatchResult, str]:
    """What the ingest of the twelve office clips came to, and their archive."""
    url = str(tmp_path_factory.mktemp("office") / "office.db")
    return ingest([str(path) for path in sorted(OFFICE.glob("*.mkv"))], url), url


@pytest.fixture(scope="module")
def people() -> dict[str, str]:
    """Camera (a clip's name) -> person."""
    with (OFFICE / "people.csv").open() as file:
        return {row["clip"].removesuffix(".mkv"): row["person"] for row in csv.DictReader(file)}


def frames_of(camera: str) -> list[Image]:
    """Twelve frames of an office clip, from its first to its last."""
    with av.open(str(OFFICE / f"{camera}.mkv")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [frames[k].astype(np.uint8) for k in np.linspace(0, len(frames) - 1, 12).astype(int)]


def main_tracks(archive: Archive) -> dict[str, TrackRecord]:
    """Each camera's longest track: its main person's."""
    found: dict[str, TrackRecord] = {}
    for track in archive.tracks():
        if track.camera not in found or track.detections > found[track.camera].detections:
            found[track.camera] = track
    return found


def average_precision(result: SearchResult, person: str, people: dict[str, str], main: dict[str, TrackRecord]) -> float:
    """Of a ranked answer: a clip's main track is right when the clip is that person's."""
    wanted = {track.id for camera, track in main.items() if people[camera] == person}
    right = np.array([match.record.track_id in wanted for match in result.matches])
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return float(precision[right].sum() / sum(people[camera] == person for camera in main))


def test_every_clip_yields_its_person(office: tuple[BatchResult, str], people: dict[str, str]) -> None:
    result, url = office
    assert len(result.sources) == len(people) == 12
    for source in result.sources:
        assert source.error is None
        assert source.tracks >= 1, source.camera
    with Archive.open(url) as archive:
        main = main_tracks(archive)
        codec = FaceCodec.load(device="cpu")
        for camera, track in main.items():
            pair = [c for c in main if people[c] == people[camera] and c != camera]
            mine = codec.features([archive.code(track.face_ids[0]).base])[0]
            for other in pair:
                theirs = codec.features([archive.code(face).base for face in main[other].face_ids])
                assert (theirs @ mine).max() > 0.4, f"{camera} and {other} should show one person"


def test_search_by_person(office: tuple[BatchResult, str], people: dict[str, str]) -> None:
    codec, precisions, refused = FaceCodec.load(device="cpu"), [], []
    with Archive.open(office[1]) as archive:
        main = main_tracks(archive)
        for camera, track in main.items():
            feature = codec.features([archive.code(track.face_ids[0]).base])[0]
            (face,) = archive.faces(track.face_ids[:1])
            others = [c for c in main if c != camera]
            if any(people[c] == people[camera] for c in others):
                answer = search(archive, codec, feature, cameras=others, top=1000, quality=face.quality)
                precisions.append(average_precision(answer, people[camera], people, {c: main[c] for c in others}))
            strangers = [c for c in main if people[c] != people[camera]]
            alone = search(archive, codec, feature, cameras=strangers, quality=face.quality)
            refused.append(alone.verdict == "no match")
    print(f"mean average precision {np.mean(precisions):.3f}, no match {sum(refused)} of {len(refused)}")
    assert np.mean(precisions) >= 0.95
    assert np.mean(refused) >= 0.9


def test_frames_are_found_or_refused(office: tuple[BatchResult, str], people: dict[str, str]) -> None:
    """As an investigator asks: with a picture, whose feature is not coded."""
    codec, finder, found, refused = FaceCodec.load(device="cpu"), FaceFinder.load("cpu"), [], []
    with Archive.open(office[1]) as archive:
        for camera, person in people.items():
            same = [c for c in people if people[c] == person and c != camera]
            strangers = [c for c in people if people[c] != person]
            faces = [face for face in (finder.find(frame)[:1] for frame in frames_of(camera)) if face]
            features = codec.raw_features(np.stack([face.image for (face,) in faces]))
            for (face,), feature in zip(faces, features, strict=True):
                refused.append(search(archive, codec, feature, strangers, quality=face.quality).verdict == "no match")
                if same:
                    found.append(search(archive, codec, feature, same, quality=face.quality).verdict != "no match")
    print(f"found {sum(found)} of {len(found)}, no match {sum(refused)} of {len(refused)}")
    assert len(refused) >= 120
    assert np.mean(found) >= 0.95
    assert np.mean(refused) >= 0.9


def test_anonymous_identities_are_people(office: tuple[BatchResult, str], people: dict[str, str]) -> None:
    """Five people before one camera, alike as people there are, are not gathered into one."""
    with Archive.open(office[1]) as archive:
        main = main_tracks(archive)
    names = list(main)
    scores = b_cubed([people[camera] for camera in names], [main[camera].identity_id for camera in names])
    print(f"B-cubed F1 {scores.f1:.3f}, precision {scores.precision:.3f}, recall {scores.recall:.3f}")
    assert scores.precision >= 0.9
    assert scores.f1 >= 0.9


def test_one_track_a_person(tmp_path: Path) -> None:
    """Eight people walk to the camera in 105 frames; a ninth track is one of them, who turns away for a while."""
    result = ingest([str(STREET / "crowd_1080p.mp4")], str(tmp_path / "crowd.db"))
    (source,) = result.sources
    assert source.frames == 105
    assert 8 <= source.tracks <= 10
    assert source.archived <= 3 * source.tracks


def test_nobody_is_nobody(tmp_path: Path) -> None:
    url = str(tmp_path / "nobody.db")
    (source,) = ingest([str(STREET / "no_faces_768x432.mp4")], url).sources
    assert (source.frames, source.tracks, source.archived, source.error) == (1394, 0, 0, None)
    with Archive.open(url) as archive:
        assert (archive.info().faces, archive.info().tracks) == (0, 0)
