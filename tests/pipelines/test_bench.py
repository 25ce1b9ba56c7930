"""`bench`: rows as the doors have them, measured in a process that has the threads asked for."""

import json
import os

import pytest
from typer.testing import CliRunner

from pipelines.bench import codec
from pipelines.bench.process import THREADS, measured_apart
from pipelines.cli.app import app
from streamproc.errors import PipelineError, SourceNotFound

ROWS = {"encode-base", "encode-full", "decode-base", "decode-full", "decode-one-full", "features"}


def seen_threads() -> tuple[int, list[str | None]]:
    return os.getpid(), [os.environ.get(name) for name in THREADS]


def fail() -> None:
    raise SourceNotFound("the clip is missing: name another")


def die() -> None:
    os._exit(9)


def few(threads: int) -> list[codec.CodecRow]:
    return codec.measure(threads, faces=2, features=10)


def test_threads_are_set_in_a_process_of_its_own() -> None:
    pid, threads = measured_apart(3, seen_threads)
    assert pid != os.getpid()
    assert threads == ["3", "3", "3"]
    assert seen_threads()[1] != threads, "this process stays as it was"


def test_errors_come_back() -> None:
    with pytest.raises(SourceNotFound, match="the clip is missing"):
        measured_apart(1, fail)
    with pytest.raises(PipelineError, match="memory"):
        measured_apart(1, die)


def test_codec_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "measure", few)
    result = CliRunner().invoke(app, ["bench", "codec", "--threads", "1", "--json"])
    assert result.exit_code == 0, result.stderr
    rows = json.loads(result.stdout)["rows"]
    assert {row["what"] for row in rows} == ROWS
    for row in rows:
        assert set(row) == {"what", "faces", "seconds", "faces_per_second", "threads"}
        assert row["faces_per_second"] == pytest.approx(row["faces"] / row["seconds"])
        assert row["threads"] == 1
