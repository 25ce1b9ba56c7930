"""What does not agree in an archive is told, and mended without losing what can be kept."""

import random
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_tracks import CODEC, begin, made_track

from storage import Archive, examine
from storage.agreement import unflipped
from streamproc.types import SourceResult

TRACKS = 5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An archive of five tracks, three faces each."""
    with Archive.open(str(tmp_path / "a.db"), create=True) as archive:
        source = begin(archive)
        archive.add_tracks(source, [made_track(k) for k in range(TRACKS)])
        archive.finish_source(source, SourceResult("door", "door.mp4", tracks=TRACKS, archived=3 * TRACKS))
    return tmp_path / "a.db"


def hurt(path: Path, *statements: str) -> None:
    """The statements, without what watches over references."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA recursive_triggers=OFF")
        for statement in statements:
            connection.execute(statement)


def flipped(value: bytes, bit: int) -> bytes:
    return bytes(byte ^ (1 << bit % 8 if k == bit // 8 else 0) for k, byte in enumerate(value))


BLOB = "(SELECT digest FROM enhancement_blobs LIMIT 1)"
HURTS = {
    "faces without a track": ("DELETE FROM tracks WHERE ordinal = 1",),
    "enhancement layers without a face": ("DELETE FROM faces WHERE track_key = 1",),
    "whose bytes are missing": (f"DELETE FROM enhancement_blobs WHERE digest = {BLOB}",),
    "belong to no face": ("DROP TRIGGER enhancement_removed", "DELETE FROM enhancement_layers WHERE face_key < 3"),
    "are not what was written": (f"UPDATE enhancement_blobs SET payload = x'0102' WHERE digest = {BLOB}",),
    "do not match their checksums": ("UPDATE faces SET payload = x'0102030405' WHERE \"key\" = 2",),
    "one flipped bit": ('UPDATE faces SET checksum = checksum + 1 - 2 * (checksum & 1) WHERE "key" = 2',),
    "identities that there are not (p99)": ("UPDATE tracks SET identity_id = 'p99' WHERE ordinal = 2",),
    "in the list of removed ones": ("INSERT INTO removed_faces (face_key) VALUES (3)",),
    "hold more faces than their ingest counted": ("UPDATE sources SET archived = 1",),
    "0 names of its own": ("DELETE FROM archives",),
    "2 names of its own": ("INSERT INTO archives VALUES ('another')",),
    "sightings of watches that are gone": ("INSERT INTO sightings VALUES (1, 77, 1, 0, 0.5)",),
    "holds on tracks that are gone": ("INSERT INTO holds VALUES (77, 0, 'me', '')",),
    "base layers of newer weights": ("INSERT INTO recoded_layers VALUES (1, 1, 77, 0, x'01')",),
    "tracks of no source": ("UPDATE tracks SET source_key = 77 WHERE ordinal = 1",),
}

LOST = {
    "faces without a track": 3,
    "tracks of no source": 3,
    "enhancement layers without a face": 3,
    "do not match their checksums": 1,
}
"""Faces that cannot be kept."""


def test_a_sound_archive_agrees(path: Path) -> None:
    before = path.read_bytes()
    assert examine(str(path)) == []
    assert path.read_bytes() == before


@pytest.mark.parametrize("said", HURTS)
def test_each_problem_is_told_and_mended(path: Path, said: str) -> None:
    hurt(path, *HURTS[said])
    found = examine(str(path))
    assert found is not None
    assert [said in one.said and not one.mended for one in found].count(True) == 1, found
    assert "--mend" in found[0].said
    assert examine(str(path)) == found, "looking changes nothing"
    mended = examine(str(path), mend=True)
    assert mended
    assert all(one.mended for one in mended)
    assert examine(str(path)) == []
    with Archive.open(str(path)) as archive:
        for track in archive.tracks():
            made = made_track(int(track.id[-4:]))
            kept = {face.code.base: face.code for face in made.faces}
            for code in map(archive.code, track.face_ids):
                assert code.base in kept
                assert code.enhancement in (None, kept[code.base].enhancement)
        assert archive.info().faces == 3 * TRACKS - LOST.get(said, 0)
        archive.face_changes(CODEC, archive.beginning(), 100)


def test_a_flipped_bit_is_turned_back(path: Path) -> None:
    base = made_track(0).faces[0].code.base
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE faces SET payload = ? WHERE payload = ?", (flipped(base, 77), base))
    found = examine(str(path))
    assert found is not None
    assert "one flipped bit" in found[0].said
    examine(str(path), mend=True)
    with Archive.open(str(path)) as archive:
        assert archive.code(archive.tracks()[0].face_ids[0]).base == base


@given(st.binary(min_size=1, max_size=48), st.data())
def test_every_single_flipped_bit_is_found(payload: bytes, data: st.DataObject) -> None:
    checksum, bit = zlib.crc32(payload), data.draw(st.integers(0, 8 * len(payload) + 31))
    if bit < 8 * len(payload):
        assert unflipped(flipped(payload, bit), checksum) == (payload, checksum)
    else:
        assert unflipped(payload, checksum ^ (1 << bit - 8 * len(payload))) == (payload, checksum)


@given(st.binary(min_size=12, max_size=48), st.integers(0, 2**32))
def test_two_flipped_bits_are_no_single_one(payload: bytes, seed: int) -> None:
    one, other = random.Random(seed).sample(range(8 * len(payload)), 2)
    assert unflipped(flipped(flipped(payload, one), other), zlib.crc32(payload)) is None


def test_an_archive_without_a_log_gets_one(path: Path) -> None:
    hurt(path, "PRAGMA journal_mode=DELETE")
    found = examine(str(path))
    assert found is not None
    assert "no write-ahead log" in found[0].said
    examine(str(path), mend=True)
    assert examine(str(path)) == []


def test_what_the_killed_left_is_told(path: Path) -> None:
    (path.parent / ".b.db.999999999.unfinished").write_bytes(b"half")
    (path.parent / "a.db.former").write_bytes(b"whole")
    (path.parent / "a.db.erasing").write_text("{}")
    found = examine(str(path))
    assert found is not None
    assert [one.mended for one in found] == [False, False, False]
    mended = examine(str(path), mend=True)
    assert mended is not None
    assert [one.mended for one in mended] == [True, False, False], "what may be needed stays"
    assert not (path.parent / ".b.db.999999999.unfinished").exists()
    assert (path.parent / "a.db.former").exists()
