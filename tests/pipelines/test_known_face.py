"""The known face goes through the whole path and is found, and what is alive but deaf turns the service red."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
from fake_check import ThumbCodec
from test_service import FAKES, Running, job

from pipelines.checking import LIMIT_SECONDS, KnownFaceCheck
from pipelines.known_face import FACE, _judge, check, known_frames
from pipelines.messages import Beat, CheckDone
from pipelines.metrics import serve
from pipelines.service import LiveEntries
from pipelines.site import CHECK_CAMERA
from storage import Archive
from streamproc.config import ServiceSettings, Settings, SupervisorSettings
from streamproc.errors import PipelineError
from streamproc.query.search import SearchResult
from streamproc.types import FaceRecord, Match

PATH = replace(FAKES, encode="fake_check:code", check="fake_check:check")
RECORD = FaceRecord("f", CHECK_CAMERA, "s", "t", datetime.now(UTC), (0, 0, 1, 1), 1.0, None, frozenset())
SETTINGS = Settings(
    service=ServiceSettings(silent=2.0, identities=False), supervisor=SupervisorSettings(silence=8.0, stop=10.0)
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator["type[Started]"]:
    Started.all, Started.folder = [], tmp_path
    yield Started
    for one in Started.all:
        if one.thread.is_alive():
            one.stop()


class Started(Running):
    all: "list[Started]"
    folder: Path

    def __init__(self, entries: LiveEntries) -> None:
        super().__init__(self.folder / "site.db", [job("gate")], SETTINGS, entries)
        self.all.append(self)


def test_it_is_found_and_nobody_else_is_told_of_it(running: type[Started]) -> None:
    one = running(PATH)
    port = serve(one.service, "127.0.0.1", 0)
    with pytest.raises(HTTPError, match="503") as refused:
        urlopen(f"http://127.0.0.1:{port}/healthz")
    assert b"No known-face check has been made yet." in refused.value.read()
    one.until(lambda: not one.service.troubles())
    with urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
        assert answer.read() == b"well\n"
    first = one.service.schedule.check.last
    one.service.schedule.check.ask()
    one.until(lambda: one.service.schedule.check.last is not first)
    one.until(lambda: len(checks(one)) == 1)
    one.until(lambda: one.faces("gate") > 0)
    one.stop()
    assert one.failure is None
    assert one.service.troubles() == []
    with Archive.open(str(one.archive)) as archive:
        assert [camera.name for camera in archive.info().cameras] == ["gate"]
        assert {track.camera for track in archive.tracks()} == {"gate"}
        assert len(archive.tracks([CHECK_CAMERA])) == 1
        assert archive.gaps([CHECK_CAMERA]) == ()
    assert sum("The known face was found again" in line for line in one.log) == 1


def checks(one: Running) -> list[str]:
    """The sources of what the archive holds of checks."""
    with Archive.open(str(one.archive)) as archive:
        return sorted({track.source_id for track in archive.tracks([CHECK_CAMERA])})


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (replace(PATH, detect="fake_check:deaf"), "no face of it was archived within 4 s"),
        (replace(PATH, detect="fake_check:exchanged"), "red and blue exchanged"),
        (replace(PATH, check="fake_check:crash"), "MemoryError: no memory is left"),
    ],
)
def test_a_path_that_is_alive_but_does_not_do_its_work(entries: LiveEntries, said: str, running: type[Started]) -> None:
    one = running(entries)
    one.until(lambda: one.service.schedule.check.last is not None)
    (trouble,) = one.service.troubles()
    assert said in trouble
    assert f"The known-face check failed: {trouble}" in one.log
    assert one.service.stages["detect"].restarts == 0


def test_a_stage_that_is_started_anew_is_checked_anew(running: type[Started]) -> None:
    one = running(PATH)
    one.until(lambda: not one.service.troubles())
    last = one.service.schedule.check.last
    one.service.stages["detect"].child._process.kill()
    one.until(lambda: one.service.schedule.check.last is not last)
    assert one.service.troubles() == []


class FakeChild:
    """A process that says what it is told to."""

    def __init__(self) -> None:
        self.said: list[object] = [Beat()]
        self.exit_code: int | None = None
        self.ended = False

    def messages(self) -> Iterator[object]:
        yield from self.said
        self.said.clear()

    def last_words(self) -> str:
        return "was killed by SIGKILL"

    def end(self) -> None:
        self.ended = True


class Clocked:
    """A check with processes and a clock of the test's own."""

    def __init__(self) -> None:
        self.now, self.log = 1000.0, list[str]()
        self.children: list[FakeChild] = []
        self.check = KnownFaceCheck(self._start, lambda event: self.log.append(str(event)), lambda: self.now)

    def _start(self) -> Any:
        self.children.append(FakeChild())
        return self.children[-1]

    def answered(self, done: CheckDone) -> None:
        self.check.ask()
        self.check.turn(True)
        self.children[-1].said.append(done)
        assert self.check.turn(True) is not None
        assert self.children[-1].ended


WELL, ILL = CheckDone(True, "", 1.5), CheckDone(False, "It was not found.", 60.0)


def test_health_goes_with_the_last_check_and_with_its_age() -> None:
    clocked = Clocked()
    assert clocked.check.troubles(300) == ["No known-face check has been made yet."]
    clocked.answered(WELL)
    assert clocked.check.troubles(300) == []
    clocked.now += 600
    assert clocked.check.troubles(300) == []
    clocked.now += 120
    assert clocked.check.troubles(300) == ["The last known-face check was 12 minutes ago."]
    clocked.answered(ILL)
    assert clocked.check.troubles(300) == ["It was not found."]
    clocked.answered(WELL)
    assert clocked.check.troubles(300) == []
    assert clocked.log == [
        "The known face was found again after 1.5 s.",
        "The known-face check failed: It was not found.",
        "The known face was found again after 1.5 s.",
    ]


def test_one_check_at_a_time_and_none_while_a_stage_starts() -> None:
    clocked = Clocked()
    clocked.check.ask()
    clocked.check.turn(False)
    assert clocked.children == []
    for _ in range(3):
        clocked.check.ask()
        clocked.check.turn(True)
    assert len(clocked.children) == 1


def test_a_check_that_hangs_or_dies_is_ended_and_the_next_one_may_begin() -> None:
    clocked = Clocked()
    clocked.check.ask()
    clocked.check.turn(True)
    clocked.now += LIMIT_SECONDS + 1
    assert clocked.check.turn(True) is not None
    assert clocked.children[0].ended
    assert clocked.check.troubles(300) == ["The known-face check gave no answer for 241 s."]
    clocked.check.ask()
    clocked.check.turn(True)
    clocked.children[1].exit_code = -9
    clocked.check.turn(True)
    assert clocked.check.troubles(300) == ["The process of the known-face check was killed by SIGKILL."]
    clocked.answered(WELL)
    assert clocked.check.troubles(300) == []


def test_the_known_face_as_the_real_models_see_it() -> None:
    from streamproc import FaceCodec, FaceFinder

    finder, codec = FaceFinder.load("cpu"), FaceCodec.load(device="cpu")
    frames = known_frames(4)
    assert {frame.shape for frame in frames} == {(360, 640, 3)}
    frames.append(np.ascontiguousarray(frames[2][:, :, ::-1]))
    crops = [finder.find(frame) for frame in frames]
    assert [len(found) for found in crops] == [1] * 5
    box = crops[0][0].detection.box
    assert abs(box[3] - box[1] - FACE) < 12
    codes = codec.encode(np.stack([found[0].image for found in crops]), None)
    features = codec.features([code.base for code in codes])
    seen, exchanged = features[1:4] @ features[0], features[1:4] @ features[4]
    # Each is found among a thousand others, and is told from one whose colours were exchanged.
    assert seen.min() > codec.calibration.threshold(1000, 0.05)
    assert (seen > exchanged).all()


def test_larger_faces_where_only_those_are_looked_for() -> None:
    assert known_frames(1, 40)[0].shape == (360, 640, 3)
    height = known_frames(1, 200)[0].shape[0]
    assert height * FACE / 360 > 1.4 * 200


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (SearchResult("no match", 1, 0.5, 1.0, (Match(RECORD, 0.5, 0.25),), 0, 0, ()), "with a probability of 25.0%"),
        (SearchResult("no match", 0, 0.5, 1.0, (), 0, 3, ()), "another codec wrote it"),
        (SearchResult("no match", 0, 0.5, 1.0, (), 3, 0, ()), "its code is damaged"),
    ],
)
def test_what_search_does_not_find_is_no_success(result: SearchResult, said: str) -> None:
    with pytest.raises(PipelineError, match=said):
        _judge(result)


def test_a_detector_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fake_stages import FakeFinder

    class Silent:
        def beat(self, message: object) -> None:
            pass

    monkeypatch.setattr("pipelines.known_face.PATIENCE", 0.2)
    done = check(Silent(), tmp_path / "detect", "none.db", SETTINGS, FakeFinder(), ThumbCodec())  # type: ignore[arg-type]
    assert not done.well
    assert done.detail == "The stage behind detect was not there for 0 s."
