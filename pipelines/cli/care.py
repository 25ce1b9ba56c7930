"""`info`: what the archive holds."""

from rich.table import Table

from pipelines.cli.output import ArchiveOption, JsonOption, emit, out, size, utc, work


def info(archive: ArchiveOption, json: JsonOption = False) -> None:
    """Say what the archive holds.

    Example: streamproc info --archive archive.db
    """
    with work():
        from storage import Archive

        with Archive.open(archive) as opened:
            held = opened.info()
    if json:
        emit(held)
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
    for gap in held.gaps:
        out.print(gap, markup=False, soft_wrap=True)
