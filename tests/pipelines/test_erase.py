"""A person is erased with names, watches and pictures; everybody else stays who they were."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fake_people import CODEC, NOON, PeopleCodec, Site, looks
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.erasing import Asked, planned
from pipelines.identities.desk import Desk
from pipelines.identities.keeper import Keeper
from storage import Archive
from storage.erasure import ErasureReport
from storage.verifying import unseen
from streamproc.errors import UnknownRecord
from streamproc.query.acts import Erased


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Archive.open(str(tmp_path / "site.db"), create=True) as archive:
        yield Site(archive)


def person(site: Site, track: str) -> int:
    """The identity of a track, by number."""
    (record,) = site.archive.identities.tracks((), [track])
    return Desk(site.archive, "me").find(record.identity_id or "")


def erase(site: Site, *people: str, tracks: tuple[str, ...] = (), faces: tuple[str, ...] = ()) -> ErasureReport:
    plan = planned(site.archive, Asked(people, tracks, faces), "me", PeopleCodec)
    return site.archive.erasing.erase(plan.erasure, NOON, unseen)


def texts(folder: Path, *words: str) -> list[str]:
    """The files that hold one of the words."""
    files = [path for path in folder.iterdir() if path.is_file()]
    return [path.name for path in files if any(word.encode() in path.read_bytes() for word in words)]


def test_somebody_goes_with_names_watches_and_sightings(site: Site, tmp_path: Path) -> None:
    anna, ben = site.walk("gate", 0, 0, 1), site.walk("gate", 1, 0, 1)
    keeper = Keeper(site.archive, PeopleCodec())
    desk = Desk(site.archive, "me")
    one, two = person(site, anna), person(site, ben)
    desk.name(one, "Anna Bergström")
    desk.name(one, "Anna Maria Bergström-Vandenberghe of the second floor")
    desk.name(two, "Benjamin")
    desk.undo(1)
    site.archive.holds.add([anna], "me", NOON, "the case of her by name")
    site.archive.watches.add_identity("her by number", one, NOON)
    site.archive.watches.add_photo("her by photo", CODEC, looks(0), 0.9, NOON)
    site.archive.watches.add_photo("him by photo", CODEC, looks(1), 0.9, NOON)
    again = site.walk("yard", 0, 1500, 1501)
    keeper.turn()
    assert {one.watch for one in site.archive.watches.sightings()} == {"her by number", "her by photo"}
    assert texts(tmp_path, "Anna") != []

    report = erase(site, "Anna Maria Bergström-Vandenberghe of the second floor")
    assert (report.tracks, report.faces, report.watches, report.acts, report.identities) == (2, 4, 2, 2, 1)
    assert report.holds == 1
    assert report.proves
    assert texts(tmp_path, "Anna", "Bergstr", "her by") == []
    assert [track.id for track in site.archive.tracks()] == [ben]
    assert [watch.name for watch in site.archive.watches.all()] == ["him by photo"]
    assert site.archive.watches.sightings() == []
    assert [one.name for one in desk.people()] == ["Benjamin"]
    with pytest.raises(UnknownRecord):
        desk.find(f"p{one}")
    # The log says that somebody was erased, and that cannot be taken back; what was said of others can.
    assert [type(entry.act) for entry in desk.log()][-1] is Erased
    with pytest.raises(UnknownRecord, match="cannot be taken back"):
        desk.undo(report.act)
    assert desk.undo(None).act == report.act + 1
    assert [one.name for one in desk.people()] == [None]
    assert again not in str(desk.log())


def test_a_keeper_at_work_forgets_who_was_erased(site: Site) -> None:
    anna = site.walk("gate", 0, 0, 1)
    keeper = Keeper(site.archive, PeopleCodec())
    number = person(site, anna)
    erase(site, f"p{number}")
    again = site.walk("yard", 0, 1500, 1501)
    keeper.turn()
    assert person(site, again) != number, "she is seen again, as somebody new"


def test_tracks_and_faces_go_alone(site: Site) -> None:
    anna, later, ben = site.walk("gate", 0, 0, 1), site.walk("gate", 0, 30, 31), site.walk("gate", 1, 0, 1)
    Keeper(site.archive, PeopleCodec())
    desk = Desk(site.archive, "me")
    desk.name(person(site, anna), "Anna")
    split = desk.split(person(site, later), [later])
    assert split.identity_id is not None
    report = erase(site, tracks=(later,), faces=(f"{ben}-1",))
    assert (report.tracks, report.faces) == (1, 3)
    assert sorted(face for track in site.archive.tracks() for face in track.face_ids) == [
        f"{anna}-0",
        f"{anna}-1",
        f"{ben}-0",
    ]
    assert "Anna" in [one.name for one in desk.people()], "who still has tracks keeps the name"
    assert later not in str(desk.log()), "who was split off is nobody any more"
    report = erase(site, faces=(f"{ben}-0",))
    assert (report.tracks, report.faces, report.identities) == (1, 1, 1), "a track without faces is none"
    assert [one.name for one in desk.people()] == ["Anna"]


def test_faces_that_two_people_share_byte_for_byte_are_told(site: Site) -> None:
    site.walk("gate", 0, 0, 1)
    twin = site.walk("yard", 0, 0, 1)
    report = erase(site, tracks=(twin,))
    assert report.proves
    assert report.shared > 0
    assert site.archive.info().faces == 2


def test_picture_files_of_hers_go(site: Site, tmp_path: Path) -> None:
    anna, ben = site.walk("gate", 0, 0, 1), site.walk("gate", 1, 0, 1)
    pictures = tmp_path / "pictures"
    (pictures / "base").mkdir(parents=True)
    hers = [f"{anna}-0-base.png", f"{anna}-1-full-0123456789abcdef.png", f"base/{anna}-0.png"]
    others = [f"{ben}-0-base.png", f"{ben}-0-full-0123456789abcdef.png", "index.html"]
    for name in hers + others:
        (pictures / name).write_bytes(b"x")
    made = planned(site.archive, Asked(tracks=(anna,), pictures=(pictures,)), "me", PeopleCodec)
    crop = pictures / next(iter(made.erasure.picture_names))
    crop.write_bytes(b"x")
    report = site.archive.erasing.erase(made.erasure, NOON, unseen)
    assert len(report.picture_files) == 4
    assert sorted(str(path.relative_to(pictures)) for path in pictures.rglob("*.*")) == sorted(others)


def test_the_command_tells_first_and_erases_with_yes(site: Site, tmp_path: Path) -> None:
    anna = site.walk("gate", 0, 0, 1)
    site.walk("gate", 1, 0, 1)
    Keeper(site.archive, PeopleCodec())
    Desk(site.archive, "me").name(person(site, anna), "Anna")

    def run(*words: str) -> tuple[int, str]:
        made = CliRunner().invoke(app, ["erase", "--archive", str(tmp_path / "site.db"), *words])
        return made.exit_code, made.stdout

    assert run()[0] == 2
    assert run("--identity", "Nobody")[0] == 1
    code, said = run("--identity", "Anna", "--json")
    document = json.loads(said)
    assert (code, document["erased"], document["names"]) == (0, False, ["Anna"])
    assert document["would_erase"]["faces"] == 2
    assert "Nothing was erased" in run("--identity", "Anna")[1]
    assert site.archive.info().tracks == 2
    report = tmp_path / "proof.json"
    code, said = run("--identity", "Anna", "--yes", "--json", "--report", str(report))
    document = json.loads(said)
    assert (code, document["erased"], document["proves"], document["tracks"]) == (0, True, True, 1)
    assert json.loads(report.read_text()) == document
    assert "Backups" in document["limits"][0]
    assert run("--identity", "Anna", "--yes")[0] == 1, "she is nobody any more"
    assert site.archive.info().tracks == 1


def test_by_photo_what_a_search_finds_is_listed(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from pipelines.cli import erase as command

    anna = site.walk("gate", 0, 0, 1)
    site.walk("gate", 1, 0, 1)
    monkeypatch.setattr(command, "_found", lambda *_: (anna,))
    made = CliRunner().invoke(app, ["erase", "--archive", str(tmp_path / "site.db"), "--like", "photo.jpg", "--json"])
    assert [track["track_id"] for track in json.loads(made.stdout)["tracks"]] == [anna]
    assert site.archive.info().tracks == 2


def test_a_name_goes_whose_tracks_went_before(site: Site, tmp_path: Path) -> None:
    anna = site.walk("gate", 0, 0, 1)
    Keeper(site.archive, PeopleCodec())
    Desk(site.archive, "me").name(person(site, anna), "Anna")
    erase(site, tracks=(anna,))  # the last one takes the name with it
    assert texts(tmp_path, "Anna") == []
    ben = site.walk("gate", 1, 5, 6)
    Keeper(site.archive, PeopleCodec())
    Desk(site.archive, "me").name(person(site, ben), "Benjamin")
    with site.archive._writing() as connection:
        connection.exec_driver_sql("DELETE FROM tracks")
    report = erase(site, "Benjamin")
    assert (report.tracks, report.acts, report.identities) == (0, 1, 1)
    assert texts(tmp_path, "Benjamin") == []


def test_the_clock_of_a_track_stays(site: Site) -> None:
    first = site.walk("gate", 0, 0, 1)
    erase(site, faces=(f"{first}-0",))
    (track,) = site.archive.tracks()
    assert track.ended_at - track.started_at == timedelta(minutes=1)
