"""The index's files: what is damaged is noticed, what is erased is gone, who is killed leaves what was flushed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made_faces import DIRECTIONS, another_look, made_faces

import storage
from storage.index import VectorIndex
from storage.index.vector_index import LOCK
from streamproc.errors import ArchiveNotFound, IndexDamaged

HERE = Path(__file__).parent
STEP, STEPS = 500, 40


def _filled(folder: Path, count: int = 600) -> None:
    """An index with several segments and removed rows."""
    faces = made_faces(count, 1)
    with VectorIndex.create(folder, DIRECTIONS) as index:
        for first, last in ((0, count * 4 // 5), (count * 4 // 5, count)):
            index.add(*faces.part(first, last).columns())
            index.flush(str(last))
        index.remove(faces.keys[5:15])
        index.flush("end")


def test_a_byte_flipped_anywhere_is_noticed(tmp_path: Path) -> None:
    _filled(tmp_path)
    chance = random.Random(1)
    kinds = set()
    for path in tmp_path.iterdir():
        if path.name == LOCK:
            assert path.stat().st_size == 0
            continue
        kinds.add(path.suffix)
        sound = path.read_bytes()
        places = {0, len(sound) - 1, *(chance.randrange(len(sound)) for _ in range(40))}
        for place in range(len(sound)) if len(sound) < 1000 else places:
            flipped = bytearray(sound)
            flipped[place] ^= 1 << chance.randrange(8)
            path.write_bytes(flipped)
            with pytest.raises(IndexDamaged):
                VectorIndex.open(tmp_path)
        for wrong in (sound[:-1], sound + b"\0", b""):
            path.write_bytes(wrong)
            with pytest.raises(IndexDamaged):
                VectorIndex.open(tmp_path, write=True)
        path.unlink()
        with pytest.raises(IndexDamaged if path.suffix else ArchiveNotFound):
            VectorIndex.open(tmp_path)
        path.write_bytes(sound)
        VectorIndex.open(tmp_path).close()
    assert kinds == {"", ".basis", ".rows", ".gone"}


def test_a_damaged_index_is_begun_anew(tmp_path: Path) -> None:
    _filled(tmp_path)
    for path in tmp_path.glob("*.rows"):
        path.write_bytes(b"nothing")
    VectorIndex.create(tmp_path, DIRECTIONS).close()
    with VectorIndex.open(tmp_path) as index:
        assert (index.faces, index.position) == (0, "")


@pytest.mark.parametrize("removed_before", [False, True])
def test_an_erased_face_is_in_no_file(tmp_path: Path, removed_before: bool) -> None:
    faces = made_faces(3000, 2)
    with VectorIndex.create(tmp_path, DIRECTIONS) as index:
        index.add(*faces.part(0, 2500).columns())
        index.flush("1")
        index.add(*faces.part(2500, 3000).columns())
        index.flush("2")
        vectors = _vectors(index, {7, 2700})
        assert all(_held(tmp_path, vector) for vector in vectors)
        if removed_before:
            index.remove(np.array([7, 2700]))
            index.flush("3")
            assert any(_held(tmp_path, vector) for vector in vectors)
        before = index.position
        index.erase(np.array([7, 2700]))
        assert index.position == before
        assert not any(_held(tmp_path, vector) for vector in vectors)
        assert index.faces == 2998


def test_compacting_leaves_no_removed_face(tmp_path: Path) -> None:
    faces = made_faces(3000, 2)
    with VectorIndex.create(tmp_path, DIRECTIONS) as index:
        index.add(*faces.columns())
        index.flush("1")
        vectors = _vectors(index, {7, 8})
        index.remove(np.array([7, 8]))
        index.flush("2")
        index.compact()
        assert not any(_held(tmp_path, vector) for vector in vectors)
        assert list(tmp_path.glob("*.gone")) == []


def _vectors(index: VectorIndex, keys: set[int]) -> list[bytes]:
    rows = [segment.rows() for segment in index._state.segments]
    return [one.vectors[n].tobytes() for one in rows for n in range(len(one)) if int(one.keys[n]) in keys]


def _held(folder: Path, wanted: bytes) -> bool:
    return any(wanted in path.read_bytes() for path in folder.iterdir())


def test_a_writer_killed_at_any_moment_leaves_what_it_flushed(tmp_path: Path) -> None:
    """Ten times, during adding, flushing, erasing and compacting; the next writer goes on from where it stands."""
    chance = random.Random(2)
    faces = made_faces(STEP * STEPS, 11)
    VectorIndex.create(tmp_path, DIRECTIONS).close()
    least = 0
    for _ in range(10):
        writer = _writer(tmp_path)
        assert writer.stdout is not None
        for _ in range(chance.randrange(1, 9)):
            said = writer.stdout.readline().split()
            least = max(least, int(said[1])) if said[:1] == ["flushed"] else least
        time.sleep(chance.random() * 0.02)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        with VectorIndex.open(tmp_path) as index:
            done = int(index.position or 0)
            assert least <= done <= STEPS
            left = np.setdiff1d(faces.keys[: done * STEP], faces.keys[: done * STEP : 10])
            found = index.search(another_look(faces.features[0], 1), top=len(faces.keys)).keys
            # The writer erases some of a step's faces in a flush of its own, after the step's.
            assert np.array_equal(np.setdiff1d(found, faces.keys[max(0, done - 1) * STEP : done * STEP : 10]), left)
        least = max(least, done)
    out, problems = _writer(tmp_path).communicate(timeout=60)
    assert out.endswith("finished\n"), problems
    with VectorIndex.open(tmp_path) as index:
        assert index.faces == STEP * STEPS * 9 // 10
        assert {path.name for path in tmp_path.iterdir()} == index._state.manifest.names() | {"manifest", LOCK}


def _writer(folder: Path) -> "subprocess.Popen[str]":
    paths = [str(HERE), str(Path(storage.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, str(HERE / "index_writer.py"), str(folder), str(STEP), str(STEPS)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
