"""`info`: what the archive holds."""

from dataclasses import fields
from datetime import UTC, datetime

from rich.table import Table

from pipelines.cli.output import ArchiveOption, JsonOption, emit, out, size, utc, work


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
