"""A site's cameras out of its configuration, and what is said when that is wrong; secrets are in no sentence."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.site import camera_jobs, read_site
from streamproc import config
from streamproc.errors import ConfigError

ADDRESS = "rtsp://${GATE_USER}:${GATE_PASSWORD}@10.0.0.5/live"


def written(folder: Path, text: str) -> Path:
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_secrets_come_from_the_environment_and_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secrets.yaml").write_text("GATE_PASSWORD: s3cret\n", encoding="utf-8")
    monkeypatch.setenv("GATE_USER", "viewer")
    site = written(
        tmp_path,
        f"service: {{secrets: secrets.yaml}}\ncameras:\n- {{name: gate, uri: '{ADDRESS}'}}\n"
        "- {name: yard, uri: 'rtsp://10.0.0.6/a$$b', transport: udp}\n",
    )
    gate, yard = camera_jobs(config.load(site), tmp_path)
    assert (gate.uri, gate.transport) == ("rtsp://viewer:s3cret@10.0.0.5/live", "tcp")
    assert "s3cret" not in gate.source + repr(gate)
    assert (yard.uri, yard.transport) == ("rtsp://10.0.0.6/a$b", "udp")


def test_regions_are_part_of_a_camera(tmp_path: Path) -> None:
    """So that a change of them is a change of the camera, and of no other."""
    cameras = (
        "cameras:\n- {name: gate, uri: a, roi: [[0, 0], [1, 0], [1, 0.5]], masks: [[[0, 0], [0.5, 0], [0, 0.5]]]}\n"
    )
    one, other = (camera_jobs(config.load(written(tmp_path, cameras)), tmp_path) for _ in range(2))
    assert one[0].roi == ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5))
    assert one[0].masks == (((0.0, 0.0), (0.5, 0.0), (0.0, 0.5)),)
    assert set(one) == set(other)
    changed = camera_jobs(config.load(written(tmp_path, cameras.replace("0.5, 0]", "0.6, 0]"))), tmp_path)
    assert changed != one


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"cameras: [{{name: gate, uri: '{ADDRESS}'}}]", "GATE_USER"),
        ("cameras: [{name: gate, uri: a}, {name: gate, uri: b}]", "Two cameras are called 'gate'"),
        ("cameras: [{name: gate, uri: 'rtsp://a$/b'}]", "write \\$\\$ for a dollar"),
        ("service: {secrets: none.yaml}\ncameras: [{name: gate, uri: a}]", "cannot be read: FileNotFoundError"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    settings = config.load(written(tmp_path, text))
    with pytest.raises(ConfigError, match=said):
        camera_jobs(settings, tmp_path)


def test_a_broken_file_of_secrets_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("PASSWORD: 'hunter2\n  : [", encoding="utf-8")
    settings = config.load(written(tmp_path, "service: {secrets: secrets.yaml}\ncameras: [{name: gate, uri: a}]"))
    with pytest.raises(ConfigError, match="no YAML") as caught:
        camera_jobs(settings, tmp_path)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_hours_are_of_the_site_s_zone(tmp_path: Path) -> None:
    site = read_site(
        written(
            tmp_path,
            "service: {timezone: America/New_York}\n"
            "cameras:\n- {name: gate, uri: a, hours: ['mon-fri 07:00-19:00']}\n- {name: yard, uri: b}\n",
        )
    )
    gate, yard = site.jobs
    monday = datetime(2026, 11, 2, tzinfo=UTC)
    assert [gate.hours.open_at(monday + timedelta(hours=hour)) for hour in (11, 12, 23)] == [False, True, True]
    assert yard.hours.open_at(monday)
    assert gate == replace(gate, hours=yard.hours), "other hours make no other camera"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cameras: [{name: gate, uri: a, hours: ['7-19']}]", "The hours '7-19' of camera 'gate' cannot be read"),
        ("service: {timezone: Mars}\ncameras: [{name: gate, uri: a}]", "There is no time zone 'Mars'"),
        ("cameras: [{name: known-face check, uri: a}]", "No camera may be called 'known-face check'"),
        ("cameras: [{name: gate, uri: a, hours: 07:00-19:00}]", "cameras.0.hours"),
        ("service: {check: 1}", "service.check"),
        ("retention: {faces_days: 0}", "retention.faces_days"),
    ],
)
def test_hours_and_jobs_that_are_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        read_site(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cameras: []", "names no cameras"),
        ("cameras: [{name: gate, url: a}]", "cameras.0.url"),
        ("cameras: [{name: gate, uri: a, transport: quic}]", "cameras.0.transport"),
        ("cameras: [{name: gate, uri: a, roi: [[0, 0], [1, 1]]}]", "cameras.0.roi: a region needs three corners"),
        (
            "cameras: [{name: gate, uri: a, masks: [[[0, 0], [1, 0], [0, 2]]]}]",
            "cameras.0.masks.0.2.1: input should be",
        ),
        ("cameras: [{name: gate, uri: a, masks: [[[0, 0], [1, 1], [0.5, 0.5]]]}]", "that enclose something"),
    ],
)
def test_run_refuses_a_wrong_site(tmp_path: Path, text: str, said: str) -> None:
    site = written(tmp_path, text)
    answer = CliRunner().invoke(app, ["run", "--config", str(site), "--archive", str(tmp_path / "x.db")])
    assert answer.exit_code == 2
    assert said in " ".join(answer.stderr.split())
    assert not (tmp_path / "x.db").exists()


def test_run_without_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMPROC_ARCHIVE", raising=False)
    site = written(tmp_path, "cameras: [{name: gate, uri: a}]")
    answer = CliRunner().invoke(app, ["run", "--config", str(site)])
    assert answer.exit_code == 2
    assert "--archive" in answer.stderr
