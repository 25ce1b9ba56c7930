"""Searching by the index is searching all, whatever became of index and archive meanwhile."""

import random
import shutil
import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from pipelines.archive_index import ArchiveIndex
from storage import Archive, Rules, Terms
from storage.index import VectorIndex
from streamproc.errors import UnknownRecord
from streamproc.query import SearchResult, search
from streamproc.types import CodedFace, CodedTrack, FaceCode, FloatArray, FrameTime

START = datetime(2026, 3, 1, tzinfo=UTC)
SIZE = 64


class Scale:
    def among(self, similarities: FloatArray, asked: float) -> Self:
        """Strangers are the same everywhere."""
        return self

    def expected(self, asked: float, track: FloatArray, shots: FloatArray) -> FloatArray:
        return np.full_like(track, 0.8)

    def probability(self, similarity: FloatArray, expected: FloatArray, people: int) -> FloatArray:
        return np.asarray(1 / (1 + np.exp(-20 * (similarity - 0.5))), np.float32)

    def threshold(self, people: int, false_alarms: float) -> float:
        return 0.5


@dataclass
class PlainCodec:
    """A base layer is its feature, as float32."""

    codec_id: str = "plain"
    calibration: Scale = Scale()  # noqa: RUF009
    decoded: int = 0

    def features(self, base: Sequence[bytes]) -> FloatArray:
        self.decoded += len(base)
        return np.frombuffer(b"".join(base), np.float32).reshape(len(base), SIZE)

    def drawn_features(self, count: int) -> FloatArray:
        return directions(np.random.default_rng(1), count)


def directions(chance: np.random.Generator, count: int) -> FloatArray:
    """(count, SIZE) of unit norm."""
    found = chance.standard_normal((count, SIZE)).astype(np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def near(chance: np.random.Generator, feature: FloatArray, count: int) -> FloatArray:
    """(count, SIZE) looks of one person."""
    found = feature + 0.08 * chance.standard_normal((count, SIZE)).astype(np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


class Street:
    """An archive of people who pass three cameras, a track a minute."""

    def __init__(self, path: Path, codec: PlainCodec) -> None:
        self.archive, self.codec, self.path = Archive.open(str(path), create=True), codec, path
        self.archive.register_codec(codec.codec_id, "default")
        self.chance = np.random.default_rng(7)
        self.people = directions(self.chance, 20)
        self.passed = 0
        self.sources = [
            self.archive.begin_source(camera, f"{camera}.mp4", camera, START, codec.codec_id).id
            for camera in ("door", "yard", "gate")
        ]

    def walk(self, count: int, again: bool = False) -> None:
        """So many tracks more, or, `again`, the last ones once more with other faces."""
        for ordinal in range(self.passed - count if again else self.passed, self.passed + (0 if again else count)):
            began = START + timedelta(minutes=ordinal)
            looks = near(self.chance, self.people[ordinal % len(self.people)], 3)
            faces = tuple(coded(look, began + timedelta(seconds=k), self.codec) for k, look in enumerate(looks))
            track = CodedTrack(ordinal, began, began + timedelta(seconds=2), 3, faces)
            self.archive.add_track(self.sources[ordinal % 3], track)
        self.passed += 0 if again else count

    def same(self, index: ArchiveIndex, person: int = 3) -> SearchResult:
        """The answer by the index, after it was held against the one of comparing all, with and without filters."""
        question = near(self.chance, self.people[person], 1)[0]
        every = None
        for cameras, since, until in (
            ((), None, None),
            (("yard", "door"), None, None),
            (("gate",), START + timedelta(minutes=5), START + timedelta(minutes=40)),
            ((), START + timedelta(minutes=7, seconds=1), None),
            ((), START - timedelta(days=2), START),
        ):
            filters = (cameras, since, until)
            by_all = search(self.archive, self.codec, question, *filters)
            by_index = search(self.archive, self.codec, question, *filters, index=index)
            assert [match.record for match in by_index.matches] == [match.record for match in by_all.matches]
            similar = [match.similarity for match in by_all.matches]
            assert [match.similarity for match in by_index.matches] == pytest.approx(similar, abs=1e-5)
            assert replace(by_index, milliseconds=0, matches=()) == replace(by_all, milliseconds=0, matches=())
            every = every or by_index
        assert every is not None
        return every


def coded(look: FloatArray, at: datetime, codec: PlainCodec) -> CodedFace:
    base = look.tobytes()
    time = FrameTime(0, 0, Fraction(1, 25), at)
    marks = ((1.0, 2.0),) * 5
    code = FaceCode(codec.codec_id, base, None)
    return CodedFace(time, (1.0, 2.0, 81.0, 92.0), marks, 0.9, 0.8, code, zlib.crc32(base))


@pytest.fixture
def street(tmp_path: Path) -> Street:
    return Street(tmp_path / "a.db", PlainCodec())


def test_the_index_follows_whatever_happens(street: Street) -> None:
    index = ArchiveIndex(street.archive, street.codec)
    chance = random.Random(3)
    assert street.same(index).searched == 0
    for step in range(25):
        street.walk(chance.randrange(1, 8))
        if chance.random() < 0.3:
            street.walk(chance.randrange(1, 4), again=True)
        if chance.random() < 0.2:
            list(street.archive.clear(Rules(Terms(faces=timedelta())), START + timedelta(minutes=street.passed // 4)))
        if chance.random() < 0.2:
            index.close()
        street.same(index, step % 20)
    assert street.same(index).verdict == "match"


def test_how_alike_all_are_is_told_with_and_without_the_index(street: Street) -> None:
    """The sample that says how alike strangers are is of the faces asked about, indexed already or not."""
    street.walk(30)
    index = ArchiveIndex(street.archive, street.codec)
    question = near(street.chance, street.people[3], 1)[0]
    for step in range(3):
        for filters in (((), None, None), (("yard",), START + timedelta(minutes=5), None)):
            layers = street.archive.base_layers(street.codec.codec_id, *filters)
            wanted = street.codec.features(layers.payloads) @ question
            sample = index.nearest(question, 1, *filters).sample
            np.testing.assert_allclose(np.sort(sample), np.sort(wanted), atol=2e-3)
        if step == 1:
            index.catch_up = lambda stay=False: False  # type: ignore[method-assign]
        street.walk(5)


def test_what_is_indexed_is_not_decoded_again(street: Street) -> None:
    street.walk(200)
    index = ArchiveIndex(street.archive, street.codec)
    assert index.catch_up()
    street.codec.decoded = 0
    question = street.people[0]
    assert search(street.archive, street.codec, question, top=1, index=index).verdict == "match"
    assert street.codec.decoded <= 64 * 3


@pytest.mark.parametrize("loss", ["gone", "flipped", "cut", "of another archive", "of the future"])
def test_an_index_that_is_of_no_use_is_made_anew(street: Street, loss: str, tmp_path: Path) -> None:
    street.walk(30)
    folder = ArchiveIndex(street.archive, street.codec).folder
    assert ArchiveIndex(street.archive, street.codec).catch_up()
    rows = next(folder.glob("*.rows"))
    if loss == "gone":
        shutil.rmtree(folder)
    elif loss == "flipped":
        data = bytearray(rows.read_bytes())
        data[len(data) // 2] ^= 1
        rows.write_bytes(data)
    elif loss == "cut":
        rows.write_bytes(rows.read_bytes()[:-1])
    elif loss == "of another archive":
        with closing(sqlite3.connect(street.path)) as connection, connection:
            connection.execute("UPDATE archives SET id = 'another'")
    else:
        with VectorIndex.open(folder, write=True) as index:
            index.flush(f"{street.archive.beginning().archive_id}:999999:999999")
    street.walk(2)
    assert street.same(ArchiveIndex(street.archive, street.codec)).searched == 32


def test_who_keeps_the_index_does_not_stand_in_anybodys_way(street: Street) -> None:
    street.walk(30)
    with ArchiveIndex(street.archive, street.codec) as keeper, ArchiveIndex(street.archive, street.codec) as asker:
        assert keeper.catch_up(stay=True)
        street.walk(5)
        street.walk(2, again=True)
        assert street.same(asker).searched == 35  # what the keeper does not have yet
        assert not asker.catch_up()
        assert keeper.catch_up(stay=True)
        assert street.same(asker).searched == 35
        shutil.rmtree(keeper.folder)
        assert keeper.catch_up(stay=True)
        assert street.same(asker).searched == 35


def test_an_index_that_cannot_be_kept_costs_time_alone(street: Street) -> None:
    street.walk(30)
    street.archive.index_folder.write_bytes(b"in the way")
    index = ArchiveIndex(street.archive, street.codec)
    assert not index.catch_up()
    assert street.same(index).searched == 30


def test_damaged_faces_and_those_of_other_codecs_are_counted(street: Street) -> None:
    street.walk(30)
    with closing(sqlite3.connect(street.path)) as connection, connection:
        connection.execute("UPDATE faces SET payload = x'00' WHERE key = 1")
    index = ArchiveIndex(street.archive, street.codec)
    other = PlainCodec("other")
    street.archive.register_codec("other", "default")
    base = street.people[0]
    source = street.archive.begin_source("door", "x.mp4", "x", START, "other").id
    street.archive.add_track(source, CodedTrack(0, START, START, 1, (coded(base, START, other),)))
    result = search(street.archive, street.codec, base, index=index)
    assert (result.other_codec, result.searched) == (1, 30)
    with pytest.raises(UnknownRecord, match="its cameras are"):
        search(street.archive, street.codec, base, ["nowhere"], index=index)
