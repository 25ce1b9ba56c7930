"""Metrics as Prometheus reads them off a running service: true, and never backwards."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from test_service import Running, job, start

from pipelines.checking import KnownFaceCheck
from pipelines.children import Child
from pipelines.events import as_json
from pipelines.identities.follower import Follower
from pipelines.machine import metrics_port
from pipelines.messages import ArchiveState, CheckDone
from pipelines.metrics import serve
from pipelines.probing import State
from pipelines.service import Service
from pipelines.tallies import BOUNDS, Searched, Spread, StageReport, Tally
from pipelines.watched import Stage, Watched
from storage import Archive
from streamproc.types import GapReason

__all__ = ["start"]
DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"


class Scraped:
    """The service's metrics, by name and labels."""

    def __init__(self, service: Service) -> None:
        self.port = serve(service, "127.0.0.1", 0)
        self.kinds: dict[str, str] = {}

    def now(self) -> dict[tuple[str, str], float]:
        with urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        self.kinds |= {family.name: family.type for family in families}
        figures = {}
        for sample in (sample for family in families for sample in family.samples):
            key = sample.name.removeprefix("streamproc_"), "/".join(sample.labels.values())
            assert key not in figures
            figures[key] = sample.value
        return figures


def went_back(before: dict[tuple[str, str], float], after: dict[tuple[str, str], float]) -> list[tuple[str, str]]:
    counts = ("_total", "_count", "_sum", "_bucket")
    return [key for key, value in before.items() if key[0].endswith(counts) and after[key] < value]


def test_counts_are_those_of_the_archive(start: Callable[..., Running]) -> None:
    running = start(job("gate"), job("yard", "?blind=2"))
    scraped = Scraped(running.service)
    cameras = running.service.cameras  # asking the archive all the time would take the core from the processes
    running.until(lambda: cameras["gate"].faces > 2 and cameras["yard"].faces > 0)
    state, said = metrics_port("127.0.0.1", scraped.port)
    assert state is State.OK
    assert said.endswith("it says: well")
    running.service.archive = ArchiveState(False, "No room is left.")
    state, said = metrics_port("127.0.0.1", scraped.port)
    assert state is State.WARNING
    assert said.endswith("it says: No room is left.")
    running.service.archive = ArchiveState(True, "")
    running.stop()
    figures = scraped.now()
    with Archive.open(str(running.archive)) as archive:
        held = {camera.name: camera for camera in archive.info().cameras}
    for name in ("gate", "yard"):
        assert figures["tracks_total", name] == held[name].tracks
        assert figures["faces_total", name] == held[name].faces
        searched, detections = figures["frames_searched_total", name], figures["detections_total", name]
        assert 0 < detections < searched
        assert figures["frames_damaged_total", name] == figures["restarts_total", name] == 0
        assert 0 < figures["last_face_seconds", name] < 60
        assert (figures["live", name], figures["open", name]) == (0, 1)
    # What was given on was searched, but for the last frames and for what the last reports lack. (The other camera says
    # that it is blind all the time, so it does not come to say how many frames it gave.)
    given = figures["frames_total", "gate"] - figures["frames_dropped_total", "gate"]
    assert given == pytest.approx(figures["frames_searched_total", "gate"], abs=12)
    assert given > 20
    faces = sum(camera.faces for camera in held.values())
    assert figures["stage_items_total", "encode"] >= figures["encode_seconds_count", ""] > 0
    assert figures["arrival_seconds_count", ""] == figures["arrival_seconds_bucket", "+Inf"] >= faces > 0
    assert 0.05 < figures["arrival_seconds_sum", ""] / figures["arrival_seconds_count", ""] < 30
    assert (
        figures["write_seconds_count", ""]
        == figures["stage_items_total", "archive"]
        >= sum(camera.tracks for camera in held.values())
    )
    assert 1 <= figures["stage_items_total", "detect"] / figures["stage_batches_total", "detect"] <= 4
    assert figures["archive_well", ""] == 1


def test_no_count_goes_back_when_processes_are_started_anew(start: Callable[..., Running]) -> None:
    running = start(job("gate"))
    scraped = Scraped(running.service)
    running.until(lambda: running.service.cameras["gate"].faces > 0)
    before = scraped.now()
    assert before["live", "gate"] == 1
    assert before["stage_slots", "detect"] == 64
    assert 0 <= before["lag_seconds", "gate"] < 10
    assert {f"{before['memory_bytes', name] > 5e6}" for name in ("camera gate", "detect", "supervisor")} == {"True"}
    for name in ("detect", "archive", "gate"):
        os.kill(running.process(name), signal.SIGKILL)
        seen = before
        end = time.monotonic() + 20
        while (now := scraped.now()) and time.monotonic() < end:
            assert not went_back(seen, now)
            seen = now
            restarts = now["restarts_total", name] if name == "gate" else now["stage_restarts_total", name]
            if restarts == 1 and now["frames_searched_total", "gate"] > before["frames_searched_total", "gate"] + 5:
                break
            time.sleep(0.05)
        before = seen
    assert before["frames_total", "gate"] > 40


def test_the_document_lists_every_metric_and_event() -> None:
    stages = {name: Stage(name, cast(Child, None)) for name in ("detect", "encode", "archive")}
    follower = Follower(None, print)
    check = KnownFaceCheck(lambda: cast(Child, None), lambda event: None)
    site = SimpleNamespace(
        cameras={"gate": Watched(job("gate"))},
        stages=stages,
        archive=ArchiveState(True, ""),
        follower=follower,
        schedule=SimpleNamespace(check=check),
    )
    scraped = Scraped(cast(Service, site))
    assert not any(name.startswith("check_") for name, _ in scraped.now())
    check.last = CheckDone(False, "nothing was found", 3.5)
    figures = scraped.now()
    assert (figures["check_well", ""], figures["check_seconds", ""]) == (0, 3.5)
    assert figures["check_age_seconds", ""] > 0
    said = DOCUMENT.read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(streamproc_\w+?)(?:_total)?` ", said, re.MULTILINE))
    assert listed == set(scraped.kinds)
    sources = [path.read_text(encoding="utf-8") for path in (DOCUMENT.parents[1] / "pipelines").rglob("*.py")]
    events = {name for source in sources for name in re.findall(r'\bEvent\(\s*"(\w+)"', source)}
    assert set(re.findall(r"^\| `(?!streamproc)(\w+)` \| (?:debug|info|warning|error)", said, re.MULTILINE)) == events
    rules = set(re.findall(r"streamproc_\w+", "".join(re.findall(r"expr: (.*)", said))))
    (block,) = re.findall(r"```yaml\n(groups:.*?)```", said, re.DOTALL)
    alerts = yaml.safe_load(block)["groups"][0]["rules"]
    assert all({"alert", "expr", "annotations"} <= set(alert) for alert in alerts)
    assert set(re.findall(r"^\| `(\w+)` \| (?!debug|info|warning|error)", said.split("## Why")[1], re.MULTILINE)) == {
        reason.value for reason in GapReason
    }
    suffixes = r"(_total|_bucket|_sum|_count)$"
    assert {re.sub(suffixes, "", name) for name in rules} <= set(scraped.kinds)


def test_log_lines_are_objects_without_credentials(start: Callable[..., Running]) -> None:
    running = start(job("gate"), job("yard", "?blind=1"))
    for one in (running.service.cameras["gate"], running.service.cameras["yard"]):
        assert "fake://" in one.job.uri
    running.until(lambda: any(event.name == "camera_blind" for event in running.events))
    os.kill(running.process("gate"), signal.SIGKILL)
    running.until(lambda: running.service.cameras["gate"].restarts == 1)
    os.kill(running.process("encode"), signal.SIGKILL)
    running.until(lambda: any(event.name == "stage_restarted" for event in running.events))
    running.stop()
    documents = [json.loads(as_json(event)) for event in running.events]
    by_name = {document["event"]: document for document in documents}
    assert by_name["stage_restarted"]["stage"] == "encode"
    assert by_name["stage_restarted"]["detail"] == "was killed by SIGKILL"
    blind = [document for document in documents if document["event"] == "camera_blind"]
    assert {(document["camera"], document["reason"]) for document in blind} >= {("yard", "black"), ("gate", "silent")}
    assert all(document["time"].endswith("Z") for document in documents)
    assert [document["time"] for document in documents] == sorted(document["time"] for document in documents)
    (first,) = [document for document in blind if document["camera"] == "yard" and document["reason"] == "black"]
    assert 0 < first["seconds"] < 10  # it was live so long


def test_a_spread() -> None:
    spread = Spread().with_values(0.005).with_values(0.3, 2) + Spread().with_values(1e6)
    held = {bound: count for bound, count in zip([*BOUNDS, "more"], spread.counts, strict=True) if count}
    assert held == {0.005: 1, 0.5: 2, "more": 1}
    assert spread.total == pytest.approx(1e6 + 0.605)


def test_reports_of_two_processes_add_up() -> None:
    first, second = Tally(8), Tally(8)
    for tally, camera in ((first, "gate"), (second, "gate"), (second, "yard")):
        with tally.work(2):
            pass
        tally.searched(camera, 3)
        tally.encoded(2, 0.4)
        tally.encoded(0, 9.0)
        tally.arrived(-1.0)
    both = first.report(5) + second.report(1)
    assert (both.waiting, both.slots, both.batches, both.items) == (1, 8, 3, 6)
    assert both.searched == (Searched("gate", 2, 6), Searched("yard", 1, 3))
    assert both.encode == Spread().with_values(0.2, 6)
    assert sum(both.arrival.counts) == 3
    assert StageReport() + first.report(0) == first.report(0)
