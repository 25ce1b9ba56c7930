"""`run`: the long-running service."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.output import work


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
        from pipelines.events import Event, Level, log_to
        from pipelines.service import Service, watch
        from pipelines.site import read_site
        from storage import Archive
        from streamproc.errors import ConfigError, StreamprocError
        from streamproc.media.naming import redact

        site = read_site(config)
        settings, jobs = site.settings, site.jobs
        url = archive or settings.service.archive
        if url is None:
            raise ConfigError("No archive was named: give --archive, or service.archive in the configuration.")
        if not jobs:
            raise ConfigError(f"{config} names no cameras: list them under 'cameras', each with a name and a uri.")
        with Archive.open(url, create=True):
            pass
        log = log_to(sys.stderr, settings.service.log, settings.service.log_level)
        cameras = f"{len(jobs)} camera{'' if len(jobs) == 1 else 's'}"
        log(Event("started", f"Watching {cameras} into {redact(url)}.", figures={"cameras": len(jobs)}))
        try:
            service = Service(url, settings, jobs, log, lambda: read_site(config))
            if settings.service.metrics_port is not None:
                from pipelines.metrics import serve

                host = settings.service.metrics_host
                port = serve(service, host, settings.service.metrics_port)
                log(Event("metrics", f"Metrics at http://{host}:{port}/metrics."))
            watch(service)
        except StreamprocError as error:
            log(Event("failed", f"Error: {error}", Level.ERROR, detail=str(error)))
            raise typer.Exit(1) from error
        log(Event("stopped", "Stopped."))
