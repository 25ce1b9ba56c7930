"""What is written to an archive is what is read from it, once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from inside import change
from made_tracks import CODEC, FACES_A_TRACK, START, begin, made_face, made_track

from storage import Archive
from streamproc.errors import CorruptCode, UnknownRecord
from streamproc.types import Clock, CodedTrack, Layer, SourceResult


def held(archive: Archive) -> set[tuple[str, bytes]]:
    layers = archive.base_layers(CODEC)
    return set(zip(layers.face_ids, layers.payloads, strict=True))


def test_a_track_comes_back_as_it_was_written(archive: Archive) -> None:
    source_id = begin(archive)
    track = made_track(3)
    archive.add_track(source_id, track)
    (record,) = archive.tracks()
    assert (record.camera, record.source, record.source_id) == ("door", "/videos/door.mp4", source_id)
    assert (record.started_at, record.ended_at, record.detections) == (track.started_at, track.ended_at, 43)
    assert record.id == f"{source_id}-0003"
    assert record.face_ids == tuple(f"{source_id}-0003-{k}" for k in range(3))
    for face, face_record in zip(track.faces, archive.faces(record.face_ids), strict=True):
        assert face_record.time == face.time.captured_at
        assert (face_record.box, face_record.quality) == (face.box, face.quality)
        assert (face_record.camera_id, face_record.source) == ("door", "/videos/door.mp4")
        assert (face_record.track_id, face_record.identity_id) == (record.id, None)
        assert face_record.layers == {Layer.BASE, Layer.FULL}
        assert archive.code(face_record.id) == face.code


def test_faces_come_in_the_order_asked_even_twice_and_by_the_thousand(archive: Archive) -> None:
    source_id = begin(archive)
    for ordinal in range(4):
        archive.add_track(source_id, made_track(ordinal))
    asked = [f"{source_id}-{ordinal:04d}-{k}" for ordinal in (2, 0, 3, 0) for k in (2, 0)] * 200
    assert [record.id for record in archive.faces(asked)] == asked
    assert archive.faces([]) == []


def test_a_face_without_an_enhancement_holds_the_base_alone(archive: Archive) -> None:
    source_id = begin(archive)
    archive.add_track(source_id, made_track(0, enhanced=False))
    assert archive.faces([f"{source_id}-0000-0"])[0].layers == {Layer.BASE}
    assert archive.code(f"{source_id}-0000-0").enhancement is None
    assert archive.info().bytes.enhancement == 0


def test_an_enhancement_can_be_dropped_and_the_base_still_serves(archive: Archive) -> None:
    source_id = begin(archive)
    archive.add_track(source_id, made_track(0))
    before = archive.base_layers(CODEC)
    change(archive, "DELETE FROM enhancement_layers")
    assert archive.base_layers(CODEC) == before
    assert archive.code(f"{source_id}-0000-1").base == made_track(0).faces[1].code.base
    assert archive.faces([f"{source_id}-0000-1"])[0].layers == {Layer.BASE}


def test_the_same_content_ingested_twice_adds_nothing(archive: Archive) -> None:
    source_id = begin(archive)
    archive.add_track(source_id, made_track(0))
    result = SourceResult("door", "/videos/door.mp4", 100, 1, 40, 1, FACES_A_TRACK, 2.5, error="it ended early")
    archive.finish_source(source_id, result)
    before = archive.info()
    again = archive.begin_source("door", "/copies/other name.mp4", "hash", START + timedelta(days=1), CODEC)
    assert (again.id, again.complete, again.result) == (source_id, True, result)
    assert replace(archive.info(), bytes=before.bytes) == before


def test_another_camera_or_content_is_another_source(archive: Archive) -> None:
    ids = {begin(archive), begin(archive, camera="yard"), begin(archive, content="other")}
    assert len(ids) == 3


def test_a_live_source_is_named_by_its_address_and_start(archive: Archive) -> None:
    archive.register_codec(CODEC, "default")
    url = "rtsp://host/stream"
    first = archive.begin_source("door", url, None, START, CODEC).id
    elsewhere = START.astimezone(timezone(timedelta(hours=5)))
    assert archive.begin_source("door", url, None, elsewhere, CODEC).id == first
    assert archive.begin_source("door", url, None, START + timedelta(seconds=1), CODEC).id != first


def test_what_told_the_times_is_said_of_each_face(archive: Archive) -> None:
    archive.register_codec(CODEC, "default")
    for number, clock in enumerate((None, *Clock)):
        source = archive.begin_source("door", "x.mp4", f"hash {number}", START, CODEC, clock).id
        archive.add_track(source, made_track(0))
        archive.finish_source(source, SourceResult("door", "x.mp4"))
        [face_id, *_] = next(track.face_ids for track in archive.tracks() if track.source_id == source)
        assert archive.faces([face_id])[0].clock is clock
        result = archive.completed_source("door", f"hash {number}", CODEC)
        assert result is not None
        assert result.clock is clock


def test_a_session_whose_sender_tells_its_clock_later(archive: Archive) -> None:
    archive.register_codec(CODEC, "default")
    first = archive.resume_session("door", "rtsp://host/live", START, CODEC, clock=Clock.ARRIVAL)
    archive.add_track(first.id, made_track(0))
    again = archive.resume_session("door", "rtsp://host/live", START, CODEC, clock=Clock.SENDER)
    assert again.id == first.id
    [track] = archive.tracks()
    assert archive.faces(track.face_ids)[0].clock is Clock.SENDER


def test_an_ingest_begun_again_replaces_the_first_and_loses_nothing_meanwhile(archive: Archive) -> None:
    source_id = begin(archive)
    for ordinal in range(5):
        archive.add_track(source_id, made_track(ordinal))
    assert begin(archive) == source_id
    archive.add_track(source_id, made_track(0))
    archive.add_track(source_id, made_track(1, salt="the tracker saw it otherwise"))
    assert len(archive.tracks()) == 5, "what was archived stays until the second ingest is through"
    archive.finish_source(source_id, SourceResult("door", "/videos/door.mp4", tracks=2))
    assert [track.id for track in archive.tracks()] == [f"{source_id}-0000", f"{source_id}-0001"]
    expected = [*made_track(0).faces, *made_track(1, salt="the tracker saw it otherwise").faces]
    assert {payload for _, payload in held(archive)} == {face.code.base for face in expected}
    assert archive.info().bytes.base == sum(len(face.code.base) for face in expected), "no layer is left over"


def test_a_track_written_twice_is_there_once_and_whoever_was_recognised_stays(archive: Archive) -> None:
    source_id = begin(archive)
    archive.add_track(source_id, made_track(0))
    change(archive, "UPDATE tracks SET identity_id = 'someone'")
    shorter = made_track(0)
    archive.add_track(source_id, CodedTrack(0, shorter.started_at, shorter.ended_at, 7, shorter.faces[:1]))
    (record,) = archive.tracks()
    assert (record.detections, record.identity_id, len(record.face_ids)) == (7, "someone", 1)
    assert archive.info().identities == 1
    assert archive.info().faces == 1


def test_a_complete_source_asked_for_in_another_codec_is_ingested_anew(archive: Archive) -> None:
    source_id = begin(archive)
    archive.add_track(source_id, made_track(0))
    archive.finish_source(source_id, SourceResult("door", "x"))
    archive.register_codec("newer", "default")
    entry = archive.begin_source("door", "/videos/door.mp4", "hash", START, "newer")
    assert (entry.id, entry.complete) == (source_id, False)
    assert archive.base_layers("newer").other_codec == FACES_A_TRACK
    archive.add_track(source_id, made_track(0, codec_id="newer"))
    archive.finish_source(source_id, SourceResult("door", "x"))
    assert len(archive.base_layers("newer").face_ids) == FACES_A_TRACK
    assert archive.base_layers("newer").other_codec == 0
    assert archive.begin_source("door", "/videos/door.mp4", "hash", START, "newer").complete


def test_base_layers_are_chosen_by_codec_camera_and_time(archive: Archive) -> None:
    for camera in ("door", "yard"):
        source_id = begin(archive, camera=camera)
        for ordinal in range(3):
            archive.add_track(source_id, made_track(ordinal, salt=camera))
    archive.add_track(begin(archive, codec_id="other", content="another"), made_track(9, codec_id="other"))
    assert len(archive.base_layers(CODEC).face_ids) == 18
    assert archive.base_layers(CODEC).other_codec == 3
    assert archive.base_layers("never registered").other_codec == 21
    yard = archive.base_layers(CODEC, ["yard"])
    assert {record.camera_id for record in archive.faces(yard.face_ids)} == {"yard"}
    assert (len(yard.face_ids), yard.other_codec) == (9, 0)
    assert len(archive.base_layers(CODEC, ["yard", "door"]).face_ids) == 18
    since, until = START + timedelta(minutes=1), START + timedelta(minutes=1, seconds=20)
    span = archive.base_layers(CODEC, ["door"], since, until)
    times = [record.time for record in archive.faces(span.face_ids)]
    assert times == [since, since + timedelta(seconds=10)], "from `since` on, and before `until`"
    assert archive.base_layers("other", since=START + timedelta(days=1)).other_codec == 0
    assert span.track_ids == tuple(record.track_id for record in archive.faces(span.face_ids))


def test_tracks_are_those_that_touch_the_span(archive: Archive) -> None:
    source_id = begin(archive)
    for ordinal in range(3):
        archive.add_track(source_id, made_track(ordinal))
    within = START + timedelta(minutes=1, seconds=5)
    (record,) = archive.tracks(["door"], since=within, until=within + timedelta(seconds=1))
    assert record.id == f"{source_id}-0001"
    assert archive.tracks(until=START) == []


def test_info_counts_what_is_there(archive: Archive) -> None:
    empty = archive.info()
    assert (empty.faces, empty.tracks, empty.identities, empty.cameras, empty.gaps) == (0, 0, 0, (), ())
    begin(archive, camera="attic")
    for ordinal in range(2):
        archive.add_track(begin(archive), made_track(ordinal))
    info = archive.info()
    assert (info.faces, info.tracks, info.identities) == (6, 2, 0)
    attic, door = info.cameras
    assert (attic.name, attic.faces, attic.tracks, attic.first, attic.last) == ("attic", 0, 0, None, None)
    assert (door.name, door.faces, door.tracks) == ("door", 6, 2)
    assert (door.first, door.last) == (START, START + timedelta(minutes=1, seconds=20))
    assert (info.bytes.base, info.bytes.enhancement) == (6 * 20, 6 * 200)
    assert info.bytes.file >= (archive.file.stat().st_size if archive.file else 1)
    assert 0 < info.bytes.index < info.bytes.file


def test_a_base_layer_damaged_in_the_archive_is_refused_by_name(archive: Archive) -> None:
    source_id = begin(archive)
    archive.add_track(source_id, made_track(0))
    change(archive, "UPDATE faces SET payload = :bytes WHERE key = 2", bytes=b"other bytes")
    assert archive.code(f"{source_id}-0000-0") == made_track(0).faces[0].code
    with pytest.raises(CorruptCode, match=f"'{source_id}-0000-1' was damaged in the archive"):
        archive.code(f"{source_id}-0000-1")


def test_a_base_layer_damaged_on_the_way_is_not_written(archive: Archive) -> None:
    source_id = begin(archive)
    good, bad = made_track(0).faces[0], replace(made_track(0).faces[1], checksum=1)
    with pytest.raises(CorruptCode, match=f"'{source_id}-0000-1' was damaged before"):
        archive.add_track(source_id, CodedTrack(0, START, START, 1, (good, bad)))
    assert archive.tracks() == [], "all of a track or nothing"


def test_what_is_not_there_is_named(archive: Archive) -> None:
    with pytest.raises(UnknownRecord, match="no camera 'yard': its cameras are none yet"):
        archive.base_layers(CODEC, ["yard"])
    with pytest.raises(UnknownRecord, match="no codec 'c0dec"):
        archive.begin_source("door", "x.mp4", "hash", START, CODEC)
    assert archive.info().cameras == ()
    source_id = begin(archive)
    with pytest.raises(UnknownRecord, match="no camera 'yard': its cameras are door"):
        archive.base_layers(CODEC, ["door", "yard"])
    with pytest.raises(UnknownRecord, match="no camera 'yard'"):
        archive.tracks(["yard"])
    with pytest.raises(UnknownRecord, match="no source 'nowhere'"):
        archive.add_track("nowhere", made_track(0))
    with pytest.raises(UnknownRecord, match="no source 'nowhere'"):
        archive.finish_source("nowhere", SourceResult("door", "x"))
    with pytest.raises(UnknownRecord, match="no codec 'foreign'"):
        archive.add_track(source_id, made_track(0, codec_id="foreign"))
    with pytest.raises(UnknownRecord, match="no face 'x'"):
        archive.code("x")
    archive.add_track(source_id, made_track(0))
    with pytest.raises(UnknownRecord, match="no face 'x'"):
        archive.faces([f"{source_id}-0000-0", "x"])


def test_a_time_without_a_zone_is_refused(archive: Archive) -> None:
    with pytest.raises(ValueError, match=r"2024-05-01T12:00:00 has no time zone"):
        archive.base_layers(CODEC, since=datetime(2024, 5, 1, 12))
    source_id = begin(archive)
    naive = made_face("x", datetime(2024, 5, 1, 12))
    with pytest.raises(ValueError, match="has no time zone"):
        archive.add_track(source_id, CodedTrack(0, START, START, 1, (naive,)))
    assert archive.tracks() == []


def test_times_before_1970_and_in_other_zones_come_back_as_the_same_moment(archive: Archive) -> None:
    source_id = begin(archive)
    moment = datetime(1955, 11, 5, 6, 15, 0, 123457, tzinfo=timezone(timedelta(hours=-8)))
    archive.add_track(source_id, CodedTrack(0, moment, moment, 1, (made_face("x", moment),)))
    (record,) = archive.faces([f"{source_id}-0000-0"])
    assert record.time == moment
    assert record.time.tzinfo is UTC
