"""Tracks gathered into identities: who is alike is one, two faces of one frame never are, users are not overruled."""

import itertools
from typing import Self

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from test_acts import acts, log

from streamproc.codec.calibration import Calibration
from streamproc.query.acts import Act, Merged, Named, Split, Standing, standing
from streamproc.query.gathering import Gatherer, Joined, Passage
from streamproc.query.presence import Presence, Span
from streamproc.types import Array, FloatArray

NOBODY = standing(())
SECOND = 1_000_000


class SteepScale:
    """Certain from a cosine of 0.6 on."""

    def among(self, similarities: FloatArray, asked: float) -> Self:
        """Strangers are the same everywhere."""
        return self

    def between(self, one: FloatArray, other: FloatArray) -> FloatArray:
        """(N,) the same for all."""
        return np.ones(max(len(one), len(other)), np.float32)

    def probability(self, similarity: FloatArray, expected: FloatArray, people: int) -> FloatArray:
        """(N,) nearly 0 or nearly 1."""
        assert similarity.shape == expected.shape
        return np.asarray(1 / (1 + np.exp(-40 * (similarity - 0.6))), np.float32)


def looks(person: int, noise: float = 0.0, seed: int = 0) -> FloatArray:
    """(16,) of unit norm: people stand at right angles."""
    vector = np.random.default_rng((person, seed)).normal(0, noise, 16) if noise else np.zeros(16)
    vector[person] += 1
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def passage(track: int, person: int, began: float, ended: float, camera: int = 1, noise: float = 0.0) -> Passage:
    """A track, times in seconds."""
    span = Span(str(track), str(camera), int(began * SECOND), int(ended * SECOND))
    return Passage(span, looks(person, noise, track), 0.5)


def gatherer(held: Standing = NOBODY, first: int = 1) -> Gatherer:
    return Gatherer(SteepScale(), held, itertools.count(first).__next__)


def test_who_is_alike_is_one_on_every_camera_and_day() -> None:
    one = gatherer()
    seen = [
        passage(1, 0, 0, 5),
        passage(2, 1, 0, 5),
        passage(3, 0, 10, 15, camera=2),
        passage(4, 1, 90_000, 90_005, camera=3),
    ]
    assert [one.gather(each).identity for each in seen] == [1, 2, 1, 2]


def test_two_faces_of_one_frame_are_two_people_however_alike() -> None:
    one = gatherer()
    assert one.gather(passage(1, 0, 0, 5)).identity == 1
    assert one.gather(passage(2, 0, 5, 9)).identity == 2  # both ends were seen: the fifth second shows two
    assert one.gather(passage(3, 0, 0, 9, camera=2)).identity in (1, 2)
    assert one.consolidate() == []


def test_a_track_that_grew_beside_another_of_its_identity_leaves_it() -> None:
    one = gatherer()
    assert one.gather(passage(1, 0, 0, 5)).identity == 1
    assert one.gather(passage(2, 0, 8, 12)).identity == 1
    assert one.gather(passage(1, 0, 0, 5)).identity == 1
    assert one.gather(passage(1, 0, 0, 9)).identity == 2


def test_two_identities_that_turn_out_alike_become_the_elder() -> None:
    one = gatherer()
    for k, direction in enumerate((looks(0), looks(1)), start=1):
        one.gather(Passage(Span(str(k), str(k), 0, 1), direction, 0.5))
    middle = looks(0) + looks(1)
    middle /= np.linalg.norm(middle)
    for k in range(3, 25):  # between both: they join one of them, and it comes to resemble the other
        one.gather(Passage(Span(str(k), str(k), 0, 1), middle, 0.5))
    assert one.consolidate() == [Joined(2, 1)]
    assert {one.identity(str(track)) for track in range(1, 25)} == {1}
    assert one.consolidate() == []


def test_a_user_who_spoke_of_both_is_not_overruled() -> None:
    near = (looks(0) * 0.8 + looks(1) * 0.6).astype(np.float32)
    for held, merges in (
        (standing(log(Named(1, "anna"), Named(2, "ben"))), []),
        (standing(log(Named(2, "ben"))), [Joined(1, 2)]),
        (NOBODY, [Joined(2, 1)]),
    ):
        one = gatherer(held)
        one.put(Passage(Span("1", "1", 0, 1), looks(0), 0.5), 1)
        one.put(Passage(Span("2", "2", 0, 1), near, 0.5), 2)
        assert one.consolidate(everything=True) == merges
        assert one.consolidate() == []


def test_tracks_join_whom_a_user_made() -> None:
    one = gatherer()
    one.gather(passage(1, 0, 0, 1))
    one.gather(passage(2, 1, 5, 6))
    one.take(standing(log(Merged(1, (2,)), Split(1, 7, ("1",)))))
    assert one.identity("2") == 1
    assert one.identity("1") == 7


def test_a_track_that_is_gone_stands_in_nobodys_way() -> None:
    one = gatherer()
    one.gather(passage(1, 0, 0, 5))
    one.forget("1")
    assert one.gather(passage(2, 0, 0, 5)).identity == 1


tracks = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 2), st.integers(0, 60), st.integers(0, 20)), min_size=1, max_size=40
)


@given(tracks, st.lists(acts, max_size=5))
def test_no_identity_ever_holds_two_faces_of_one_frame(seen: list[tuple[int, int, int, int]], said: list[Act]) -> None:
    one = gatherer(first=20)
    spans = []
    for number, (person, camera, began, length) in enumerate(seen):
        one.gather(passage(number, person, began, began + length, camera, noise=0.3))
        spans.append(passage(number, person, began, began + length, camera).span)
        if number % 7 == 6:
            one.consolidate()
    one.consolidate()
    for a, b in itertools.combinations(spans, 2):
        assert one.identity(a.track) != one.identity(b.track) or not a.meets(b)
    # Whatever a user says of others, machines merge nobody whom the log speaks of into another.
    one.take(standing(log(*said)))
    assert not {joined.identity for joined in one.consolidate()} & standing(log(*said)).touched


@given(tracks)
def test_presence_finds_who_was_there_at_the_time(seen: list[tuple[int, int, int, int]]) -> None:
    presence = Presence()
    hours = 700 * SECOND
    spans = [
        Span(str(n), str(camera), began * hours, (began + length) * hours)
        for n, (_, camera, began, length) in enumerate(seen)
    ]
    for span in spans:
        presence.put(span)
    for span in spans:
        expected = {o.track for o in spans if o.track != span.track and o.meets(span)}
        assert presence.meeting(span) == expected
    presence.drop("0")
    assert all("0" not in presence.meeting(span) for span in spans[1:])


def test_people_who_are_alike_at_a_place_stay_apart() -> None:
    """Strangers before one camera may be as alike as one person's photos are elsewhere; those who are there tell."""
    scale = Calibration("made", 0.7, 0.07, 0.29, 0.025, 0.15, 0.005, 0.167, 0.08, 0.033, 0.135, 0.18)
    chance = np.random.default_rng(8)

    def unit(vector: Array) -> FloatArray:
        return np.asarray(vector / np.linalg.norm(vector), np.float32)

    for common, wanted in ((0.0, 0.0), (0.75, 0.36)):
        # Everybody has so much in common, so that strangers are alike by `wanted`.
        place = common * unit(chance.standard_normal(128))
        faces = [unit(place + unit(chance.standard_normal(128))) for _ in range(12)]
        alike = np.array([a @ b for a, b in itertools.combinations(faces, 2)])
        assert abs(alike.mean() - wanted) < 0.1
        one = Gatherer(scale, NOBODY, itertools.count(1).__next__)
        given_out: dict[int, int] = {}
        for track, person in enumerate([*range(12), *range(12)]):
            look = unit(faces[person] + 0.4 * unit(chance.standard_normal(128)))
            put = one.gather(Passage(Span(str(track), str(track), 0, 1), look, 0.8)).identity
            assert given_out.setdefault(person, put) == put
        assert len(set(given_out.values())) == 12
        assert one.consolidate() == []
