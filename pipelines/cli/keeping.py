"""`retain`, `hold`: what goes from the archive when its time is over or there is too much, and what stays."""

import getpass
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipelines.cli.output import ArchiveOption, ConfigOption, JsonOption, emit, err, moment, out, size, work

if TYPE_CHECKING:
    from storage import Archive, ClearedStep, Rules

hold = typer.Typer(
    name="hold", help="Tracks that stay, whatever their age and however full the disk.", no_args_is_help=True
)

TracksArgument = Annotated[list[str], typer.Argument(metavar="TRACK_ID...", help="Tracks, as search tells their ids.")]


@dataclass
class _Gone:
    """What goes of a camera."""

    pictures: int = 0
    tracks: int = 0
    faces: int = 0
    bytes: int = 0
    oldest: datetime | None = None

    def add(self, step: "ClearedStep") -> None:
        """Nothing; what went in the step counts, too."""
        removed = step.removed
        self.pictures += removed.pictures
        self.tracks += removed.tracks
        self.faces += removed.faces
        self.bytes += removed.bytes
        self.oldest = min(self.oldest or step.oldest, step.oldest)


def retain(
    archive: ArchiveOption,
    config: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would go; change nothing.")] = False,
    json: JsonOption = False,
) -> None:
    """Take out of the archive what is over its time or too much by `retention` of FILE, as the service does every day.

    What is named, watched for or held stays. Example: streamproc retain --dry-run --config site.yaml --archive site.db
    """
    with work():
        from pipelines.retaining import rules, unheeded
        from storage import Archive
        from streamproc import config as settings_file
        from streamproc.errors import ConfigError

        kept = rules(settings_file.load(config))
        if not kept.any:
            raise ConfigError("Nothing says what is to go: give a configuration with `retention` (--config).")
        with Archive.open(archive) as opened:
            if said := unheeded(opened, kept):
                err.print(said, markup=False, soft_wrap=True)
            gone, given = _retained(opened, kept, dry_run)
            short = not dry_run and kept.too_much(opened.room()) > 0
    if json:
        rows = [{"camera": name} | vars(one) for name, one in sorted(gone.items())]
        emit({"dry_run": dry_run, "cameras": rows, "given_back": given, "too_much": short})
        return
    if gone:
        table = Table("camera", "tracks", "faces", "pictures", "bytes", "oldest")
        for name, one in sorted(gone.items()):
            oldest = moment(one.oldest) if one.oldest else ""
            table.add_row(name, str(one.tracks), str(one.faces), str(one.pictures), size(one.bytes), oldest)
        out.print(table)
    total = size(sum(one.bytes for one in gone.values()))
    if dry_run:
        out.print(f"{total} would go; nothing was changed." if gone else "Nothing would go.")
    else:
        out.print(f"{total} went, and the file gave back {size(given)}." if gone else "Nothing was to go.")
    if short:
        out.print("There still is too much: all that may go is gone, or new faces came meanwhile.")


def _retained(archive: "Archive", kept: "Rules", dry: bool) -> tuple[dict[str, _Gone], int]:
    """What went of each camera, or would go, and the bytes that the file gave back."""
    from pipelines.retaining import cleared, give_back

    gone: defaultdict[str, _Gone] = defaultdict(_Gone)
    given = 0
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        bar = bars.add_task("looking", total=None)
        tracks = {one.name: one.tracks for one in archive.info().cameras}
        for step in cleared(archive, kept, datetime.now(UTC), dry):
            if step is not None:
                one = gone[step.camera]
                one.add(step)
                said = f"{step.camera}: {one.tracks} tracks, {one.pictures} pictures"
                bars.update(bar, description=said, completed=one.tracks, total=tracks.get(step.camera))
        bars.update(bar, description="giving back room", total=None)
        while not dry and (some := give_back(archive)):
            given += some
    return gone, given


@hold.command()
def add(
    tracks: TracksArgument,
    archive: ArchiveOption,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever looks at the list.")] = "",
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who says so; default: you.")] = None,
    json: JsonOption = False,
) -> None:
    """Hold tracks: no clearing up takes them or their pictures.

    Example: streamproc hold add 1f0c6a7be0a1d2c3-0004 --reason "case 17" --archive archive.db
    """
    with work():
        from storage import Archive

        with Archive.open(archive) as opened:
            count = opened.holds.add(tracks, by or getpass.getuser(), datetime.now(UTC), reason)
    if json:
        emit({"held": count})
    else:
        out.print(f"{count} more tracks are held.")


@hold.command()
def remove(tracks: TracksArgument, archive: ArchiveOption, json: JsonOption = False) -> None:
    """End holds; the tracks go when their time is over.

    Example: streamproc hold remove 1f0c6a7be0a1d2c3-0004 --archive archive.db
    """
    with work():
        from storage import Archive

        with Archive.open(archive) as opened:
            count = opened.holds.remove(tracks)
    if json:
        emit({"released": count})
    else:
        out.print(f"{count} tracks are not held any more.")


@hold.command("list")
def list_(archive: ArchiveOption, json: JsonOption = False) -> None:
    """What is held, since when, by whom and why.

    Example: streamproc hold list --archive archive.db
    """
    with work():
        from storage import Archive

        with Archive.open(archive) as opened:
            held = opened.holds.all()
    if json:
        rows = [
            {
                "track_id": one.track.id,
                "camera": one.track.camera,
                "time": one.track.started_at,
                "since": one.at,
                "by": one.by,
                "reason": one.reason,
            }
            for one in held
        ]
        emit({"holds": rows})
        return
    table = Table("track", "camera", "time", "held since", "by", "reason")
    for one in held:
        times = moment(one.track.started_at), moment(one.at)
        table.add_row(one.track.id, one.track.camera, *times, one.by, one.reason)
    out.print(table)
