"""Search finds who was asked for, once a track, and says so when nobody is that person."""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from fake_codec import SIZE, START, FakeCodec, feature, ingest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import Archive
from streamproc.errors import UnknownRecord
from streamproc.query import ArchiveReader, search
from streamproc.types import BaseLayers, FaceCode, FaceRecord, FloatArray, GapRecord

ANN, BOB, CAT = feature(1), feature(0, 1), feature(0, 0, 1)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(str(tmp_path / "a.db"), create=True) as opened:
        yield opened


def test_a_person_is_found_once_a_track_and_shown_by_the_best_face(archive: Archive) -> None:
    shots = [feature(1, 0.5), feature(1, 0.1), feature(1, 0.2)]
    ann, _bob = ingest(archive, "door", [shots, [BOB, feature(1, 2)]])
    (later,) = ingest(archive, "yard", [[feature(1, 0.3)]])
    result = search(archive, FakeCodec(), ANN)
    assert (result.verdict, result.searched, result.damaged, result.other_codec) == ("match", 3, 0, 0)
    assert [match.record.track_id for match in result.matches] == [ann, later, _bob]
    best = result.matches[0]
    assert best.record.id == f"{ann}-1", "the track's face that resembles most, not its first"
    assert best.record.camera_id == "door"
    mean = np.sum(shots, axis=0)
    assert best.similarity == pytest.approx(float(ANN @ mean / np.linalg.norm(mean)))
    assert best.probability > 0.99
    assert result.matches[2].record.id == f"{_bob}-1"
    assert result.milliseconds > 0


def test_nobody_is_found_when_nobody_is_there(archive: Archive) -> None:
    ingest(archive, "door", [[BOB], [feature(0.4, 0, 1)]])
    result = search(archive, FakeCodec(), ANN)
    assert result.verdict == "no match"
    assert len(result.matches) == 2, "the nearest are shown, whatever the verdict"
    assert all(match.probability < 0.5 for match in result.matches)


def test_the_verdict_heeds_how_many_were_searched(archive: Archive) -> None:
    alike = feature(1, 1.05)
    ingest(archive, "door", [[alike]])
    assert search(archive, FakeCodec(), ANN).verdict == "match"
    ingest(archive, "yard", [[CAT]] * 100)
    crowded = search(archive, FakeCodec(), ANN)
    assert (crowded.verdict, crowded.searched) == ("no match", 101)
    assert search(archive, FakeCodec(), ANN, cameras=["door"]).verdict == "match"


def test_the_verdict_does_not_depend_on_how_many_are_shown(archive: Archive) -> None:
    ids = ingest(archive, "door", [[feature(1, k)] for k in (0.5, 0.1, 0.3)])
    result = search(archive, FakeCodec(), ANN, top=1)
    assert (result.verdict, result.searched) == ("match", 3)
    assert [match.record.track_id for match in result.matches] == [ids[1]]
    with pytest.raises(ValueError, match="at least 1"):
        search(archive, FakeCodec(), ANN, top=0)


def test_cameras_and_times_are_chosen(archive: Archive) -> None:
    door = ingest(archive, "door", [[ANN]] * 4)
    ingest(archive, "yard", [[ANN]] * 4)
    since, until = START + timedelta(hours=1), START + timedelta(hours=3)
    result = search(archive, FakeCodec(), ANN, cameras=["door"], since=since, until=until)
    assert sorted(match.record.track_id for match in result.matches) == door[1:3]
    assert result.searched == 2
    assert search(archive, FakeCodec(), ANN, since=since, until=until).searched == 4
    assert search(archive, FakeCodec(), ANN, since=START + timedelta(days=9)).verdict == "no match"


def test_a_camera_that_is_not_there_is_named_with_those_that_are(archive: Archive) -> None:
    ingest(archive, "door", [[ANN]])
    ingest(archive, "yard", [[ANN]])
    with pytest.raises(UnknownRecord, match="no camera 'attic': its cameras are door, yard"):
        search(archive, FakeCodec(), ANN, cameras=["door", "attic"])


def test_an_empty_archive_holds_no_match(archive: Archive) -> None:
    result = search(archive, FakeCodec(), ANN)
    assert (result.verdict, result.searched, result.matches) == ("no match", 0, ())


def test_damaged_faces_are_left_out_and_counted(archive: Archive, tmp_path: Path) -> None:
    ann, other = ingest(archive, "door", [[ANN], [CAT, feature(1, 0.1)]])
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        (payload,) = connection.execute("SELECT payload FROM faces WHERE key = 2").fetchone()
        flipped = bytes([payload[0] ^ 1]) + payload[1:]
        connection.execute("UPDATE faces SET payload = ? WHERE key = 2", (flipped,))
        connection.execute("UPDATE faces SET payload = x'00' WHERE key = 1")
    result = search(archive, FakeCodec(), ANN)
    assert (result.damaged, result.searched) == (2, 1), "a track without a sound face was not searched"
    assert [match.record.id for match in result.matches] == [f"{other}-1"]
    assert ann not in {match.record.track_id for match in result.matches}


def test_faces_of_another_codec_are_left_out_and_counted(archive: Archive) -> None:
    ingest(archive, "door", [[ANN, ANN], [ANN]], codec_id="another")
    result = search(archive, FakeCodec(), ANN)
    assert (result.verdict, result.searched, result.other_codec) == ("no match", 0, 3)
    ingest(archive, "door", [[ANN]])
    result = search(archive, FakeCodec(), ANN)
    assert (result.verdict, result.searched, result.other_codec) == ("match", 1, 3)


class InMemory(ArchiveReader):
    """An archive of one camera, held in memory; face k has id k."""

    def __init__(self, features: FloatArray, tracks: list[int]) -> None:
        payloads = tuple(vector.tobytes() for vector in features)
        ids = tuple(str(k) for k in range(len(tracks)))
        checksums = tuple(zlib.crc32(payload) for payload in payloads)
        self.layers = BaseLayers(ids, tuple(str(track) for track in tracks), payloads, checksums)

    def base_layers(self, codec_id: str, *_: object) -> BaseLayers:
        return self.layers

    def faces(self, face_ids: object) -> list[FaceRecord]:
        assert isinstance(face_ids, list)
        tracks = [self.layers.track_ids[int(k)] for k in face_ids]
        box = (0.0, 0.0, 1.0, 1.0)
        return [
            FaceRecord(k, "door", "x.mp4", track, START, box, 1.0, None, frozenset())
            for k, track in zip(face_ids, tracks, strict=True)
        ]

    def code(self, face_id: str) -> FaceCode:
        raise NotImplementedError

    def gaps(self, *_: object) -> tuple[GapRecord, ...]:
        return ()


@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 15), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_search_is_what_comparing_everything_gives(faces: int, people: int, top: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    features = chance.normal(size=(faces, SIZE)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    tracks = chance.integers(0, people, faces).tolist()
    asked = feature(*chance.normal(size=SIZE))
    result = search(InMemory(features, tracks), FakeCodec(), asked, top=top)
    means = {track: features[np.array(tracks) == track].mean(axis=0) for track in set(tracks)}
    best = {track: float(mean @ asked / np.linalg.norm(mean)) for track, mean in means.items()}
    expected = sorted(best.values(), reverse=True)[:top]
    np.testing.assert_allclose([match.similarity for match in result.matches], expected, atol=1e-5)
    assert len({match.record.track_id for match in result.matches}) == len(expected)
    for match in result.matches:
        mine = [float(features[k] @ asked) for k in range(faces) if str(tracks[k]) == match.record.track_id]
        assert float(features[int(match.record.id)] @ asked) == pytest.approx(max(mine), abs=1e-6)
    assert result.searched == len(best)
    assert (result.verdict == "match") == (result.matches[0].probability >= 0.5)
