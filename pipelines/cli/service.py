"""`run`: the long-running service."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.output import err, work


def run(
    config: Annotated[Path, typer.Option(metavar="FILE", help="The site's configuration: cameras and the rest.")],
    archive: Annotated[
        str | None,
        typer.Option(envvar="STREAMPROC_ARCHIVE", metavar="URL", help="The archive; before service.archive of FILE."),
    ] = None,
) -> None:
    """Watch live cameras until SIGTERM or Ctrl-C, whatever becomes of them meanwhile; SIGHUP reads FILE again.

    Example: streamproc run --config site.yaml --archive archive.db
    """
    with work():
        from datetime import UTC, datetime

        from pipelines.service import Service, watch
        from pipelines.site import read_site
        from storage import Archive
        from streamproc.errors import ConfigError
        from streamproc.media.naming import redact

        def log(line: str) -> None:
            err.print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ} {line}", markup=False, highlight=False, soft_wrap=True)

        site = read_site(config)
        settings, jobs = site.settings, site.jobs
        url = archive or settings.service.archive
        if url is None:
            raise ConfigError("No archive was named: give --archive, or service.archive in the configuration.")
        if not jobs:
            raise ConfigError(f"{config} names no cameras: list them under 'cameras', each with a name and a uri.")
        with Archive.open(url, create=True):
            pass
        log(f"Watching {len(jobs)} camera{'' if len(jobs) == 1 else 's'} into {redact(url)}.")
        service = Service(url, settings, jobs, log, lambda: read_site(config))
        if settings.service.metrics_port is not None:
            from pipelines.metrics import serve

            host = settings.service.metrics_host
            log(f"Metrics at http://{host}:{serve(service, host, settings.service.metrics_port)}/metrics.")
        watch(service)
        log("Stopped.")
