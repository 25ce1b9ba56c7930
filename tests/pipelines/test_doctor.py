"""`doctor` on a good site and on broken ones: each thing is named, nothing hangs, nothing tells a password."""

import hashlib
import json
import socket
import sqlite3
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from typer.testing import CliRunner

from pipelines import machine
from pipelines.bench.cameras import CameraServer
from pipelines.cli.app import app
from pipelines.doctor import Asked, examine
from pipelines.probing import Check, Probe, State, run_probes
from storage import Archive
from streamproc.codec.profiles import stated_codec
from streamproc.config import EncodeSettings, cache_dir
from streamproc.types import CodedFace, CodedTrack, FaceCode, FrameTime


def archive_with(path: Path, codec_id: str, watched: datetime | None = None) -> Path:
    """An archive with one more face, written by that codec; somebody watched until `watched`."""
    at = datetime(2024, 5, 1, 12, tzinfo=UTC)
    base = hashlib.sha256(codec_id.encode()).digest()[:20]
    shown = FrameTime(0, 0, Fraction(1, 10), at)
    code = FaceCode(codec_id, base, bytes(3000))
    face = CodedFace(shown, (0.0, 0.0, 9.0, 9.0), ((1.0, 1.0),) * 5, 0.9, 0.5, code, zlib.crc32(base))
    with Archive.open(str(path), create=True) as archive:
        archive.register_codec(codec_id, "default")
        source = archive.begin_source("door", f"/{codec_id}.mp4", codec_id, at, codec_id)
        archive.add_track(source.id, CodedTrack(0, at, at, 5, (face,)))
        archive.ledger.watched("door", watched)
    return path


def site(folder: Path, cameras: dict[str, str], archive: Path, more: str = "") -> Path:
    path = folder / "site.yaml"
    lines = [f"service: {{archive: {archive}, silent: 2.0, metrics_port: null{more}}}", "cameras:"]
    path.write_text("\n".join([*lines, *(f'  - {{name: {name}, uri: "{uri}"}}' for name, uri in cameras.items())]))
    return path


def checks(asked: Asked) -> dict[str, Check]:
    return {check.name: check for check in examine(asked)}


def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the nets, which take seconds to load and have a test of their own."""
    monkeypatch.setattr("pipelines.doctor._nets", lambda _settings: [])


def test_a_good_site(tmp_path: Path, clip: Callable[..., Path]) -> None:
    archive = archive_with(tmp_path / "site.db", stated_codec("default").codec_id)
    before = hashlib.sha256(archive.read_bytes()).digest()
    config = site(tmp_path, {"gate": str(clip())}, archive)
    found = checks(Asked(config, frames=tmp_path / "sheet"))
    machines = {"clock", "memory", "cores", "disk"}  # which may well be short of something here
    wrong = [check for name, check in found.items() if check.state is not State.OK and name not in machines]
    assert not wrong
    assert not [name for name in machines if found[name].state is State.FAILED]
    assert found["camera gate"].detail.startswith("64x64, 10 frames/s, mpeg4")
    assert "All 1 faces" in found["archive: codec"].detail
    assert "decodes to what it must" in found["decoding"].detail
    with Picture.open(tmp_path / "sheet" / "cameras.png") as sheet:
        assert np.asarray(sheet.convert("L"))[20:200, 60:260].mean() > 30  # the clip's grey, in the middle of its place
    assert hashlib.sha256(archive.read_bytes()).digest() == before


def test_broken_cameras(
    tmp_path: Path, serve: Callable[..., CameraServer], clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast(monkeypatch)
    monkeypatch.setenv("LOGIN", "viewer:gu3ss")
    at = serve({"live": "ball"}, "viewer:s3cret").url("live").rpartition("@")[2].removeprefix("rtsp://")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        cameras = {
            "good": f"rtsp://viewer:s3cret@{at}",
            "locked": f"rtsp://${{LOGIN}}@{at}",
            "mute": f"rtsp://viewer:s3cret@127.0.0.1:{mute.getsockname()[1]}/live",
            "dark": str(clip("dark.mp4", "00000000")),
            "gone": "rtsp://viewer:s3cret@127.0.0.1:9/live",
        }
        began = time.monotonic()
        found = checks(Asked(site(tmp_path, cameras, tmp_path / "none.db"), frames=tmp_path))
    assert time.monotonic() - began < 60
    said = {name: found[f"camera {name}"] for name in cameras}
    assert {name: check.state for name, check in said.items()} == {
        "good": State.OK,
        "locked": State.FAILED,
        "mute": State.FAILED,
        "dark": State.WARNING,
        "gone": State.FAILED,
    }
    assert "320x240" in said["good"].detail
    assert "check the user name, password" in said["locked"].detail
    assert "did not answer in time" in said["mute"].detail
    assert "The picture is black" in said["dark"].detail
    assert "cannot be reached" in said["gone"].detail
    assert not [word for check in found.values() for word in ("s3cret", "gu3ss", "viewer") if word in check.detail]
    assert "2 of 5 cameras" in found["contact sheet"].detail
    assert (tmp_path / "cameras.png").exists()


def test_missing_and_wrong_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nets = cache_dir() / "nets"
    monkeypatch.setenv("STREAMPROC_CACHE", str(tmp_path))
    if nets.is_dir():  # converting them anew would take half a minute
        (tmp_path / "nets").symlink_to(nets)
    settings = EncodeSettings(quality=77)
    probe = Probe(("weights: face feature", "weights: detector", "weights: codec", "decoding"), "", (settings,), 60.0)
    found = run_probes([Probe(probe.names, "pipelines.probes:weights", probe.args, probe.limit)])
    said = {check.name: check for check in found if isinstance(check, Check)}
    assert said["weights: face feature"].state is State.FAILED
    assert "run `streamproc setup` once" in said["weights: face feature"].detail
    assert said["weights: detector"].state is State.OK
    assert said["weights: codec"].state is State.FAILED
    assert "set encode.quality to one of 0, 1, 2, 3, 4, or null" in said["weights: codec"].detail
    assert said["decoding"].state is State.OK


def test_an_archive_of_another_codec_and_another_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch)
    ahead = datetime.now(UTC) + timedelta(hours=3)
    archive = archive_with(tmp_path / "site.db", "0ther", ahead)
    found = checks(Asked(archive=str(archive)))
    assert found["archive"].state is State.OK
    assert found["archive: codec"].state is State.FAILED
    assert "1 of 1 faces were written by default (0ther)" in found["archive: codec"].detail
    assert found["archive: times"].state is State.FAILED
    assert "180 minutes ahead" in found["archive: times"].detail
    archive_with(archive, stated_codec("default").codec_id, datetime.now(UTC))
    found = checks(Asked(archive=str(archive)))
    assert found["archive: codec"].state is State.WARNING
    assert found["archive: times"].state is State.OK


def test_archives_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch)
    damaged = archive_with(tmp_path / "damaged.db", stated_codec("default").codec_id)
    pages = damaged.read_bytes()
    with sqlite3.connect(damaged) as connection:
        root, size = connection.execute(
            "SELECT rootpage, page_size FROM sqlite_master, pragma_page_size WHERE name = 'enhancement_layers'"
        ).fetchone()
    connection.close()
    damaged.write_bytes(pages[: (root - 1) * size] + bytes([0xA5]) * size + pages[root * size :])
    found = checks(Asked(archive=str(damaged)))
    assert found["archive: integrity"].state is State.FAILED
    assert "is damaged" in found["archive: integrity"].detail
    assert "put a backup in its place" in found["archive: integrity"].detail

    foreign = tmp_path / "foreign.db"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE cats (name)")
    connection.close()
    found = checks(Asked(archive=str(foreign)))
    assert "database of another program" in found["archive"].detail
    found = checks(Asked(archive="postgresql+psycopg://viewer:s3cret@host/faces"))
    assert found["archive"].state is found["disk"].state is State.FAILED
    assert "s3cret" not in str(found)


def test_no_probe_keeps_doctor_waiting() -> None:
    began = time.monotonic()
    found = [
        check
        for check in run_probes(
            [
                Probe(("first", "second"), "fake_probes:half_way", ("first",), 2.0),
                Probe(("late", "later"), "fake_probes:half_way", ("late",), 1.0, State.WARNING),
                Probe(("crash",), "fake_probes:crash", (), 60.0),
                Probe(("wrong",), "fake_probes:wrong", (), 60.0),
            ]
        )
        if isinstance(check, Check)
    ]
    assert time.monotonic() - began < 40
    said = {check.name: check for check in found}
    assert set(said) == {"first", "second", "late", "later", "crash", "wrong"}
    assert (said["late"].state, said["later"].state) == (State.OK, State.WARNING)
    assert said["first"] == Check("first", State.OK, "rtsp://host/live is well.", said["first"].seconds)
    assert said["second"].state is said["crash"].state is said["wrong"].state is State.FAILED
    assert "No answer in 2 s" in said["second"].detail
    assert "SIGSEGV" in said["crash"].detail
    assert "rtsp://host/live is broken" in said["wrong"].detail
    assert "s3cret" not in str(found)


def test_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    found = machine.kernel_clock()  # None in some containers
    assert found is None or 0 <= found.error < 1000
    for clock, state in (
        (machine.KernelClock(True, 0.01), State.OK),
        (machine.KernelClock(False, 16.0), State.WARNING),
        (None, State.WARNING),
    ):
        monkeypatch.setattr(machine, "kernel_clock", lambda clock=clock: clock)
        assert machine.clock()[0] is state


def test_memory_cores_and_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.memory(10_000)[0] is machine.cores(10_000)[0] is State.WARNING
    assert machine.metrics_port("127.0.0.1", None)[0] is machine.metrics_port("127.0.0.1", 0)[0] is State.OK
    monkeypatch.setattr(machine, "HEALTH_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        state, said = machine.metrics_port("127.0.0.1", other.getsockname()[1])
    assert state is State.FAILED
    assert "choose another service.metrics_port" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cameras: [{name: gate, url: x}]", "there is no key"),
        ("cameras: []", "names no cameras"),
        ('cameras: [{name: gate, uri: "rtsp://${NOBODY}@host"}]', "NOBODY"),
    ],
)
def test_a_wrong_configuration(text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    first = next(iter(examine(Asked(path))))
    assert (first.name, first.state) == ("configuration", State.FAILED)
    assert said in first.detail


def test_secrets_that_others_may_read(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.yaml"
    secrets.write_text("LOGIN: viewer:s3cret")
    config = site(tmp_path, {"gate": "rtsp://${LOGIN}@127.0.0.1:9/"}, tmp_path / "a.db", ", secrets: secrets.yaml")
    for mode, state in ((0o644, State.WARNING), (0o600, State.OK)):
        secrets.chmod(mode)
        assert next(iter(examine(Asked(config)))).state is state


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch)
    monkeypatch.delenv("STREAMPROC_ARCHIVE", raising=False)
    config = site(tmp_path, {"gate": "rtsp://viewer:s3cret@127.0.0.1:9/[live]"}, tmp_path / "none.db")
    result = CliRunner().invoke(app, ["doctor", "--config", str(config), "--json"])
    assert result.exit_code == 1
    found = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert set(found["camera gate"]) == {"name", "state", "detail", "seconds"}
    assert found["camera gate"]["state"] == "failed"
    assert found["archive"]["state"] == "ok"
    assert "s3cret" not in result.output
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert "0 failed" in result.stdout
    assert CliRunner().invoke(app, ["doctor", "--config", str(tmp_path / "none.yaml")]).exit_code == 2
    assert CliRunner().invoke(app, ["doctor", "--wrong"]).exit_code == 2
