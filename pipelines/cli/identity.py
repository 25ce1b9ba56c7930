"""`identity`: who is who, where they were and with whom; what users say of it, and take back."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pipelines.cli.output import (
    ArchiveOption,
    ConfigOption,
    JsonOption,
    SinceOption,
    UntilOption,
    emit,
    moment,
    out,
    work,
)

if TYPE_CHECKING:
    from pipelines.identities.desk import Desk, Said

identity = typer.Typer(
    name="identity", help="Who is who: gathered by the machine, named and corrected by you.", no_args_is_help=True
)

WhoArgument = Annotated[str, typer.Argument(metavar="WHO", help="An identity, such as p17, or its name.")]
WithinOption = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Between the one and the other at most.")]
ByOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who says so, for the log; default: you, as this machine knows you.")
]


@contextmanager
def _desk(archive: str, by: str | None = None) -> Iterator["Desk"]:
    """The desk of an archive, and our errors as sentences."""
    with work():
        from pipelines.identities.desk import Desk
        from storage import Archive

        with Archive.open(archive) as opened:
            yield Desk(opened, by or getpass.getuser())


@identity.command()
def gather(
    archive: ArchiveOption,
    everything: Annotated[
        bool, typer.Option("--all", help="Compare all identities, also those that nobody came to: for other weights.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Gather the tracks that are nobody's yet; `ingest` and the service do so by themselves.

    Example: streamproc identity gather --archive archive.db
    """
    with work():
        from pipelines.identities import following
        from streamproc import config as settings_file

        count = following.gather(archive, settings_file.load(config), everything)
    if json:
        emit({"gathered": count})
    else:
        out.print(f"{count} tracks gathered.")


@identity.command("list")
def list_(
    archive: ArchiveOption,
    ignored: Annotated[bool, typer.Option("--ignored", help="Those of no interest, too.")] = False,
    json: JsonOption = False,
) -> None:
    """Everybody who was seen, the last first.

    Example: streamproc identity list --archive archive.db
    """
    with _desk(archive) as desk:
        people = [one for one in desk.people() if ignored or not one.ignored]
    if json:
        emit({"identities": people})
        return
    table = Table("identity", "name", "tracks", "first", "last")
    for one in people:
        table.add_row(one.identity_id, one.name or "", str(one.tracks), moment(one.first), moment(one.last))
    out.print(table)


@identity.command()
def name(
    who: WhoArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it; an empty one takes the name away.")],
    archive: ArchiveOption,
    by: ByOption = None,
    json: JsonOption = False,
) -> None:
    """Give an identity a name.

    Example: streamproc identity name p17 "Anna Smith" --archive archive.db
    """
    with _desk(archive, by) as desk:
        said = desk.name(desk.find(who), name.strip() or None)
    _tell(said, json)


@identity.command()
def merge(
    into: WhoArgument,
    others: Annotated[list[str], typer.Argument(metavar="OTHER...", help="Who is the same person.")],
    archive: ArchiveOption,
    by: ByOption = None,
    json: JsonOption = False,
) -> None:
    """Say that identities are one person. Two who were seen side by side cannot be.

    Example: streamproc identity merge anna p21 p35 --archive archive.db
    """
    with _desk(archive, by) as desk:
        said = desk.merge(desk.find(into), [desk.find(other) for other in others])
    _tell(said, json)


@identity.command()
def split(
    who: WhoArgument,
    tracks: Annotated[list[str], typer.Argument(metavar="TRACK...", help="Tracks that are somebody else's.")],
    archive: ArchiveOption,
    by: ByOption = None,
    json: JsonOption = False,
) -> None:
    """Take tracks out of an identity: they are a new one.

    Example: streamproc identity split anna 5f0c9b1de2a84417-0003 --archive archive.db
    """
    with _desk(archive, by) as desk:
        said = desk.split(desk.find(who), tracks)
    _tell(said, json)


@identity.command()
def ignore(
    who: WhoArgument,
    archive: ArchiveOption,
    no: Annotated[bool, typer.Option("--no", help="It is of interest again.")] = False,
    by: ByOption = None,
    json: JsonOption = False,
) -> None:
    """Leave an identity out of lists.

    Example: streamproc identity ignore p4 --archive archive.db
    """
    with _desk(archive, by) as desk:
        said = desk.ignore(desk.find(who), not no)
    _tell(said, json)


@identity.command()
def undo(
    archive: ArchiveOption,
    act: Annotated[int | None, typer.Argument(metavar="[ACT]", help="Its number in the log; default the last.")] = None,
    by: ByOption = None,
    json: JsonOption = False,
) -> None:
    """Take back what was said; an undo can be taken back as well, by its number.

    Example: streamproc identity undo 12 --archive archive.db
    """
    with _desk(archive, by) as desk:
        said = desk.undo(act)
    _tell(said, json)


@identity.command()
def log(archive: ArchiveOption, json: JsonOption = False) -> None:
    """What was said of identities, by whom and when.

    Example: streamproc identity log --archive archive.db
    """
    with _desk(archive) as desk:
        from streamproc.query.act_log import told
        from streamproc.query.acts import in_force

        said = desk.log()
        held = in_force(said)
    rows = [
        {"act": one.number, "time": one.at, "by": one.by, "what": told(one.act), "holds": one.number in held}
        for one in said
    ]
    if json:
        emit({"acts": rows})
        return
    table = Table("act", "time", "by", "what", "")
    for one in said:
        table.add_row(
            str(one.number), moment(one.at), one.by, told(one.act), "" if one.number in held else "taken back"
        )
    out.print(table)


@identity.command()
def timeline(
    who: WhoArgument,
    archive: ArchiveOption,
    pause: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Within one visit at most.")] = 60.0,
    json: JsonOption = False,
) -> None:
    """Where and when somebody was, visit by visit, and how often at each camera.

    Example: streamproc identity timeline anna --archive archive.db
    """
    with _desk(archive) as desk:
        from streamproc.query.movements import places, timeline

        visits = timeline(desk.tracks(desk.find(who)), timedelta(seconds=pause))
    if json:
        emit({"visits": visits, "cameras": places(visits)})
        return
    table = Table("camera", "since", "until", "tracks")
    for visit in visits:
        table.add_row(visit.camera, moment(visit.since), moment(visit.until), ", ".join(visit.tracks))
    out.print(table)
    for place in places(visits):
        count = f"{place.visits} visit{'' if place.visits == 1 else 's'}"
        out.print(f"{place.camera}: {count}, {moment(place.first)} to {moment(place.last)}", markup=False)


@identity.command("with")
def with_(who: WhoArgument, archive: ArchiveOption, within: WithinOption = 5.0, json: JsonOption = False) -> None:
    """Who was with somebody: before the same camera at once, or shortly before or after.

    Example: streamproc identity with anna --within 10 --archive archive.db
    """
    with _desk(archive) as desk:
        found = desk.companions(desk.find(who), timedelta(seconds=within))
        names = {one.identity_id: one.name for one in desk.people()}
    if json:
        emit({"companions": [{"name": names.get(one.identity_id), **_fields(one)} for one in found]})
        return
    table = Table("identity", "name", "times", "camera", "first met")
    for one in found:
        first = one.meetings[0]
        called = names.get(one.identity_id) or ""
        table.add_row(one.identity_id, called, str(len(one.meetings)), first.camera, moment(first.at))
    out.print(table)


@identity.command()
def journeys(
    first: Annotated[str, typer.Argument(metavar="CAMERA", help="Where they were.")],
    then: Annotated[str, typer.Argument(metavar="THEN", help="Where they came.")],
    archive: ArchiveOption,
    within: WithinOption = 3600.0,
    since: SinceOption = None,
    until: UntilOption = None,
    json: JsonOption = False,
) -> None:
    """Who was before one camera and then before another.

    Example: streamproc identity journeys gate yard --within 600 --archive archive.db
    """
    with _desk(archive) as desk:
        found = desk.journeys(first, then, timedelta(seconds=within), since, until)
        names = {one.identity_id: one.name for one in desk.people()}
    if json:
        emit({"journeys": [{"name": names.get(one.identity_id), **_fields(one)} for one in found]})
        return
    table = Table("identity", "name", f"left {first}", f"reached {then}")
    for one in found:
        table.add_row(one.identity_id, names.get(one.identity_id) or "", moment(one.left_at), moment(one.reached_at))
    out.print(table)


def _tell(said: "Said", json: bool) -> None:
    if json:
        emit(said)
        return
    about = f": {said.identity_id}" if said.identity_id else ""
    out.print(f"Act {said.act}{about}. `streamproc identity undo {said.act}` takes it back.", markup=False)


def _fields(row: object) -> dict[str, object]:
    from dataclasses import fields

    return {field.name: getattr(row, field.name) for field in fields(row)}  # type: ignore[arg-type]
