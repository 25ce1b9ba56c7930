"""Tracks of faces that move as walkers do, and the shots kept of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from streamproc.faces.align import TEMPLATE
from streamproc.faces.track import SHOT_SPACING, TrackBuilder
from streamproc.types import Array, Detection, FaceCrop, Frame, FrameTime, Image, Track

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PICTURE = np.zeros((4, 4, 3), np.uint8)
SIZE = 60.0

Place = tuple[float, float]
Path = Callable[[float], Place | None]


@dataclass(frozen=True)
class Walk:
    """A walker: where the face's centre is at each second (None: not seen), and how good a shot would be then."""

    path: Path
    quality: Callable[[float], float] = lambda seconds: 0.5


def detection(place: Place, who: int = 0, confidence: float = 0.99) -> Detection:
    """A face of SIZE at `place`; its landmarks all say who it is, so that a test can tell."""
    x, y = place
    box = np.array([x - 0.4 * SIZE, y - 0.6 * SIZE, x + 0.4 * SIZE, y + 0.6 * SIZE], np.float32)
    return Detection(box, np.full((5, 2), who, np.float32), confidence)


def frame(seconds: float, index: int = 0) -> Frame:
    """A frame shown at `seconds`."""
    time = FrameTime(0, round(seconds * 1000), Fraction(1, 1000), START + timedelta(seconds=seconds))
    return Frame("gate", index, time, PICTURE)


def follow(
    walks: Sequence[Walk], rate: float, seconds: float, builder: TrackBuilder | None = None, noise: float = 0.02
) -> list[Track]:
    """The tracks of `walks` seen `rate` times a second, with a little noise in each box; ordered by ordinal."""
    rng = np.random.default_rng(7)
    builder = builder or TrackBuilder(rate)
    tracks: list[Track] = []
    for index in range(int(seconds * rate)):
        now = index / rate
        seen = [(who, place) for who, walk in enumerate(walks) if (place := walk.path(now)) is not None]
        shaken = [(who, rng.normal(place, noise * SIZE)) for who, place in seen]
        found = [detection((x, y), who) for who, (x, y) in shaken]

        def crop(image: Image, face: Detection, now: float = now) -> FaceCrop:
            return FaceCrop(None, None, face, walks[int(face.landmarks[0, 0])].quality(now), image)

        tracks += builder.update(frame(now, index), found, crop)
    return sorted([*tracks, *builder.finish()], key=lambda track: track.ordinal)


def walking(start: Place, sizes_a_second: float) -> Path:
    """A path to the right at a steady pace (to the left where it is negative)."""
    return lambda seconds: (start[0] + sizes_a_second * SIZE * seconds, start[1])


def hidden(path: Path, begin: float, end: float) -> Path:
    """The same path, not seen from `begin` to `end`."""
    return lambda seconds: None if begin <= seconds < end else path(seconds)


def people(track: Track) -> set[int]:
    """Who the track's shots show."""
    return {int(shot.detection.landmarks[0, 0]) for shot in track.shots}


@pytest.mark.parametrize("rate", [4.0, 6.25, 8.0, 30.0])
@pytest.mark.parametrize("pace", [0.5, 2.0, 4.0])
def test_one_walker_is_one_track(rate: float, pace: float) -> None:
    (track,) = follow([Walk(walking((100, 300), pace))], rate, 5)
    assert track.detections == int(5 * rate)
    assert track.ordinal == 0
    assert track.started_at == START
    assert track.ended_at == START + timedelta(seconds=(int(5 * rate) - 1) / rate)


@pytest.mark.parametrize("rate", [6.0, 7.0, 8.0, 30.0])
@pytest.mark.parametrize("pace", [1.0, 3.0])
def test_two_who_cross_are_two_tracks_each_of_one_person(rate: float, pace: float) -> None:
    walks = [Walk(walking((100, 300), pace)), Walk(walking((100 + pace * SIZE * 5, 320), -pace))]
    tracks = follow(walks, rate, 5, TrackBuilder(rate, shots=8))
    assert [people(track) for track in tracks] == [{0}, {1}]


@pytest.mark.parametrize("rate", [6.0, 7.0, 8.0, 30.0])
@pytest.mark.parametrize("pace", [1.0, 2.0, 3.0])
def test_who_passes_behind_another_keeps_the_track(rate: float, pace: float) -> None:
    """Both at one height; the one behind is not seen while their faces overlap."""
    overlap = 0.8 / (2 * pace)
    behind = hidden(walking((100 + pace * SIZE * 5, 303), -pace), 2.5 - overlap, 2.5 + overlap)
    tracks = follow([Walk(walking((100, 300), pace)), Walk(behind)], rate, 5, TrackBuilder(rate, shots=8))
    assert [people(track) for track in tracks] == [{0}, {1}]


@pytest.mark.parametrize("rate", [4.0, 8.0, 30.0])
def test_a_second_behind_a_pillar_leaves_one_track(rate: float) -> None:
    (track,) = follow([Walk(hidden(walking((100, 300), 1.5), 2.0, 3.0))], rate, 5)
    assert track.ended_at > START + timedelta(seconds=4)


def test_a_face_seen_once_is_waited_for_as_long_as_any_other() -> None:
    (track,) = follow([Walk(hidden(walking((100, 300), 0.5), 0.1, 1.1))], 8, 3)
    assert track.started_at == START


def test_who_hurries_past_is_one_track() -> None:
    (track,) = follow([Walk(walking((100, 300), 9.0))], 5, 2)
    assert track.detections == 10


def test_who_stops_while_hidden_is_found_again() -> None:
    def path(seconds: float) -> Place:
        return (100 + 3 * SIZE * min(seconds, 2.0), 300)

    assert len(follow([Walk(hidden(path, 2.0, 3.2))], 8, 5)) == 1


def test_ten_seconds_away_makes_two_tracks() -> None:
    tracks = follow([Walk(hidden(walking((100, 300), 0.0), 2.0, 12.0))], 6, 14)
    assert [track.ordinal for track in tracks] == [0, 1]


def test_ten_seconds_without_frames_make_two_tracks() -> None:
    builder = TrackBuilder(6, min_detections=2)
    seen_at = (0.0, 0.17, 0.33, 10.33, 10.5)
    ended = [builder.update(frame(seconds), [detection((100, 300))], plain_crop) for seconds in seen_at]
    assert [len(tracks) for tracks in ended] == [0, 0, 0, 1, 0]
    assert ended[3][0].detections == 3
    assert len(builder.finish()) == 1


def plain_crop(image: Image, face: Detection) -> FaceCrop:
    """A crop of middling quality."""
    return FaceCrop(None, None, face, 0.5, image)


def test_a_track_is_handed_over_soon_after_its_end() -> None:
    builder = TrackBuilder(6)
    for index in range(12):
        assert builder.update(frame(index / 6), [detection((100, 300))], plain_crop) == []
    later = [index / 6 for index in range(12, 40) if builder.update(frame(index / 6), [], plain_crop)]
    assert len(later) == 1
    assert later[0] < 4.0


def test_single_false_detections_are_dropped_but_counted_as_begun() -> None:
    flash = Walk(lambda seconds: (800.0, 100.0) if seconds == 0 else None)
    tracks = follow([flash, Walk(lambda seconds: (100.0, 300.0) if seconds >= 1 else None)], 6, 4)
    assert [track.ordinal for track in tracks] == [1]
    assert [track.ordinal for track in follow([flash], 6, 4, TrackBuilder(6, min_detections=1))] == [0]


def test_the_best_shots_are_kept_best_first_and_spread_in_time() -> None:
    peaks = {1.0: 0.9, 2.5: 0.8, 4.0: 0.7}

    def quality(seconds: float) -> float:
        return max(peak - abs(seconds - at) for at, peak in peaks.items())

    (track,) = follow([Walk(walking((100, 300), 1.0), quality)], 8, 5)
    assert [shot.quality for shot in track.shots] == pytest.approx([0.9, 0.8, 0.7])
    times = sorted(shot.time.captured_at for shot in track.shots if shot.time)
    assert all(later - earlier >= SHOT_SPACING for earlier, later in pairwise(times))
    assert {shot.camera_id for shot in track.shots} == {"gate"}


def test_a_better_shot_takes_the_place_of_its_neighbours_in_time() -> None:
    (track,) = follow([Walk(walking((100, 300), 0.0), lambda seconds: seconds / 10)], 30, 1.0)
    qualities = [shot.quality for shot in track.shots]
    assert qualities[0] == pytest.approx(29 / 300)
    assert qualities == sorted(qualities, reverse=True)


def test_one_frame_never_gives_one_track_two_faces() -> None:
    side_by_side = [Walk(walking((100 + 1.1 * SIZE * who, 300), 0.5)) for who in range(4)]
    tracks = follow(side_by_side, 6, 4)
    assert [people(track) for track in tracks] == [{0}, {1}, {2}, {3}]
    assert all(track.detections == 24 for track in tracks)


def test_the_same_detections_give_the_same_tracks() -> None:
    walks = [Walk(walking((100, 300), 2)), Walk(walking((900, 330), -2)), Walk(hidden(walking((400, 100), 0), 1, 4))]
    first, second = (
        [(track.ordinal, track.started_at, track.ended_at, track.detections) for track in follow(walks, 6, 6)]
        for _ in range(2)
    )
    assert first == second
    assert len(first) == 4


def test_frames_that_come_late_move_the_prediction_on() -> None:
    """Every third frame is lost on the way (a variable frame rate): still one track."""
    builder = TrackBuilder(8)
    tracks: list[Track] = []
    for index in (index for index in range(48) if index % 3):
        place = (100 + 3 * SIZE * index / 8, 300.0)
        tracks += builder.update(frame(index / 8), [detection(place)], plain_crop)
    assert [track.detections for track in tracks + builder.finish()] == [32]


def test_who_stands_still_stays_one_track_at_two_looks_a_second() -> None:
    """Walks in, looked at six times a second, stands for a minute, looked at twice, walks on."""
    builder = TrackBuilder(6)
    times = [n / 6 for n in range(12)] + [2 + n / 2 for n in range(120)] + [62 + n / 6 for n in range(12)]
    place = {at: 100 + SIZE * (min(at, 2.0) + max(at - 62, 0.0)) for at in times}
    tracks: list[Track] = []
    for at in times:
        tracks += builder.update(frame(at), [detection((place[at], 300.0))], plain_crop)
    assert [track.detections for track in tracks + builder.finish()] == [144]


@pytest.mark.parametrize("gap", [1 / 3, 1 / 2])
def test_a_second_look_after_a_while_finds_who_was_seen_once(gap: float) -> None:
    """What moves before it was followed is looked for at fewer frames a second than the tracker counts in."""
    builder, pace = TrackBuilder(6), 6.0
    times = [0.0, *(gap + n / 6 for n in range(4))]
    for at in times:
        assert builder.update(frame(at), [detection((100 + pace * SIZE * at, 300.0))], plain_crop) == []
    assert builder.following
    (track,) = builder.finish()
    assert track.detections == len(times)


def test_who_was_just_seen_comes_before_who_waits_at_few_looks_a_second() -> None:
    """One stands, hidden for a second; another stops beside that place and is not taken for the first."""
    builder = TrackBuilder(6)
    for n in range(9):
        found = [detection((100.0, 300.0), 0)] if n < 7 else []
        found += [detection((100.0 + 1.1 * SIZE, 300.0), 1)]
        builder.update(frame(n / 2), found, plain_crop)
    builder.update(frame(4.5), [detection((100.0 + 0.55 * SIZE, 300.0), 1)], plain_crop)
    tracks = sorted(builder.finish(), key=lambda track: track.ordinal)
    assert [(people(track), track.detections) for track in tracks] == [({0}, 7), ({1}, 10)]


def test_a_face_is_in_view_until_its_track_ends() -> None:
    builder = TrackBuilder(6)
    seen = []
    for at, found in ((0.0, []), (0.5, [detection((100, 300))]), (1.5, []), (2.5, [])):
        builder.update(frame(at), found, plain_crop)
        seen.append(builder.following)
    assert seen == [False, True, True, False]


def test_who_stays_is_told_of_before_the_end() -> None:
    """After 5 seconds, and after 10 and 20 if there was a clearly better shot by then; always under one ordinal."""
    builder = TrackBuilder(6)
    news: list[tuple[float, Track]] = []
    for index in range(6 * 30):
        now = index / 6

        def crop(image: Image, face: Detection, now: float = now) -> FaceCrop:
            return FaceCrop(None, None, face, now / 30 if now < 12 else 0.1, image)

        assert builder.update(frame(now, index), [detection((100, 100))], crop) == []
        news += [(now, track) for track in builder.unfinished()]
    assert [(round(now), track.ordinal) for now, track in news] == [(5, 0), (10, 0), (20, 0)]
    qualities = [track.shots[0].quality for _, track in news]
    assert qualities == sorted(qualities)
    (whole,) = builder.finish()
    assert whole.ordinal == 0
    assert whole.detections == 180


def test_a_shot_that_is_hardly_better_is_no_news() -> None:
    builder, news = TrackBuilder(6), 0
    for index in range(6 * 45):
        now = index / 6

        def crop(image: Image, face: Detection, now: float = now) -> FaceCrop:
            return FaceCrop(None, None, face, (0.5 + 0.001 * now) * (1.2 if now > 30 else 1.0), image)

        builder.update(frame(now, index), [detection((100, 100))], crop)
        told = len(builder.unfinished())
        news += told
        assert not told or now in (5.0, 40.0)
    assert news == 2, "at 10 and 20 seconds there are other shots, but no better ones"


def headings(path: Path, landmarks: Array | None = None) -> list[float | None]:
    """Of the shots of a walker's track, in order of time."""
    builder, tracks = TrackBuilder(6.0), list[Track]()
    for index in range(24):
        place = path(index / 6)
        assert place is not None
        found = detection(place)
        if landmarks is not None:
            found = Detection(found.box, (landmarks + place).astype(np.float32), 0.9)

        def crop(image: Image, face: Detection) -> FaceCrop:
            return FaceCrop(None, None, face, 0.5, image)

        tracks += builder.update(frame(index / 6, index), [found], crop)
    tracks += builder.finish()
    (track,) = tracks
    return [shot.heading for shot in track.shots]


def test_a_shot_knows_the_way_through_its_crop() -> None:
    assert headings(walking((0, 0), 0.0)) == [None] * 3
    assert headings(walking((0, 0), 0.3)) == [None] * 3
    upright = TEMPLATE / 4 - 32
    for turn in (0.0, 0.4):
        spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        seen = headings(lambda seconds: (3 * SIZE * seconds, 3 * SIZE * seconds), upright @ spin.T)
        known = [one for one in seen if one is not None]
        assert len(known) >= 2
        assert known == pytest.approx([np.pi / 4 - turn] * len(known), abs=0.1)
