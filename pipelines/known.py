"""Which files need no ingest, found out without loading torch or decoding anything."""

from collections.abc import Sequence
from dataclasses import replace

from pipelines.messages import SourceJob
from storage import Archive
from streamproc.codec.profiles import CodecName
from streamproc.types import SourceResult


def completed(archive: Archive, jobs: Sequence[SourceJob], codec: CodecName) -> dict[int, SourceResult]:
    """The results, by job, of the files that an earlier ingest completed with this codec."""
    results: dict[int, SourceResult] = {}
    for job in jobs:
        if job.content_hash is None:
            continue
        result = archive.completed_source(job.camera, job.content_hash, codec.codec_id)
        if result is not None:
            results[job.key] = replace(result, source=job.source, skipped=True)
    return results
