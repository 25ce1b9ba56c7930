"""The index finds what comparing every face would find, whatever was added, removed and reopened."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_faces import DIRECTIONS, Faces, another_look, made_faces

from storage.index import VectorIndex, live_basis, question
from streamproc.errors import ArchiveError, ArchiveNotFound

MANY = 10_000
"""More than any index here holds: everything is compared, and the answer is that of brute force."""


def within(faces: Faces, kept: set[int], cameras: tuple[int, ...], since: int | None, until: int | None) -> set[int]:
    """The keys that the filters leave."""
    return {
        key
        for key, camera, time in zip(faces.keys.tolist(), faces.cameras.tolist(), faces.times.tolist(), strict=True)
        if key in kept
        and (not cameras or camera in cameras)
        and (since is None or since <= time)
        and (until is None or time < until)
    }


moments = st.none() | st.integers(0, 1_000_000)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 60)),
        st.tuples(st.just("remove"), st.integers(1, 40)),
        st.tuples(st.just("erase"), st.integers(1, 10)),
        st.sampled_from([("flush", 0), ("compact", 0), ("reopen", 0)]),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(steps, st.sets(st.integers(0, 3), max_size=2), moments, moments, st.integers(0, 1000))
def test_any_history_is_searched_as_by_brute_force(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[tuple[str, int]],
    cameras: set[int],
    since: int | None,
    until: int | None,
    seed: int,
) -> None:
    """Also with filters; what was not flushed does not count, and a reader sees what the writer sees."""
    folder = tmp_path_factory.mktemp("index")
    faces = made_faces(60 * 12, seed)
    chance = np.random.default_rng(seed)
    index = VectorIndex.create(folder, DIRECTIONS)
    reader = VectorIndex.open(folder)
    given_out, now, flushed = 0, set[int](), set[int]()
    for what, count in history:
        if what == "add":
            index.add(*faces.part(given_out, given_out + count).columns())
            now |= set(faces.keys[given_out : given_out + count].tolist())
            given_out += count
        elif what in ("remove", "erase"):
            keys = chance.integers(1, given_out + 2, count)
            now -= set(keys.tolist())
            if what == "remove":
                index.remove(keys)
            else:
                index.erase(keys)  # removals take effect, what was added waits
                flushed &= now
        elif what == "reopen":
            index.close()
            index = VectorIndex.open(folder, write=True)
            now = set(flushed)
        elif what == "compact":
            index.compact()
            flushed &= now
        else:
            index.flush("here")
            flushed = set(now)
        question = another_look(faces.features[given_out], seed)
        for door in (index, reader):
            assert door.faces == len(flushed)
            hits = door.search(question, MANY, tuple(cameras), since, until)
            assert set(hits.keys.tolist()) == within(faces, flushed, tuple(cameras), since, until)
            assert len(set(hits.keys.tolist())) == len(hits.keys)
            assert np.array_equal(hits.tracks, hits.keys // 3)
            assert np.all(np.diff(hits.similarities) <= 0)
            np.testing.assert_allclose(hits.similarities, faces.features[hits.keys - 1] @ question, atol=2e-3)
            sample = door.sample(question, MANY, tuple(cameras), since, until)
            np.testing.assert_allclose(np.sort(sample)[::-1], hits.similarities, atol=1e-4)
    index.close()
    reader.close()


@pytest.mark.parametrize("dimensions", [64, 128])
def test_the_nearest_are_found_though_few_are_compared(
    tmp_path: Path, dimensions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where several threads share the rows."""
    monkeypatch.setattr(question, "SHARE", 10_000)
    monkeypatch.setattr(question, "ALONE", 20_000)
    monkeypatch.setattr(question, "cores", lambda: 2)
    live = DIRECTIONS if dimensions == 64 else np.eye(128, dtype=np.float32)
    faces = made_faces(150_000, 3, live=live)
    with VectorIndex.create(tmp_path, live_basis(faces.features[:2000])) as index:
        for start in range(0, 150_000, 30_000):
            index.add(*faces.part(start, start + 30_000).columns())
            index.flush(str(start))
        found, compared = 0, 0
        for number in range(100):
            asked = another_look(faces.features[1499 * number], number)
            hits = index.search(asked)
            found += len(set(hits.keys.tolist()) & set(faces.keys[np.argsort(-(faces.features @ asked))[:10]].tolist()))
            compared += hits.compared
    assert found >= 980
    assert compared < 0.15 * 150_000 * 100


def test_a_sample_is_spread_over_all_faces_asked_about(tmp_path: Path) -> None:
    faces = made_faces(20_000, 6)
    with VectorIndex.create(tmp_path, DIRECTIONS) as index:
        for start in range(0, 20_000, 5_000):
            index.add(*faces.part(start, start + 5_000).columns())
            index.flush(str(start))
        similarities = faces.features @ faces.features[0]
        for cameras in ((), (1, 3)):
            asked = similarities[np.isin(faces.cameras, cameras)] if cameras else similarities
            sample = index.sample(faces.features[0], 256, cameras)
            assert len(sample) == 256
            assert sample.mean() == pytest.approx(asked.mean(), abs=0.05)
            assert sample.std() == pytest.approx(asked.std(), abs=0.05)
        assert not len(index.sample(faces.features[0], 256, (9,)))


def test_a_face_takes_at_most_96_bytes(tmp_path: Path) -> None:
    faces = made_faces(50_000, 4)
    with VectorIndex.create(tmp_path, DIRECTIONS) as index:
        index.add(*faces.columns())
        index.flush("")
        on_disk = sum(path.stat().st_size for path in tmp_path.iterdir())
        assert index.file_bytes == on_disk <= 96 * 50_000


def test_a_filter_narrows_the_scan(tmp_path: Path) -> None:
    faces = made_faces(20_000, 5)
    with VectorIndex.create(tmp_path, DIRECTIONS) as index:
        index.add(*faces.columns())
        index.flush("")
        ranges = index._state.segments[0].ranges((2,), 100_000, 140_000)
    kept = (faces.cameras == 2) & (faces.times >= 100_000) & (faces.times < 140_000)
    assert 0 < int((ranges[:, 1] - ranges[:, 0]).sum()) == np.count_nonzero(kept) < 400


def test_keys_and_tracks_may_lie_far_apart(tmp_path: Path) -> None:
    faces = made_faces(400, 6)
    keys = faces.keys + np.repeat([0, 2**33, 2**50, 2**62], 100)
    tracks = np.where(faces.keys % 2, faces.keys, 2**61)
    with VectorIndex.create(tmp_path, DIRECTIONS) as index:
        index.add(keys, tracks, faces.cameras, faces.times, faces.features)
        index.flush("")
        index.remove(keys[::3])
        index.flush("")
        hits = index.search(faces.features[0], MANY)
    order = np.argsort(hits.keys)
    assert np.array_equal(hits.keys[order], np.delete(keys, np.s_[::3]))
    assert np.array_equal(hits.tracks[order], np.delete(tracks, np.s_[::3]))


def test_a_question_may_lie_where_no_face_does(tmp_path: Path) -> None:
    faces = made_faces(3000, 12)
    outside = np.linalg.svd(DIRECTIONS)[2][-1]  # orthogonal to all that faces live in
    with VectorIndex.create(tmp_path, DIRECTIONS) as index:
        index.add(*faces.columns())
        index.flush("")
        for question in (outside, np.zeros_like(outside)):
            hits = index.search(question)
            assert len(hits.keys) == 10
            np.testing.assert_allclose(hits.similarities, 0, atol=1e-5)


def test_an_added_face_may_be_removed_before_it_is_flushed(tmp_path: Path) -> None:
    faces = made_faces(10, 7)
    with VectorIndex.create(tmp_path, DIRECTIONS) as index:
        index.add(*faces.columns())
        index.remove(faces.keys[:4])
        index.flush("")
        assert sorted(index.search(faces.features[0], MANY).keys) == faces.keys[4:].tolist()


def test_the_position_belongs_to_what_is_flushed(tmp_path: Path) -> None:
    faces = made_faces(30, 8)
    with VectorIndex.create(tmp_path, DIRECTIONS) as index:
        assert index.position == ""
        index.add(*faces.part(0, 10).columns())
        index.flush("ten")
        index.add(*faces.part(10, 20).columns())
        with VectorIndex.open(tmp_path) as reader:
            assert (reader.position, reader.faces) == ("ten", 10)
            index.flush("twenty")
            assert (reader.position, reader.faces) == ("twenty", 20)
            index.flush("twenty-one")  # nothing of the archive's changes was a face
            assert (reader.position, reader.faces) == ("twenty-one", 20)


def test_a_reader_goes_on_while_the_index_is_made_anew(tmp_path: Path) -> None:
    faces = made_faces(20, 9)
    with VectorIndex.create(tmp_path, DIRECTIONS) as index:
        index.add(*faces.part(0, 10).columns())
        index.flush("")
    with VectorIndex.open(tmp_path) as reader, VectorIndex.create(tmp_path, DIRECTIONS) as index:
        assert reader.faces == 0
        index.add(*faces.part(10, 20).columns())
        index.flush("")
        assert sorted(reader.search(faces.features[0], MANY).keys) == faces.keys[10:].tolist()


def test_one_process_writes(tmp_path: Path) -> None:
    with VectorIndex.create(tmp_path, DIRECTIONS):
        with pytest.raises(ArchiveError, match="Another process writes"):
            VectorIndex.open(tmp_path, write=True)
        with VectorIndex.open(tmp_path) as reader, pytest.raises(ArchiveError, match="for reading"):
            reader.flush("")
    VectorIndex.open(tmp_path, write=True).close()


def test_there_may_be_no_index(tmp_path: Path) -> None:
    with pytest.raises(ArchiveNotFound, match="no search index"):
        VectorIndex.open(tmp_path / "none", write=True)
    with pytest.raises(ArchiveNotFound, match="no search index"):
        VectorIndex.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    faces = made_faces(3, 10)
    outside = faces.features.copy()
    outside[1] = np.linalg.svd(DIRECTIONS)[2][-1]  # orthogonal to all that faces live in
    with VectorIndex.create(tmp_path, DIRECTIONS) as index:
        for features in (
            outside,
            np.full_like(outside, np.nan),
            2 * faces.features,
            faces.features[:, :64],
            outside[:2],
        ):
            with pytest.raises(ValueError, match="feature"):
                index.add(faces.keys, faces.tracks, faces.cameras, faces.times, features)
        with pytest.raises(ValueError, match="question"):
            index.search(np.full(128, np.nan, np.float32))
        with pytest.raises(ValueError, match="at least 1"):
            index.search(faces.features[0], top=0)
    with pytest.raises(ValueError, match="orthonormal"):
        VectorIndex.create(tmp_path, 2 * DIRECTIONS)
    with pytest.raises(ValueError, match="do not tell"):
        live_basis(faces.features)


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "99.rows").write_text("left behind by a writer that was killed")
    with VectorIndex.create(tmp_path, DIRECTIONS) as index:
        index.flush("here")
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "99.rows").exists()
