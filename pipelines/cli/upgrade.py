"""`upgrade`: newer weights for an archive that keeps its names."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pipelines.cli.output import ArchiveOption, ConfigOption, JsonOption, emit, err, moment, out, work
from pipelines.cli.progress import counted_progress

if TYPE_CHECKING:
    from pipelines.upgrading.loss import Loss
    from pipelines.upgrading.photos import PhotoRow

upgrade = typer.Typer(
    name="upgrade",
    help="Newer weights: faces are coded anew in the background, measured, switched to, taken back or kept.",
    no_args_is_help=True,
)

YesOption = Annotated[bool, typer.Option("--yes", help="Do it.")]


@upgrade.command()
def run(
    archive: ArchiveOption,
    to: Annotated[
        str | None, typer.Option(metavar="WEIGHTS", help="A profile or a .safetensors file; by default the one begun.")
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Code the archive's faces anew with newer weights, beside what they have; ended anywhere, it goes on from there.

    Example: streamproc upgrade run --to paper --archive archive.db
    """
    with work(), counted_progress() as show:
        from pipelines.upgrading import steps
        from storage import Archive
        from streamproc import config as settings_file

        settings = settings_file.load(config)
        with Archive.open(archive) as opened:
            record = steps.begin(opened, settings, to, datetime.now(UTC)) if to else steps.begun(opened)
            recoded = steps.run(opened, settings, record, lambda done, faces: show("coded anew", done, faces))
    if json:
        emit({"codec": record.codec_id, "faces": recoded.faces, "damaged": recoded.damaged})
        return
    out.print(f"{recoded.faces} faces are coded anew with {record.weights} ({record.codec_id}).")
    if recoded.damaged:
        err.print(f"{recoded.damaged} are damaged and stay with the older weights.")


@upgrade.command()
def status(archive: ArchiveOption, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Say which upgrades there are, how far they came, and which weights are in use.

    Example: streamproc upgrade status --archive archive.db
    """
    with work():
        from storage import Archive
        from streamproc import config as settings_file
        from streamproc.codec.profiles import stated_codec

        ours = stated_codec(settings_file.load(config).encode.profile)
        with Archive.open(archive) as opened:
            rows = [(one, opened.recodings.progress(one.codec_id)) for one in opened.recodings.all()]
    if json:
        emit(
            {
                "in_use": ours.codec_id,
                "upgrades": [{"upgrade": one, "progress": progress} for one, progress in rows],
            }
        )
        return
    table = Table("weights", "codec", "began", "coded", "waiting", "without picture", "in use", "finished")
    for one, progress in rows:
        in_use, finished = ("yes" if it else "" for it in (one.codec_id == ours.codec_id, one.finished))
        counts = (str(count) for count in (progress.coded, progress.waiting, progress.bare))
        table.add_row(one.weights, one.codec_id, moment(one.began_at), *counts, in_use, finished)
    out.print(table if rows else f"No upgrade; {ours.profile} ({ours.codec_id}) is in use.")


@upgrade.command()
def measure(
    archive: ArchiveOption,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photos PERSON_ANY.jpg, to measure on known people as well.")
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Say what searches lose by the upgrade: among the archive's own tracks, and on photos.

    Example: streamproc upgrade measure --archive archive.db --data photos
    """
    with work(), counted_progress() as show:
        from pipelines.upgrading import steps
        from storage import Archive
        from streamproc import config as settings_file

        settings = settings_file.load(config)
        with Archive.open(archive) as opened:
            record = steps.begun(opened)
            loss = steps.measure(opened, settings, record)
            rows = (
                []
                if data is None
                else steps.measure_on_photos(
                    opened, settings, record, data, lambda done, total: show("photos", done, total)
                )
            )
    if json:
        emit({"codec": record.codec_id, "loss": loss, "photos": rows})
        return
    _tell(loss)
    if rows:
        out.print(_photo_table(rows))


@upgrade.command()
def switch(
    archive: ArchiveOption, config: ConfigOption = None, yes: YesOption = False, json: JsonOption = False
) -> None:
    """Show what the upgrade loses; with --yes name the newer weights in the settings' file (--config).

    Example: streamproc upgrade switch --archive archive.db --config site.yaml --yes
    """
    with work():
        from pipelines.upgrading import steps
        from storage import Archive
        from streamproc import config as settings_file
        from streamproc.errors import ConfigError

        settings = settings_file.load(config)
        with Archive.open(archive) as opened:
            record = steps.begun(opened)
            loss = steps.measure(opened, settings, record)
            if not json:
                _tell(loss)
            progress = opened.recodings.progress(record.codec_id)
            if (progress.waiting or progress.bare) and not json:
                out.print(
                    f"{progress.waiting} faces are not coded anew yet, {progress.bare} cannot be, for their pictures "
                    "are gone: the older weights answer for them, so keep those."
                )
            lost = steps.lost_watches(opened, record)
            for name in [] if json else lost:
                out.print(f"The watch '{name}' is for a photo and falls silent: add it anew.", markup=False)
            if not yes or config is None:
                raise ConfigError("Nothing is switched yet: add --yes, and --config FILE, the settings to change.")
            steps.switch(opened, settings, record, config)
    if json:
        left = {"waiting": progress.waiting, "without_picture": progress.bare, "lost_watches": list(lost)}
        emit({"weights": record.weights, "config": str(config), "loss": loss, **left})
        return
    out.print(f"{config} names {record.weights} now: start the service anew. `upgrade rollback` goes back.")


@upgrade.command()
def rollback(archive: ArchiveOption, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Go back: the settings name the older weights again, what was coded anew is removed.

    Example: streamproc upgrade rollback --archive archive.db --config site.yaml
    """
    with work(), counted_progress() as show:
        from pipelines.upgrading import steps
        from storage import Archive
        from streamproc import config as settings_file

        settings = settings_file.load(config)
        with Archive.open(archive) as opened:
            record = steps.begun(opened)
            layers = opened.recodings.layers(record.codec_id)
            steps.roll_back(opened, settings, record, config, lambda done: show("removed", done, layers))
    if json:
        emit({"weights": record.weights, "removed": layers, "in_use": record.replaces})
        return
    out.print(f"The upgrade to {record.weights} is taken back; {record.replaces} is in use.")


@upgrade.command()
def finish(
    archive: ArchiveOption, config: ConfigOption = None, yes: YesOption = False, json: JsonOption = False
) -> None:
    """Give faces their newer layer for good: without pictures in place of the older one; there is no way back then.

    Example: streamproc upgrade finish --archive archive.db --config site.yaml --yes
    """
    with work(), counted_progress() as show:
        from pipelines.upgrading import steps
        from storage import Archive
        from streamproc import config as settings_file
        from streamproc.errors import ConfigError

        settings = settings_file.load(config)
        with Archive.open(archive) as opened:
            record = steps.begun(opened)
            if not yes:
                raise ConfigError("There is no way back after this but a backup: add --yes.")
            layers = opened.recodings.layers(record.codec_id)
            moved = steps.finish(opened, settings, record, lambda done: show("finished", done, layers))
            kept = opened.recodings.layers(record.codec_id)
    if json:
        emit({"weights": record.weights, "newer_alone": moved, "both": kept})
        return
    out.print(f"{moved} faces have their newer layer alone; {kept} with a picture keep the older one for it.")


def _tell(loss: "Loss") -> None:
    table = Table("", "before", "after")
    table.add_row(
        f"same track: alike enough for a match ({loss.pairs} pairs)",
        f"{loss.accepted_before:.1%}",
        f"{loss.accepted_after:.1%}",
    )
    table.add_row(
        f"same person: the nearest other track is theirs ({loss.known} tracks)",
        f"{loss.found_before:.1%}",
        f"{loss.found_after:.1%}",
    )
    table.add_row("the nearest other track is the same as before", "", f"{loss.same_first:.1%}")
    table.add_row("of the ten nearest, the same as before", "", f"{loss.same_ten:.1%}")
    out.print(f"Measured among {loss.tracks} tracks of the archive:")
    out.print(table)


def _photo_table(rows: list["PhotoRow"]) -> Table:
    table = Table("archived by", f"first of {rows[0].people}", "accepted at 1 stranger in 1,000")
    for row in rows:
        table.add_row(row.way, f"{row.first:.1%}", f"{row.accepted:.1%}")
    return table
