"""`train`, `evaluate` and `setup`: the codec's making and measuring."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pipelines.cli.output import ConfigOption, JsonOption, emit, out, work
from pipelines.cli.progress import counted_progress


class Protocol(StrEnum):
    """What can be measured."""

    LFW = "lfw"
    RATE_ACCURACY = "rate-accuracy"
    RATE_DISTORTION = "rate-distortion"
    EXAMPLES = "examples"
    HELD_OUT = "held-out"
    MULTI_TASK = "multi-task"
    BIAS = "bias"
    IDENTITIES = "identities"


WorkOption = Annotated[Path, typer.Option("--work", metavar="DIR", help="Folder for all that is made on the way.")]
DataOption = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the pictures.")]


def train(
    part: Annotated[
        str,
        typer.Argument(
            metavar="PART", help="faces, trunk, feature, texture, residual, export, calibration, rates or smear."
        ),
    ],
    data: DataOption,
    folder: WorkOption = Path("runs"),
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 1,
    steps: Annotated[int | None, typer.Option(min=1, help="Another length than the part's own.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    alone: Annotated[
        bool, typer.Option("--alone", help="Of residual: its net without a base layer, to compare.")
    ] = False,
    further: Annotated[
        bool,
        typer.Option(
            "--further",
            help="Go on from the shipped weights: texture begins at theirs; identity and enhancement are theirs "
            "where WORK has no run of them.",
        ),
    ] = False,
    profile: Annotated[str, typer.Option(help="Whose parts: default, paper (in WORK/paper; it alone has a trunk).")] = (
        "default"
    ),
    texture_weight: Annotated[
        float | None, typer.Option(min=0, help="Of trunk: what the picture's error weighs, default 30.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Train one part of the codec; a run that was broken off goes on where it was.

    Example: streamproc train residual --data faces --work runs
    """
    if alone and part != "residual":
        raise typer.BadParameter("only the residual net is trained alone.", param_hint="--alone")
    if further and (part not in ("texture", "residual", "export") or profile != "default"):
        raise typer.BadParameter(
            "only the default profile's texture, residual and export go further.", param_hint="--further"
        )
    with work():
        from streamproc.codec.shape import SHAPES
        from streamproc.training import commands
        from streamproc.training.trunk import TEXTURE_WEIGHT

        if part not in commands.PARTS:
            known = ", ".join(commands.PARTS)
            raise typer.BadParameter(f"there is no part '{part}', only {known}.", param_hint="PART")
        if profile not in SHAPES:
            raise typer.BadParameter(f"there is no profile '{profile}', only {', '.join(SHAPES)}.")
        if alone and profile != "default":
            raise typer.BadParameter("only the default profile's net is trained alone.", param_hint="--alone")
        if profile == "default" and (part == "trunk" or texture_weight is not None):
            raise typer.BadParameter("only the profile 'paper' has a trunk of its own.", param_hint="--profile")
        weight = TEXTURE_WEIGHT if texture_weight is None else texture_weight
        options = commands.TrainOptions(data, folder, device, seed, steps, threads, alone, further, profile, weight)
        with counted_progress() as progress:
            result = commands.train(part, options, progress)
    _show(result, json)


def evaluate(
    protocol: Annotated[Protocol, typer.Argument(help="What to measure.")],
    data: DataOption,
    folder: WorkOption = Path("runs"),
    target: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of the page, default WORK/evaluation/PROTOCOL.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Less: N pairs of each fold and kind, N pictures, N of a group, N people, or N steps.",
        ),
    ] = None,
    judged: Annotated[
        int, typer.Option(min=1, metavar="N", help="Of rate-distortion: pairs of each fold and kind for the judge.")
    ] = 100,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Measure the codec, alone or beside its competitors; a run that was broken off goes on where it was.

    lfw: verification and pictures in figures. rate-accuracy: the feature against its bits. rate-distortion: the picture
    against its bits. examples: sheets of pictures. held-out: the base layer on training faces that training did not
    see, LFW left alone. multi-task: what the picture's weight in the feature of the profile "paper" costs, on the same
    people; it trains that feature for a short while at each weight. bias: strangers and pictures by sex and ethnic
    group, on UTKFace. identities: who is who in composed scenes of two days before four cameras, on a folder of
    portraits (PERSON_ANY.jpg). The others are on LFW. All but lfw, held-out and multi-task write a page.

    Example: streamproc evaluate rate-accuracy --data lfw --work runs
    """
    with work():
        from pipelines.studies import Study

        study = Study(data, folder, target or folder / "evaluation" / protocol, config, limit, judged)
        with counted_progress() as progress:
            result = getattr(study, protocol.name.lower())(progress)
    _show(result, json)


def setup(json: JsonOption = False) -> None:
    """Fetch the pretrained weights that are not shipped (90 MB, once), and convert the nets for this machine.

    Example: streamproc setup
    """
    with work():
        from streamproc.training import pretrained

        path = pretrained.fetch()
        pretrained.make_ready()
    if json:
        emit({"weights": path})
    else:
        out.print(f"Weights: {path}", soft_wrap=True)


def _show(result: object, json: bool) -> None:
    """A frozen dataclass as JSON or as a table of its fields."""
    from dataclasses import asdict, is_dataclass

    assert is_dataclass(result)
    assert not isinstance(result, type)
    fields = asdict(result)
    if json:
        emit(fields)
        return
    table = Table("measure", "value")
    for name, value in fields.items():
        if not isinstance(value, tuple):
            table.add_row(name.replace("_", " "), f"{value:.4f}" if isinstance(value, float) else str(value))
    out.print(table)
    for name, value in fields.items():
        if isinstance(value, tuple) and value:
            out.print(_rows(name, value))


def _rows(name: str, rows: tuple[dict[str, object], ...]) -> Table:
    """A table of dataclasses of one kind."""
    table = Table(*rows[0], title=name.replace("_", " "))
    for row in rows:
        table.add_row(*(f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row.values()))
    return table
