"""Who walks where and when: walks in lanes before one camera, and people who pass several cameras on their way."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamproc.evaluation.portraits import Person
from streamproc.evaluation.scene_truth import View
from streamproc.evaluation.scenes import Walk

LANE = 2.4
"""Height of a lane in face widths: a head above the shoulders of who walks in front."""
GAP = 4.0
"""Face widths between two who follow each other in a lane: shoulders are three wide."""
HEADROOM, FOOTROOM = 1.1, 0.8
"""Face widths kept free above the first lane's middle and below the last one's."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A walk before the camera of that name."""

    camera: str
    walk: Walk


def lanes(view: View, people: Sequence[Person], size: float, speed: float, exposure: float) -> list[Walk]:
    """Each of `people` once across the picture, at one size, speed and exposure, in as many lanes as it is high; every
    other lane goes left. Nobody hides another's face. The nearest lane is the last of the list: in front."""
    room = view.height / size - HEADROOM - FOOTROOM
    count = max(1, min(int(room / LANE) + 1, len(people)))
    step = room * size / max(count - 1, 1)
    walks = []
    for place, person in enumerate(people):
        lane, turn = place % count, place // count
        # Lanes begin one after another: in step, a row of people would be one thing to the eye and to a tracker.
        begins = (turn + lane / count) * GAP * size / speed
        y = HEADROOM * size + lane * step if count > 1 else view.height / 2
        walks.append(Walk(person.portrait, begins, y, size, speed if lane % 2 == 0 else -speed, exposure))
    return sorted(walks, key=lambda walk: walk.y)


def rounds(
    views: Sequence[View],
    people: Sequence[Person],
    seconds: float,
    every: float,
    sizes: Sequence[float],
    speeds: Sequence[float],
    exposure: float = 0.01,
) -> list[Visit]:
    """Visits during `seconds`: before each camera somebody begins to cross every `every` seconds.

    Who passed one camera passes the next one `every` seconds later, and so on round: person k stands before camera c
    in turn k + c. Cameras begin one after another, spread over `every`; sizes and speeds (px, px/s) take turns. Only
    walks that end within `seconds` are made.
    """
    visits = []
    for number, view in enumerate(views):
        turns = int(seconds / every) + 1
        for turn in range(turns):
            person = people[(turn - number) % len(people)]
            size, speed = sizes[turn % len(sizes)], speeds[(turn // len(sizes)) % len(speeds)]
            begins = turn * every + number * every / len(views)
            y = min(max(view.height * 0.4, HEADROOM * size), view.height - FOOTROOM * size)
            walk = Walk(person.portrait, begins, y, size, speed if (turn + number) % 2 == 0 else -speed, exposure)
            if walk.ends(view.width) <= seconds:
                visits.append(Visit(view.camera, walk))
    return visits
