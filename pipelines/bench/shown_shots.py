"""Sheets of the best shots of `bench best-shot`: people look rather than read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.batch import crops_folder
from pipelines.encode import crop_name
from storage import Archive
from streamproc.evaluation.plots import Tile, sheet
from streamproc.evaluation.scene_matching import MatchedPass, SceneMatch
from streamproc.media.photo import read_photo
from streamproc.types import CROP_SIZE

WIDE = 1.1
"""Inches of a tile."""


def write_sheets(
    out: Path, crops: Path, archive: Archive, sizes: Sequence[int], matches: Sequence[SceneMatch], threshold: float
) -> tuple[Path, ...]:
    """A PNG a size in `out`: a row of best shots for each of `matches` in which faces are of that size, a grey tile for
    a pass that was missed. `crops`: the report's folder of the ingest, which kept what the shots looked like."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for size in sizes:
        rows = [
            [_tile(crops, archive, one, threshold) for one in match.passes]
            for match in matches
            if match.passes and match.passes[0].truth.size == size
        ]
        written.append(sheet(out / f"best-shots-{size}px.png", rows, WIDE))
    return tuple(written)


def _tile(crops: Path, archive: Archive, one: MatchedPass, threshold: float) -> Tile:
    truth = one.truth
    said = f"{abs(truth.speed):.0f} px/s, {truth.blur:.1f} px"
    if not one.tracks:
        return Tile(np.full((CROP_SIZE, CROP_SIZE, 3), 128, np.uint8), f"{said}\n{truth.identity}: missed")
    code = archive.code(one.tracks[0].shots[0].id)
    verdict = "usable" if one.similarity >= threshold else ("right" if one.right else f"taken for {one.identity}")
    text = f"{said}\n{truth.identity}: {one.similarity:.2f}, {verdict}"
    return Tile(read_photo(crops_folder(crops) / crop_name(code)), text)
