"""What all commands share: their options, one JSON document on standard output, everything else on standard error."""

import dataclasses
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from streamproc.errors import ConfigError, SeveralFaces, StreamprocError

err = Console(stderr=True, highlight=False)
"""Progress, warnings and errors."""
out = Console(highlight=False)
"""Results for people; results for programs are `emit`ted."""

ASKED_WRONGLY = (SeveralFaces, ConfigError)
"""Errors that another question would not have, exit code 2; all others are failed work, exit code 1."""
INTERRUPTED = 130


def parse_time(text: str) -> datetime:
    """The UTC time of an ISO 8601 text; one without a zone is UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is no ISO 8601 time, such as 2026-03-01T08:30:00Z.") from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
ArchiveOption = Annotated[
    str,
    typer.Option(
        envvar="STREAMPROC_ARCHIVE",
        metavar="URL",
        help="The archive: a file name, sqlite:///x.db or postgresql+psycopg://...",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(envvar="STREAMPROC_CONFIG", metavar="FILE", help="Settings that differ from configs/default.yaml."),
]
SinceOption = Annotated[
    datetime | None, typer.Option(parser=parse_time, metavar="TIME", help="Seen at or after, ISO 8601 UTC.")
]
UntilOption = Annotated[
    datetime | None, typer.Option(parser=parse_time, metavar="TIME", help="Seen before, ISO 8601 UTC.")
]
CameraOption = Annotated[list[str] | None, typer.Option(metavar="NAME", help="This camera only; may be repeated.")]


STOPPED = "Stopped. What was archived so far is kept; the same command again completes it."


@contextmanager
def work(stopped: str = STOPPED) -> Iterator[None]:
    """A block in which our errors become one sentence and an exit code; SIGTERM stops it like Ctrl-C, and that is what
    is said then."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except StreamprocError as error:
        err.print(f"Error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(2 if isinstance(error, ASKED_WRONGLY) else 1) from error
    except KeyboardInterrupt as interrupt:
        err.print(stopped)
        raise typer.Exit(INTERRUPTED) from interrupt


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def emit(document: Any) -> None:
    """Nothing; the document, dataclasses and all, is on standard output as JSON."""
    sys.stdout.write(as_json(document) + "\n")
    sys.stdout.flush()


def as_json(document: Any) -> str:
    """The document, dataclasses and all, as JSON."""
    return json.dumps(document, default=_plain, indent=2)


def _plain(value: Any) -> Any:
    """What JSON knows for what it does not."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy's numbers and arrays
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def utc(time: datetime) -> str:
    """ISO 8601 with a Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def moment(time: datetime) -> str:
    """As `utc`, without parts of a second: for people, and as `--since` takes it."""
    return utc(time.replace(microsecond=0))


def size(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
