"""`bench ingest`: scenes shown again and again, their truth at the time of day, and a service that is watched."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipelines.bench import cameras as camera_servers
from pipelines.bench.scenery import Format, compose_scenes, matched_passes, shown_between, walkers
from pipelines.bench.watching import lag, watch
from pipelines.cli.app import app
from pipelines.messages import CameraBeat, CameraJob
from pipelines.service import LiveEntries, Watched
from storage import Archive
from streamproc.config import ServiceSettings, Settings
from streamproc.errors import ConfigError
from streamproc.evaluation.portraits import Person
from streamproc.evaluation.scene_matching import Gallery, SeenTrack
from streamproc.evaluation.scene_truth import SceneTruth
from streamproc.faces.finder import FaceFinder
from streamproc.types import FaceRecord, Layer

FORM = Format(320, 180, 10, 12.0, 4.0)
EPOCH = datetime(2026, 5, 4, 9, tzinfo=UTC)
FAKES = LiveEntries(camera="fake_live:camera", detect="fake_live:find", encode="fake_live:code")


def unheard(_what: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return walkers(None, FaceFinder.load("cpu"), unheard)[:3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def scene(people: list[Person], folder: Path) -> SceneTruth:
    return compose_scenes(["gate"], FORM, people, folder, unheard)[0]


def test_a_clip_that_lies_there_is_kept_and_another_is_composed_anew(
    scene: SceneTruth, people: list[Person], folder: Path
) -> None:
    assert (scene.frames, len(scene.passes)) == (120, 2)
    written = (folder / "gate.mp4").stat().st_mtime_ns
    assert compose_scenes(["gate"], FORM, people, folder, unheard) == [scene]
    assert (folder / "gate.mp4").stat().st_mtime_ns == written
    others = compose_scenes(["gate"], FORM, people[1:], folder, unheard)[0]
    assert others != scene
    assert (folder / "gate.mp4").stat().st_mtime_ns > written


def test_nobody_can_pass_in_so_short_a_time(people: list[Person], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Nobody can cross the picture of 'gate' in 3 s"):
        compose_scenes(["gate"], Format(320, 180, 10, 3.0, 4.0), people, tmp_path, unheard)


def test_rounds_have_the_time_of_day(scene: SceneTruth) -> None:
    length = timedelta(seconds=12)
    rounds = list(shown_between(scene, EPOCH, EPOCH + 2.5 * length, EPOCH + 4 * length))
    assert [one.started_at for one in rounds] == [EPOCH + 2 * length, EPOCH + 3 * length]
    assert next(shown_between(scene, EPOCH, EPOCH - length, EPOCH + length)).started_at == EPOCH


def test_a_pass_of_the_second_round_is_found_there(scene: SceneTruth) -> None:
    rounds = list(shown_between(scene, EPOCH, EPOCH, EPOCH + timedelta(seconds=24)))
    one = scene.passes[1]
    face = one.faces[len(one.faces) // 2]
    late = timedelta(seconds=1.5)
    at = rounds[1].time(face.frame) + late
    record = FaceRecord("face", "gate", "scene", "track", at, face.box, 0.9, None, frozenset({Layer.BASE}))
    track = SeenTrack("track", "gate", (record,), np.array([1, 0], np.float32))
    gallery = Gallery((one.identity, "nobody"), np.eye(2, dtype=np.float32))
    found = matched_passes(rounds, [track], gallery, timedelta(seconds=3))
    assert [bool(each.matched.tracks) for each in found] == [False, False, False, True]
    assert found[3].matched.right
    assert found[3].start <= at - late <= found[3].end
    assert not any(each.matched.tracks for each in matched_passes(rounds, [track], gallery, timedelta()))


def test_the_service_is_watched(tmp_path: Path) -> None:
    archive = tmp_path / "site.db"
    with Archive.open(str(archive), create=True):
        pass
    jobs = [CameraJob(name, f"fake://{name}", f"fake://{name}", "tcp") for name in ("gate", "yard")]
    # The known-face check would find a fake codec's faces, and rightly say that another codec wrote them.
    seen = watch(str(archive), Settings(service=ServiceSettings(check=None, identities=False)), jobs, 3.0, FAKES)
    assert timedelta(seconds=2.9) < seen.ended - seen.begun < timedelta(seconds=6)
    # Two cameras of ten frames a second.
    assert 30 <= seen.frames <= 130
    assert (seen.dropped, seen.restarts) == (0, 0)
    assert len(seen.samples) >= 3
    assert all(0 <= sample.lag < 3 and sample.rss_mib > 50 for sample in seen.samples)
    assert 0 < seen.samples[0].cpu < seen.samples[-1].cpu
    with Archive.open(str(archive)) as opened:
        assert opened.info().faces > 0


def test_lag_is_that_of_the_newest_frame_or_of_one_that_waits() -> None:
    camera = Watched(CameraJob("gate", "fake://gate", "fake://gate", "tcp"))
    assert lag(camera, EPOCH) == 0
    camera.beat = CameraBeat(10, 0, 0, EPOCH - timedelta(seconds=2), 0.5)
    assert lag(camera, EPOCH) == 2
    camera.beat = CameraBeat(10, 0, 0, EPOCH - timedelta(seconds=2), 4.5)
    assert lag(camera, EPOCH) == 4.5


def test_what_is_missing_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_servers, "NEEDS", "raise SystemExit(1)")
    result = CliRunner().invoke(app, ["bench", "ingest", "--cameras", "1"])
    assert result.exit_code == 1
    assert re.search("GStreamer, which is not installed: apt-get install python3-gi", " ".join(result.stderr.split()))
    assert CliRunner().invoke(app, ["bench", "ingest", "--width", "641"]).exit_code == 2
