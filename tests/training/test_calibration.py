"""Calibration: made faces whose similarities follow known numbers give those numbers back."""

from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from streamproc.codec.calibration import Calibration, calibration_path, read_calibration, write_calibration
from streamproc.codec.profiles import profile_path, stated_codec
from streamproc.errors import WeightsError
from streamproc.training.calibration import calibrate
from streamproc.training.data import NO_IDENTITY
from streamproc.training.seen import SeenFaces
from streamproc.types import Array, FloatArray

PLAIN = Calibration("made", 0.7, 0.05, 0.3, 0.02, 0.15, 0.0, 0.17, 0.06, 0.0, 0.17, 0.17)

GROUPS = 3


def seen(people: int, looks: int, portraits: int, wrong: int = 0) -> SeenFaces:
    """Faces of people whose tracks are the noisier the worse their quality, and portraits of others, once each."""
    chance = np.random.default_rng(3)
    centres = chance.normal(size=(people, 128)) / np.sqrt(128)
    rows = np.repeat(np.arange(people), looks)
    quality = chance.uniform(0.2, 1.0, len(rows)).astype(np.float32)

    def unit(vectors: Array) -> FloatArray:
        directions: FloatArray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return directions

    noise = chance.normal(size=(2, len(rows), 128)) / np.sqrt(128)
    asked = unit(centres[rows] + 0.5 * noise[0])
    tracks = unit(centres[rows] + (0.5 / quality)[:, None] * noise[1])
    others = unit(chance.normal(size=(portraits, 128)))
    identities = np.concatenate([rows, np.full(portraits, NO_IDENTITY)])
    identities[:wrong] = people - 1
    count = len(identities)
    ones = np.ones(count, np.float32)
    return SeenFaces(
        np.concatenate([asked, others]),
        ones,
        np.concatenate([tracks, others]),
        np.concatenate([quality, ones[:portraits]]),
        np.ones(count, np.int64),
        identities,
        np.array([f"mebeauty/female_{number % GROUPS}_{number}.webp" for number in range(count)]),
    )


def test_what_is_fitted_is_what_the_faces_are() -> None:
    faces = seen(60, 6, 400)
    found = calibrate(faces, "made")
    # Two unit vectors in 128 dimensions: nearly a normal distribution about 0 of 1 / sqrt(128).
    for rate in (1e-2, 1e-3):
        assert found.threshold(1, rate) == pytest.approx(NormalDist(0, 128**-0.5).inv_cdf(1 - rate), abs=0.02)
    assert found.track > 0.1
    named = faces.identities != NO_IDENTITY
    same = faces.asked[named] @ faces.tracks[named].T
    pairs = (faces.identities[named][:, None] == faces.identities[named]) & ~np.eye(named.sum(), dtype=bool)
    for low, high in ((0.3, 0.5), (0.7, 0.9)):
        rows, columns = np.nonzero(pairs)
        chosen = (faces.track_quality[columns] >= low) & (faces.track_quality[columns] < high)
        told = found.expected(1.0, faces.track_quality[columns[chosen]], np.ones(chosen.sum(), np.float32)).mean()
        assert told == pytest.approx(same[rows[chosen], columns[chosen]].mean(), abs=0.03)


def test_a_few_wrong_labels_change_little() -> None:
    right, wrong = calibrate(seen(60, 6, 300), "made"), calibrate(seen(60, 6, 300, wrong=6), "made")
    assert wrong.spread == pytest.approx(right.spread, rel=0.15)
    assert wrong.same == pytest.approx(right.same, abs=0.05)


def test_probability_rises_with_similarity_and_falls_with_numbers() -> None:
    similarity = np.linspace(-1, 1, 401).astype(np.float32)
    for expected in (0.2, 0.5, 0.8):
        few, many = (PLAIN.probability(similarity, np.full(401, expected, np.float32), n) for n in (10, 100_000))
        assert (np.diff(few) >= 0).all()
        assert (many <= few).all()
        assert few[-1] > 0.99 > 0.01 > few[0]
    blurred, sharp = PLAIN.probability(np.full(2, 0.45, np.float32), np.array([0.4, 0.8], np.float32), 10)
    assert blurred > sharp, "a blurred face of the same person need not be as alike"


def test_the_threshold_is_where_one_of_so_many_strangers_comes_in() -> None:
    chance = np.random.default_rng(1)
    for people, rate in ((1, 0.01), (50, 0.05), (2000, 0.2)):
        most = chance.normal(PLAIN.strangers, PLAIN.strangers_spread, (4000, people)).max(axis=1)
        assert (most >= PLAIN.threshold(people, rate)).mean() == pytest.approx(rate, abs=0.02)
    assert PLAIN.threshold(1, 0.5) == pytest.approx(NormalDist(0, 0.17).mean)


def test_strangers_who_are_alike_at_a_place_raise_the_bar_there() -> None:
    chance = np.random.default_rng(2)

    def false_alarms(shift: float, told: bool) -> float:
        wrong = 0
        for _ in range(1000):
            others = chance.normal(PLAIN.typical + shift, PLAIN.strangers_spread, 60).astype(np.float32)
            scale = PLAIN.among(others, 1.0) if told else PLAIN
            wrong += int(others.max() >= scale.threshold(60, 0.05))
        return wrong / 1000

    assert false_alarms(0.0, told=True) < 0.08
    assert false_alarms(0.3, told=False) > 0.7
    assert false_alarms(0.3, told=True) < 0.15


def test_who_comes_again_and_again_raises_no_bar() -> None:
    """The tracks of a place where nearly everybody is the person asked for."""
    chance = np.random.default_rng(4)
    own = chance.normal(0.7, 0.1, 50)
    others = chance.normal(PLAIN.typical, PLAIN.within, 5)
    scale = PLAIN.among(np.concatenate([own, others]).astype(np.float32), 1.0)
    assert scale.strangers == pytest.approx(PLAIN.strangers, abs=0.1)
    assert (own >= scale.threshold(55, 0.05)).mean() > 0.8


def test_where_little_is_known_more_is_asked_for() -> None:
    nobody = np.zeros(0, np.float32)
    few = np.full(3, PLAIN.typical, np.float32)
    many = np.random.default_rng(5).normal(PLAIN.typical, PLAIN.within, 5000).astype(np.float32)
    needed = [PLAIN.among(some, 1.0).threshold(10, 0.05) for some in (nobody, few, many)]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] == pytest.approx(PLAIN.threshold(10, 0.05), abs=0.03)
    assert PLAIN.among(nobody, 1.0).strangers_spread == pytest.approx(np.hypot(0.17, PLAIN.places))


def test_a_blurred_question_needs_more() -> None:
    same = np.full(20, PLAIN.typical, np.float32)
    assert PLAIN.among(same, 0.3).threshold(10, 0.05) > PLAIN.among(same, 0.9).threshold(10, 0.05)


@pytest.mark.parametrize("profile", ["default", "paper"])
def test_each_shipped_codec_has_its_calibration(profile: str) -> None:
    found = read_calibration(profile_path(profile), stated_codec(profile).codec_id)
    assert 0 < found.strangers_spread < found.same < 1


def test_a_calibration_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    weights = tmp_path / "my.safetensors"
    with pytest.raises(WeightsError, match="train calibration"):
        read_calibration(weights, "made")
    write_calibration(PLAIN, weights)
    assert read_calibration(weights, "made") == PLAIN
    with pytest.raises(WeightsError, match="of codec made"):
        read_calibration(weights, "other")
    calibration_path(weights).write_text('{"codec_id": "made"}')
    with pytest.raises(WeightsError, match="damaged"):
        read_calibration(weights, "made")
