"""`watch`: who is watched for, and when they were seen."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pipelines.cli.output import ArchiveOption, ConfigOption, JsonOption, SinceOption, emit, moment, out, work

watch = typer.Typer(
    name="watch",
    help="Be told when somebody is seen: by the service's log and metrics, and here.",
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What to call this watch.")]


@watch.command()
def add(
    name: NameArgument,
    archive: ArchiveOption,
    identity: Annotated[str | None, typer.Option(metavar="WHO", help="An identity, such as p17, or its name.")] = None,
    photo: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="A photo of somebody who may never have come.")
    ] = None,
    face: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Which face of the photo, from the left.")
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Watch for an identity, or for the face of a photo; sightings from now on are told.

    Example: streamproc watch add thief --photo thief.jpg --archive archive.db
    """
    if (identity is None) == (photo is None):
        raise typer.BadParameter("give either --identity or --photo.")
    now = datetime.now(UTC)
    with work():
        from storage import Archive

        with Archive.open(archive) as opened:
            if identity is not None:
                from pipelines.identities.desk import Desk

                record = opened.watches.add_identity(name, Desk(opened, "").find(identity), now)
            else:
                from pipelines.asking import Asker
                from streamproc import config as settings_file

                asker = Asker.load(settings_file.load(config))
                assert photo is not None
                crop = asker.face(photo, face)
                feature = asker.codec.raw_features(crop.image[None])[0]
                record = opened.watches.add_photo(name, asker.codec.codec_id, feature, crop.quality, now)
    if json:
        emit({"watch": record.name, "began": record.began_at})
    else:
        out.print(f"Watching for {record.name}.", markup=False)


@watch.command("list")
def list_(archive: ArchiveOption, json: JsonOption = False) -> None:
    """Who is watched for.

    Example: streamproc watch list --archive archive.db
    """
    with work():
        from storage import Archive
        from streamproc.query.act_log import identity_id

        with Archive.open(archive) as opened:
            watches = opened.watches.all()
            seen = [sighting.watch for sighting in opened.watches.sightings()]
    rows = [
        {
            "watch": one.name,
            "began": one.began_at,
            "identity_id": None if one.identity is None else identity_id(one.identity),
            "photo_codec": one.codec_id,
            "sightings": seen.count(one.name),
        }
        for one in watches
    ]
    if json:
        emit({"watches": rows})
        return
    table = Table("watch", "for", "since", "sightings")
    for one, row in zip(watches, rows, strict=True):
        table.add_row(one.name, str(row["identity_id"] or "a photo"), moment(one.began_at), str(row["sightings"]))
    out.print(table)


@watch.command()
def remove(name: NameArgument, archive: ArchiveOption, json: JsonOption = False) -> None:
    """End a watch; what it saw is forgotten.

    Example: streamproc watch remove thief --archive archive.db
    """
    with work():
        from storage import Archive

        with Archive.open(archive) as opened:
            opened.watches.remove(name)
    if json:
        emit({"removed": name})
    else:
        out.print(f"{name} is not watched for any more.", markup=False)


@watch.command()
def events(archive: ArchiveOption, since: SinceOption = None, json: JsonOption = False) -> None:
    """When somebody was seen who is watched for; with --since, what was noticed from then on.

    Example: streamproc watch events --since 2026-03-01T08:00:00Z --archive archive.db
    """
    with work():
        from storage import Archive

        with Archive.open(archive) as opened:
            found = opened.watches.sightings(since)
    if json:
        rows = [
            {
                "watch": one.watch,
                "camera": one.track.camera,
                "track_id": one.track.id,
                "time": one.track.started_at,
                "noticed": one.raised_at,
                "probability": one.probability,
            }
            for one in found
        ]
        emit({"events": rows})
        return
    table = Table("watch", "camera", "time", "track", "probability")
    for one in found:
        track = one.track
        table.add_row(one.watch, track.camera, moment(track.started_at), track.id, f"{one.probability:.1%}")
    out.print(table)
