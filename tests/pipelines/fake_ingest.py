"""`python fake_ingest.py ARCHIVE WEIGHTS SOURCE...`: a batch in a process of its own, for tests that kill it."""

import sys

if __name__ == "__main__":
    from pipelines import batch
    from streamproc.config import CaptureSettings, EncodeSettings, Settings

    archive, weights, *sources = sys.argv[1:]
    settings = Settings(encode=EncodeSettings(profile=weights), capture=CaptureSettings(max_rate=30.0))
    entries = batch.Entries(detect="fake_stages:find", encode="fake_stages:code", archive="fake_stages:slow_write")
    batch.ingest(sources, archive, settings=settings, entries=entries)
