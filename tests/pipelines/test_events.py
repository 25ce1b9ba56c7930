"""The service's log: lines for people, objects for programs, passwords for nobody."""

import io
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.events import Event, Level, as_json, camera_event, log_to, plain
from streamproc.types import GapReason

ROOT = Path(__file__).parents[2]
AT = datetime(2026, 3, 1, 12, 30, 1, 250_000, tzinfo=UTC)
SECRET = "'rtsp://viewer:s3cret@10.0.0.5/live?token=abcdef' cannot be reached:\nno route"


def test_a_line_for_people() -> None:
    assert plain(Event("camera_live", "gate: live", at=AT)) == "2026-03-01 12:30:01Z gate: live"
    line = plain(Event("camera_blind", f"gate: unreachable: {SECRET}", at=AT))
    assert line == (
        "2026-03-01 12:30:01Z gate: unreachable: 'rtsp://10.0.0.5/live?token=*** cannot be reached: no route"
    )


def test_an_object_for_programs() -> None:
    event = Event("camera_blind", f"gate: silent: {SECRET}", Level.WARNING, "gate", None, "silent", SECRET, 3.14159)
    line = as_json(event)
    assert "\n" not in line
    document = json.loads(line)
    assert set(document) == {"time", "level", "event", "message", "camera", "reason", "detail", "seconds"}
    assert datetime.fromisoformat(document["time"]) == event.at.replace(microsecond=event.at.microsecond // 1000 * 1000)
    assert document["detail"] == "'rtsp://10.0.0.5/live?token=*** cannot be reached:\nno route"
    assert document["seconds"] == 3.142
    assert "s3cret" not in line
    assert "abcdef" not in line
    assert json.loads(as_json(Event("statistics", "gate: live 100.0%", figures={"faces": 3})))["figures"] == {
        "faces": 3
    }


def test_levels() -> None:
    stream = io.StringIO()
    log = log_to(stream, "json", "warning")
    for level in Level:
        log(Event(level.value, "It happened.", level))
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["warning", "error"]


@pytest.mark.parametrize(
    ("reason", "level"),
    [(None, Level.INFO), (GapReason.CLOSED, Level.INFO), (GapReason.STOPPED, Level.INFO), (GapReason.BLACK, "warning")],
)
def test_only_what_nobody_wanted_is_a_warning(reason: GapReason | None, level: Level) -> None:
    assert camera_event("gate", reason, "It is so.", 1.0).level == level


def test_a_log_that_cannot_be_written_to_ends_nobody() -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    log_to(Full(), "text", "info")(Event("stopped", "Stopped."))
    closed = io.StringIO()
    closed.close()
    log_to(closed, "text", "info")(Event("stopped", "Stopped."))


def test_a_service_whose_log_is_objects(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(
        f"service: {{archive: {tmp_path}/site.db, log: json, metrics_port: 0, silent: 1, secrets: secrets.yaml}}\n"
        'cameras: [{name: gate, uri: "rtsp://${USER_NAME}:${PASSWORD}@127.0.0.1:9/live?token=${PASSWORD}"}]\n'
    )
    (tmp_path / "secrets.yaml").write_text("USER_NAME: viewer\nPASSWORD: s3cret\n")
    command = [sys.executable, str(ROOT / "run_pipeline.py"), "run", "--config", str(tmp_path / "site.yaml")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    lines: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stderr is not None
        try:
            for line in run.stderr:
                lines.append(line)
                if '"camera_blind"' in line and run.poll() is None:
                    (tmp_path / "site.yaml").write_text("cameras: [{name: gate}]")
                    run.send_signal(signal.SIGHUP)
                if '"configuration_wrong"' in line:
                    run.send_signal(signal.SIGTERM)
            assert run.wait(60) == 0
        finally:
            run.kill()
    documents = [json.loads(line) for line in lines]
    events = [document["event"] for document in documents]
    assert events[:2] == ["started", "metrics"]
    assert events[-1] == "stopped"
    blind = next(document for document in documents if document["event"] == "camera_blind")
    assert (blind["camera"], blind["reason"], blind["level"]) == ("gate", "unreachable", "warning")
    assert "Connection refused" in blind["detail"]
    assert not [line for line in lines if "s3cret" in line or "viewer" in line]
