"""The command line as a user types it: exit codes, standard output and standard error apart, JSON documents."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
Clip = Callable[..., Path]
COMMANDS = [
    *("demo", "ingest", "run", "search", "reconstruct"),
    *("info", "doctor", "migrate", "copy", "retain", "backup", "restore", "erase"),
    *("train", "evaluate", "setup"),
]
GROUPED = [
    *("bench codec", "bench best-shot", "watch add", "watch list", "watch remove", "watch events"),
    *("hold add", "hold remove", "hold list"),
    *(f"identity {name}" for name in ("gather", "list", "name", "merge", "split", "ignore", "undo", "log")),
    *(f"upgrade {name}" for name in ("run", "status", "measure", "switch", "rollback", "finish")),
    *(f"identity {name}" for name in ("timeline", "with", "journeys")),
]
"""Commands of groups, which are listed by the group's name."""


def _run(*arguments: str, script: Path = ROOT / "run_pipeline.py") -> "subprocess.CompletedProcess[str]":
    hidden = ("STREAMPROC_ARCHIVE", "STREAMPROC_CONFIG")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"PYTHONPATH": f"{ROOT}:{HERE}", "COLUMNS": "200"}
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


def _help(command: str) -> str:
    """The help of a command, rendered in this process."""
    from typer.testing import CliRunner

    from pipelines.cli.app import app

    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPED])
def test_help_has_an_example(command: str) -> None:
    said = _help(command)
    assert f"Example: streamproc {command}" in said
    assert "--json" in said or command == "run"  # which never comes to a result


def test_help_answers_at_once_and_lists_all() -> None:
    begun = time.monotonic()
    result = _run("--help")
    assert result.returncode == 0
    assert time.monotonic() - begun < 5  # a quarter of a second on an idle machine
    listed = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("│ ") and line[2] != " "]
    assert [name for name in listed if name != "--help"] == [*COMMANDS, "identity", "watch", "upgrade", "hold", "bench"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ingest", "clip.mp4"], 2, "--archive"),
        (["ingest", "--archive", "x.db"], 2, "SOURCE"),
        (["ingest", "clip.mp4", "--archive", "x.db", "--loud"], 2, "--loud"),
        (["ingest", "clip.mp4", "--archive", "x.db", "--start", "yesterday"], 2, "ISO 8601"),
        (["ingest", "clip.mp4", "--archive", "x.db", "--config", "none.yaml"], 2, "none.yaml"),
        (["ingest", "nowhere.mp4", "--archive", "x.db"], 1, "nowhere.mp4"),
        (["search", "a.jpg", "--archive", "x.db", "--top", "0"], 2, "--top"),
        (["reconstruct", "f", "--archive", "x.db", "--out", "o", "--layer", "half"], 2, "half"),
        (["info", "--archive", "nowhere.db"], 1, "nowhere.db"),
        (["info", "--archive", "mongo://x"], 1, "SQLite"),
        (["evaluate", "imagenet", "--data", "x"], 2, "imagenet"),
        (["evaluate", "rate-accuracy", "--data", "nowhere"], 1, "pairs.txt"),
        (["evaluate", "bias", "--data", "nowhere"], 1, "age_sex_group_date"),
        (["train", "feature", "--data", "x", "--alone"], 2, "--alone"),
        (["train", "feature", "--data", "x", "--further"], 2, "--further"),
        (["bench", "codec", "--threads", "0"], 2, "--threads"),
        (["fly"], 2, "fly"),
    ],
)
def test_wrong_ways_to_ask(arguments: list[str], code: int, said: str, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from pipelines.cli.app import app

    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        result = CliRunner().invoke(app, arguments, env={"STREAMPROC_ARCHIVE": None, "COLUMNS": "200"})
    finally:
        os.chdir(here)
    assert result.exit_code == code
    assert result.stdout == ""
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == [], "nothing is left of a question asked wrongly"


def test_ingest_and_info_as_json(tmp_path: Path, clip: Clip, weights: Path) -> None:
    """A good clip beside a bad one: one document, exit code 1, the bad one's sentence on standard error."""
    bad = tmp_path / "notes.mp4"
    bad.write_text("words\n" * 100)
    archive = tmp_path / "x.db"
    result = _run(str(archive), str(weights), str(clip()), str(bad), script=HERE / "fake_cli.py")
    assert result.returncode == 1, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    good, failed = document["sources"]
    counts = {"frames", "corrupt", "detections", "tracks", "archived", "seconds"}
    assert set(good) == {"camera", "source", "skipped", "error", "clock"} | counts
    assert good["clock"] == "file"
    assert (good["tracks"], good["frames"], good["error"]) == (2, 30, None)
    assert document["seconds"] >= good["seconds"] > 0
    assert "notes.mp4" in failed["error"]
    assert failed["error"] in result.stderr
    assert "Traceback" not in result.stderr

    again = _run(str(archive), str(weights), str(tmp_path / "clip.mp4"), script=HERE / "fake_cli.py")
    assert again.returncode == 0
    assert json.loads(again.stdout)["sources"][0]["skipped"] is True
    assert "skipped" in again.stderr

    held = json.loads(_run("info", "--archive", str(archive), "--json").stdout)
    assert held["tracks"] == 2
    assert held["faces"] == good["archived"]
    assert {"base", "enhancement", "index", "file"} <= set(held["bytes"])
    assert {"identities", "cameras", "gaps"} <= set(held)
    first = next(camera["first"] for camera in held["cameras"] if camera["name"] == "clip")
    assert first.endswith("Z")
