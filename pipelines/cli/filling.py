"""`ingest` and `demo`: video in."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from pipelines.cli.output import ArchiveOption, ConfigOption, JsonOption, emit, err, out, parse_time, work
from pipelines.cli.progress import shown_progress
from pipelines.loading import loading

if TYPE_CHECKING:
    from pipelines.batch import BatchResult
    from streamproc.types import SourceResult

ReportOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Write an HTML page with pictures into this folder.")
]


def ingest(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE", help="Files, folders, URLs, device numbers.")],
    archive: ArchiveOption,
    camera: Annotated[str | None, typer.Option(metavar="NAME", help="The camera's name, for all sources.")] = None,
    start: Annotated[
        datetime | None,
        typer.Option(parser=parse_time, metavar="TIME", help="When the first frame was captured, ISO 8601 UTC."),
    ] = None,
    report: ReportOption = None,
    identities: Annotated[bool, typer.Option(help="Gather the tracks into identities when all is archived.")] = True,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Archive the faces of videos, each source to its end.

    A file that the archive holds already is skipped; one whose ingest was broken off is completed.

    Example: streamproc ingest front-door.mp4 yard/ --archive archive.db --report report
    """
    with work():
        with loading():
            from pipelines import batch
            from streamproc import config as settings_file

        settings = settings_file.load(config)
        with shown_progress() as progress:
            result = batch.ingest(sources, archive, camera, start, settings, progress, report, identities=identities)
        if report is not None:
            from pipelines.report import write_report

            err.print("Writing the report ...")
            cameras = sorted({source.camera for source in result.sources if not source.error or source.frames})
            page = write_report(report, archive, settings, cameras)
            err.print(f"Report: {page}", soft_wrap=True)
    if json:
        emit(result)
    else:
        out.print(_table(result))
    if result.failed:
        for source in result.sources:
            if source.error:
                err.print(f"Error: {source.error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1)


def _table(result: "BatchResult") -> Table:
    count = len(result.sources)
    caption = f"{count} source{'' if count == 1 else 's'} in {result.seconds:.1f} s"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
    for heading in ("source", "camera"):
        table.add_column(heading, overflow="fold", min_width=12)
    for heading in ("frames", "detected", "tracks", "archived", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for source in result.sources:
        counts = (source.frames, source.detections, source.tracks, source.archived)
        name = source.source if "://" in source.source else Path(source.source).name
        table.add_row(name, source.camera, *map(str, counts), f"{source.seconds:.1f}", _note(source))
    return table


def _note(source: "SourceResult") -> str:
    if source.error:
        return "[red]failed[/red]"
    damaged = f"{source.corrupt} frames damaged" if source.corrupt else ""
    return "skipped: archived before" if source.skipped else damaged or ("" if source.tracks else "no faces found")


def demo(
    directory: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the archive and the report; an older demo goes.")
    ] = Path("demo-output"),
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Fetch sample clips, archive their faces, search two photos, and show it all on a page.

    Example: streamproc demo --out demo-output
    """
    with work():
        from pipelines.demo import run_demo
        from streamproc import config as settings_file

        with shown_progress() as progress:
            result = run_demo(directory, settings_file.load(config), progress, err.print)
    if json:
        answers = [
            {"photo": a.photo, "verdict": a.verdict, "probability": a.probability, "face_id": a.found}
            for a in result.answers
        ]
        paths = {"archive": result.archive, "report": result.report}
        emit(paths | {"faces": result.faces, "tracks": result.tracks, "answers": answers, "ingest": result.batch})
        return
    out.print(_table(result.batch))
    for answer in result.answers:
        out.print(f"{answer.photo.name}: {answer.sentence}", soft_wrap=True)
    out.print(f"Archive: {result.archive}", f"Report: {result.report} (open it in a browser)", sep="\n", soft_wrap=True)
    if result.batch.failed:
        raise typer.Exit(1)
