"""The service's log: lines for people, objects for programs, passwords for nobody."""

import io
import json
from datetime import UTC, datetime

import pytest

from pipelines.events import Event, Level, as_json, camera_event, log_to, plain
from streamproc.types import GapReason

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
