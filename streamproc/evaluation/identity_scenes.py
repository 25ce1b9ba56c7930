"""Identity scenes: people who pass four cameras on two days, alone and together, composed with known truth.

Every camera has its own distance, light, blur and compression. On the first day people look as in their first photo, on
the second as in their last one. Two thirds come on both days, a sixth on the first alone, a sixth on the second alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from streamproc.evaluation.portraits import Portrait
from streamproc.evaluation.scene_plans import FOOTROOM, HEADROOM, LANE
from streamproc.evaluation.scene_truth import Light, SceneTruth, View, read_truth, truth_path
from streamproc.evaluation.scenes import Walk, compose

DAYS = (datetime(2026, 3, 2, 8, tzinfo=UTC), datetime(2026, 3, 3, 17, tzinfo=UTC))
"""When each day's clips begin."""
VISITS = 2
"""Cameras that a person passes on a day."""
GROUPS = (1, 2, 1, 3, 1, 1, 2)
"""How many come together, in turns."""
APART = 1.2
"""Seconds between one group's beginning to leave and the next one's coming."""
BEHIND = 3.2
"""Face widths between two of a group in one lane."""


@dataclass(frozen=True, slots=True)
class Site:
    """A camera, and how large people are before it (px), how fast they walk (px/s), and its exposure (s)."""

    view: View
    size: float
    speed: float
    exposure: float


SITES = (
    Site(View("gate", 1280, 720, 12, Light(), crf=24, seed=11), 96, 320, 0.008),
    Site(View("hall", 960, 540, 12, Light(gain=0.6, gamma=0.9, noise=6), crf=27, seed=12), 76, 210, 0.02),
    Site(View("yard", 1280, 720, 12, Light(gain=1.1, warmth=-0.1, noise=4), crf=30, seed=13), 56, 280, 0.012),
    Site(
        View("lift", 640, 480, 12, Light(gain=0.8, gamma=1.2, warmth=0.12, noise=5), crf=33, seed=14), 100, 190, 0.015
    ),
)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A person of the scenes by the photo of each day; somebody with one photo alone looks the same on both days."""

    identity: str
    photos: tuple[Portrait, Portrait]


@dataclass(frozen=True, slots=True)
class Day:
    """A day's clips, one a camera, with their truth."""

    number: int
    scenes: tuple[SceneTruth, ...]


def comes(person: int, day: int) -> bool:
    """Whether the person of that number comes on that day, 0 or 1."""
    return person % 6 != (4 if day == 0 else 5)


def groups(count: int, day: int, camera: int) -> list[list[int]]:
    """Who of `count` people comes to a camera on a day, by number, those who come together in one list.

    Each person passes `VISITS` cameras a day, other ones on the other day, among other people.
    """
    here = [
        person
        for person in range(count)
        if comes(person, day) and (camera - person * (day + 1) - person // len(SITES)) % len(SITES) < VISITS
    ]
    order = np.random.default_rng((day, camera)).permutation(here).tolist()
    parted, turn = [], 0
    while order:
        size = GROUPS[(turn + camera) % len(GROUPS)]
        parted.append(order[:size])
        order, turn = order[size:], turn + 1
    return parted


def walks(site: Site, members: Sequence[Member], day: int, camera: int) -> list[Walk]:
    """The walks of a camera's day, who comes together side by side in lanes; the nearest lane in front."""
    view, begins, made = site.view, 0.5, []
    lanes = int((view.height / site.size - HEADROOM - FOOTROOM) / LANE) + 1
    for turn, together in enumerate(groups(len(members), day, camera)):
        speed = site.speed if turn % 2 == 0 else -site.speed
        for place, person in enumerate(together):
            lane = place % lanes if len(together) > 1 else lanes // 2
            # In step, a row of people would be one thing to a tracker; those without a lane of their own follow behind.
            late = 0.15 * place + BEHIND * site.size / site.speed * (place // lanes)
            y = (HEADROOM + LANE * lane) * site.size
            made.append(Walk(members[person].photos[day], begins + late, y, site.size, speed, site.exposure))
        begins += (view.width + site.size) / site.speed + APART
    return sorted(made, key=lambda walk: walk.y)


def compose_days(members: Sequence[Member], folder: Path, progress: Progress) -> list[Day]:
    """The days' clips in `folder`, `day-1/CAMERA.mp4` and so on; those that lie there are kept, if they show
    the same people in the same pictures."""
    days, total = [], len(DAYS) * len(SITES)
    for number, started_at in enumerate(DAYS):
        scenes = []
        for camera, site in enumerate(SITES):
            made = walks(site, members, number, camera)
            at = started_at + timedelta(minutes=7 * camera)
            site = replace(site, view=replace(site.view, seed=site.view.seed + 100 * number))
            path = folder / f"day-{number + 1}" / f"{site.view.camera}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            if made:
                scenes.append(_kept(path, site.view, made) or compose(site.view, made, path, at))
            progress("scenes", number * len(SITES) + camera + 1, total)
        days.append(Day(number, tuple(scenes)))
    return days


def _kept(path: Path, view: View, made: Sequence[Walk]) -> SceneTruth | None:
    """The truth of the clip at `path`, if it is there and the same."""
    if not path.exists() or not truth_path(path).exists():
        return None
    truth = read_truth(truth_path(path))
    planned = [(walk.portrait.name, walk.size, walk.speed) for walk in made]
    return truth if truth.view == view and planned == [(p.portrait, p.size, p.speed) for p in truth.passes] else None
