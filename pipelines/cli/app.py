"""All commands in one application."""

import typer

from pipelines.cli import asking, backup, care, erase, filling, keeping, service, study
from pipelines.cli.bench import bench
from pipelines.cli.identity import identity
from pipelines.cli.upgrade import upgrade
from pipelines.cli.watch import watch

app = typer.Typer(
    name="streamproc",
    help="Archives the faces of surveillance video in a few bytes each; finds and shows them again.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    filling.demo,
    filling.ingest,
    service.run,
    asking.search,
    asking.reconstruct,
    care.info,
    care.doctor,
    care.migrate,
    care.copy,
    keeping.retain,
    backup.backup,
    backup.restore,
    erase.erase,
    study.train,
    study.evaluate,
    study.setup,
):
    app.command()(command)
app.add_typer(identity)
app.add_typer(watch)
app.add_typer(keeping.hold)
app.add_typer(upgrade)
app.add_typer(bench)
