"""The real thing, models and all, on the smallest sample clip, through the command line."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.report import write_report
from pipelines.samples import sample
from storage import Archive
from streamproc.codec.bitstream import read_header
from streamproc.config import Settings
from streamproc.types import FaceCode, GapReason

ROOT = Path(__file__).parents[2]
START = "2026-03-01T08:00:00Z"


def _start(*arguments: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run_pipeline.py"), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _ask(*arguments: str) -> Any:
    """The JSON document of a command that works."""
    process = _start(*arguments, "--json")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out)


def _content(archive: Path) -> list[tuple[str, tuple[FaceCode, ...]]]:
    with Archive.open(str(archive)) as opened:
        return [(track.id, tuple(map(opened.code, track.face_ids))) for track in opened.tracks()]


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, float]:
    """An archive of one clip, the folder of its report, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("real")
    archive, report = folder / "calm.db", folder / "report"
    clip = str(sample("single_face.mp4"))
    document = _ask("ingest", clip, "--archive", str(archive), "--start", START, "--report", str(report))
    (source,) = document["sources"]
    assert (source["tracks"], source["frames"], source["error"]) == (1, 72, None)
    return archive, report, document["seconds"]


def test_report(ingested: tuple[Path, Path, float]) -> None:
    """Every picture that the page shows is there and described; nothing comes from elsewhere."""
    archive, report, _ = ingested
    page = (report / "index.html").read_text(encoding="utf-8")
    images = re.findall(r'<img src="([^"]+)"[^>]*?alt="([^"]+)"', page, re.DOTALL)
    assert len(images) == page.count("<img") == 3
    for path, alt in images:
        assert (report / path).stat().st_size > 0
        assert alt
    assert not re.search(r"https?://|<script|@import|url\(", page)
    assert '<h3>single_face <span class="soft">p1</span></h3>' in page
    ((track_id, codes),) = _content(archive)
    assert f'id="{track_id}"' in page
    assert f"<b>{len(codes[0].base)} bytes</b>" in page
    assert "JPEG, quality 90" in page


def test_the_track_is_somebody(ingested: tuple[Path, Path, float]) -> None:
    (identity,) = _ask("identity", "list", "--archive", str(ingested[0]))["identities"]
    assert (identity["identity_id"], identity["tracks"]) == ("p1", 1)


def test_report_shows_gaps(ingested: tuple[Path, Path, float], tmp_path: Path) -> None:
    """Shaded on the timeline with a legend, and told below it; a camera that saw nobody has a line, too."""
    archive = shutil.copy(ingested[0], tmp_path)
    start = datetime.fromisoformat(START)
    with Archive.open(str(archive)) as opened:
        gap = opened.ledger.begin_gap("single_face", start, GapReason.BLACK, "The picture is <black>.")
        opened.ledger.end_gap(gap.id, start + timedelta(minutes=2))
        opened.ledger.begin_gap("yard", start, GapReason.SILENT, "")
    page = write_report(tmp_path / "report", str(archive), Settings()).read_text(encoding="utf-8")
    said = "camera single_face has no video from 2026-03-01 08:00 to 08:02 UTC (black)"
    assert f"<title>{said}. The picture is &lt;black&gt;.</title>" in page
    assert f"<li>{said}</li>" in page
    assert "<li>camera yard has had no video since 2026-03-01 08:00 UTC (silent)</li>" in page
    assert page.count('<rect class="blind"') == 2
    assert 'aria-label="Tracks and gaps of yard' in page
    assert "no video</li>" in page
    calm = (ingested[1] / "index.html").read_text(encoding="utf-8")
    assert '<rect class="blind"' not in calm
    assert 'class="legend"' not in calm


def test_report_in_a_browser(ingested: tuple[Path, Path, float], tmp_path: Path) -> None:
    """The page draws something: the picture of it is not one colour."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    import cv2

    picture = tmp_path / "page.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"]
    where = ["--user-data-dir=" + str(tmp_path / "profile"), f"--screenshot={picture}"]
    command = [browser, *options, *where, (ingested[1] / "index.html").as_uri()]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    shown = cv2.imread(str(picture))
    assert shown is not None
    assert shown.shape[:2] == (900, 1200)
    assert shown.std() > 10


def test_search_and_reconstruct(ingested: tuple[Path, Path, float], tmp_path: Path) -> None:
    """Another photo of the man in the clip finds him; a stranger's finds nobody; his face is decoded."""
    archive = str(ingested[0])
    found = _ask("search", str(sample("single_face.jpg")), "--archive", archive)
    assert (found["verdict"], found["searched"]) == ("match", 1)
    (match,) = found["matches"]
    seen = {"face_id", "track_id", "identity_id", "camera", "source", "time", "clock", "box"}
    assert set(match) == seen | {"similarity", "probability"}
    assert match["clock"] == "file"
    assert match["camera"] == "single_face"
    assert match["time"].startswith("2026-03-01T08:00:0")
    assert match["time"].endswith("Z")
    assert found["gaps"] == []
    stranger = _ask("search", str(sample("0-f15-hao-ph.jpg")), "--archive", archive)
    assert stranger["verdict"] == "no match"
    out = str(tmp_path / "pictures")
    pictures = _ask("reconstruct", match["face_id"], "--archive", archive, "--layer", "base", "--out", out)
    (picture,) = pictures["pictures"]
    assert picture["layer"] == "base"
    assert 0 < picture["bytes"] <= 48
    assert Path(picture["path"]).read_bytes().startswith(b"\x89PNG")


def test_a_camera_with_a_slow_cpu(ingested: tuple[Path, Path, float], tmp_path: Path) -> None:
    """The settings choose the enhancement's codec; its pictures are decoded without being told."""
    config, archive = tmp_path / "jpeg.yaml", tmp_path / "jpeg.db"
    config.write_text("encode: {enhancement: jpeg}", encoding="utf-8")
    clip = str(sample("single_face.mp4"))
    _ask("ingest", clip, "--archive", str(archive), "--start", START, "--config", str(config))
    ((_, codes),), ((_, learned),) = _content(archive), _content(ingested[0])
    assert [code.base for code in codes] == [code.base for code in learned]
    assert {read_header(code.enhancement or b"").codec for code in codes} == {"jpeg"}
    assert {read_header(code.enhancement or b"").codec for code in learned} == {"learned"}
    with Archive.open(str(archive)) as opened:
        face = opened.tracks()[0].face_ids[0]
    shown = _ask("reconstruct", face, "--archive", str(archive), "--layer", "full", "--out", str(tmp_path))
    assert Path(shown["pictures"][0]["path"]).read_bytes().startswith(b"\x89PNG")


def test_photo_with_several_faces_is_asked_about(ingested: tuple[Path, Path, float]) -> None:
    process = _start("search", str(sample("multi_face.jpg")), "--archive", str(ingested[0]), "--json")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 2
    assert out == ""
    assert "--face N" in err
    assert "Traceback" not in err


def test_killed_for_real(ingested: tuple[Path, Path, float], tmp_path: Path) -> None:
    """Two kills of the whole group, then an ingest that completes: equal to the undisturbed archive."""
    calm, _, seconds = ingested
    hurt = tmp_path / "hurt.db"
    arguments = ("ingest", str(sample("single_face.mp4")), "--archive", str(hurt), "--start", START)
    generator = random.Random(3)
    for _ in range(2):
        process = _start(*arguments)
        time.sleep(generator.uniform(0.5, 1.0) * seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if hurt.exists() and hurt.stat().st_size > 4096:
            _content(hurt)
    _ask(*arguments)
    assert _content(hurt) == _content(calm)
