"""The service by the clock, with fake cameras: recording hours, clearing up and statistics, while others go on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from test_service import SETTINGS, Running, job

from pipelines.jobs import Due
from pipelines.messages import CameraJob
from storage import Archive
from streamproc.config import RetentionSettings
from streamproc.types import GapReason


@dataclass
class Switch:
    """Recording hours that the test sets."""

    open: bool

    def open_at(self, when: datetime) -> bool:
        return self.open


def switched(name: str, switch: Switch) -> CameraJob:
    hours: Any = switch
    return replace(job(name), hours=hours)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def begin(*jobs: CameraJob) -> Running:
        running.append(Running(tmp_path / "site.db", jobs))
        return running[-1]

    yield begin
    for one in running:
        if one.thread.is_alive():
            one.stop()


def due(running: Running, what: Due) -> None:
    running.service.schedule._jobs._due.put(what)


def test_a_camera_is_closed_and_opened_by_its_hours(start: Callable[..., Running]) -> None:
    gate, door = Switch(True), Switch(False)
    running = start(switched("gate", gate), job("yard"), switched("door", door))
    running.until(lambda: running.faces("gate") > 0 and running.faces("yard") > 0)
    yard = running.process("yard")
    assert (running.reason("door"), running.service.cameras["door"].child) == (GapReason.CLOSED, None)

    gate.open, door.open = False, True
    due(running, Due.HOURS)
    running.until(lambda: running.reason("gate") is GapReason.CLOSED and running.faces("door") > 0)
    assert running.service.cameras["gate"].child is None

    # The same by the configuration: a camera with other hours is the same camera.
    running.jobs[:] = [switched("gate", Switch(True)), job("yard"), switched("door", Switch(False))]
    running.service.ask_reload()
    had = running.faces("gate")
    running.until(lambda: running.faces("gate") > had and running.reason("door") is GapReason.CLOSED)
    assert running.process("yard") == yard
    assert running.service.cameras["gate"].restarts == 0
    running.until(lambda: running.gaps("gate")[-1].ended_at is not None and len(running.gaps("door")) == 2)
    (closed,) = running.gaps("gate")
    assert closed.reason is GapReason.CLOSED
    assert closed.detail == "It is outside its recording hours."
    assert closed.ended_at is not None
    assert timedelta() < closed.ended_at - closed.began_at < timedelta(minutes=3)
    first, second = running.gaps("door")
    assert (first.reason, second.reason, second.ended_at) == (GapReason.CLOSED, GapReason.CLOSED, None)
    running.stop()
    assert [gap.reason for gap in running.gaps("door")][-1] is GapReason.STOPPED
    assert running.gaps("door")[1].ended_at is not None


def test_what_is_over_its_time_goes_while_cameras_go_on(start: Callable[..., Running]) -> None:
    running = start(job("gate"))
    running.until(lambda: running.faces("gate") > 1)
    with Archive.open(str(running.archive)) as archive:
        first = archive.tracks()[0]
    running.settings = SETTINGS.model_copy(update={"retention": RetentionSettings(faces_days=1e-5)})
    gate = running.process("gate")
    running.service.ask_reload()
    running.until(lambda: any(line.startswith("Cleared up: ") for line in running.log))
    had = running.faces("gate")
    running.until(lambda: running.faces("gate") > had)
    running.stop()
    assert running.failure is None
    with Archive.open(str(running.archive)) as archive:
        tracks = archive.tracks()
        assert first.id not in {track.id for track in tracks}
        assert archive.code(tracks[0].face_ids[0]).base
    assert running.service.stages["archive"].restarts == 0
    assert gate


def test_statistics_are_logged(start: Callable[..., Running]) -> None:
    running = start(job("gate"))
    running.until(lambda: running.faces("gate") > 0)
    due(running, Due.STATISTICS)
    running.until(lambda: any(line.startswith("gate: live ") for line in running.log))
    (line,) = [line for line in running.log if line.startswith("gate: live ")]
    assert " 0 frames" not in line
    assert " 0 faces" not in line
