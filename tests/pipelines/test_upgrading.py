"""Newer weights: faces are coded anew beside what they are, both generations answer, and nothing is lost on the way."""

import json
import random
import time
import zlib
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from fake_generations import DAMAGED, NEW, NEWER, OLD, OLDER, Painter, recode_all, walk
from fake_people import NOON, looks
from inside import rows
from started import Started
from typer.testing import CliRunner

from pipelines.archive_index import ArchiveIndex
from pipelines.asking import Asker
from pipelines.cli.app import app
from pipelines.identities.desk import Desk
from pipelines.identities.keeper import Keeper
from pipelines.upgrading.loss import measure_loss
from pipelines.upgrading.recoding import Recoded, recode
from pipelines.upgrading.settings_file import set_profile
from storage import Archive, Rules, Terms
from streamproc.codec.face_codec import FaceCodec
from streamproc.config import load
from streamproc.errors import ArchiveError, ConfigError, UnknownRecord
from streamproc.query import Reconstructor, SearchResult
from streamproc.query.generations import Generation, search_generations
from streamproc.types import CodedFace, CodedTrack, Detection, FaceCode, FaceCrop, FrameTime, Layer

TRACKS = Rules(Terms(faces=timedelta()))
"""Tracks that are over go."""
PICTURES = Rules(Terms(pictures=timedelta()))
"""Pictures that are over go."""


def begin(archive: Archive) -> None:
    archive.recodings.begin(NEW, "newer", "newer.safetensors", "default", NOON)


def upgrade(archive: Archive) -> Recoded:
    begin(archive)
    return recode(archive, lambda codec_id: {OLD: OLDER}[codec_id], NEWER)


def ask(archive: Archive, person: int, current: Painter = NEWER, top: int = 10) -> SearchResult:
    """The answer of the current weights and of all others, by their indexes."""
    codecs = {OLD: OLDER, NEW: NEWER}

    def generation(codec: Painter, tracks: int = 0, alone: int = 0) -> Generation:
        return Generation(codec, codec.raw(looks(person)), tracks, alone, ArchiveIndex(archive, codec))

    older = [
        generation(codecs[one.codec_id], one.tracks, one.alone)
        for one in archive.recodings.generations(current.codec_id, (), None, None)
    ]
    known = archive.recodings.known
    return search_generations(archive, generation(current), older, lambda ids: known(current.codec_id, ids), top=top)


def found(result: SearchResult) -> list[str]:
    return [match.record.track_id for match in result.matches if match.similarity > 0.5]


def test_faces_are_coded_anew_beside_what_they_are(archive: Archive) -> None:
    tracks = walk(archive, range(20))
    before = (archive.tracks(), archive.base_layers(OLD), archive.info().faces)
    codes = [archive.code(face) for track in archive.tracks() for face in track.face_ids]
    assert upgrade(archive) == Recoded(40, 0)
    assert upgrade(archive) == Recoded(0, 0)
    assert (archive.tracks(), archive.base_layers(OLD), archive.info().faces) == before
    assert [archive.code(face) for track in archive.tracks() for face in track.face_ids] == codes
    anew = archive.base_layers(NEW)
    assert anew.other_codec == 0
    assert sorted(anew.face_ids) == sorted(before[1].face_ids)
    assert [zlib.crc32(data) for data in anew.payloads] == list(anew.checksums)
    assert archive.recodings.progress(NEW).coded == 40
    for current in (OLDER, NEWER):
        assert [found(ask(archive, person, current)) for person in range(0, 20, 5)] == [[one] for one in tracks[::5]]


def test_both_generations_answer_and_a_track_counts_once(archive: Archive) -> None:
    tracks = walk(archive, [k % 5 for k in range(50)])
    begin(archive)
    todo = archive.recodings.to_do(NEW, 0, 100)
    for part in range(0, 100, 10):
        layers = [(face.key, NEWER.raw(OLDER.features([face.base])[0]).tobytes()) for face in todo[part : part + 10]]
        archive.recodings.add(NEW, layers)
        for current in (OLDER, NEWER):
            answer = ask(archive, 3, current, top=50)
            assert sorted(found(answer)) == tracks[3::5]
            assert (answer.searched, answer.verdict) == (50, "match")
            assert len({match.record.track_id for match in answer.matches}) == len(answer.matches) == 50
    late = walk(archive, [3], NEWER, camera="yard")
    for current in (OLDER, NEWER):
        assert sorted(found(ask(archive, 3, current, top=50))) == sorted([*tracks[3::5], *late])
    assert ask(archive, 40).verdict == "no match"


def test_who_is_known_to_older_weights_alone_comes_first_where_they_are_likeliest(archive: Archive) -> None:
    walk(archive, range(30))
    upgrade(archive)
    (alone,) = walk(archive, [31], pictures=[None], camera="yard")
    answer = ask(archive, 31, top=3)
    assert answer.matches[0].record.track_id == alone
    assert (answer.verdict, answer.searched, answer.other_codec) == ("match", 31, 1)


def test_faces_without_a_picture_and_damaged_ones_stay_with_the_older_weights(archive: Archive) -> None:
    walk(archive, [0], pictures=[None, b"finer"], camera="one")
    walk(archive, [1], pictures=[DAMAGED, b"finer"], camera="two")
    walk(archive, [2], pictures=[DAMAGED], camera="three")
    walk(archive, [3], pictures=[None], camera="four")
    assert upgrade(archive) == Recoded(2, 2)
    progress = archive.recodings.progress(NEW)
    assert (progress.coded, progress.waiting, progress.bare) == (2, 2, 2)
    assert all(len(found(ask(archive, person))) == 1 for person in range(4))
    assert archive.base_layers(NEW).other_codec == 4


def test_names_and_merges_stay(archive: Archive) -> None:
    walk(archive, [0, 1, 2, 0])
    Keeper(archive, OLDER)
    desk = Desk(archive, "me")
    people = {one.identity_id: one.tracks for one in desk.people()}
    assert sorted(people.values()) == [1, 1, 2]
    first, *rest = [desk.find(name) for name in people]
    desk.name(first, "Anna")
    desk.merge(first, rest[:1])
    before = desk.people()
    upgrade(archive)
    assert Keeper(archive, NEWER).gathered == 0
    assert Desk(archive, "me").people() == before
    walk(archive, [0], NEWER, camera="yard", first=30)
    assert Keeper(archive, NEWER).gathered == 1
    assert sum(one.tracks for one in desk.people()) == 5
    assert len(desk.people()) == len(before)


def test_rolled_back_it_is_as_it_was(archive: Archive) -> None:
    walk(archive, range(10))
    index, before = ArchiveIndex(archive, NEWER), archive.base_layers(OLD)
    with pytest.raises(UnknownRecord):
        archive.recodings.take_back(NEW)
    for _ in range(2):  # an index that is not thrown away notices, too
        upgrade(archive)
        assert index.catch_up()
        assert len(found(ask(archive, 4))) == 1
        assert sum(archive.recodings.take_back(NEW)) == 20
        assert (archive.base_layers(OLD), archive.recodings.all()) == (before, [])
        assert not archive.base_layers(NEW).face_ids
        assert ask(archive, 4, NEWER).searched == 10
    with pytest.raises(ArchiveError, match="rolled back"):
        archive.recodings.add(NEW, [(1, b"late")])


def test_a_rollback_that_was_killed_leaves_nothing_that_counts(archive: Archive) -> None:
    walk(archive, range(10))
    upgrade(archive)
    archive.recodings.take_back(NEW)  # and not one step of clearing up
    assert not archive.base_layers(NEW).face_ids
    assert upgrade(archive) == Recoded(20, 0)
    assert len(archive.base_layers(NEW).face_ids) == 20
    sum(archive.recodings.finish(NEW))
    assert rows(archive, "recoded_layers") == [20]


def test_finished_faces_without_pictures_have_their_newer_layer_alone(archive: Archive) -> None:
    tracks = walk(archive, range(20))
    upgrade(archive)
    keep = NOON + timedelta(minutes=12)
    before = [ask(archive, person) for person in range(0, 20, 5)]
    list(archive.clear(Rules(Terms(pictures=timedelta())), keep))
    faces = archive.faces([face for track in archive.tracks() for face in track.face_ids])
    assert sum(archive.recodings.finish(NEW)) == 24
    assert archive.faces([face for track in archive.tracks() for face in track.face_ids]) == faces
    codes = [archive.code(face.id) for face in faces]
    assert {code.codec_id for code in codes[:24]} == {NEW}
    assert {(code.codec_id, code.enhancement) for code in codes[24:]} == {(OLD, b"finer")}
    assert len(archive.base_layers(OLD).face_ids) == 16
    assert len(archive.base_layers(NEW).face_ids) == 40
    assert [found(ask(archive, person)) for person in range(0, 20, 5)] == [found(one) for one in before]
    assert [found(one) for one in before] == [[one] for one in tracks[::5]]
    with pytest.raises(ArchiveError, match="is finished"):
        archive.recodings.take_back(NEW)
    list(archive.clear(Rules(Terms(pictures=timedelta())), NOON + timedelta(days=1)))  # the last pictures go later
    assert sum(archive.recodings.finish(NEW)) == 16
    assert not archive.base_layers(OLD).face_ids
    assert [found(ask(archive, person)) for person in range(0, 20, 5)] == [[one] for one in tracks[::5]]


def test_one_upgrade_at_a_time(archive: Archive) -> None:
    walk(archive, range(2))
    begin(archive)
    begin(archive)
    with pytest.raises(ArchiveError, match="being upgraded to newer"):
        archive.recodings.begin("third", "third", "third", "default", NOON)


def test_the_loss_is_measured(archive: Archive) -> None:
    walk(archive, [k % 6 for k in range(30)])
    Keeper(archive, OLDER)
    with pytest.raises(ArchiveError, match="nothing to measure"):
        measure_loss(archive, OLDER, NEWER)
    upgrade(archive)
    same = measure_loss(archive, OLDER, NEWER)
    assert (same.tracks, same.pairs, same.known) == (30, 30, 30)
    assert {same.accepted_before, same.accepted_after, same.found_before, same.found_after, same.same_first} == {1.0}
    sum(archive.recodings.take_back(NEW))
    begin(archive)
    todo = archive.recodings.to_do(NEW, 0, 100)  # people whom nobody can tell apart any more, nor their own shots
    archive.recodings.add(NEW, [(face.key, looks(face.key % 50).tobytes()) for face in todo])
    worse = measure_loss(archive, OLDER, NEWER)
    assert (worse.accepted_before, worse.accepted_after, worse.found_before) == (1.0, 0.0, 1.0)
    assert worse.found_after < 0.5
    assert worse.same_ten < 0.9


def test_killed_at_any_moment_it_goes_on_where_it_was(url: str) -> None:
    """Ten times; what was said to be done stays, and in the end all is as if nothing had happened."""
    chance = random.Random(5)
    with Archive.open(url, create=True) as archive:
        walk(archive, range(60))
        begin(archive)
        before = archive.base_layers(OLD)
    kept = 0
    for _ in range(10):
        process = Started(recode_all, url)
        said = 0
        for _ in range(chance.randrange(1, 4)):
            said = int(process.hear() or 0)
        time.sleep(chance.random() * 0.01)
        process.kill()
        with Archive.open(url) as archive:
            done = archive.recodings.progress(NEW).coded
            assert kept + said <= done < 120
            assert rows(archive, "recoded_layers") == [done]
            assert archive.base_layers(OLD) == before
            assert ask(archive, chance.randrange(60)).searched == 60
        kept = done
    assert Started(recode_all, url).rest()[-1] == f"finished {120 - kept}"
    with Archive.open(url) as archive:
        anew = archive.base_layers(NEW)
        assert sorted(anew.face_ids) == sorted(before.face_ids)
        old = dict(zip(before.face_ids, before.payloads, strict=True))
        for face, payload in zip(anew.face_ids, anew.payloads, strict=True):
            assert payload == NEWER.raw(OLDER.features([old[face]])[0]).tobytes()
        assert all(len(found(ask(archive, person))) == 1 for person in range(0, 60, 7))


def test_what_goes_takes_its_newer_layers_along(archive: Archive) -> None:
    tracks = walk(archive, range(10))
    upgrade(archive)
    list(archive.clear(TRACKS, NOON + timedelta(minutes=4)))
    assert rows(archive, "recoded_layers") == [12]
    walk(archive, [9], first=9)  # once more
    assert rows(archive, "recoded_layers") == [10]
    assert upgrade(archive) == Recoded(2, 0)
    assert [found(ask(archive, person)) for person in (2, 5, 9)] == [[], [tracks[5]], [tracks[9]]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# mine\nencode:\n  # weights\n  quality: 3  # finer\n\nsearch:\n  false_alarms: 0.1\n",
        "encode:\n    profile: paper  # for now\n    quality: 3\ncameras: []\n",
        "search:\n  false_alarms: 0.1",
    ],
)
def test_the_settings_file_keeps_all_else(text: str, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    before = load(path)
    set_profile(path, "other")
    after = load(path)
    assert after.encode.profile == "other"
    assert after.model_copy(update={"encode": before.encode}) == before
    assert after.encode.quality == before.encode.quality
    assert all(line.partition("#")[2] in path.read_text() for line in text.splitlines())


def test_a_settings_file_that_is_written_otherwise_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("encode: {quality: 3}\n")
    with pytest.raises(ConfigError):
        set_profile(path, "other")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("encode: {quality: 3}\n", [path])


def test_real_weights_from_the_command_line(tmp_path: Path) -> None:
    """The shipped profiles, on three faces: begun, shown, switched, asked by both, rolled back."""
    golden = json.loads((Path(__file__).parents[1] / "golden" / "default_codes.json").read_text())
    path, site = tmp_path / "a.db", tmp_path / "site.yaml"
    site.write_text("encode:\n  device: cpu\n")
    with Archive.open(str(path), create=True) as archive:
        archive.register_codec(golden["codec_id"], "default")
        source = archive.begin_source("door", "door.mp4", "door", NOON, golden["codec_id"]).id
        for k, face in enumerate(golden["faces"]):
            base, more = bytes.fromhex(face["base"]), bytes.fromhex(face["enhancement"])
            code = FaceCode(golden["codec_id"], base, more)
            moment, points = FrameTime(0, 0, Fraction(1), NOON + timedelta(minutes=k)), ((1.0, 2.0),) * 5
            shot = CodedFace(moment, (1, 2, 81, 92), points, 0.9, 0.8, code, zlib.crc32(base))
            archive.add_track(source, CodedTrack(k, moment.captured_at, moment.captured_at, 1, (shot,)))

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["upgrade", *words, "--archive", str(path), "--config", str(site)])
        assert result.exit_code == code, result.output
        return result.output

    assert json.loads(run("status", "--json"))["upgrades"] == []
    assert "3 faces are coded anew with paper" in run("run", "--to", "paper")
    (one,) = json.loads(run("status", "--json"))["upgrades"]
    assert one["progress"] == {"coded": 3, "waiting": 0, "bare": 0}
    assert json.loads(run("measure", "--json"))["loss"]["tracks"] == 3
    assert "add --yes" in run("switch", code=2)
    assert load(site).encode.profile == "default"
    assert "start the service anew" in run("switch", "--yes")
    assert load(site).encode.profile == "paper"
    faces = [f"{source}-000{k}-0" for k in range(3)]
    with Archive.open(str(path)) as archive:
        settings = load(site)
        crop = Reconstructor(archive, FaceCodec.load("default", "cpu")).picture(faces[1], Layer.FULL)
        code = FaceCode(golden["codec_id"], bytes.fromhex(golden["faces"][1]["base"]), None)
        list(archive.clear(TRACKS, NOON + timedelta(seconds=90)))  # the first two tracks are gone
        shot = CodedFace(moment, (1, 2, 81, 92), points, 0.9, 0.8, code, zlib.crc32(code.base))
        archive.add_track(source, CodedTrack(3, moment.captured_at, moment.captured_at, 1, (shot,)))
        detection = Detection(np.zeros(4, np.float32), np.zeros((5, 2), np.float32), 1.0)
        answer = Asker.load(settings).ask(archive, FaceCrop("", None, detection, 0.9, crop))
        assert [match.record.track_id[-4:] for match in answer.matches] == ["0003", "0002"]
        assert (answer.verdict, answer.searched, answer.other_codec) == ("match", 2, 0)
    faces = [f"{source}-0002-0", f"{source}-0003-0"]
    shown = CliRunner().invoke(
        app,
        [
            "reconstruct",
            *faces,
            "--archive",
            str(path),
            "--config",
            str(site),
            "--out",
            str(tmp_path / "faces"),
            "--layer",
            "base",
        ],
    )
    assert shown.exit_code == 0, shown.output
    assert len(list((tmp_path / "faces").iterdir())) == 2
    assert "taken back" in run("rollback")
    assert load(site).encode.profile == "default"
    assert "is not being upgraded" in run("switch", code=1)
