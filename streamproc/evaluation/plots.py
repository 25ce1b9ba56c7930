"""Plots and picture sheets, as PNG files."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamproc.evaluation.libraries import library
from streamproc.types import Image

DPI = 110


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line through points; one point is a mark. `dashed` for what was quoted, `heavy` for ours."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    dashed: bool = False
    heavy: bool = False


@dataclass(frozen=True, slots=True)
class Marks:
    """A named kind of marks, one a line; `errors`: half the length of each one's bar, where there are bars."""

    name: str
    values: tuple[float, ...]
    errors: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """Marks over one axis, which `axis` names."""

    axis: str
    marks: tuple[Marks, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A picture (H, W, 3) uint8 of a sheet and the text under it."""

    picture: Image
    text: str


def plot(
    path: Path,
    curves: Sequence[Curve],
    x: str,
    y: str,
    lowest: float | None = None,
    log: bool = False,
    level: float | None = None,
) -> Path:
    """`path`: the curves over axes named `x` and `y`, from `lowest` on upwards, `log`: with a logarithmic x, `level`:
    with a line across at that y."""
    figure, axes = _figure(9.0, 5.5)
    colours = itertools.cycle(library("matplotlib").colormaps["tab10"].colors)
    ours = itertools.cycle((("black", "o"), ("dimgray", "s"), ("navy", "D")))
    for curve in curves:
        colour, mark = next(ours) if curve.heavy else (next(colours), "x" if curve.dashed else ".")
        style: dict[str, Any] = {"linestyle": "--" if curve.dashed else "-", "linewidth": 2.4 if curve.heavy else 1.2}
        axes.plot(curve.x, curve.y, label=curve.name, color=colour, marker=mark, **style)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if log:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(library("matplotlib.ticker").ScalarFormatter())
    if level is not None:
        axes.axhline(level, color="black", linewidth=0.8)
    if lowest is not None:
        axes.set_ylim(bottom=lowest)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return _saved(figure, path)


def dots(path: Path, names: Sequence[str], panels: Sequence[Panel]) -> Path:
    """`path`: a line of marks for each of `names`, the panels side by side."""
    backend = library("matplotlib.backends.backend_agg")
    figure = library("matplotlib.figure").Figure(figsize=(3.1 * len(panels) + 1.5, 0.32 * len(names) + 1.4))
    backend.FigureCanvasAgg(figure)
    colours = library("matplotlib").colormaps["tab10"].colors
    for axes, panel in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True):
        for k, marks in enumerate(panel.marks):
            style: dict[str, Any] = {"color": colours[k], "marker": "os^D"[k % 4], "linestyle": "none"}
            axes.errorbar(marks.values, range(len(names)), xerr=marks.errors, label=marks.name, capsize=2, **style)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(panel.axis)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.01), ncols=2)
    return _saved(figure, path)


def sheet(path: Path, rows: Sequence[Sequence[Tile]], side: float = 1.7) -> Path:
    """`path`: the tiles in rows, each `side` inches wide."""
    columns = max(len(row) for row in rows)
    backend = library("matplotlib.backends.backend_agg")
    figure = library("matplotlib.figure").Figure(figsize=(side * columns, (side + 0.42) * len(rows)))
    backend.FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(grid, rows, strict=True):
        for axes in line:
            axes.axis("off")
        for axes, tile in zip(line, row, strict=False):
            axes.imshow(tile.picture)
            axes.text(0.5, -0.03, tile.text, fontsize=6.5, ha="center", va="top", transform=axes.transAxes)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.99, bottom=0.06, wspace=0.04, hspace=0.22)
    return _saved(figure, path)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure without pyplot: no window system, no global state."""
    figure = library("matplotlib.figure").Figure(figsize=(width, height))
    library("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _saved(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=DPI, bbox_inches="tight")
    return path
