"""Care of an archive with all that is kept beside it, through the commands."""

import json
import random
from datetime import timedelta
from pathlib import Path

import pytest
from fake_people import CODEC, PeopleCodec, Site
from typer.testing import CliRunner

from pipelines.archive_index import ArchiveIndex
from pipelines.cli.app import app
from storage import Archive, Rules, Terms, examine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An archive of twenty people with an index."""
    with Archive.open(str(tmp_path / "site.db"), create=True) as archive:
        site = Site(archive)
        for k in range(20):
            site.walk("gate", k % 15, k, k + 0.5)
        with ArchiveIndex(archive, PeopleCodec()) as index:
            assert index.catch_up()
    return tmp_path / "site.db"


def test_an_index_that_is_behind_agrees(path: Path) -> None:
    assert examine(str(path)) == []
    with Archive.open(str(path)) as archive:
        Site(archive, {"gate": 20}).walk("gate", 3, 100, 101)
        for _ in archive.clear(Rules(Terms(faces=timedelta())), archive.tracks()[2].started_at):
            pass
    assert examine(str(path)) == []


def test_every_flipped_byte_of_an_index_is_told_and_mended(path: Path) -> None:
    folder = path.parent / "site.db.index" / CODEC
    files = {file: file.read_bytes() for file in folder.iterdir() if file.stat().st_size}
    chance = random.Random(5)
    for file, data in files.items():
        for place in chance.sample(range(len(data)), 6):
            file.write_bytes(data[:place] + bytes([data[place] ^ 0x20]) + data[place + 1 :])
            found = examine(str(path))
            assert found is not None
            assert len(found) == 1
            assert "does not agree" in found[0].said
        file.write_bytes(data)
    assert examine(str(path)) == []
    file.write_bytes(data[:-1])
    assert [one.mended for one in examine(str(path), mend=True) or ()] == [True]
    assert not folder.exists()
    assert examine(str(path)) == []


def test_an_index_that_lacks_faces_is_removed(path: Path) -> None:
    with Archive.open(str(path)) as archive:
        with ArchiveIndex(archive, PeopleCodec()) as index:
            held = index._opened(write=True)
            assert held is not None
            changes = archive.face_changes(CODEC, archive.beginning(), 3)
            held.remove(changes.keys)
            held.flush(held.position)
        found = examine(str(path))
        assert found is not None
        assert "it has 37 faces, and the archive 40" in found[0].said
        examine(str(path), mend=True)
        with ArchiveIndex(archive, PeopleCodec()) as index:
            assert index.catch_up()
    assert examine(str(path)) == []


def test_backup_and_restore_by_command(path: Path) -> None:
    folder = path.parent

    def run(*words: str) -> tuple[int, str, str]:
        made = CliRunner().invoke(app, list(words))
        return made.exit_code, made.stdout, made.stderr

    code, said, _ = run("backup", "--archive", str(path), "--to", str(folder / "b.db"), "--json")
    assert (code, json.loads(said)["faces"]) == (0, 40)
    code, _, complaint = run("backup", "--archive", str(path), "--to", str(folder / "b.db"))
    assert code == 1
    assert "--force" in complaint
    code, said, _ = run("restore", str(folder / "b.db"), "--to", f"sqlite:///{folder / 'c.db'}", "--json")
    assert (code, json.loads(said)["faces"]) == (0, 40)
    code, said, _ = run("restore", str(folder / "b.db"), "--to", str(path), "--force")
    assert (code, "40 faces" in said) == (0, True)
    assert not (folder / "site.db.index").exists(), "it was of the former archive"
    (folder / "b.db").write_bytes(b"no backup")
    code, _, complaint = run("restore", str(folder / "b.db"), "--to", str(folder / "d.db"))
    assert code == 1
    assert "b.db" in complaint


def test_doctor_mends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines import doctor
    from pipelines.probing import Probe

    def site(settings: object, asked: doctor.Asked) -> list[Probe]:
        return [Probe(("archive: contents",), "pipelines.probes:contents", (asked.archive, asked.mend), 60.0)]

    monkeypatch.setattr(doctor, "_site", site)
    monkeypatch.setattr(doctor, "_nets", lambda settings: [])
    (path.parent / "site.db.index" / CODEC / "manifest").write_bytes(b"nothing")

    def check(*words: str) -> tuple[int, str, str]:
        made = CliRunner().invoke(app, ["doctor", "--archive", str(path), "--json", *words])
        (found,) = [one for one in json.loads(made.stdout)["checks"] if one["name"] == "archive: contents"]
        return made.exit_code, found["state"], found["detail"]

    code, state, said = check()
    assert (code, state, "let --mend" in said) == (1, "failed", True)
    code, state, said = check("--mend")
    assert (code, state, "was removed" in said) == (0, "warning", True)
    assert check() == (0, "ok", "Everything in it agrees.")
