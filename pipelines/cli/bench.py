"""`bench`: what this machine makes of the project's work."""

import os
from typing import Annotated

import typer
from rich.table import Table

from pipelines.cli.output import JsonOption, emit, err, out, work

bench = typer.Typer(name="bench", help="Measure throughput on this machine.", no_args_is_help=True)

CORES = os.cpu_count() or 1
ThreadsOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="CPU threads; more than there are free cores slow everything down.")
]


@bench.command()
def codec(threads: ThreadsOption = CORES, json: JsonOption = False) -> None:
    """Faces a second that the codec codes and decodes, nets loaded, from aligned crops.

    Example: streamproc bench codec --threads 1
    """
    with work():
        err.print(f"Measuring on {threads} thread{'' if threads == 1 else 's'} ...")
        from pipelines.bench.codec import measure
        from pipelines.bench.process import measured_apart

        rows = measured_apart(threads, measure, threads)
    if json:
        emit({"rows": rows})
        return
    table = Table("what", "faces", "seconds", "faces a second")
    for row in rows:
        table.add_row(row.what, f"{row.faces:,}", f"{row.seconds:.3f}", f"{row.faces_per_second:,.1f}")
    out.print(table)
