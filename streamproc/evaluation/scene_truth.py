"""What is true of a composed clip: who passed which camera, when and where; written as JSON beside the clip."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from streamproc.errors import NotVideo, SourceNotFound

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the frame."""


@dataclass(frozen=True, slots=True)
class Light:
    """What happens to a picture between scene and file: grey levels g (0..1) become (gain * g) ** gamma, red and blue
    times 1 + `warmth` and 1 - `warmth`; `noise` is the sensor's, standard deviation in grey levels of 255. The gain
    swings by the share `drift` within `period` seconds."""

    gain: float = 1.0
    gamma: float = 1.0
    warmth: float = 0.0
    noise: float = 3.0
    drift: float = 0.05
    period: float = 20.0


@dataclass(frozen=True, slots=True)
class Bar:
    """Something upright in front of everybody, as high as the picture: a pillar, or with a `speed` (px/s) somebody who
    passes close to the camera. `x` is its left side when the clip begins, `colour` RGB of 0 to 255."""

    x: float
    width: float
    speed: float = 0.0
    colour: tuple[int, int, int] = (70, 66, 60)


@dataclass(frozen=True, slots=True)
class View:
    """A camera: its name, picture (pixels, frames a second), light, what stands in front, how it compresses (H.264 at
    `crf`, or at `bitrate` bits a second), and the `seed` of its background and noise."""

    camera: str
    width: int = 1280
    height: int = 720
    rate: int = 15
    light: Light = Light()
    bars: tuple[Bar, ...] = ()
    crf: int = 26
    bitrate: int | None = None
    seed: int = 1


@dataclass(frozen=True, slots=True)
class TrueFace:
    """A face in one frame: its box, also where that reaches over the picture's edge, and the share of it (0..1) that
    something in front hides."""

    frame: int
    box: Box
    occluded: float


@dataclass(frozen=True, slots=True)
class Pass:
    """One person crossing one camera's picture. `size` is the face box's width, px; `speed` px/s, negative to the left;
    `exposure` in seconds. `faces`: the frames in which at least half of the box is inside the picture, in order."""

    camera: str
    identity: str
    portrait: str
    size: float
    speed: float
    exposure: float
    faces: tuple[TrueFace, ...]

    @property
    def blur(self) -> float:
        """Pixels over which motion smears a point."""
        return abs(self.speed) * self.exposure

    @property
    def occluded(self) -> float:
        """Share of the face that is hidden, a mean over the frames."""
        return sum(face.occluded for face in self.faces) / max(len(self.faces), 1)


@dataclass(frozen=True, slots=True)
class SceneTruth:
    """All of one clip: what was set (`view`), UTC of its first frame, how many frames, and every pass."""

    view: View
    clip: str
    started_at: datetime
    frames: int
    passes: tuple[Pass, ...]

    def time(self, frame: int) -> datetime:
        """UTC of a frame."""
        return self.started_at + timedelta(seconds=frame / self.view.rate)

    def span(self, one: Pass) -> tuple[datetime, datetime]:
        """(start, end) of a pass, UTC: its first and last face."""
        return self.time(one.faces[0].frame), self.time(one.faces[-1].frame)

    def box(self, one: Pass, at: datetime) -> Box | None:
        """A pass's box at a time, between frames along the straight line; None where it has no face then."""
        place = (at - self.started_at).total_seconds() * self.view.rate
        first, last = one.faces[0].frame, one.faces[-1].frame
        if not first - 1 <= place <= last + 1:
            return None
        before = min(max(int(place), first), last)
        share = min(max(place - before, 0.0), 1.0)
        here, there = one.faces[before - first].box, one.faces[min(before + 1, last) - first].box
        x0, y0, x1, y1 = (a + share * (b - a) for a, b in zip(here, there, strict=True))
        return x0, y0, x1, y1


_FORM = TypeAdapter(SceneTruth)


def truth_path(clip: Path) -> Path:
    """Where a clip's truth lies: beside it, under its name."""
    return clip.with_suffix(".json")


def write_truth(path: Path, truth: SceneTruth) -> Path:
    """`path`, which holds the truth as JSON."""
    path.write_bytes(_FORM.dump_json(truth) + b"\n")
    return path


def read_truth(path: Path) -> SceneTruth:
    """The truth that was written to `path`. Raises SourceNotFound, or NotVideo when the file is no scene's truth."""
    try:
        return _FORM.validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise SourceNotFound(f"'{path}' does not exist: it is written when its clip is composed.") from error
    except ValidationError as error:
        raise NotVideo(
            f"'{path}' is no scene's truth ({error.error_count()} faults): compose its clip again."
        ) from error


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return both / (sum(areas) - both)
