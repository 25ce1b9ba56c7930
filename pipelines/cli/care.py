"""`info`, `doctor`: what the archive holds, and whether a site can be watched."""

from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.output import ArchiveOption, JsonOption, emit, err, out, size, utc, work


def info(archive: ArchiveOption, json: JsonOption = False) -> None:
    """Say what the archive holds.

    Example: streamproc info --archive archive.db
    """
    with work():
        from pipelines.gaps import gap_documents, gap_lines
        from storage import Archive
        from streamproc.query import merged

        now = datetime.now(UTC)
        with Archive.open(archive) as opened:
            held = opened.info(now)
    gaps = merged(held.gaps)
    if json:
        emit({field.name: getattr(held, field.name) for field in fields(held)} | {"gaps": gap_documents(gaps)})
        return
    out.print(f"{held.faces} faces of {held.tracks} tracks, {held.identities} identities.")
    parts = held.bytes
    out.print(
        f"Base layers {size(parts.base)}, enhancement layers {size(parts.enhancement)}, "
        f"indexes {size(parts.index)}, file {size(parts.file)}."
    )
    table = Table("camera", "tracks", "faces", "first", "last")
    for camera in held.cameras:
        span = [utc(time) if time else "" for time in (camera.first, camera.last)]
        table.add_row(camera.name, str(camera.tracks), str(camera.faces), *span)
    if held.cameras:
        out.print(table)
    for line in gap_lines(gaps, None, None, now):
        out.print(line, markup=False, soft_wrap=True)


def doctor(
    config: Annotated[
        Path | None,
        typer.Option(envvar="STREAMPROC_CONFIG", metavar="FILE", help="The site's configuration, cameras and all."),
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option(envvar="STREAMPROC_ARCHIVE", metavar="URL", help="The archive; before service.archive of FILE."),
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option("--frames", "--out", metavar="DIR", help="Folder for a sheet with a picture of every camera."),
    ] = None,
    mend: Annotated[
        bool, typer.Option("--mend", help="Mend what does not agree in the archive; what is lost anyway is removed.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check a site before it is watched, or while it is: cameras, weights, archive, disk, clock and the rest.

    Exit code 1 when a check failed. Example: streamproc doctor --config site.yaml
    """
    with work():
        from pipelines.doctor import Asked, examine
        from pipelines.probing import State
        from streamproc.errors import ConfigError

        if config is not None and not config.is_file():
            raise ConfigError(f"There is no configuration {config}: check its name.")
        checks = []
        with err.status("Looking ...") as status:
            for check in examine(Asked(config, archive, frames, mend)):
                checks.append(check)
                status.update(f"{len(checks)} checks done ...")
    if json:
        emit({"checks": [{field.name: getattr(check, field.name) for field in fields(check)} for check in checks]})
    else:
        marks = {State.OK: "[green]✓[/]", State.WARNING: "[yellow]![/]", State.FAILED: "[red]✗[/]"}
        table = Table("", "check", "finding", "s", box=None, padding=(0, 1))
        for check in checks:
            table.add_row(marks[check.state], escape(check.name), escape(check.detail), f"{check.seconds:.1f}")
        out.print(table)
        failed, warned = (sum(check.state is state for check in checks) for state in (State.FAILED, State.WARNING))
        out.print(f"{len(checks)} checks, {failed} failed, {warned} warnings.")
    if any(check.state is State.FAILED for check in checks):
        raise typer.Exit(1)
