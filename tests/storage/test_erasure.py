"""After an erasure no byte of the person is in any file of the archive, and whoever is killed meanwhile can go on."""

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from killing import killed_at_random
from made_processes import erase
from made_tracks import CODEC, START, begin, made_track
from test_opening import on_every_connection

from storage import Archive
from storage.byte_search import pieces, search
from storage.erasing import Erasure
from storage.verifying import unseen
from streamproc.errors import ArchiveError

WHO = (3, 4, 17)
"""The tracks of the person, among 40."""
SMALL = 4000
"""Bytes that are searched at a time, so that values lie across."""
LONG = 20_000
"""Bytes of an enhancement layer that takes several pages."""


def tracks_of(source: str, who: Sequence[int] = WHO) -> Erasure:
    return Erasure(tuple(f"{source}-{k:04d}" for k in who), (), (), (), {}, '{"kind": "erased"}', "me", 0)


def layers(who: Sequence[int] = WHO) -> list[bytes]:
    """The bytes of the person's base and enhancement layers."""
    codes = [face.code for k in who for face in made_track(k).faces]
    return [code.base for code in codes] + [code.enhancement or b"" for code in codes]


def held_in(folder: Path, values: Sequence[bytes]) -> list[str]:
    """The files below the folder that hold one of the values, or 16 bytes in a row of one, found by Python itself."""
    parts = [value[k : k + 16] for value in values for k in range(0, len(value) - 15, 4 if len(value) < 30 else 16)]
    found = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a server's own come and go
            data = path.read_bytes() if path.is_file() else b""
            found += [path.name] if any(part in data for part in parts) else []
    return found


def filled(archive: Archive) -> str:
    """The source that was filled with 40 tracks, one of them twice."""
    source = begin(archive)
    for k in range(40):
        archive.add_track(source, made_track(k))
    return source


def test_nothing_is_left_in_any_file(tmp_path: Path) -> None:
    with Archive.open(str(tmp_path / "a.db"), create=True) as archive:
        source = filled(archive)
        index = tmp_path / "a.db.index" / CODEC
        index.mkdir(parents=True)
        (index / "1.segment").write_bytes(layers()[0])
        assert held_in(tmp_path, layers()), "they are there to be erased"
        going = archive.erasing.going(tracks_of(source))
        assert (going.tracks, going.faces, going.pictures) == (3, 9, 9)
        report = archive.erasing.erase(tracks_of(source), START, unseen)
        assert held_in(tmp_path, layers()) == []
        assert report.proves
        assert (report.tracks, report.faces, report.pictures, report.index_removed) == (3, 9, 9, True)
        assert report.pieces >= len(layers())
        assert {"a.db", "a.db-wal"} <= {one.path.name for one in report.files}
        assert not index.exists()
        left = [made_track(k) for k in range(40) if k not in WHO]
        assert [archive.code(face) for track in archive.tracks() for face in track.face_ids] == [
            face.code for track in left for face in track.faces
        ]
        assert archive.erasing.complete(unseen) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db"]


def test_what_was_removed_without_overwriting_is_found_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with on_every_connection("PRAGMA secure_delete=OFF"):
        with Archive.open(str(path), create=True) as archive:
            source = filled(archive)
            archive.add_track(source, replace(made_track(WHO[0]), ordinal=40))
        with closing(sqlite3.connect(path)) as careless:
            careless.execute("PRAGMA secure_delete=OFF")
            careless.execute("PRAGMA foreign_keys=ON")
            careless.execute(f"DELETE FROM tracks WHERE ordinal = {WHO[0]}")
            careless.commit()
            careless.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert held_in(tmp_path, layers(WHO[:1])) == ["a.db"], "without overwriting the bytes stay: the search can fail"
    with Archive.open(str(path)) as archive:
        report = archive.erasing.erase(tracks_of(source, (40,)), START, unseen)
        assert report.rewritten
        assert held_in(tmp_path, layers(WHO[:1])) == []
        assert archive.info().tracks == 39


def test_an_enhancement_layer_of_many_pages_goes(tmp_path: Path) -> None:
    track = made_track(0)
    long = random.Random(1).randbytes(LONG)
    faces = tuple(replace(face, code=replace(face.code, enhancement=long[k:])) for k, face in enumerate(track.faces))
    with Archive.open(str(tmp_path / "a.db"), create=True) as archive:
        source = filled(archive)
        archive.add_track(source, replace(track, faces=faces))
        archive.erasing.erase(tracks_of(source, (0,)), START, unseen)
        assert held_in(tmp_path, [long]) == []


def test_whoever_reads_an_older_state_is_waited_for_and_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.sqlite.LOCK_SECONDS", 0.2)
    with Archive.open(str(tmp_path / "a.db"), create=True) as archive:
        source = filled(archive)
        with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM faces").fetchone()
            with pytest.raises(ArchiveError, match="end it, then do this again"):
                archive.erasing.erase(tracks_of(source), START, unseen)
            with pytest.raises(ArchiveError, match="complete that one first"):
                archive.erasing.erase(tracks_of(source, (9,)), START, unseen)
        assert held_in(tmp_path, layers()), "the log holds them, for whoever reads"
        report = archive.erasing.complete(unseen)
        assert report is not None
        assert (report.proves, report.tracks) == (True, 3)
        assert held_in(tmp_path, layers()) == []


def test_a_killed_erasure_has_not_begun_or_is_completed(tmp_path: Path) -> None:
    path, kept = tmp_path / "a.db", tmp_path / "kept"
    with Archive.open(str(path), create=True) as archive:
        source = filled(archive)
    kept.write_bytes(path.read_bytes())
    outcomes = set()

    for _ in killed_at_random(partial(erase, str(path), tracks_of(source)), 10, random.Random(7)):
        with Archive.open(str(path)) as archive:
            report = archive.erasing.complete(unseen)
            there = [track for track in archive.tracks() if int(track.id[-4:]) in WHO]
            assert len(there) in (0, len(WHO))
            outcomes.add((report is not None, len(there)))
            if there:
                report = archive.erasing.erase(tracks_of(source), START, unseen)
            assert held_in(tmp_path, layers()) == ["kept"]
            assert archive.info().tracks == 40 - len(WHO)
            assert all(archive.code(face) for track in archive.tracks() for face in track.face_ids)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db", "kept"]
        path.write_bytes(kept.read_bytes())
    assert outcomes >= {(False, 0), (False, len(WHO))}, "killed before, and not at all; mostly in the midst, too"


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_pieces_are_found_wherever_they_are(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    chance = random.Random(data.draw(st.integers(0, 1000)))
    value = chance.randbytes(data.draw(st.integers(4, 5000)))
    size = 3 * SMALL
    at = data.draw(st.one_of(st.integers(0, size), st.integers(SMALL - 50, SMALL + 50)))
    path = tmp_path_factory.mktemp("s") / "f"
    noise = np.random.default_rng(chance.randrange(100)).bytes(size)
    path.write_bytes(noise[:at] + value + noise[at:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storage.byte_search.CHUNK", SMALL)
        found = search([path], pieces(value), unseen)
    whole = path.read_bytes()
    for piece in pieces(value):
        places = [k for k in range(max(at - 30, 0), at + len(value)) if whole.startswith(piece, k)]
        assert places
        assert set(places) <= {one.offset for one in found if one.piece == piece}
    assert len(found) == sum(whole.count(piece) for piece in set(pieces(value))), "each once"


def test_some_piece_is_in_every_page_of_a_long_value() -> None:
    value = random.Random(2).randbytes(LONG)
    for start in range(0, LONG - 2100, 97):
        assert any(piece in value[start : start + 2100] for piece in pieces(value))
