"""Who was where and with whom, on tracks whose times are told in minutes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from streamproc.query.movements import Place, companions, journeys, places, timeline

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Seen:
    id: str
    camera: str
    started_at: datetime
    ended_at: datetime
    identity_id: str | None


def seen(name: str, camera: str, began: float, ended: float, who: str | None = "anna") -> Seen:
    return Seen(name, camera, NOON + began * MINUTE, NOON + ended * MINUTE, who)


def test_tracks_without_a_pause_are_one_visit() -> None:
    tracks = [seen("c", "gate", 40, 41), seen("a", "gate", 0, 1), seen("b", "gate", 2, 3), seen("d", "yard", 41, 42)]
    visits = timeline(tracks, 5 * MINUTE)
    assert [(visit.camera, visit.tracks) for visit in visits] == [
        ("gate", ("a", "b")),
        ("gate", ("c",)),
        ("yard", ("d",)),
    ]
    assert places(visits) == (
        Place("gate", 2, NOON, NOON + 41 * MINUTE),
        Place("yard", 1, NOON + 41 * MINUTE, NOON + 42 * MINUTE),
    )


def test_who_was_with_somebody() -> None:
    own = [seen("a", "gate", 0, 2), seen("b", "yard", 10, 11)]
    others = [
        seen("c", "gate", 1, 3, "ben"),  # at once
        seen("d", "yard", 11.5, 12, "ben"),  # half a minute later
        seen("e", "gate", 2.5, 3, "carl"),
        seen("f", "lift", 0, 2, "dora"),  # another camera
        seen("g", "gate", 4, 5, "emil"),  # too late
        seen("h", "gate", 0, 2, None),
        seen("i", "gate", 2, 2.5),  # the same person
    ]
    found = companions(own, others, MINUTE)
    assert [(one.identity_id, [(m.track, m.other_track) for m in one.meetings]) for one in found] == [
        ("ben", [("a", "c"), ("b", "d")]),
        ("carl", [("a", "e")]),
    ]
    assert [meeting.apart for meeting in found[0].meetings] == [timedelta(), MINUTE / 2]
    assert [one.identity_id for one in companions(own, others, timedelta())] == ["ben"]


def test_who_went_from_one_camera_to_another() -> None:
    first = [
        seen("a", "gate", 0, 2),
        seen("b", "gate", 4, 5),
        seen("c", "gate", 0, 1, "ben"),
        seen("x", "gate", 0, 1, None),
    ]
    then = [
        seen("d", "yard", 8, 9),
        seen("e", "yard", 30, 31),
        seen("f", "yard", 0.5, 2, "ben"),
        seen("y", "yard", 2, 3, None),
    ]
    (one,) = journeys(first, then, 10 * MINUTE)
    assert (one.identity_id, one.track, one.then_track) == ("anna", "b", "d")
    assert one.reached_at - one.left_at == 3 * MINUTE
