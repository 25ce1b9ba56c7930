"""`bench best-shot`: of people who cross a picture, how many leave a usable best shot, by size, speed and blur.

Scenes are composed (`streamproc.evaluation.scenes`), ingested as any video is, and held against their truth.
**Usable**: the pass has a track whose best shot overlaps the true face at its time by 0.5 or more, and whose decoded
feature resembles the person's other photo (the same one where there is only one) at least as much as 1 in 1,000 pairs
of strangers do. Strangers are those of the run itself: each best shot, small and blurred as it is, against the other
photos of everybody else.

`sure` counts the passes that reach the similarity which the codec's calibration gives 1 in 100,000 pairs of strangers
of a mixed population; it takes the other's place for `usable` where a run has fewer than 1,000 pairs of strangers.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pipelines.batch import ingest
from pipelines.bench.seen import gallery_of, seen_tracks
from pipelines.bench.shown_shots import write_sheets
from pipelines.samples import sample
from pipelines.supervisor import Progress as Ingested
from storage import Archive
from streamproc.codec.face_codec import FaceCodec
from streamproc.config import Settings
from streamproc.errors import PipelineError
from streamproc.evaluation.portraits import Person, people_of, read_people
from streamproc.evaluation.scene_matching import SceneMatch, accepting, match
from streamproc.evaluation.scene_plans import lanes
from streamproc.evaluation.scene_truth import SceneTruth, View
from streamproc.evaluation.scenes import compose
from streamproc.faces.finder import FaceFinder

SIZES = (40, 60, 90, 130)
SPEEDS = (150, 300, 600)
EXPOSURES = (5, 17, 33)
"""Milliseconds: a bright day, a room, an evening."""
PASSES = 12
"""Of each cell of the grid."""
RARE = 1e-5
"""Share of pairs of strangers that the calibration gives the similarity from which on a best shot is `sure`."""
PORTRAITS = ("t1.jpg", "multi_face.jpg", "single_face.jpg", "0-f15-hao-ph.jpg")
"""Samples whose faces walk where no folder is given."""
STARTED_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Grid:
    """What is measured: widths of the face's box (px), speeds (px/s), exposures (ms), passes of each combination."""

    sizes: tuple[int, ...] = SIZES
    speeds: tuple[int, ...] = SPEEDS
    exposures: tuple[int, ...] = EXPOSURES
    passes: int = PASSES


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination, and the camera that its clip is ingested as."""

    size_px: int
    speed: int
    exposure_ms: int

    @property
    def camera(self) -> str:
        """The cell's camera."""
        return f"{self.size_px}px-{self.speed}pxs-{self.exposure_ms}ms"


@dataclass(frozen=True, slots=True)
class BestShotRow:
    """One combination of `size_px` (width of the face's box), `speed` (px/s) and `exposure_ms`, which smears a point
    over `blur` px; counts of passes: all, archived as a track, whose best shot is nearest to the right person, `usable`
    and `sure`; and of tracks: `doubles` of a pass, `false` ones, and `mixed`, with shots of several passes."""

    size_px: int
    speed: int
    exposure_ms: int
    blur: float
    passes: int
    archived: int
    right: int
    usable: int
    sure: int
    doubles: int
    false: int
    mixed: int


@dataclass(frozen=True, slots=True)
class BestShotResult:
    """The rows; the similarities that `usable` and `sure` ask for, and of how many pairs of `strangers` the first one
    is (too few: it is the second); how many people walked; the sheets of best shots, one a size."""

    rows: tuple[BestShotRow, ...]
    usable_from: float
    sure_from: float
    strangers: int
    people: int
    codec_id: str
    sheets: tuple[Path, ...]


def measure(
    grid: Grid, portraits: Path | None, out: Path | None, settings: Settings, progress: Progress
) -> BestShotResult:
    """The rows of `grid`, people from the folder `portraits` (None: from the samples), sheets into the folder `out`.

    Raises SourceNotFound and NoFace for the portraits, PipelineError when a clip's ingest failed.
    """
    finder = FaceFinder.load(settings.detect.device)
    people = _people(portraits, finder, progress)
    cells = [Cell(size, speed, ms) for size in grid.sizes for speed in grid.speeds for ms in grid.exposures]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes: list[SceneTruth] = []
        for number, cell in enumerate(cells):
            scenes.append(_composed(folder, cell, _walkers(people, number, grid.passes), number))
            progress("scenes", number + 1, len(cells))
        archive_url = str(folder / "passes.db")
        _ingest(scenes, folder, archive_url, settings, progress)
        codec = FaceCodec.load(settings.encode.profile, settings.encode.device)
        with Archive.open(archive_url) as archive:
            tracks, gallery = seen_tracks(archive, codec), gallery_of(people, codec)
            matches = [
                match([scene], [t for t in tracks if t.camera == cell.camera], gallery)
                for scene, cell in zip(scenes, cells, strict=True)
            ]
            strangers = np.concatenate([one.strangers for one in matches])
            sure = codec.calibration.threshold(1, RARE)
            usable = accepting(strangers, sure)
            sheets = write_sheets(out, folder, archive, grid.sizes, matches, usable) if out else ()
    rows = tuple(_row(cell, one, usable, sure) for cell, one in zip(cells, matches, strict=True))
    return BestShotResult(rows, usable, sure, len(strangers), len(people), codec.codec_id, sheets)


def _people(portraits: Path | None, finder: FaceFinder, progress: Progress) -> list[Person]:
    if portraits is not None:
        return read_people(portraits, finder, progress=progress)
    return people_of([sample(name) for name in PORTRAITS], finder)


def _walkers(people: Sequence[Person], number: int, passes: int) -> list[Person]:
    """Who walks in a cell: the next ones, so that all take their turns."""
    return [people[(number * passes + k) % len(people)] for k in range(passes)]


def _composed(folder: Path, cell: Cell, people: Sequence[Person], seed: int) -> SceneTruth:
    """The cell's clip, its truth beside it."""
    view = View(cell.camera, seed=seed)
    walks = lanes(view, people, cell.size_px, cell.speed, cell.exposure_ms / 1000)
    return compose(view, walks, folder / f"{cell.camera}.mp4", STARTED_AT)


def _ingest(
    scenes: Sequence[SceneTruth], folder: Path, archive_url: str, settings: Settings, progress: Progress
) -> None:
    """Nothing; the scenes' clips are archived, their crops kept in `folder`. Raises PipelineError."""
    total = sum(scene.frames for scene in scenes)
    frames: dict[str, int] = {}

    def news(one: Ingested) -> None:
        frames[one.source] = one.frames
        progress("ingest", sum(frames.values()), total)

    result = ingest([str(folder / scene.clip) for scene in scenes], archive_url, None, None, settings, news, folder)
    for source in result.sources:
        if source.error:
            raise PipelineError(f"the composed clip of '{source.camera}' was not ingested: {source.error}")


def _row(cell: Cell, found: SceneMatch, usable: float, sure: float) -> BestShotRow:
    return BestShotRow(
        size_px=cell.size_px,
        speed=cell.speed,
        exposure_ms=cell.exposure_ms,
        blur=round(cell.speed * cell.exposure_ms / 1000, 2),
        passes=len(found.passes),
        archived=found.archived,
        right=found.right,
        usable=found.reaching(usable),
        sure=found.reaching(sure),
        doubles=found.doubles,
        false=len(found.false),
        mixed=len(found.mixed),
    )
