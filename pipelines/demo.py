"""The main job on sample clips: archive, search, reconstruct, show."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import batch
from pipelines.samples import sample
from storage import Archive
from streamproc.config import Settings

if TYPE_CHECKING:
    from pipelines.asking import Answer

CLIPS = ("single_face.mp4", "noface_face.mov", "WolfgangLanger_Pexels.mp4", "carphone.mp4", "no_face.mp4")
PHOTOS = ("single_face.jpg", "0-f15-hao-ph.jpg")
"""A still of the man in two of the clips, taken elsewhere, and one of a woman who is in none."""
START = datetime(2026, 3, 1, 8, tzinfo=UTC)
"""When the cameras are said to have started, all at once."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo made and where it lies; `faces` and `tracks` as the archive counts them."""

    archive: Path
    report: Path
    faces: int
    tracks: int
    answers: tuple["Answer", ...]
    batch: batch.BatchResult


def run_demo(
    folder: Path, settings: Settings, progress: Callable[[batch.Progress], None], say: Callable[[str], None]
) -> DemoResult:
    """The demo's result, all in `folder`; what an earlier demo left there is removed first.

    Raises SourceNotFound when the samples cannot be fetched, and what ingest and search raise.
    """
    say("Fetching the sample clips (15 MB, once) ...")
    clips = [str(sample(name)) for name in CLIPS]
    photos = [sample(name) for name in PHOTOS]
    archive_file, report_folder = folder / "archive.db", folder / "report"
    folder.mkdir(parents=True, exist_ok=True)
    for left in (archive_file, *folder.glob("archive.db-*")):
        left.unlink(missing_ok=True)
    for old in (report_folder, folder / "archive.db.index"):
        shutil.rmtree(old, ignore_errors=True)
    say("Archiving their faces ...")
    result = batch.ingest(clips, str(archive_file), None, START, settings, progress, report_folder)
    say("Searching two photos ...")
    # Only now: importing torch takes seconds that the stages need.
    from pipelines.asking import Asker
    from pipelines.report import write_report

    asker = Asker.load(settings)
    with Archive.open(str(archive_file)) as archive:
        answers = tuple(asker.answer(archive, photo) for photo in photos)
        held = archive.info()
    say("Writing the report ...")
    page = write_report(report_folder, str(archive_file), settings, answers=answers)
    return DemoResult(archive_file, page, held.faces, held.tracks, answers, result)
