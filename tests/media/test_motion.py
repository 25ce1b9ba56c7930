"""Motion, told from what only looks like it: composed walks, and still rooms in bad light, through a real encoder."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamproc.evaluation.portraits import Portrait
from streamproc.evaluation.scene_pictures import Sensor, background
from streamproc.evaluation.scene_truth import Light, SceneTruth, View
from streamproc.evaluation.scenes import Walk, compose
from streamproc.media.motion import MotionGate
from streamproc.media.regions import Regions
from streamproc.media.source import VideoSource
from streamproc.media.writing import ClipWriter
from streamproc.types import Detection, FaceCrop, FrameTime, Image

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
STEP = timedelta(seconds=1 / 6)
SMALL = View("gate", 640, 360, 6, seed=5)
WALKED = 1.5
"""Seconds before somebody comes into a composed picture, whole."""


def told(path: Path, regions: Regions | None = None) -> list[bool]:
    """Whether each frame of a clip moves."""
    gate, said = MotionGate(regions), []

    def ask(time: FrameTime, luma: Image) -> bool:
        said.append(gate.moved(luma, time.captured_at))
        return False

    with VideoSource(str(path), "gate", START, wanted=ask) as source:
        assert list(source) == []
    return said


def somebody() -> Portrait:
    """A head and shoulders, drawn: skin and a shirt, a face of 40 x 52 px."""
    picture, alpha = np.zeros((150, 120, 3), np.uint8), np.zeros((150, 120), np.uint8)
    for place, axes, colour in (((60, 120), (55, 45), (60, 70, 110)), ((60, 45), (22, 30), (190, 150, 130))):
        cv2.ellipse(picture, place, axes, 0, 0, 360, colour, -1)
        cv2.ellipse(alpha, place, axes, 0, 0, 360, (1,), -1)
    shoulders = alpha.astype(np.float32)
    box = np.array([40, 19, 80, 71], np.float32)
    nobody = np.zeros((256, 256, 3), np.uint8)  # nobody is to be recognised
    crop = FaceCrop(None, None, Detection(box, np.zeros((5, 2), np.float32), 1.0), 1.0, nobody)
    return Portrait("somebody", "somebody", picture, shoulders, (40.0, 19.0, 80.0, 71.0), crop)


def crossing(view: View, path: Path, size: float, speed: float, exposure: float = 0.02) -> SceneTruth:
    walk = Walk(somebody(), WALKED, view.height / 2, size, speed, exposure)
    return compose(view, [walk], path, START, seconds=walk.ends(view.width) + 1.5)


def still_room(path: Path, view: View, seconds: float = 12.0, glare: Callable[[float], float] = lambda at: 1.0) -> Path:
    """A room in which nothing moves, `glare` times as bright."""
    rng = np.random.default_rng(view.seed)
    room, sensor = background(rng, view.width, view.height), Sensor(view, rng)
    with ClipWriter(path, view.width, view.height, view.rate, view.crf, view.bitrate) as clip:
        for frame in range(round(seconds * view.rate)):
            at = frame / view.rate
            clip.write(sensor.seen((room * glare(at)).clip(0, 255).astype(np.uint8), at))
    return path


@pytest.mark.parametrize(
    "view",
    [
        View("gate", 1920, 1080, 6, seed=1),
        View("gate", 1280, 720, 6, Light(gain=0.3, noise=8.0), crf=32, seed=2),
        View("gate", 1280, 720, 6, Light(drift=0.2, period=6.0), bitrate=300_000, seed=3),
    ],
)
def test_a_face_of_40_pixels_that_passes_is_seen_all_the_way(tmp_path: Path, view: View) -> None:
    truth = crossing(view, tmp_path / "a.mp4", 40, 0.5 * view.width)
    said = told(tmp_path / "a.mp4")
    faces = [face.frame for face in truth.passes[0].faces]
    assert all(said[faces[0] : faces[-1] + 1])
    assert not any(said[1 : faces[0] - 4]), "somebody's shoulders come first"


@pytest.mark.parametrize(
    "view",
    [
        replace(SMALL, light=Light(noise=8.0)),
        replace(SMALL, light=Light(gain=0.25, noise=8.0)),
        replace(SMALL, light=Light(drift=0.3, period=8.0)),
        replace(SMALL, crf=32),
        replace(SMALL, bitrate=80_000),
    ],
    ids=["noise", "night", "light", "coarse", "starved"],
)
def test_noise_light_and_coding_are_no_motion(tmp_path: Path, view: View) -> None:
    said = told(still_room(tmp_path / "a.mp4", view))
    assert said == [True] + [False] * (len(said) - 1)


def test_a_very_coarse_picture_costs_little(tmp_path: Path) -> None:
    said = told(still_room(tmp_path / "a.mp4", replace(SMALL, crf=36, light=Light(noise=6.0))))
    assert sum(said) <= len(said) / 10


def test_a_lamp_is_soon_forgotten_and_a_dimmer_is_not_told(tmp_path: Path) -> None:
    lamp = told(still_room(tmp_path / "a.mp4", SMALL, glare=lambda at: 0.3 if at < 6 else 1.4))
    assert lamp[36]
    assert sum(lamp) <= 12, "coding goes on about it for a while"
    dimmed = told(still_room(tmp_path / "b.mp4", SMALL, glare=lambda at: 1.0 - 0.06 * at))
    assert sum(dimmed) == 1


def test_what_stays_becomes_the_background() -> None:
    room = background(np.random.default_rng(3), 320, 180)[..., 0]
    parked = room.copy()
    parked[80:130, 100:200] = 230
    gate = MotionGate()
    said = [gate.moved(room if n < 10 else parked, START + n * STEP) for n in range(450)]
    assert said[1:10] == [False] * 9
    assert all(said[10:60])
    assert not any(said[400:]), "a minute: it is up to 170 levels brighter"


def test_only_what_counts_moves(tmp_path: Path) -> None:
    crossing(SMALL, tmp_path / "a.mp4", 40, 200)
    lower, upper = ((0.0, 0.1), (1.0, 0.1), (1.0, 1.0), (0.0, 1.0)), ((0.0, 0.0), (1.0, 0.0), (1.0, 0.1), (0.0, 0.1))
    assert sum(told(tmp_path / "a.mp4")) > 10
    assert sum(told(tmp_path / "a.mp4", Regions(roi=lower))) > 10
    assert sum(told(tmp_path / "a.mp4", Regions(roi=upper))) == 1
    assert sum(told(tmp_path / "a.mp4", Regions(masks=(lower,)))) == 1
    everything = Regions(masks=(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),))
    assert sum(told(tmp_path / "a.mp4", everything)) <= 1


def test_the_same_pictures_give_the_same_answers(tmp_path: Path) -> None:
    crossing(replace(SMALL, light=Light(noise=10.0)), tmp_path / "a.mp4", 30, 300)
    assert told(tmp_path / "a.mp4") == told(tmp_path / "a.mp4")
