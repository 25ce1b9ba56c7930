"""Progress of an ingest on standard error: bars on a terminal, a line a finished source elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from pipelines.cli.output import err

if TYPE_CHECKING:
    from pipelines.supervisor import Progress


@contextmanager
def shown_progress() -> Iterator[Callable[["Progress"], None]]:
    """What to call with each piece of news."""
    if not err.is_terminal:
        yield _line
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[tracks]} tracks"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=err, transient=True) as bars:
        tasks: dict[tuple[str, str], TaskID] = {}

        def show(news: "Progress") -> None:
            if news.notice:
                _line(news)
            key = (news.camera, news.source)
            if key not in tasks:
                tasks[key] = bars.add_task(news.source, total=None, tracks=0)
            total = news.frames if news.result else news.frames_expected
            bars.update(tasks[key], completed=news.frames, total=total, tracks=news.tracks)

        yield show


def _line(news: "Progress") -> None:
    result = news.result
    if news.notice:
        err.print(f"{news.source}: {news.notice}", markup=False, soft_wrap=True)
    if news.notice or result is None:
        return
    if result.skipped:
        said = "skipped, the archive holds it already"
    elif result.error:
        said = "failed"
    elif not result.tracks:
        said = f"no faces were found in {result.frames} frames"
    else:
        said = f"{result.tracks} tracks, {result.archived} faces archived from {result.frames} frames"
    err.print(f"{result.source}: {said}", markup=False, soft_wrap=True)


@contextmanager
def counted_progress() -> Iterator[Callable[[str, int, int], None]]:
    """What to call with a name, how many of how many are done."""
    with Bars(console=err, transient=True, disable=not err.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield show
