"""Whatever ends an ingest, the archive opens, nothing is left running, and the same ingest again makes it whole."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from storage import Archive
from streamproc.types import FaceCode

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
Clip = Callable[..., Path]
STORY = "".join("1" * 25 + "0" * 20 for _ in range(8))
"""Eight passages, one after the other, so that a kill falls between their transactions. Light alone is no motion: they
last until the frames that are searched without any have found them."""


@pytest.fixture
def started() -> Iterator[list["subprocess.Popen[str]"]]:
    """The process groups that a test started; whatever is left of them goes."""
    groups: list[subprocess.Popen[str]] = []
    # Tests that a script began in the background ignore Ctrl-C, and so would all that they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield groups
    signal.signal(signal.SIGINT, before)
    for process in groups:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _start(groups: list["subprocess.Popen[str]"], *command: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{HERE}"}
    process = subprocess.Popen(
        [sys.executable, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    groups.append(process)
    return process


def _content(archive: Path) -> list[tuple[str, str, int, tuple[FaceCode, ...]]]:
    """All that an ingest archives, of every track."""
    with Archive.open(str(archive)) as opened:
        return [
            (track.id, track.started_at.isoformat(), track.detections, tuple(map(opened.code, track.face_ids)))
            for track in opened.tracks()
        ]


def _shared_memory() -> set[str]:
    """The names of shared memory, but for what a test beside this one may make: Postgres, and a pool of processes."""
    folder = Path("/dev/shm")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return {name for name in names if not name.startswith(("PostgreSQL.", "sem."))}


def _members(group: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _gone(group: int, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while _members(group) and time.monotonic() < end:
        time.sleep(0.05)
    return not _members(group)


def test_killed_at_ten_moments(
    tmp_path: Path, clip: Clip, weights: Path, started: list["subprocess.Popen[str]"]
) -> None:
    """One archive suffers all ten kills: it grows, opens each time, and ends equal to an undisturbed one."""
    path = str(clip("clip.mp4", STORY))
    script = str(HERE / "fake_ingest.py")
    calm, hurt = tmp_path / "calm.db", tmp_path / "hurt.db"
    begun = time.monotonic()
    assert _start(started, script, str(calm), str(weights), path).wait(120) == 0
    whole = time.monotonic() - begun
    expected = _content(calm)
    assert len(expected) == 8

    before = _shared_memory()
    generator = random.Random(7)
    seen = 0
    for _ in range(10):
        process = _start(started, script, str(hurt), str(weights), path)
        # Half of the kills fall into start-up, whenever that is; the others are aimed at the writing after it.
        time.sleep(generator.uniform(0.3, 1.0) * whole)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert _gone(process.pid)
        # Killed before its first transaction, the file is not there, or empty.
        if hurt.exists() and hurt.stat().st_size > 4096:
            with Archive.open(str(hurt)) as opened:
                assert opened.info().tracks >= seen, "what was archived once is still there"
                seen = opened.info().tracks
    assert _start(started, script, str(hurt), str(weights), path).wait(120) == 0
    assert _content(hurt) == expected
    assert _shared_memory() <= before


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(
    how: signal.Signals, tmp_path: Path, clip: Clip, weights: Path, started: list["subprocess.Popen[str]"]
) -> None:
    """Ctrl-C reaches the whole group, SIGTERM its leader: exit code 130, no process or memory left, tracks whole."""
    # Long enough to be still under way when the signal comes, however busy the machine is.
    story = STORY * 6
    path = str(clip("clip.mp4", story))
    archive = tmp_path / "x.db"
    before = _shared_memory()
    process = _start(started, str(HERE / "fake_cli.py"), str(archive), str(weights), path)
    _wait_for_tracks(archive, 2)
    os.killpg(process.pid, how) if how == signal.SIGINT else process.terminate()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert _gone(process.pid)
    assert _shared_memory() <= before
    with Archive.open(str(archive)) as opened:
        assert 2 <= opened.info().tracks < story.count("10")
        assert opened.info().faces == sum(len(track.face_ids) for track in opened.tracks())


def test_children_do_not_outlive_a_killed_parent(
    tmp_path: Path, clip: Clip, weights: Path, started: list["subprocess.Popen[str]"]
) -> None:
    archive = tmp_path / "x.db"
    script = str(HERE / "fake_ingest.py")
    process = _start(started, script, str(archive), str(weights), str(clip("clip.mp4", STORY)))
    _wait_for_tracks(archive, 1)
    assert len(_members(process.pid)) >= 4
    process.kill()
    process.wait()
    assert _gone(process.pid)


def _wait_for_tracks(archive: Path, count: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if archive.exists() and archive.stat().st_size > 4096:
            with Archive.open(str(archive)) as opened:
                if opened.info().tracks >= count:
                    return
        time.sleep(0.05)
    raise AssertionError("no track was archived in 60 s")
