"""`erase`: a person goes from the archive and all that is kept beside it, and nothing is left, as is proven."""

import getpass
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pipelines.cli.output import ArchiveOption, ConfigOption, JsonOption, as_json, emit, err, moment, out, size, work
from pipelines.cli.progress import counted_progress

if TYPE_CHECKING:
    from pipelines.erasing import Plan
    from storage.erasure import ErasureReport
    from streamproc.config import Settings

MOST_FOUND = 1000
"""Tracks that a photo finds at most."""
STOPPED = "Stopped. Where rows were gone already, `streamproc erase` on the same archive goes on with it."


def erase(
    archive: ArchiveOption,
    identity: Annotated[
        list[str] | None, typer.Option(metavar="WHO", help="Somebody by identity, such as p17, or by name.")
    ] = None,
    track: Annotated[list[str] | None, typer.Option(metavar="TRACK", help="This track; may be repeated.")] = None,
    face: Annotated[list[str] | None, typer.Option(metavar="FACE_ID", help="This face; may be repeated.")] = None,
    like: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="Every track that a search for this photo finds.")
    ] = None,
    number: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Which face of the photo, from the left, if there are several."),
    ] = None,
    at_least: Annotated[
        float, typer.Option(min=0, max=1, metavar="P", help="Of tracks found by photo: the probability.")
    ] = 0.5,
    pictures: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="Folder with decoded faces, crops or a report: the person's pictures go, too."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Erase; without it you are told what would go.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the proof here, as JSON where it ends in .json.")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who does so, for the log; default: you.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Erase a person: tracks, faces, pictures, names, watches, indexes; then search every byte for what is left.

    Without --yes you are told what would go. On an archive with an erasure that was cut off, that one is completed
    first. Example: streamproc erase --identity anna --archive archive.db --report anna.json --yes
    """
    with work(STOPPED):
        from pipelines.erasing import Asked, planned, told
        from storage import Archive
        from streamproc import config as settings_file
        from streamproc.errors import ConfigError, UnknownRecord

        settings = settings_file.load(config)
        with Archive.open(archive) as opened, counted_progress() as progress:
            made = opened.erasing.complete(progress)
            if not (identity or track or face or like) and made is None:
                raise ConfigError("Say whom to erase: --identity, --track, --face or --like.")
            try:
                found = _found(opened, settings, like, number, at_least) if like is not None else ()
                chosen = tuple(identity or ()), (*(track or ()), *found), tuple(face or ()), tuple(pictures or ())
                plan = planned(opened, Asked(*chosen), by or getpass.getuser(), lambda: _codec(settings))
            except UnknownRecord:
                if made is None:  # else they were the ones who are gone now
                    raise
                plan = None
            if plan is not None and plan.going.nothing:
                if made is None:
                    raise UnknownRecord("The archive holds nothing of who was asked for.")
                plan = None
            if made is not None and plan is not None:
                err.print(f"An erasure that was cut off was completed first: act {made.act} of the log.")
            if plan is not None and yes:
                made = opened.erasing.erase(plan.erasure, datetime.now(UTC), progress)
    if made is not None and (plan is None or yes):
        _tell(made, report, json)
    elif plan is not None and json:
        emit({"erased": False, **_plan_document(plan)})
    elif plan is not None:
        _tell_plan(plan, told(plan))


def _codec(settings: "Settings") -> Any:
    from streamproc.codec.face_codec import FaceCodec

    return FaceCodec.load(settings.encode.profile, settings.encode.device)


def _found(archive: Any, settings: "Settings", photo: Path, number: int | None, at_least: float) -> tuple[str, ...]:
    """The tracks that show who is on the photo, by id."""
    from pipelines.asking import Asker

    asker = Asker.load(settings)
    result = asker.ask(archive, asker.face(photo, number), top=MOST_FOUND)
    likely = [one for one in result.matches if one.similarity >= result.needed and one.probability >= at_least]
    if len(likely) == MOST_FOUND:
        err.print(f"More than {MOST_FOUND} tracks are alike: these are the first; ask again afterwards.")
    return tuple(one.record.track_id for one in likely)


def _plan_document(plan: "Plan") -> dict[str, object]:
    counts = {name: value for name, value in asdict(plan.going).items() if isinstance(value, int)}
    return {
        "would_erase": counts,
        "tracks": [
            {
                "track_id": one.id,
                "camera": one.camera,
                "since": one.started_at,
                "until": one.ended_at,
                "whole": one.id in plan.whole,
            }
            for one in plan.tracks
        ],
        "names": plan.names,
        "watches": plan.watches,
    }


def _tell_plan(plan: "Plan", lines: list[str]) -> None:
    table = Table("", "camera", "since", "until")
    table.add_column("track", overflow="fold")
    for one in plan.tracks:
        part = "" if one.id in plan.whole else "some of its faces"
        table.add_row(part, one.camera, moment(one.started_at), moment(one.ended_at), one.id)
    out.print(table)
    out.print(f"Would go: {'; '.join(lines)}.", markup=False, soft_wrap=True)
    out.print("Nothing was erased: repeat it with --yes.")


def _tell(made: "ErasureReport", report: Path | None, json: bool) -> None:
    from storage.erasure import limits

    document = {"erased": True, **asdict(made), "limits": limits(made)}
    if report is not None:
        text = as_json(document) if report.suffix == ".json" else "\n".join(_lines(made, limits(made)))
        report.write_text(text + "\n", encoding="utf-8")
    if json:
        emit(document)
        return
    for line in _lines(made, limits(made)):
        out.print(line, markup=False, soft_wrap=True)


def _lines(made: "ErasureReport", limits: tuple[str, ...]) -> list[str]:
    """The report for people."""
    lines = [
        f"Erased at {moment(made.at)} by {made.by} (act {made.act} of the log): {made.tracks} tracks, "
        f"{made.faces} faces, {made.pictures} enhancement layers, {made.identities} identities, "
        f"{made.acts} things said of them, {made.watches} watches, {made.sightings} sightings, {made.holds} holds, "
        f"{len(made.picture_files)} picture files{', the search index' if made.index_removed else ''}.",
        f"Looked for afterwards: {made.pieces} pieces of their bytes, in every byte of these files; "
        f"none was found{f' but {made.shared} that are part of what stays as well' if made.shared else ''}.",
    ]
    lines += [f"  {one.path}  {size(one.bytes)}  {one.found} found" for one in made.files]
    if made.rewritten:
        lines.append("The archive was written anew, for some were found in room that was free.")
    return [*lines, *limits]
