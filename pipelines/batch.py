"""Batch ingest: sources in, an archive filled, one result a source out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipelines.loading import loading
from pipelines.messages import SourceJob
from pipelines.supervisor import Entries, Progress, Supervisor
from streamproc.codec.profiles import stated_codec
from streamproc.config import Settings
from streamproc.errors import SourceNotFound
from streamproc.media.naming import content_hash, default_camera, device_path, expand, is_url, redact
from streamproc.types import SourceResult

__all__ = ["BatchResult", "Entries", "Progress", "crops_folder", "ingest"]


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a batch came to; `sources` in the order asked, `seconds` of wall time."""

    sources: tuple[SourceResult, ...]
    seconds: float

    @property
    def failed(self) -> int:
        """How many sources have an error."""
        return sum(result.error is not None for result in self.sources)


def ingest(
    sources: Sequence[str],
    archive_url: str,
    camera: str | None = None,
    start: datetime | None = None,
    settings: Settings | None = None,
    progress: Callable[[Progress], None] | None = None,
    report_dir: Path | None = None,
    entries: Entries | None = None,
    identities: bool = True,
) -> BatchResult:
    """The results of the ingest of files, folders, URLs and devices, several at once, each to its end.

    `camera` and `start` (UTC) hold for every source; by default they are the sources' own. A file that the archive
    holds complete is skipped. A source that fails says so in its result and does not stop the others. With
    `report_dir` the original crops are kept in a folder there, for `pipelines.report`. With `identities` all that the
    archive holds is gathered at last.

    Raises SourceNotFound, ArchiveError, WeightsError before anything is done; PipelineError when a stage fails.
    KeyboardInterrupt ends all processes first; what is not finished is then incomplete in the archive, and ingesting
    it again completes it.
    """
    begun = time.monotonic()
    settings = settings or Settings()
    progress = progress or (lambda news: None)
    jobs = _jobs(sources, camera, start)
    codec = stated_codec(settings.encode.profile)
    with Supervisor(archive_url, settings, progress, _made(report_dir), entries, identities) as supervisor:
        # While the first stages load: a database's libraries take their time, too.
        with loading():
            from pipelines.known import completed
            from storage import Archive

        with Archive.open(archive_url, create=True) as archive:
            results = completed(archive, jobs, codec)
        for result in results.values():
            progress(Progress(result.source, result.camera, result.frames, result.frames, result.tracks, result))
        left = [job for job in jobs if job.key not in results]
        for job, result in zip(left, supervisor.run(left) if left else (), strict=True):
            results[job.key] = result
    return BatchResult(tuple(results[job.key] for job in jobs), time.monotonic() - begun)


def crops_folder(report_dir: Path) -> Path:
    """Where a report's original crops lie."""
    return report_dir / "crops"


def _made(report_dir: Path | None) -> Path | None:
    if report_dir is None:
        return None
    crops_folder(report_dir).mkdir(parents=True, exist_ok=True)
    return crops_folder(report_dir)


def _jobs(sources: Sequence[str], camera: str | None, start: datetime | None) -> list[SourceJob]:
    """One job a source; the same video twice at one camera is one."""
    jobs: list[SourceJob] = []
    seen: set[tuple[str, str]] = set()
    for uri in expand(sources):
        name = camera or default_camera(uri)
        digest = None if is_url(uri) or device_path(uri) else content_hash(uri)
        if (name, digest or uri) in seen:
            continue
        seen.add((name, digest or uri))
        jobs.append(SourceJob(len(jobs), uri, redact(uri), name, start, digest))
    if not jobs:
        raise SourceNotFound("No source was given: name a file, a folder, a URL or a device number.")
    return jobs
