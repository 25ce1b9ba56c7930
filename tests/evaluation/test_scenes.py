"""Composed scenes: what the truth says is what the finder sees, and the same is made again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from pipelines.samples import sample
from streamproc.errors import NoFace, NotVideo, SourceNotFound
from streamproc.evaluation.portraits import Person, people_of, read_people
from streamproc.evaluation.scene_pictures import smeared
from streamproc.evaluation.scene_plans import lanes, rounds
from streamproc.evaluation.scene_truth import (
    Bar,
    Light,
    SceneTruth,
    View,
    overlap,
    read_truth,
    truth_path,
    write_truth,
)
from streamproc.evaluation.scenes import Walk, compose
from streamproc.faces.finder import FaceFinder
from streamproc.media.photo import read_photo
from streamproc.media.source import VideoSource
from streamproc.types import Image

STARTED_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
SMALL = View("door", 640, 360)


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder.load("cpu")


@pytest.fixture(scope="module")
def people(finder: FaceFinder) -> list[Person]:
    """Three who look into the camera."""
    one, other, *_ = people_of([sample("single_face.jpg"), sample("0-f15-hao-ph.jpg")], finder)
    return [one, other, *people_of([sample("multi_face.jpg")], finder, 1)]


@pytest.fixture(scope="module")
def crossed(people: list[Person], tmp_path_factory: pytest.TempPathFactory) -> tuple[SceneTruth, Path]:
    """One from left to right, larger and blurred a little, another to the left behind, a pillar before both."""
    path = tmp_path_factory.mktemp("scene") / "door.mp4"
    walks = [
        Walk(people[0].portrait, 0.0, 90, 60, -160),
        Walk(people[1].portrait, 0.5, 240, 80, 240, 0.017),
    ]
    return compose(replace(SMALL, bars=(Bar(300, 120),)), walks, path, STARTED_AT), path


def pictures(path: Path) -> list[Image]:
    with VideoSource(str(path), "door") as source:
        return [frame.image for frame in source]


def test_boxes_are_where_the_finder_finds_faces(crossed: tuple[SceneTruth, Path], finder: FaceFinder) -> None:
    truth, path = crossed
    frames = pictures(path)
    assert len(frames) == truth.frames
    shares = []
    for one in truth.passes:
        for face in one.faces[::4]:
            if face.occluded == 0 and face.box[0] > 0 and face.box[2] < SMALL.width:
                found = [tuple(crop.detection.box.tolist()) for crop in finder.find(frames[face.frame])]
                shares.append(max((overlap(face.box, box) for box in found), default=0.0))
    assert len(shares) > 15
    assert np.mean(np.array(shares) > 0.75) > 0.9
    assert np.median(shares) > 0.85


def test_what_the_truth_says_of_a_pass(crossed: tuple[SceneTruth, Path], people: list[Person]) -> None:
    truth, _ = crossed
    left, right = truth.passes
    assert [one.identity for one in truth.passes] == [person.identity for person in people[:2]]
    assert (left.speed, left.size, right.exposure, right.camera) == (-160, 60, 0.017, "door")
    assert right.blur == pytest.approx(4.08)
    for one in truth.passes:
        frames = [face.frame for face in one.faces]
        assert frames == list(range(frames[0], frames[-1] + 1))
        centres = np.array([(face.box[0] + face.box[2]) / 2 for face in one.faces])
        assert np.allclose(np.diff(centres), one.speed / truth.view.rate)
        assert centres.min() >= 0
        assert centres.max() <= SMALL.width
        assert one.faces[0].box[2] - one.faces[0].box[0] == pytest.approx(one.size)
    start, end = truth.span(right)
    # The face enters at 0.5 s; half of it is inside 40 px later, at 240 px/s.
    assert start - STARTED_AT == pytest.approx(timedelta(seconds=0.5 + 40 / 240), abs=timedelta(seconds=0.07))
    assert end - start == pytest.approx(timedelta(seconds=640 / 240), abs=timedelta(seconds=0.14))
    between = start + timedelta(seconds=0.5 / 15)
    here, there = right.faces[0].box, right.faces[1].box
    assert truth.box(right, between) == pytest.approx(tuple((np.array(here) + there) / 2), abs=0.01)
    assert truth.box(right, start - timedelta(seconds=1)) is None


def test_occlusion_is_noted(crossed: tuple[SceneTruth, Path]) -> None:
    """A pillar from 300 to 420 hides a face of 60 px whole in the middle, not at all before."""
    for one in crossed[0].passes:
        for face in one.faces:
            hidden = max(0.0, min(face.box[2], 420) - max(face.box[0], 300)) / one.size
            assert face.occluded == pytest.approx(hidden, abs=0.03)
        assert max(face.occluded for face in one.faces) == 1
        assert 0.1 < one.occluded < 0.4


def test_who_walks_in_front_hides(people: list[Person], tmp_path: Path) -> None:
    walks = [Walk(people[0].portrait, 0, 170, 50, 200), Walk(people[1].portrait, 0, 180, 80, -200)]
    behind, front = compose(SMALL, walks, tmp_path / "a.mp4", STARTED_AT).passes
    assert max(face.occluded for face in behind.faces) > 0.9
    assert min(face.occluded for face in behind.faces) == 0
    assert {face.occluded for face in front.faces} == {0}


def test_a_clip_of_a_length_to_be_looped(people: list[Person], tmp_path: Path) -> None:
    """Who has not left when it ends has a pass that ends there."""
    walks = [Walk(people[0].portrait, begins, 180, 60, 600) for begins in (0, 1.5)]
    truth = compose(SMALL, walks, tmp_path / "a.mp4", STARTED_AT, 2.0)
    assert truth.frames == len(pictures(tmp_path / "a.mp4")) == 30
    assert [one.faces[-1].frame for one in truth.passes] == [16, 29]


def test_the_same_again(people: list[Person], tmp_path: Path) -> None:
    def made(name: str, seed: int) -> tuple[bytes, bytes]:
        folder = tmp_path / name
        folder.mkdir()
        walks = [Walk(people[0].portrait, 0, 180, 60, 900)]
        compose(replace(SMALL, seed=seed), walks, folder / "a.mp4", STARTED_AT)
        return (folder / "a.mp4").read_bytes(), (folder / "a.json").read_bytes()

    one, again, other = made("one", 1), made("again", 1), made("other", 2)
    assert one == again
    assert one[0] != other[0]


def test_truth_is_read_back(crossed: tuple[SceneTruth, Path], tmp_path: Path) -> None:
    truth, clip = crossed
    assert read_truth(truth_path(clip)) == truth
    dark = replace(truth, view=replace(truth.view, light=Light(0.4, 1.2, 0.1, 6.0), bitrate=500_000))
    assert read_truth(write_truth(tmp_path / "dark.json", dark)) == dark
    with pytest.raises(SourceNotFound, match=r"none\.json"):
        read_truth(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('{"clip": 3}')
    with pytest.raises(NotVideo, match="no scene's truth"):
        read_truth(tmp_path / "bad.json")


def test_light_and_noise(people: list[Person], tmp_path: Path) -> None:
    def first(name: str, light: Light) -> Image:
        path = tmp_path / f"{name}.mp4"
        compose(replace(SMALL, light=light), [Walk(people[0].portrait, 0, 180, 60, 1500)], path, STARTED_AT)
        return pictures(path)[0]

    plain, dark, red = first("plain", Light()), first("dark", Light(gain=0.4)), first("red", Light(warmth=0.3))
    assert dark.mean() == pytest.approx(0.4 * plain.mean(), rel=0.1)
    assert red[..., 0].mean() > 1.2 * plain[..., 0].mean()
    assert red[..., 2].mean() < 0.8 * plain[..., 2].mean()
    assert plain.std() > 8, "the background is not flat"


def test_smear_keeps_light_and_place() -> None:
    point = np.zeros((3, 5, 4), np.float32)
    point[1, 2] = 100
    for length, wide in ((0.0, 1), (4.0, 5), (7.5, 9)):
        layer, margin = smeared(point, length)
        line = layer[1, :, 0]
        assert line.sum() == pytest.approx(100)
        assert (line > 1e-3).sum() == wide
        assert (line * np.arange(len(line))).sum() / 100 == pytest.approx(2 + margin)
        assert layer[0].sum() == 0


def test_lanes(people: list[Person], tmp_path: Path) -> None:
    """Everybody once, nobody before another's face."""
    walks = lanes(replace(SMALL, height=480), [*people, *people], 50, 400, 0.01)
    truth = compose(replace(SMALL, height=480), walks, tmp_path / "lanes.mp4", STARTED_AT)
    assert sorted(one.identity for one in truth.passes) == sorted(person.identity for person in [*people, *people])
    assert {one.speed for one in truth.passes} == {400, -400}
    assert all(face.occluded == 0 for one in truth.passes for face in one.faces)
    assert all(face.box[1] >= 0 and face.box[3] <= 480 for one in truth.passes for face in one.faces)


def test_rounds(people: list[Person]) -> None:
    """Who passed the first camera passes the second one turn later."""
    views = [replace(SMALL, camera=name) for name in ("gate", "hall")]
    visits = rounds(views, people, 100, 20, (40, 80), (160, 320))
    gate, hall = ([visit.walk for visit in visits if visit.camera == view.camera] for view in views)
    assert [walk.begins for walk in gate] == [0, 20, 40, 60, 80]
    assert [walk.begins for walk in hall] == [10, 30, 50, 70, 90]
    for before, after in zip(gate, hall[1:], strict=False):
        assert before.portrait is after.portrait
        assert after.begins - before.begins == 30
    assert {(walk.size, abs(walk.speed)) for walk in gate} == {(40, 160), (80, 160), (40, 320), (80, 320)}
    assert all(visit.walk.ends(640) <= 100 for visit in visits)


def test_a_folder_of_portraits(finder: FaceFinder, tmp_path: Path) -> None:
    """What is before the last underscore is who it is; the first photo is shown, the last is the other one."""
    photo = Picture.fromarray(read_photo(sample("single_face.jpg")))
    for name in ("ann_1.png", "bob.png"):
        photo.save(tmp_path / name)
    photo.resize((photo.width * 3 // 4, photo.height * 3 // 4)).save(tmp_path / "ann_2.png")
    ann, bob = read_people(tmp_path, finder)
    assert [(p.identity, p.portrait.name) for p in (ann, bob)] == [("ann", "ann_1.png"), ("bob", "bob.png")]
    assert bob.other is bob.portrait.crop
    shrunk = np.ptp(ann.other.detection.box[::2]) / np.ptp(ann.portrait.crop.detection.box[::2])
    assert shrunk == pytest.approx(0.75, abs=0.05)
    assert read_people(tmp_path, finder, 1)[0].identity == "ann"
    Picture.new("RGB", (200, 200)).save(tmp_path / "cat.png")
    with pytest.raises(NoFace, match=r"cat\.png"):
        read_people(tmp_path, finder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceNotFound, match="empty"):
        read_people(tmp_path / "empty", finder)


def test_cut_out(people: list[Person]) -> None:
    """The face is there whole, the corners of the background are gone."""
    for person in people:
        portrait = person.portrait
        x0, y0, x1, y1 = (round(v) for v in portrait.box)
        wide, high = (x1 - x0) // 5, (y1 - y0) // 5
        assert portrait.alpha[y0 + high : y1 - high, x0 + wide : x1 - wide].min() > 0.95
        assert portrait.alpha[:high, :wide].max() < 0.2
        assert portrait.picture.shape[:2] == portrait.alpha.shape
