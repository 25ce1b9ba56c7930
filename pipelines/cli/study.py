"""`train`, `evaluate` and `setup`: the codec's making and measuring."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pipelines.cli.output import ConfigOption, JsonOption, emit, out, work
from pipelines.cli.progress import counted_progress


class Protocol(StrEnum):
    """What can be measured."""

    LFW = "lfw"


DataOption = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the pictures.")]


def train(
    part: Annotated[str, typer.Argument(metavar="PART", help="faces, feature, texture, residual or export.")],
    data: DataOption,
    folder: Annotated[Path, typer.Option("--work", metavar="DIR", help="Folder for all that is made.")] = Path("runs"),
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 1,
    steps: Annotated[int | None, typer.Option(min=1, help="Another length than the part's own.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    json: JsonOption = False,
) -> None:
    """Train one part of the codec; a run that was broken off goes on where it was.

    Example: streamproc train residual --data faces --work runs
    """
    with work():
        from streamproc.training import commands

        if part not in commands.PARTS:
            known = ", ".join(commands.PARTS)
            raise typer.BadParameter(f"there is no part '{part}', only {known}.", param_hint="PART")
        options = commands.TrainOptions(data, folder, device, seed, steps, threads)
        with counted_progress() as progress:
            result = commands.train(part, options, progress)
    _show(result, json)


def evaluate(
    protocol: Annotated[Protocol, typer.Argument(help="What to measure.")],
    data: DataOption,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N pairs of each fold and kind.")
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Measure the codec: verification on raw and decoded features, pictures of both layers.

    Example: streamproc evaluate lfw --data lfw
    """
    with work():
        from pipelines.asking import Asker
        from streamproc import config as settings_file
        from streamproc.evaluation import lfw

        models = Asker.load(settings_file.load(config))
        with counted_progress() as progress:
            result = lfw.evaluate(data, models.codec, models.finder, limit, partial(progress, "pictures"))
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
        table.add_row(name.replace("_", " "), f"{value:.4f}" if isinstance(value, float) else str(value))
    out.print(table)
