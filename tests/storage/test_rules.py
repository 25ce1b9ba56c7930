"""What goes by which rule, and what stays whatever the rules are; and that a dry run tells just that."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inside import change
from made_tracks import CODEC, START, begin, made_track

from storage import Archive, ArchiveRoom, ClearedStep, Exempt, Removed, Rules, Terms, retention
from storage.retention import FACE_ROOM, PICTURE_ROOM
from streamproc.errors import UnknownRecord
from streamproc.types import Layer

NOW = START + timedelta(days=30)
TRACK_BYTES, PICTURE_BYTES = 3 * 220, 3 * 200
OF_PICTURES, OF_BASES = PICTURE_BYTES + 3 * PICTURE_ROOM, 3 * 20 + 3 * FACE_ROOM
"""Room that a track's pictures take, and its base layers."""
MINUTE = timedelta(minutes=1)


@pytest.fixture
def archive(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Archive:
    monkeypatch.setattr(retention, "TRACKS_A_STEP", 4)
    return archive


def filled(archive: Archive, tracks: int, camera: str = "door") -> list[str]:
    """The ids of so many tracks, a minute apart from START on."""
    source = begin(archive, camera)
    archive.add_tracks(source, [made_track(ordinal, camera) for ordinal in range(tracks)])
    return [track.id for track in archive.tracks([camera])]


def room_is(archive: Archive, monkeypatch: pytest.MonkeyPatch, room: ArchiveRoom) -> None:
    monkeypatch.setattr(archive, "room", lambda: room)


def removed(archive: Archive, rules: Rules, exempt: Exempt | None = None, dry: bool = False) -> dict[str, Removed]:
    """What went of each camera, or would."""
    gone: dict[str, Removed] = {}
    stays = exempt or Exempt()
    for step in archive.clear(rules, NOW, lambda: stays, dry=dry):
        if step is not None:
            assert isinstance(step, ClearedStep)
            gone[step.camera] = gone.get(step.camera, Removed()) + step.removed
    return gone


def left(archive: Archive) -> dict[str, bool]:
    """The tracks that are there, and whether they have pictures."""
    return {track.id: Layer.FULL in archive.faces(track.face_ids)[0].layers for track in archive.tracks()}


def test_each_camera_has_its_own_terms(archive: Archive) -> None:
    for camera in ("door", "gate", "yard"):
        filled(archive, 10, camera)
    age = NOW - (START + 5 * MINUTE)  # of what began before the sixth minute
    rules = Rules(Terms(pictures=age), (("gate", Terms(faces=age)), ("yard", Terms())))
    told = removed(archive, rules, dry=True)
    assert told == removed(archive, rules)
    assert told == {
        "door": Removed(pictures=15, bytes=5 * PICTURE_BYTES),
        "gate": Removed(pictures=15, tracks=5, faces=15, bytes=5 * TRACK_BYTES),
    }


def test_too_large_an_archive_loses_its_oldest_pictures_first_and_then_its_oldest_tracks(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, gate = filled(archive, 20), filled(archive, 20, "gate")
    rules = Rules(bytes=1000)
    room_is(archive, monkeypatch, ArchiveRoom(1000, 10**6, 0))
    assert removed(archive, rules) == {}, "it is not too large"
    room_is(archive, monkeypatch, ArchiveRoom(980 + 10 * OF_PICTURES, 0, None))
    told = removed(archive, rules, dry=True)
    assert told == removed(archive, rules) == dict.fromkeys(("door", "gate"), Removed(pictures=15, bytes=3000))
    assert [name for name, shown in left(archive).items() if not shown] == sorted(
        door[:5] + gate[:5], key=lambda name: (name[-4:], name)
    )
    room_is(archive, monkeypatch, ArchiveRoom(980 + 30 * OF_PICTURES + 3 * OF_BASES, 0, None))
    told = removed(archive, rules, dry=True)
    assert told == removed(archive, rules)
    assert sum(told.values(), Removed()) == Removed(90, 3, 9, 30 * PICTURE_BYTES + 3 * 60)
    assert set(left(archive)) == {*door[2:], *gate[1:]}


def test_a_disk_that_is_low_is_made_room_on(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    door = filled(archive, 20)
    rules = Rules(free=100_000)
    room_is(archive, monkeypatch, ArchiveRoom(50_000, 10_000, 90_000))
    assert removed(archive, rules) == {}, "what the file can give back is enough"
    room_is(archive, monkeypatch, ArchiveRoom(50_000, 10_000, 92_000 - 5 * OF_PICTURES))
    assert removed(archive, rules, dry=True) == removed(archive, rules)
    assert [name for name, shown in left(archive).items() if not shown] == door[:5]
    room_is(archive, monkeypatch, ArchiveRoom(50_000, 0, None))
    assert removed(archive, rules) == {}, "a server looks after its own disk"
    room_is(archive, monkeypatch, ArchiveRoom(50_000, 0, 0))
    removed(archive, rules)
    assert left(archive) == {}, "it was not enough, and there is nothing else"


def test_a_camera_with_too_many_bytes_loses_its_own(archive: Archive) -> None:
    filled(archive, 10)
    gate = filled(archive, 10, "gate")
    rules = Rules(cameras=(("gate", Terms(bytes=5 * TRACK_BYTES)),))
    told = removed(archive, rules, dry=True)
    assert told == removed(archive, rules)
    assert set(told) == {"gate"}
    held = left(archive)
    assert sum(TRACK_BYTES if shown else 60 for name, shown in held.items()) == 10 * TRACK_BYTES + (
        10 * TRACK_BYTES - told["gate"].bytes
    )
    assert 10 * TRACK_BYTES - told["gate"].bytes <= 5 * TRACK_BYTES
    assert told["gate"] == Removed(pictures=18, bytes=6 * PICTURE_BYTES), "pictures were enough"
    tight = Rules(cameras=(("gate", Terms(bytes=130)),))
    told = removed(archive, tight, dry=True)
    assert told == removed(archive, tight)
    assert [name for name in left(archive) if name in gate] == gate[-2:]


ids = st.lists(st.integers(0, 11), max_size=5)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    held=ids,
    homes=st.lists(st.sampled_from(["p1", "p2", None]), min_size=12, max_size=12),
    said=st.dictionaries(st.integers(0, 11), st.booleans(), max_size=4),
    ages=st.tuples(st.integers(0, 14), st.integers(0, 14)),
    too_much=st.integers(0, 20_000),
)
def test_what_is_exempt_stays_and_a_dry_run_tells_what_goes(
    tmp_path_factory: pytest.TempPathFactory,
    held: list[int],
    homes: list[str | None],
    said: dict[int, bool],
    ages: tuple[int, int],
    too_much: int,
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(retention, "TRACKS_A_STEP", 3)
        with Archive.open(str(tmp_path_factory.mktemp("a") / "a.db"), create=True) as archive:
            names = [*filled(archive, 6), *filled(archive, 6, "gate")]
            archive.identities.assign(dict(zip(names, homes, strict=True)))
            if held:
                archive.holds.add([names[k] for k in held], "me", NOW)
            exempt = Exempt(frozenset({"p1"}), {names[k]: stays for k, stays in said.items()})
            pictures, faces = (NOW - (START + age * MINUTE) for age in ages)
            rules = Rules(Terms(pictures, faces), bytes=1000)
            room_is(archive, patched, ArchiveRoom(1000 + too_much, 0, None))
            before = left(archive)
            told = removed(archive, rules, exempt, dry=True)
            assert left(archive) == before, "a dry run changes nothing"
            assert told == removed(archive, rules, exempt)
            after = left(archive)
            stays = {name for k, name in enumerate(names) if k in held or said.get(k, homes[k] == "p1")}
            assert {name: after.get(name) for name in stays} == dict.fromkeys(stays, True)
            assert sum(one.tracks for one in told.values()) == 12 - len(after)
            assert sum(one.pictures for one in told.values()) == 3 * (12 - sum(after.values()))
            assert sum(one.bytes for one in told.values()) == 60 * (12 - len(after)) + 600 * (12 - sum(after.values()))


def test_where_the_room_is_not_known_nothing_goes_for_it(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's database stays as large after a clearance: it would go on until nothing is left."""
    filled(archive, 3)
    if archive.file is None:
        assert archive.room() == ArchiveRoom(None, 0, None)
    else:
        room_is(archive, monkeypatch, ArchiveRoom(None, 0, None))
    assert removed(archive, Rules(bytes=1, free=10**15)) == {}


def test_what_a_watch_saw_stays(archive: Archive) -> None:
    names = filled(archive, 3)
    watch = archive.watches.add_identity("thief", 1, NOW)
    archive.watches.sight([(watch.key, names[1], 0.9)], NOW)
    removed(archive, Rules(Terms(faces=timedelta())))
    assert list(left(archive)) == [names[1]]
    archive.watches.remove("thief")
    removed(archive, Rules(Terms(faces=timedelta())))
    assert left(archive) == {}


def test_who_is_named_while_it_runs_stays(archive: Archive) -> None:
    """It is looked at again in the transaction that removes."""
    names = filled(archive, 12)
    archive.identities.assign(dict.fromkeys(names, "p1"))
    said = [Exempt()]
    steps = archive.clear(Rules(Terms(faces=timedelta())), NOW, lambda: said[0])
    assert next(steps) is not None
    said[0] = Exempt(frozenset({"p1"}))
    archive.holds.add([names[4]], "me", NOW)
    assert list(steps) == []
    assert list(left(archive)) == names[4:]


def test_holds_are_listed_and_end(archive: Archive) -> None:
    names = filled(archive, 3)
    assert archive.holds.add(names[:2], "me", NOW, "case 17") == 2
    assert archive.holds.add(names, "you", NOW + MINUTE, "case 18") == 1
    assert [(one.track.id, one.by, one.reason) for one in archive.holds.all()] == [
        (names[0], "me", "case 17"),
        (names[1], "me", "case 17"),
        (names[2], "you", "case 18"),
    ]
    with pytest.raises(UnknownRecord, match="no track 'x'"):
        archive.holds.add([names[0], "x"], "me", NOW)
    assert archive.holds.remove(names[:2]) == 2
    assert archive.holds.remove(names) == 1
    assert archive.holds.all() == []


def test_a_hold_goes_with_its_track(archive: Archive) -> None:
    names = filled(archive, 1)
    archive.holds.add(names, "me", NOW)
    change(archive, "DELETE FROM tracks")
    assert archive.holds.all() == []


def test_every_layer_that_is_left_can_be_read(archive: Archive) -> None:
    filled(archive, 10)
    removed(archive, Rules(Terms(pictures=NOW - (START + 5 * MINUTE), faces=NOW - (START + 2 * MINUTE))))
    for track in archive.tracks():
        made = made_track(int(track.id[-4:]), "door")
        for face, code in zip(made.faces, [archive.code(name) for name in track.face_ids], strict=True):
            assert (code.codec_id, code.base) == (CODEC, face.code.base)
