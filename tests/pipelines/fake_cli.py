"""`python fake_cli.py ARCHIVE WEIGHTS SOURCE...`: the command line's ingest with fake models in its stages."""

import sys
from pathlib import Path

if __name__ == "__main__":
    from pipelines import batch, supervisor
    from pipelines.cli import main

    fakes = batch.Entries(detect="fake_stages:find", encode="fake_stages:code", archive="fake_stages:slow_write")
    supervisor.Entries = lambda: fakes  # type: ignore[assignment, misc]
    archive, weights, *sources = sys.argv[1:]
    config = Path(archive).with_suffix(".yaml")
    config.write_text(f"encode: {{profile: {weights}}}\ncapture: {{max_rate: 30.0, motion: false}}\n", encoding="utf-8")
    sys.argv[1:] = ["ingest", *sources, "--archive", archive, "--config", str(config), "--no-identities", "--json"]
    main()
