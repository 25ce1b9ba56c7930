"""Any tracks, in any order, however often: what comes back is what went in."""

import random
import zlib
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_postgres import Fresh

from storage import Archive
from storage.schema import UtcTime
from streamproc.types import CodedFace, CodedTrack, FaceCode, FrameTime, Layer, SourceResult

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
moments = st.datetimes(
    min_value=datetime(1, 1, 3),
    max_value=datetime(9999, 12, 29),
    timezones=st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours))),
)
pixels = st.floats(-8000, 8000, width=32)
times = st.builds(
    FrameTime,
    epoch=st.integers(0, 1000),
    pts=st.integers(-(2**62), 2**62),
    time_base=st.builds(Fraction, st.integers(1, 10_000), st.integers(1, 1_000_000)),
    captured_at=moments,
)


@st.composite
def coded_faces(draw: st.DrawFn) -> CodedFace:
    base = draw(st.binary(max_size=48))
    return CodedFace(
        time=draw(times),
        box=draw(st.tuples(pixels, pixels, pixels, pixels)),
        landmarks=tuple(draw(st.lists(st.tuples(pixels, pixels), min_size=5, max_size=5))),
        confidence=draw(st.floats(0, 1)),
        quality=draw(st.floats(0, 1)),
        code=FaceCode("codec", base, draw(st.none() | st.binary(max_size=300))),
        checksum=zlib.crc32(base),
    )


@st.composite
def coded_tracks(draw: st.DrawFn) -> list[CodedTrack]:
    ordinals = draw(st.lists(st.integers(0, 99_999), unique=True, max_size=5))
    shots = st.lists(coded_faces(), max_size=4)
    return [
        CodedTrack(ordinal, draw(moments), draw(moments), draw(st.integers(0, 10**6)), tuple(draw(shots)))
        for ordinal in ordinals
    ]


@given(camera=names, source=names, tracks=coded_tracks(), again=st.randoms())
@settings(max_examples=25, deadline=None)
def test_tracks_round_trip(
    fresh: Fresh, camera: str, source: str, tracks: list[CodedTrack], again: random.Random
) -> None:
    with fresh() as url, Archive.open(url, create=True) as archive:
        archive.register_codec("codec", "default")
        for _ in range(2):
            source_id = archive.begin_source(camera, source, "hash", datetime(2024, 1, 1, tzinfo=UTC), "codec").id
            again.shuffle(tracks)
            for track in tracks:
                archive.add_track(source_id, track)
        archive.finish_source(source_id, SourceResult(camera, source, tracks=len(tracks)))
        records = {record.id: record for record in archive.tracks()}
        assert len(records) == len(tracks)
        for track in tracks:
            record = records[f"{source_id}-{track.ordinal:04d}"]
            assert (record.camera, record.source, record.detections) == (camera, source, track.detections)
            assert (record.started_at, record.ended_at) == (track.started_at, track.ended_at)
            for face, found in zip(track.faces, archive.faces(record.face_ids), strict=True):
                assert found.time == face.time.captured_at
                assert found.box == pytest.approx(face.box, abs=1 / 8)
                assert found.quality == pytest.approx(face.quality, abs=1 / 510 + 1e-9)
                assert (Layer.FULL in found.layers) == (face.code.enhancement is not None)
                assert archive.code(found.id) == face.code
        layers = archive.base_layers("codec")
        expected = sorted(face.code.base for track in tracks for face in track.faces)
        assert sorted(layers.payloads) == expected
        assert [zlib.crc32(payload) for payload in layers.payloads] == list(layers.checksums)


@given(moments, moments)
def test_stored_times_are_exact_and_keep_their_order(one: datetime, other: datetime) -> None:
    kind, dialect = UtcTime(), Mock()
    first, second = kind.process_bind_param(one, dialect), kind.process_bind_param(other, dialect)
    assert first is not None
    assert second is not None
    assert kind.process_result_value(first, dialect) == one
    assert (first < second) == (one < other)
