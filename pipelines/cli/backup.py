"""`backup`, `restore`: a copy of the archive that can be put in its place."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.output import ArchiveOption, JsonOption, emit, err, out, size, work
from pipelines.cli.progress import counted_progress

ForceOption = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


def backup(
    archive: ArchiveOption,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The backup; FILE.sha256 is written beside it.")],
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Copy the archive into a file while it is written to, and read all of the copy back.

    Example: streamproc backup --archive archive.db --to /backups/monday.db
    """
    with work("Stopped. Nothing was left of the backup."):
        from storage.backup import back_up

        with counted_progress() as progress:
            made = back_up(archive, to, force=force, progress=progress)
    if json:
        emit(made)
    else:
        out.print(
            f"{made.path}: {made.tracks} tracks, {made.faces} faces, {size(made.bytes)}; every page and every checksum "
            "was read back.",
            markup=False,
            soft_wrap=True,
        )
    _tell_damaged(made.damaged)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup, of this version or an earlier one.")],
    to: Annotated[str, typer.Option("--to", metavar="URL", help="The archive that it becomes: a file name or URL.")],
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Verify a backup and make an archive of it. One that is there is replaced with --force alone.

    Example: streamproc restore /backups/monday.db --to archive.db
    """
    with work("Stopped. What was there before is there as it was."):
        from storage.restoring import restore as put_back

        with counted_progress() as progress:
            made = put_back(file, to, force=force, progress=progress)
    if json:
        emit(made)
    else:
        brought = (
            ""
            if made.revision == made.from_revision
            else f", brought from schema {made.from_revision} to {made.revision}"
        )
        out.print(
            f"{made.path or 'The archive'}: {made.tracks} tracks, {made.faces} faces{brought}.",
            markup=False,
            soft_wrap=True,
        )
    _tell_damaged(made.damaged)


def _tell_damaged(count: int) -> None:
    if count:
        err.print(
            f"{count} layers do not match their checksums, nor do they in what was copied: run `streamproc doctor`."
        )
