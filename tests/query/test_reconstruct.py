"""Pictures are decoded when asked for, once, and only with the codec that wrote them."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from fake_codec import START, FakeCodec, coded, feature, ingest

from storage import Archive
from streamproc.errors import CorruptCode, UnknownRecord, WrongCodec
from streamproc.query import Reconstructor
from streamproc.types import CodedTrack, Image, Layer


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(str(tmp_path / "a.db"), create=True) as opened:
        yield opened


@pytest.fixture
def ids(archive: Archive) -> list[str]:
    (track,) = ingest(archive, "door", [[feature(1, k) for k in range(3)]])
    return [f"{track}-{k}" for k in range(3)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "pictures"


def expected(archive: Archive, face_id: str, layer: Layer) -> Image:
    code = archive.code(face_id)
    enhancement = None if layer is Layer.BASE or code.enhancement is None else [code.enhancement]
    (picture,) = FakeCodec().reconstruct([code.base], enhancement)
    return np.asarray(picture, np.uint8)


@pytest.mark.parametrize("layer", list(Layer))
def test_a_picture_is_decoded_once(archive: Archive, ids: list[str], cache: Path, layer: Layer) -> None:
    codec = FakeCodec()
    pictures = Reconstructor(archive, codec, cache)
    assert codec.decoded == [], "nothing before it is asked for"
    first = pictures.picture(ids[0], layer)
    assert first.shape == (256, 256, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, expected(archive, ids[0], layer))
    np.testing.assert_array_equal(pictures.picture(ids[0], layer), first)
    np.testing.assert_array_equal(Reconstructor(archive, codec, cache).picture(ids[0], layer), first)
    assert codec.decoded == [1]
    assert [file.suffix for file in cache.iterdir()] == [".png"]


def test_the_layers_are_pictures_of_their_own(archive: Archive, ids: list[str], cache: Path) -> None:
    pictures = Reconstructor(archive, FakeCodec(), cache)
    for _ in range(2):
        base, full = pictures.picture(ids[0], Layer.BASE), pictures.picture(ids[0], Layer.FULL)
        assert (base != full).any()


def test_many_are_decoded_together_in_the_order_asked(archive: Archive, cache: Path) -> None:
    tracks = ingest(archive, "door", [[feature(1, k)] for k in range(70)])
    asked = [f"{track}-0" for track in reversed(tracks)]
    codec = FakeCodec()
    pictures = Reconstructor(archive, codec, cache)
    pictures.picture(asked[5], Layer.FULL)
    found = pictures.pictures(asked, Layer.FULL)
    assert codec.decoded == [1, 32, 32, 5], "bounded batches of what is not kept"
    for face_id, picture in zip(asked, found, strict=True):
        np.testing.assert_array_equal(picture, expected(archive, face_id, Layer.FULL))
    assert pictures.pictures([], Layer.FULL) == []


def test_without_a_cache_nothing_is_kept(archive: Archive, ids: list[str], tmp_path: Path) -> None:
    codec = FakeCodec()
    pictures = Reconstructor(archive, codec)
    before = set(tmp_path.rglob("*"))
    for _ in range(2):
        pictures.picture(ids[0], Layer.BASE)
    assert codec.decoded == [1, 1]
    assert set(tmp_path.rglob("*")) == before


def test_a_face_archived_anew_is_decoded_anew(archive: Archive, ids: list[str], cache: Path) -> None:
    pictures = Reconstructor(archive, FakeCodec(), cache)
    before = pictures.picture(ids[0], Layer.FULL)
    again = CodedTrack(0, START, START, 1, (coded(feature(1), more=b"another quality"),))
    archive.add_track(ids[0].split("-")[0], again)
    after = pictures.picture(ids[0], Layer.FULL)
    assert (after != before).any()
    np.testing.assert_array_equal(after, expected(archive, ids[0], Layer.FULL))


def test_a_face_that_was_erased_is_not_shown_from_the_cache(
    archive: Archive, ids: list[str], cache: Path, tmp_path: Path
) -> None:
    pictures = Reconstructor(archive, FakeCodec(), cache)
    pictures.picture(ids[0], Layer.BASE)
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute("DELETE FROM enhancement_layers WHERE face_key = 1")
        connection.execute("DELETE FROM faces WHERE key = 1")
    with pytest.raises(UnknownRecord, match=f"no face '{ids[0]}'"):
        pictures.picture(ids[0], Layer.BASE)


@pytest.mark.parametrize("damage", [b"", b"no picture", "half"])
def test_a_damaged_kept_picture_is_decoded_again(
    archive: Archive, ids: list[str], cache: Path, damage: bytes | str
) -> None:
    codec = FakeCodec()
    pictures = Reconstructor(archive, codec, cache)
    picture = pictures.picture(ids[0], Layer.FULL)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage if isinstance(damage, bytes) else whole[: len(whole) // 2])
    np.testing.assert_array_equal(pictures.picture(ids[0], Layer.FULL), picture)
    assert codec.decoded == [1, 1]
    assert file.read_bytes() == whole, "and kept again"


def test_a_cache_that_cannot_be_written_costs_no_picture(
    archive: Archive,
    ids: list[str],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with caplog.at_level(logging.WARNING):
        picture = Reconstructor(archive, FakeCodec(), cache).picture(ids[0], Layer.BASE)
    np.testing.assert_array_equal(picture, expected(archive, ids[0], Layer.BASE))
    assert f"The picture of face '{ids[0]}' was not kept" in caplog.text
    assert list(cache.iterdir()) == [], "no half a picture is left"


def test_a_code_of_another_codec_is_refused_by_name(archive: Archive, ids: list[str], cache: Path) -> None:
    with pytest.raises(WrongCodec, match=f"Face '{ids[0]}' was coded by codec fake, and newer is loaded"):
        Reconstructor(archive, FakeCodec("newer"), cache).picture(ids[0], Layer.BASE)


def test_the_full_layer_of_a_face_that_holds_the_base_alone(archive: Archive, ids: list[str], cache: Path) -> None:
    archive.add_track(ids[0].split("-")[0], CodedTrack(9, START, START, 1, (coded(feature(1), more=None),)))
    lone = ids[0].replace("-0000-", "-0009-")
    pictures = Reconstructor(archive, FakeCodec(), cache)
    with pytest.raises(UnknownRecord, match=rf"Of face '{lone}' only the base layer is held: .*--layer base"):
        pictures.picture(lone, Layer.FULL)
    np.testing.assert_array_equal(pictures.picture(lone, Layer.BASE), expected(archive, lone, Layer.BASE))


def test_damaged_layers_are_refused_with_the_faces_name(
    archive: Archive, ids: list[str], cache: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute(
            "UPDATE enhancement_blobs SET payload = ? "
            "WHERE digest = (SELECT digest FROM enhancement_layers WHERE face_key = 2)",
            (b"bad",),
        )
        connection.execute("UPDATE faces SET payload = x'00' WHERE key = 3")
    pictures = Reconstructor(archive, FakeCodec(), cache)
    with pytest.raises(CorruptCode, match=f"Face '{ids[0]}' cannot be decoded: the enhancement layer is cut"):
        pictures.pictures(ids[:2], Layer.FULL)
    with pytest.raises(CorruptCode, match=f"'{ids[2]}' was damaged in the archive"):
        pictures.picture(ids[2], Layer.BASE)


def test_no_such_face(archive: Archive, ids: list[str], cache: Path) -> None:
    with pytest.raises(UnknownRecord, match="no face 'nobody'"):
        Reconstructor(archive, FakeCodec(), cache).pictures([ids[0], "nobody"], Layer.BASE)
