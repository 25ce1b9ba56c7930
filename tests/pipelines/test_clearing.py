"""What the archive stage clears up: by a site's settings, without whom users named, and on a disk that is full."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from full_disk_process import HELD, START, made_track
from typer.testing import CliRunner

import pipelines
from pipelines.clearing import FUTILE_SECONDS, Clearing
from pipelines.cli.app import app
from pipelines.identities.desk import Desk
from pipelines.messages import Cleared, DiskState
from pipelines.retaining import Evidence, rules
from storage import Archive, ArchiveRoom, Exempt, Rules, Terms
from streamproc import config
from streamproc.errors import ConfigError

HERE = Path(__file__).parent
GIB = 2**30


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    opened = Archive.open(str(tmp_path / "a.db"), create=True)
    opened.register_codec("fake", "fake")
    source = opened.resume_session("gate", "rtsp://gate", START, "fake").id
    opened.add_tracks(source, [made_track(ordinal) for ordinal in range(10)])
    return opened


def ids(archive: Archive) -> list[str]:
    return [track.id for track in archive.tracks()]


def settings(folder: Path, text: str) -> config.Settings:
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return config.load(path)


def test_rules_are_the_settings(tmp_path: Path) -> None:
    text = """
retention: {enhancement_days: 7, faces_days: 30, bytes: 20 GB, free: 1.5 GiB}
cameras:
  - {name: gate, uri: "rtsp://x"}
  - {name: yard, uri: "rtsp://x", retention: {faces_days: null, bytes: 500 MB}}
"""
    week, month = timedelta(days=7), timedelta(days=30)
    assert rules(settings(tmp_path, text)) == Rules(
        Terms(week, month), (("yard", Terms(week, None, 500_000_000)),), 20_000_000_000, 3 * GIB // 2
    )
    assert not rules(config.Settings()).any
    with pytest.raises(ConfigError, match=r'no key "cameras.0.retention.free"'):
        settings(tmp_path, "cameras: [{name: gate, uri: x, retention: {free: 1 GB}}]")
    with pytest.raises(ConfigError, match=r"retention\.bytes: could not"):
        settings(tmp_path, "retention: {bytes: much}")


def test_who_is_named_or_watched_for_is_evidence(archive: Archive) -> None:
    names, evidence, desk = ids(archive), Evidence(archive), Desk(archive, "me")
    assert archive.identities.begin(START, 5) == [1, 2, 3, 4, 5]
    archive.identities.assign({name: f"p{1 + ordinal // 2}" for ordinal, name in enumerate(names)})
    assert evidence() == Exempt()
    desk.name(1, "Ann")
    archive.watches.add_identity("thief", 3, START)
    assert evidence().homes == {"p1", "p3"}
    assert evidence() is evidence()
    desk.merge(3, [4])
    said = desk.split(1, [names[1]])
    assert evidence() == Exempt(frozenset({"p1", "p3", "p4"}), {names[1]: False})
    for step in archive.clear(Rules(Terms(faces=timedelta())), datetime.now(UTC), evidence):
        assert step is None or step.camera == "gate"
    assert ids(archive) == [names[0], *names[4:8]]
    desk.undo(said.act)
    archive.watches.remove("thief")
    assert evidence() == Exempt(frozenset({"p1"}), {})


def test_a_disk_that_is_low_is_told_once_and_made_room_on(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[object] = []
    now = [0.0]
    clearing = Clearing(archive, said.append, lambda: now[0])
    room = [ArchiveRoom(50_000, 0, 90_000)]
    monkeypatch.setattr(archive, "room", lambda: room[0])
    monkeypatch.setattr("storage.reserve.RESERVE", 100)
    monkeypatch.setattr("pipelines.clearing.RESERVE", 100)
    archive.reserve.keep()
    clearing.ask(Rules(free=80_000), START)
    while clearing.turn():
        pass
    assert said == []
    room[0] = ArchiveRoom(50_000, 0, 79_000)
    for _ in range(2):
        clearing.look(START)
    assert isinstance(said[0], DiskState)
    assert said[0].low
    while clearing.turn():
        pass
    told = said[1]
    assert isinstance(told, Cleared)
    assert "0 tracks of 0 faces and 1 pictures" in told.detail
    archive.holds.add(ids(archive), "me", START)
    for _ in range(3):
        clearing.look(START)
        while clearing.turn():
            pass
    assert [one.well for one in said[2:] if isinstance(one, Cleared)] == [False], "said once: nothing else may go"
    archive.holds.remove(ids(archive))
    now[0] += FUTILE_SECONDS
    clearing.look(START)
    while clearing.turn():
        pass
    room[0] = ArchiveRoom(50_000, 0, 90_000)
    clearing.look(START)
    assert [type(one) for one in said[3:]] == [Cleared, DiskState]
    assert len(said) == 5


def test_retain_and_hold_as_commands(archive: Archive, tmp_path: Path) -> None:
    names, path = ids(archive), str(tmp_path / "a.db")
    settings(tmp_path, "retention: {faces_days: 1}")
    archive.identities.begin(START)
    archive.identities.assign({names[0]: "p1"})
    Desk(archive, "me").name(1, "Ann")

    def asked(*arguments: str) -> dict[str, Any]:
        result = CliRunner().invoke(app, [*arguments, "--archive", path, "--json"])
        assert result.exit_code == 0, result.stderr
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    assert asked("hold", "add", names[5], "--reason", "case 17") == {"held": 1}
    (hold,) = asked("hold", "list")["holds"]
    assert (hold["track_id"], hold["reason"]) == (names[5], "case 17")
    site = ("--config", str(tmp_path / "site.yaml"))
    told = asked("retain", "--dry-run", *site)
    (gate,) = told["cameras"]
    assert gate == {
        "camera": "gate",
        "tracks": 8,
        "faces": 8,
        "pictures": 8,
        "bytes": 8 * (41 + 16000),
        "oldest": "2024-05-01T12:01:00Z",
    }
    assert ids(archive) == names
    gone = asked("retain", *site)
    assert gone["cameras"] == told["cameras"]
    assert isinstance(gone["given_back"], int)
    assert gone["given_back"] > 0
    assert ids(archive) == [names[0], names[5]]
    assert asked("retain", *site)["cameras"] == []
    assert asked("hold", "remove", names[5]) == {"released": 1}
    assert CliRunner().invoke(app, ["retain", "--archive", path]).exit_code == 2
    assert CliRunner().invoke(app, ["hold", "add", "x", "--archive", path]).exit_code == 1


def alone() -> list[str]:
    """The command that gives a process mounts of its own; nothing where that is not allowed."""
    command = ["unshare", "-m" if os.geteuid() == 0 else "-rm"]
    if shutil.which(command[0]) is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        return []
    return command


@pytest.mark.skipif(not alone(), reason="a disk of its own needs `unshare`")
def test_on_a_full_disk_the_oldest_pictures_make_way(tmp_path: Path) -> None:
    """Full by its own faces, and because another program takes room."""
    count, paths = 900, [str(HERE), str(Path(pipelines.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    command = [*alone(), sys.executable, str(HERE / "full_disk_process.py"), str(tmp_path), str(count)]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    came = json.loads(done.stdout)
    assert came["taken"] == count
    assert came["wrong"] == []
    assert came["tracks"] == list(range(count)), "all are there to be searched for"
    assert came["well"] == [True]
    assert HELD in came["pictures"]
    newest = sorted(set(came["pictures"]) - {HELD})
    assert newest == list(range(newest[0], count)), "the oldest pictures went"
    assert 0 < newest[0] < count - 100
