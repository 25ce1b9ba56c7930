"""Tracks before a truth made by hand."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from streamproc.evaluation.scene_matching import Gallery, SceneMatch, SeenTrack, accepting, match
from streamproc.evaluation.scene_truth import Pass, SceneTruth, TrueFace, View, overlap
from streamproc.types import FaceRecord, FloatArray

STARTED_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
GALLERY = Gallery(("ann", "bob", "cyd"), np.eye(3, dtype=np.float32))
Shot = tuple[float, float, float]
"""Seconds, x and y of a box of 40 pixels."""


def walked(identity: str, begins: int, y: float, camera: str = "door") -> Pass:
    """40 frames from `begins` on, a box of 40 px that moves by 10 px a frame."""
    faces = tuple(TrueFace(begins + n, (10.0 * n, y, 10.0 * n + 40, y + 40), 0.0) for n in range(40))
    return Pass(camera, identity, f"{identity}.png", 40, 150, 0.01, faces)


def seen(name: str, like: tuple[float, float, float], *shots: Shot, camera: str = "door") -> SeenTrack:
    """Best shot first; the first one's quality is how much it is like somebody."""
    records = tuple(
        FaceRecord(
            f"{name}-{n}",
            camera,
            "door.mp4",
            name,
            STARTED_AT + timedelta(seconds=seconds),
            (x, y, x + 40, y + 40),
            max(like) - 0.1 * n,
            None,
            frozenset(),
        )
        for n, (seconds, x, y) in enumerate(shots)
    )
    feature: FloatArray = np.array(like, np.float32)
    return SeenTrack(name, camera, records, feature)


def found(*tracks: SeenTrack, slack: float = 0.0) -> SceneMatch:
    """Ann above and Bob below from the start, Ann again after 10 s; frames 15 a second."""
    passes = (walked("ann", 0, 100), walked("bob", 0, 300), walked("ann", 150, 100))
    scene = SceneTruth(View("door"), "door.mp4", STARTED_AT, 200, passes)
    return match([scene], tracks, GALLERY, timedelta(seconds=slack))


def test_overlap() -> None:
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0


def test_right_wrong_and_missed() -> None:
    """At 1 s a face that began at 0 is at 150 px. Bob's best shot looks like Cyd; Ann's second pass is missed."""
    result = found(seen("a", (0.9, 0.1, 0), (1, 152, 98)), seen("b", (0, 0.3, 0.6), (1, 150, 300)))
    first, bob, missed = result.passes
    assert (first.tracks[0].id, first.identity, first.right) == ("a", "ann", True)
    assert first.similarity == pytest.approx(0.9)
    assert first.overlap == pytest.approx(38 * 38 / (2 * 1600 - 38 * 38))
    assert (bob.tracks[0].id, bob.identity, bob.right) == ("b", "cyd", False)
    assert bob.similarity == pytest.approx(0.3)
    assert (missed.tracks, missed.identity, missed.right) == ((), None, False)
    assert (result.archived, result.right, result.doubles, result.false, result.mixed) == (2, 1, 0, (), ())
    assert [result.reaching(threshold) for threshold in (0.0, 0.5, 0.95)] == [2, 1, 0]
    assert sorted(result.strangers.tolist()) == pytest.approx([0, 0, 0.1, 0.6])


def test_time_tells_passes_apart() -> None:
    result = found(seen("late", (0.9, 0, 0), (11, 150, 100)))
    assert [len(one.tracks) for one in result.passes] == [0, 0, 1]


def test_doubles_false_and_mixed() -> None:
    result = found(
        seen("weak", (0.5, 0, 0), (0.4, 60, 100)),
        seen("good", (0.8, 0, 0), (1, 150, 100), (2, 300, 300)),
        seen("wall", (0, 0, 0.2), (1, 700, 500)),
        seen("off", (0.8, 0, 0), (1, 190, 100)),
        seen("early", (0.8, 0, 0), (8, 150, 100)),
        seen("other", (0.8, 0, 0), (1, 150, 100), camera="yard"),
    )
    assert [track.id for track in result.passes[0].tracks] == ["good", "weak"]
    assert result.doubles == 1
    assert [track.id for track in result.false] == ["wall", "off", "early", "other"]
    assert [track.id for track in result.mixed] == ["good"]


def test_slack_for_clocks_that_are_not_exact() -> None:
    """Half a second late, the face has gone on by 75 px; looked for frame by frame, it is found within half a frame."""
    late = seen("late", (0.9, 0, 0), (1.5, 150, 100))
    assert found(late).archived == 0
    assert found(late, slack=0.4).archived == 0
    assert found(late, slack=0.6).passes[0].overlap == pytest.approx(35 / 45, abs=0.01)


def test_a_looped_clip_is_several_scenes() -> None:
    scenes = [
        SceneTruth(View("door"), "door.mp4", STARTED_AT + timedelta(seconds=20 * n), 200, (walked("ann", 0, 100),))
        for n in range(3)
    ]
    result = match(scenes, [seen("second", (1, 0, 0), (21, 150, 100))], GALLERY)
    assert [len(one.tracks) for one in result.passes] == [0, 1, 0]
    assert match(scenes, [], GALLERY).strangers.shape == (0,)


def test_threshold_of_strangers() -> None:
    strangers = np.linspace(0, 1, 1001, dtype=np.float32)
    threshold = accepting(strangers, 0.8)
    assert (strangers > threshold).mean() == pytest.approx(1e-3, rel=0.1)
    assert accepting(strangers[:999], 0.8) == 0.8
