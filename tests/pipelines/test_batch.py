"""Batch ingest with real processes and a real archive; the models are fakes (see fake_stages)."""

import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from conftest import FAKES

from pipelines import batch
from pipelines.encode import crop_name
from storage import Archive
from streamproc.config import CaptureSettings, EncodeSettings, Settings, SupervisorSettings
from streamproc.errors import ArchiveNotFound, PipelineError, SourceNotFound, WeightsError

Clip = Callable[..., Path]


def test_several_sources_at_once_and_once_only(tmp_path: Path, clip: Clip, settings: Settings) -> None:
    """Each clip of a folder holds two passages; a copy of one of them adds nothing, nor does a second ingest."""
    folder = tmp_path / "yard"
    folder.mkdir()
    for name in ("b.mp4", "a.mp4"):
        shutil.move(clip(name, "111111" + "0" * 20 + "1111" + "1" * (name == "a.mp4")), folder / name)
    alone = clip("c.mp4", "11111100000000")
    still = tmp_path / "still.png"
    cv2.imwrite(str(still), np.full((64, 64, 3), (10, 240, 90), np.uint8))
    sources = [str(folder), str(alone), str(still)]
    archive, report = str(tmp_path / "x.db"), tmp_path / "report"
    start = datetime(2026, 3, 1, 8, tzinfo=UTC)
    news: list[batch.Progress] = []
    result = batch.ingest(sources, archive, None, start, settings, news.append, report, FAKES)

    assert [source.camera for source in result.sources] == ["a", "b", "c", "still"]
    assert [source.tracks for source in result.sources] == [2, 2, 1, 1]
    assert not any(source.error or source.corrupt or source.skipped for source in result.sources)
    assert (result.sources[2].frames, result.sources[2].detections) == (14, 6)
    assert all(0 < source.seconds <= result.seconds for source in result.sources)
    archived = sum(source.archived for source in result.sources)
    with Archive.open(archive) as opened:
        tracks = opened.tracks()
        assert len(tracks) == 6
        assert min(track.started_at for track in tracks) == start
        assert opened.info().faces == archived
        names = {crop_name(opened.code(face_id)) for track in tracks for face_id in track.face_ids}
    assert {path.name for path in batch.crops_folder(report).iterdir()} == names
    assert {one.source: one.result for one in news} == {source.source: source for source in result.sources}

    # Stages that cannot even be imported show that none is started.
    none = batch.Entries("x:x", "x:x", "x:x", "x:x")
    second = batch.ingest(sources, archive, settings=settings, entries=none)
    assert second.sources == tuple(replace(source, skipped=True) for source in result.sources)


def test_same_video_twice_is_one_source(tmp_path: Path, clip: Clip, settings: Settings) -> None:
    """Also when its first ingest was broken off by a stage that failed: nothing is left of it, then all is there."""
    path, archive = clip(), str(tmp_path / "x.db")
    copy = Path(shutil.copy(path, tmp_path / "copy.mp4"))
    refusing = replace(FAKES, encode="fake_stages:refuse")
    with pytest.raises(PipelineError, match=r"encode stage .*: the weights are gone: fetch them again$"):
        batch.ingest([str(path), str(copy)], archive, "yard", settings=settings, entries=refusing)
    assert _children() == []
    result = batch.ingest([str(path), str(copy)], archive, "yard", settings=settings, entries=FAKES)
    assert [(source.tracks, source.skipped) for source in result.sources] == [(2, False)]


def test_who_cannot_be_gathered_is_archived(tmp_path: Path, clip: Clip, settings: Settings) -> None:
    entries, archive = replace(FAKES, encode="fake_stages:code_in_vain"), str(tmp_path / "x.db")
    with pytest.raises(PipelineError, match=r"All is archived, but .*strangers to me.*`streamproc identity gather`"):
        batch.ingest([str(clip())], archive, settings=settings, entries=entries)
    assert _children() == []
    path = str(clip("other.mp4"))
    assert not batch.ingest([path], archive, settings=settings, entries=entries, identities=False).failed
    with Archive.open(archive) as opened:
        assert opened.info().tracks == 4


def test_a_face_that_stands_still_is_searched_seldom_and_the_same_way_again(
    tmp_path: Path, clip: Clip, settings: Settings
) -> None:
    """Two frames a second after the first one: enough for its three detections, and for one track."""
    still = clip("still.mp4", "0" * 20 + "1" * 60 + "0" * 20)
    gated = settings.model_copy(update={"capture": CaptureSettings(max_rate=30.0)})
    tracks = []
    for name, each in (("all", settings), ("gated", gated), ("again", gated)):
        archive = str(tmp_path / f"{name}.db")
        (result,) = batch.ingest([str(still)], archive, settings=each, entries=FAKES).sources
        with Archive.open(archive) as opened:
            tracks.append((result.detections, result.frames, opened.tracks()))
    (all_found, all_frames, (whole,)), (found, frames, (track,)), again = tracks
    assert all_frames == frames == 100
    assert all_found == 60
    assert 12 <= found <= 24
    assert (found, frames, [track]) == (again[0], again[1], list(again[2]))
    assert abs((track.started_at - whole.started_at).total_seconds()) <= 0.5


def test_bad_sources_do_not_stop_the_good(tmp_path: Path, clip: Clip, settings: Settings) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video at all, only words\n" * 50)
    cut = clip("cut.avi", "1" * 100)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    crashing = clip("crash.mp4", "1" * 9)
    entries = replace(FAKES, capture="fake_stages:crash")
    sources = [str(text), str(crashing), str(cut), str(clip("good.mp4"))]
    result = batch.ingest(sources, str(tmp_path / "x.db"), settings=settings, entries=entries)
    notes, crash, half, good = result.sources
    assert notes.error is not None
    assert "notes.mp4" in notes.error
    assert crash.error is not None
    assert "SIGSEGV" in crash.error
    assert half.error is not None
    assert half.tracks == 1  # what was there before the cut is archived
    assert good.error is None
    assert good.tracks == 2
    assert result.failed == 3


def test_stage_that_hangs_ends_the_batch(tmp_path: Path, clip: Clip, settings: Settings) -> None:
    impatient = settings.model_copy(update={"supervisor": SupervisorSettings(silence=5.0)})
    entries = replace(FAKES, detect="fake_stages:hang")
    begun = time.monotonic()
    with pytest.raises(PipelineError, match="detect stage gave no sign of life"):
        batch.ingest([str(clip())], str(tmp_path / "x.db"), settings=impatient, entries=entries)
    assert time.monotonic() - begun < 20
    assert _children() == []


def test_wrong_names_are_reported_at_once(tmp_path: Path, clip: Clip, settings: Settings) -> None:
    with pytest.raises(SourceNotFound, match=re.escape("nowhere.mp4")):
        batch.ingest([str(tmp_path / "nowhere.mp4")], str(tmp_path / "x.db"), settings=settings)
    with pytest.raises(ArchiveNotFound):
        batch.ingest([str(clip())], str(tmp_path / "no" / "folder" / "x.db"), settings=settings)
    lost = settings.model_copy(update={"encode": EncodeSettings(profile="no-such-profile")})
    with pytest.raises(WeightsError, match="no-such-profile"):
        batch.ingest([str(clip())], str(tmp_path / "x.db"), settings=lost)


def _children() -> list[str]:
    """Command lines of this process's live children, multiprocessing's own helper apart."""
    lines = [" ".join(child.cmdline()) for child in psutil.Process(os.getpid()).children(recursive=True)]
    return [line for line in lines if "spawn_main" in line]
