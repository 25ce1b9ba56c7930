"""Pictures that say nothing, told from those that do: noise, coding, slow light and night are no failures."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamproc.media.health import PictureHealth
from streamproc.media.source import VideoSource
from streamproc.types import FrameTime, GapReason, Image

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
STEP = timedelta(seconds=1 / 6)
SIZE = (180, 320)


def health() -> PictureHealth:
    return PictureHealth(timedelta(seconds=10), timedelta(seconds=5))


def told(pictures: Iterator[Image], watch: PictureHealth | None = None) -> list[tuple[str, int] | None]:
    """What is said after each picture: the reason and how many steps ago it began."""
    watch = watch or health()
    said = []
    for n, picture in enumerate(pictures):
        at = START + n * STEP
        trouble = watch.see(picture, at)
        said.append((trouble.reason.value, round((at - trouble.since) / STEP)) if trouble else None)
    return said


def scene(seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(40, 200, SIZE).astype(np.uint8)


def noisy(picture: Image, seed: int, strength: float = 6.0) -> Image:
    noise = np.random.default_rng(seed).normal(0, strength, SIZE)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def test_a_picture_that_stands_still_is_frozen_from_its_beginning() -> None:
    moving = [scene(n) for n in range(12)]
    said = told(iter([*moving, *[scene(11)] * 70]))
    assert said[:71] == [None] * 71
    assert said[71:] == [("frozen", n - 11) for n in range(71, 82)]


def test_it_is_over_when_something_moves() -> None:
    said = told(iter([*[scene(1)] * 65, *[scene(n) for n in range(2, 6)]]))
    assert said[64] is not None
    assert said[65:] == [None] * 4


def test_a_live_view_of_nothing_happening_is_not_frozen() -> None:
    still = np.full(SIZE, 90, np.uint8)
    still[60:] = 140
    assert told(noisy(still, n, 1.5) for n in range(100)) == [None] * 100
    one_thing_moves = [still.copy() for _ in range(100)]
    for n, picture in enumerate(one_thing_moves):
        picture[10:40, 10 + n : 40 + n] = 200
    assert told(iter(one_thing_moves)) == [None] * 100
    light = [(still * (1 - n / 400)).astype(np.uint8) for n in range(100)]
    assert told(iter(light)) == [None] * 100


def test_black_is_told_from_night() -> None:
    black = np.full(SIZE, 16, np.uint8)
    said = told(noisy(black, n, 2.0) for n in range(40))
    assert said[29] is None
    assert said[30:] == [("black", n) for n in range(30, 40)]
    night = black.copy()
    night[20:60, 200:260] = 90  # a window with light
    assert told(noisy(night, n, 2.0) for n in range(40)) == [None] * 40


def test_a_burst_of_damage_is_told_and_single_frames_are_not() -> None:
    watch = health()
    for n in range(60):
        at = START + n * STEP
        assert (watch.damaged(at) if n % 5 == 4 else watch.see(scene(n), at)) is None
    troubles = [watch.damaged(START + (60 + n) * STEP) for n in range(24)]
    assert troubles[0] is None
    assert troubles[-1] is not None
    assert troubles[-1].reason is GapReason.CORRUPT
    assert troubles[-1].since >= START + 55 * STEP
    at = START + 84 * STEP
    recovered = [watch.see(scene(n), at + n * STEP) for n in range(24)]
    assert recovered[-1] is None


@pytest.mark.parametrize("crf", [18, 38])
def test_a_frozen_camera_is_found_through_its_encoder(tmp_path: Path, crf: int) -> None:
    """The same picture for ever, coded again and again with key frames between, as a hung camera sends it."""
    path = tmp_path / "frozen.mp4"
    room = noisy(np.asarray(cv2.GaussianBlur(scene(), (0, 0), 4)), 1, 2.0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=6)
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        stream.options = {"crf": str(crf), "g": "12"}
        for _ in range(90):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(room, format="gray")))
        container.mux(stream.encode())
    lumas: list[Image] = []

    def keep(time: FrameTime, luma: Image) -> bool:
        lumas.append(luma.copy())
        return False

    with VideoSource(str(path), "gate", START, wanted=keep) as source:
        assert list(source) == []
    said = told(iter(lumas))
    # Not to the very end: what an encoder makes of the last pictures of a file differs.
    assert [trouble for trouble in said if trouble and trouble[0] == "frozen"][9:]
