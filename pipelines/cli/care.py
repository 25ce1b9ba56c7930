"""`info`, `doctor`, `migrate`, `copy`: what the archive holds, whether a site can be watched, and care."""

import time
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.output import ArchiveOption, JsonOption, emit, err, moment, out, size, work
from pipelines.cli.progress import counted_progress


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
        span = [moment(time) if time else "" for time in (camera.first, camera.last)]
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


def migrate(archive: ArchiveOption, json: JsonOption = False) -> None:
    """Bring an archive that an older version made to this version's schema, which opening it does as well.

    One transaction: it is done whole or not at all. Example: streamproc migrate --archive archive.db
    """
    with work():
        from storage import Archive, archive_condition

        before = archive_condition(archive)
        with Archive.open(archive):
            pass
    if json:
        emit({"archive": archive_name(archive), "from": before.revision, "to": before.newest_revision})
    elif before.revision == before.newest_revision:
        out.print(f"{archive_name(archive)} has the newest schema, {before.revision}.", markup=False)
    else:
        said = f"{archive_name(archive)} had the schema {before.revision} and has {before.newest_revision} now."
        out.print(said, markup=False)


def copy(
    source: Annotated[str, typer.Option("--from", metavar="URL", help="The archive.")],
    target: Annotated[str, typer.Option("--to", metavar="URL", help="Where no archive is yet: a file, a database.")],
    json: JsonOption = False,
) -> None:
    """Copy a whole archive, from a file to a server or the other way; all names stay.

    It is read back and compared. Killed half-way it leaves no archive, and can be begun again.

    Example: streamproc copy --from archive.db --to postgresql+psycopg://ann@host/faces
    """
    began = time.monotonic()
    with work():
        from storage.copying import copy_archive

        with counted_progress() as progress:
            copied = copy_archive(source, target, progress)
    seconds = time.monotonic() - began
    if json:
        names = {"from": archive_name(source), "to": archive_name(target)}
        emit(names | {"archive_id": copied.archive_id, "tables": copied.tables, "seconds": round(seconds, 3)})
        return
    table = Table("table", "rows", "checksum")
    for part in copied.tables:
        table.add_row(part.name, str(part.rows), part.checksum)
    out.print(table)
    out.print(f"{archive_name(target)} holds what {archive_name(source)} does: {seconds:.1f} s.", markup=False)


def archive_name(url: str) -> str:
    """How people call the archive of that URL, without a password."""
    from storage import database

    return str(database(url))
