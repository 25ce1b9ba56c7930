"""Scenes for live cameras: a clip a camera that is shown again and again, and its truth at the time of day."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.samples import sample
from streamproc.errors import ConfigError
from streamproc.evaluation.portraits import Person, people_of, read_people
from streamproc.evaluation.scene_matching import Gallery, MatchedPass, SeenTrack, match
from streamproc.evaluation.scene_plans import rounds
from streamproc.evaluation.scene_truth import SceneTruth, View, read_truth, truth_path
from streamproc.evaluation.scenes import Walk, compose
from streamproc.faces.finder import FaceFinder

PORTRAITS = ("t1.jpg", "multi_face.jpg", "single_face.jpg", "0-f15-hao-ph.jpg")
"""Samples whose faces walk where no folder is given."""
SIZES = (1 / 10, 1 / 7, 1 / 5.5)
"""Widths of a face's box, parts of the picture's height: 72, 103 and 131 px of 720."""
SPEEDS = (1 / 7, 1 / 5)
"""Of walkers, picture widths a second: 183 and 256 px/s of 1280."""
MADE_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Format:
    """Pictures of the cameras: pixels, frames a second, seconds after which a clip begins again, and how often somebody
    begins to cross each, seconds."""

    width: int = 1280
    height: int = 720
    fps: int = 15
    seconds: float = 120.0
    every: float = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class LivePass:
    """A pass that was shown at a time of day, from `start` to `end` (UTC), and what an archive made of it."""

    camera: str
    start: datetime
    end: datetime
    matched: MatchedPass


def walkers(portraits: Path | None, finder: FaceFinder, progress: Progress) -> list[Person]:
    """The people of a folder of portraits; without one, the faces of samples."""
    if portraits is not None:
        return read_people(portraits, finder, progress=progress)
    return people_of([sample(name) for name in PORTRAITS], finder)


def compose_scenes(
    names: Sequence[str], form: Format, people: Sequence[Person], folder: Path, progress: Progress
) -> list[SceneTruth]:
    """The truth of a clip a camera, `NAME.mp4` in `folder`; one that lies there from an earlier time is kept, if it
    shows the same people in the same pictures.

    Raises ConfigError when nobody can cross the picture within the clip.
    """
    views = [View(name, form.width, form.height, form.fps, seed=number) for number, name in enumerate(names, start=1)]
    sizes, speeds = [form.height * part for part in SIZES], [form.width * part for part in SPEEDS]
    visits = rounds(views, people, form.seconds, form.every, sizes, speeds)
    scenes = []
    for number, view in enumerate(views):
        walks = [visit.walk for visit in visits if visit.camera == view.camera]
        if not walks:
            raise ConfigError(
                f"Nobody can cross the picture of '{view.camera}' in {form.seconds:.0f} s: give more seconds, or let "
                "people pass more often."
            )
        path = folder / f"{view.camera}.mp4"
        scenes.append(_kept(path, view, walks) or compose(view, walks, path, MADE_AT, form.seconds))
        progress("scenes", number + 1, len(views))
    return scenes


def _kept(path: Path, view: View, walks: Sequence[Walk]) -> SceneTruth | None:
    """The truth of the clip at `path`, if it is there and the same."""
    if not path.exists() or not truth_path(path).exists():
        return None
    truth = read_truth(truth_path(path))
    planned = [(walk.portrait.identity, walk.size, walk.speed) for walk in walks]
    shown = [(one.identity, one.size, one.speed) for one in truth.passes]
    if truth.view == view and shown == planned:
        return truth
    path.with_suffix(".h264").unlink(missing_ok=True)
    return None


def shown_between(scene: SceneTruth, epoch: datetime, since: datetime, until: datetime) -> Iterator[SceneTruth]:
    """The rounds of a clip, each with its own time of day, that were shown from `since` to `until`; the first round of
    all began at `epoch`."""
    length = timedelta(seconds=scene.frames / scene.view.rate)
    number = max(0, (since - epoch) // length)
    while epoch + number * length < until:
        yield replace(scene, started_at=epoch + number * length)
        number += 1


def matched_passes(
    shown: Sequence[SceneTruth], tracks: Sequence[SeenTrack], gallery: Gallery, slack: timedelta
) -> list[LivePass]:
    """Every pass that the scenes showed, and the tracks that belong to it."""
    found = match(shown, tracks, gallery, slack)
    places = [(scene, one) for scene in shown for one in scene.passes]
    return [
        LivePass(scene.view.camera, *scene.span(one), matched)
        for (scene, one), matched in zip(places, found.passes, strict=True)
    ]
