"""One page that needs no other file: figures and tables."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2


@dataclass(frozen=True, slots=True)
class Table:
    """Column names and rows of texts; the first column names its row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, paragraphs, then figures (PNG files; the texts describe them) and tables."""

    title: str
    text: tuple[str, ...] = ()
    figures: tuple[tuple[Path, str], ...] = ()
    tables: tuple[Table, ...] = ()


def number(value: float | None, digits: int = 2) -> str:
    """A number for people, a dash for none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def percent(share: float | None, digits: int = 2) -> str:
    """A share as per cent for people, a dash for none."""
    return number(None if share is None else 100 * share, digits)


def write_page(path: Path, title: str, lead: str, sections: Sequence[Section]) -> Path:
    """`path`, the page written there with its figures inside."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("streamproc.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = _inline
    path.write_text(
        environment.get_template("page.html").render(title=title, lead=lead, sections=sections), encoding="utf-8"
    )
    return path


def _inline(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")
