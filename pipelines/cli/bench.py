"""`bench`: what this machine makes of the project's work."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pipelines.cli.output import ConfigOption, JsonOption, emit, err, out, work
from pipelines.cli.progress import counted_progress

if TYPE_CHECKING:
    from pipelines.bench.best_shot import BestShotResult
    from pipelines.bench.ingest import IngestRow
    from pipelines.bench.search import SearchRow

bench = typer.Typer(name="bench", help="Measure throughput and yield on this machine.", no_args_is_help=True)

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


PortraitsOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Who walks: one file a photo, PERSON_ANY.jpg; default the faces of samples."),
]
SheetsOption = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write a sheet of best shots a size.")]
SizesOption = Annotated[list[int] | None, typer.Option(min=20, metavar="PX", help="Face's width; may be repeated.")]
SpeedsOption = Annotated[list[int] | None, typer.Option(min=1, metavar="PX", help="Px a second; may be repeated.")]
ExposuresOption = Annotated[list[int] | None, typer.Option(min=0, metavar="MS", help="May be repeated.")]


@bench.command("best-shot")
def best_shot(
    portraits: PortraitsOption = None,
    target: SheetsOption = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Passes of each row, default 12.")] = None,
    size: SizesOption = None,
    speed: SpeedsOption = None,
    exposure: ExposuresOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Of people who cross a composed picture, how many leave a usable best shot, by size, speed and blur.

    Usable: a track's best shot shows the face where it truly was, and resembles the person's other photo at least as
    much as 1 in 1,000 pairs of strangers do.

    Example: streamproc bench best-shot --portraits faces/ --out sheets/
    """
    with work():
        from pipelines.bench.best_shot import EXPOSURES, PASSES, SIZES, SPEEDS, Grid, measure
        from streamproc import config as settings_file

        settings = settings_file.load(config)
        grid = Grid(tuple(size or SIZES), tuple(speed or SPEEDS), tuple(exposure or EXPOSURES), limit or PASSES)
        with counted_progress() as progress:
            result = measure(grid, portraits, target, settings, progress)
    if json:
        emit(result)
        return
    out.print(_passes(result))
    for path in result.sheets:
        err.print(f"Best shots: {path}", markup=False, soft_wrap=True)


def _passes(result: "BestShotResult") -> Table:
    """The rows, and what they come to."""
    said = f"usable from a similarity of {result.usable_from:.3f} on, sure from {result.sure_from:.3f} on"
    caption = f"{said}; {result.people} people, {result.strangers:,} pairs of strangers"
    names = ("passes", "archived", "right", "usable", "sure", "doubles", "false", "mixed")
    table = Table("px", "px/s", "ms", "blur", caption=caption, show_footer=True)
    for name in names:
        table.add_column(name, str(sum(getattr(row, name) for row in result.rows)), justify="right")
    for row in result.rows:
        place = (str(row.size_px), str(row.speed), str(row.exposure_ms), f"{row.blur:.1f}")
        table.add_row(*place, *(str(getattr(row, name)) for name in names))
    return table


CamerasOption = Annotated[
    list[int] | None, typer.Option(min=1, metavar="N", help="Cameras at once, may be repeated; default 1, 2, 4, 8, 16.")
]
ClipsOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Keep the composed clips here for the next time: they take minutes.")
]


@bench.command()
def ingest(
    cameras: CamerasOption = None,
    seconds: Annotated[float, typer.Option(min=5, help="Measured for each number of cameras.")] = 60.0,
    width: Annotated[int, typer.Option(min=160, help="Of the pictures, px, even.")] = 1280,
    height: Annotated[int, typer.Option(min=90, help="Of the pictures, px, even.")] = 720,
    fps: Annotated[int, typer.Option(min=1, max=60, help="Pictures a second.")] = 15,
    every: Annotated[float, typer.Option(min=1, help="Seconds after which somebody passes each camera again.")] = 20.0,
    plain: Annotated[int, typer.Option(min=0, metavar="N", help="Frames for the plain loop; 0: without it.")] = 45,
    portraits: PortraitsOption = None,
    clips: ClipsOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """The service on live cameras whose truth is known, in real time: streams a core, passes found, lag, memory.

    Scenes are composed and served as RTSP cameras by GStreamer, which has to be installed. Beside it, facenet-pytorch's
    detector and a feature on every frame, as a plain loop.

    Example: streamproc bench ingest --cameras 8 --seconds 600 --portraits faces/
    """
    with work():
        from pipelines.bench.ingest import CAMERAS, LONGEST_CLIP, Plan, measure
        from pipelines.bench.scenery import Format
        from streamproc import config as settings_file
        from streamproc.errors import ConfigError

        if width % 2 or height % 2:
            raise ConfigError(f"Pictures of {width} x {height} cannot be coded: give even numbers.")
        settings = settings_file.load(config)
        plan = Plan(
            tuple(cameras or CAMERAS), seconds, Format(width, height, fps, min(seconds, LONGEST_CLIP), every), plain
        )
        with counted_progress() as progress:
            rows = measure(plan, portraits, clips, settings, progress)
    if json:
        emit({"rows": rows})
        return
    out.print(_streams(rows))


def _streams(rows: "list[IngestRow]") -> Table:
    """The rows, and how much further a core goes than with the plain loop."""
    plain = [row.streams_per_core for row in rows if row.engine == "plain-loop"]
    # Where frames are late or dropped, cameras are not kept up with, whatever that costs.
    ours = [
        row.streams_per_core for row in rows if row.max_lag_s is not None and row.max_lag_s <= 2 and not row.dropped
    ]
    said = f"kept up with: {max(ours):.1f} streams a core" if ours else "kept up with none of these"
    caption = said + (f", {max(ours) / plain[0]:.0f} times the plain loop's" if plain and ours else "")
    names = ("cameras", "passes", "found", "right", "lag s", "dropped", "cores", "streams/core", "MiB")
    table = Table("engine", caption=caption)
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        right = "" if row.passes_right is None else str(row.passes_right)
        behind = "" if row.max_lag_s is None else f"{row.max_lag_s:.1f}"
        table.add_row(
            row.engine,
            str(row.cameras),
            str(row.passes),
            str(row.passes_found),
            right,
            behind,
            str(row.dropped),
            f"{row.cores:.2f}",
            f"{row.streams_per_core:.2f}",
            f"{row.rss_mib:,.0f}",
        )
    return table


FacesOption = Annotated[
    list[int] | None,
    typer.Option(min=100, metavar="N", help="Archived faces, may be repeated; default 10 thousand to 10 million."),
]
EnginesOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Only these, may be repeated; default the index and all peers.")
]


@bench.command()
def search(
    faces: FacesOption = None, engines: EnginesOption = None, threads: ThreadsOption = CORES, json: JsonOption = False
) -> None:
    """The search index beside faiss, usearch, sqlite-vec and pgvector: time, memory, what is found, also with a filter.

    Faces are drawn to lie as real ones do. The peers come with the package's extra `peers`.

    Example: streamproc bench search --faces 1000000 --engines streamproc --engines faiss-flat
    """
    with work():
        from pipelines.bench.search import ENGINES, SIZES, measure
        from streamproc.errors import ConfigError

        for name in engines or ():
            if name not in ENGINES:
                raise ConfigError(f"There is no engine {name} to measure: choose of {', '.join(ENGINES)}.")
        with counted_progress() as progress:
            rows = measure(tuple(faces or SIZES), tuple(engines or ENGINES), threads, progress)
    if json:
        emit({"rows": rows})
        return
    out.print(_searched(rows))


def _searched(rows: "list[SearchRow]") -> Table:
    """The rows."""
    table = Table("engine")
    for name in ("faces", "filter", "build s", "open s", "bytes", "filter ms", "p50 ms", "p99 ms", "recall@10"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.engine,
            f"{row.faces:,}",
            f"{row.filter:g}",
            f"{row.build_s:,.1f}",
            "" if row.open_s is None else f"{row.open_s:.2f}",
            f"{row.bytes_per_face:,.0f}",
            f"{row.narrow_ms:.2f}",
            f"{row.p50_ms:.2f}",
            f"{row.p99_ms:.2f}",
            f"{row.recall_at_10:.3f}",
        )
    return table
