"""The ledger of gaps: what is entered is told, once, for the cameras and times that are asked about."""

import signal
from datetime import UTC, datetime, timedelta, timezone

import pytest
from gap_process import DETAIL, start
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inside import change, rows
from made_tracks import START, begin

from storage import Archive
from storage.ledger import UNWATCHED
from streamproc.errors import UnknownRecord
from streamproc.types import GapReason, GapRecord

SILENT, FROZEN, STOPPED = GapReason.SILENT, GapReason.FROZEN, GapReason.STOPPED


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def told(gaps: tuple[GapRecord, ...]) -> list[tuple[str, float, float | None, str]]:
    """Camera, minutes of begin and end, reason."""

    def minute(time: datetime) -> float:
        return (time - START) / timedelta(minutes=1)

    return [
        (gap.camera, minute(gap.began_at), None if gap.ended_at is None else minute(gap.ended_at), gap.reason.value)
        for gap in gaps
    ]


def test_a_gap_is_begun_lasts_and_ends(archive: Archive) -> None:
    begun = archive.ledger.begin_gap("door", at(2), SILENT, "The camera opens, but gives no frames.")
    assert archive.gaps() == (begun,)
    assert (begun.camera, begun.began_at, begun.ended_at) == ("door", at(2), None)
    assert (begun.reason, begun.detail) == (SILENT, "The camera opens, but gives no frames.")
    ended = archive.ledger.end_gap(begun.id, at(9))
    assert archive.gaps() == (ended,)
    assert (ended.id, ended.ended_at) == (begun.id, at(9))


@pytest.mark.parametrize("reason", GapReason)
def test_every_reason_comes_back(archive: Archive, reason: GapReason) -> None:
    assert archive.ledger.begin_gap("door", at(0), reason, "").reason is reason


def test_a_writer_that_repeats_itself_enters_nothing_twice(archive: Archive) -> None:
    first = archive.ledger.begin_gap("door", at(2), SILENT, "first")
    elsewhere = at(2).astimezone(timezone(timedelta(hours=5)))
    assert archive.ledger.begin_gap("door", elsewhere, SILENT, "in other words") == first
    ended = archive.ledger.end_gap(first.id, at(9))
    assert archive.ledger.end_gap(first.id, at(30)) == ended
    assert archive.ledger.begin_gap("door", at(2), SILENT, "again") == ended, "what has ended is not opened again"
    assert archive.gaps() == (ended,)
    others = [
        archive.ledger.begin_gap("door", at(2), FROZEN, ""),
        archive.ledger.begin_gap("door", at(3), SILENT, ""),
        archive.ledger.begin_gap("yard", at(2), SILENT, ""),
    ]
    assert len({first.id, *(other.id for other in others)}) == 4


def test_a_gap_does_not_end_before_it_began(archive: Archive) -> None:
    begun = archive.ledger.begin_gap("door", at(2), GapReason.CLOCK_JUMP, "The clock was set back.")
    assert archive.ledger.end_gap(begun.id, at(-60)).ended_at == at(2)
    assert told(archive.gaps(since=at(2), until=at(3))) == [("door", 2, 2, "clock_jump")]
    assert archive.gaps(until=at(2)) == ()


def test_gaps_left_lasting_are_ended_together(archive: Archive) -> None:
    archive.ledger.begin_gap("door", at(1), SILENT, "")
    archive.ledger.begin_gap("door", at(2), FROZEN, "")
    archive.ledger.begin_gap("yard", at(3), SILENT, "")
    over = archive.ledger.end_gap(archive.ledger.begin_gap("door", at(0), SILENT, "").id, at(1))
    assert told(archive.ledger.end_gaps("door", at(5))) == [("door", 1, 5, "silent"), ("door", 2, 5, "frozen")]
    assert told(archive.ledger.end_gaps(None, at(7))) == [("yard", 3, 7, "silent")]
    assert archive.ledger.end_gaps(None, at(8)) == ()
    assert archive.ledger.end_gaps("attic", at(8)) == ()
    assert over in archive.gaps()
    assert [gap.ended_at for gap in archive.gaps()] == [at(1), at(5), at(5), at(7)]


def test_what_is_not_there_is_named(archive: Archive) -> None:
    with pytest.raises(UnknownRecord, match="no gap 'nowhere'"):
        archive.ledger.end_gap("nowhere", at(0))
    begin(archive)
    with pytest.raises(UnknownRecord, match="no camera 'yard': its cameras are door"):
        archive.gaps(["yard"])


def test_a_time_without_a_zone_is_refused(archive: Archive) -> None:
    naive = datetime(2024, 5, 1, 12)
    with pytest.raises(ValueError, match="has no time zone"):
        archive.ledger.begin_gap("door", naive, SILENT, "")
    gap = archive.ledger.begin_gap("door", at(0), SILENT, "")
    with pytest.raises(ValueError, match="has no time zone"):
        archive.ledger.end_gap(gap.id, naive)
    with pytest.raises(ValueError, match="has no time zone"):
        archive.ledger.watched("door", naive)
    assert archive.gaps() == (gap,)


def test_a_camera_that_never_saw_anybody_is_in_info_by_its_gaps(archive: Archive) -> None:
    gap = archive.ledger.begin_gap("attic", at(0), GapReason.UNREACHABLE, "")
    info = archive.info()
    assert [(camera.name, camera.tracks) for camera in info.cameras] == [("attic", 0)]
    assert info.gaps == (gap,)


def test_a_sign_of_life_is_the_last_one(archive: Archive) -> None:
    assert archive.ledger.watched_until("door") is None
    archive.ledger.watched("door", at(1))
    assert archive.ledger.watched_until("door") == at(1)
    archive.ledger.watched("door", at(2))
    assert archive.ledger.watched_until("door") == at(2)
    assert [camera.name for camera in archive.info().cameras] == ["door"]
    archive.ledger.watched("door", None)
    assert archive.ledger.watched_until("door") is None


def test_after_a_power_cut_the_next_start_enters_the_time_without_a_service(archive: Archive) -> None:
    archive.ledger.watched("door", at(10))
    (stopped,) = archive.ledger.resume("door", at(40))
    assert told((stopped,)) == [("door", 10, 40, "stopped")]
    assert archive.gaps() == (stopped,)
    assert archive.ledger.resume("door", at(40)) == (), "a start that was killed and repeats itself enters nothing more"
    assert told(archive.ledger.resume("door", at(41))) == [("door", 40, 41, "stopped")]


def test_the_first_start_enters_nothing(archive: Archive) -> None:
    assert archive.ledger.resume("door", at(0)) == ()
    assert archive.ledger.watched_until("door") == at(0)


def test_a_gap_lasting_at_the_power_cut_ends_at_the_last_sign_of_life(archive: Archive) -> None:
    archive.ledger.begin_gap("door", at(5), SILENT, "")
    archive.ledger.begin_gap("yard", at(5), SILENT, "")
    archive.ledger.watched("door", at(10))
    assert told(archive.ledger.resume("door", at(40))) == [("door", 5, 10, "silent"), ("door", 10, 40, "stopped")]
    assert told(archive.gaps(["yard"])) == [("yard", 5, None, "silent")], "another camera is not touched"


def test_a_gap_begun_after_the_last_sign_of_life_stands_for_all(archive: Archive) -> None:
    archive.ledger.watched("door", at(10))
    archive.ledger.begin_gap("door", at(11), SILENT, "")
    assert told(archive.ledger.resume("door", at(40))) == [("door", 11, 40, "silent")]


def test_an_orderly_stop_ends_with_the_next_start(archive: Archive) -> None:
    archive.ledger.watched("door", at(10))
    archive.ledger.begin_gap("door", at(10), STOPPED, "The service was stopped.")
    assert told(archive.ledger.resume("door", at(40))) == [("door", 10, 40, "stopped")]
    assert len(archive.gaps()) == 1


def test_a_start_with_a_clock_set_back_enters_no_time_that_runs_backwards(archive: Archive) -> None:
    archive.ledger.watched("door", at(10))
    archive.ledger.begin_gap("door", at(12), SILENT, "")
    assert told(archive.ledger.resume("door", at(5))) == [("door", 12, 12, "silent")]
    assert archive.ledger.watched_until("door") == at(5)


def test_a_camera_left_without_a_word_counts_as_in_a_gap_for_who_asks(archive: Archive) -> None:
    archive.ledger.watched("door", at(10))
    now = at(10) + UNWATCHED
    assert archive.gaps(now=now) == ()
    now += timedelta(seconds=1)
    assert archive.gaps() == (), "it is not in the ledger"
    (presumed,) = archive.gaps(now=now)
    assert told((presumed,)) == [("door", 10, None, "stopped")]
    assert archive.info(now).gaps == (presumed,)
    assert archive.gaps(["door"], since=now, now=now) == (presumed,)
    assert archive.gaps(until=at(10), now=now) == ()
    (entered,) = archive.ledger.resume("door", now)
    assert entered.id == presumed.id, "it has the name under which the next start enters it"


def test_nothing_is_presumed_of_cameras_that_are_accounted_for(archive: Archive) -> None:
    begin(archive, camera="of files alone")
    archive.ledger.watched("door", at(10))
    archive.ledger.begin_gap("door", at(12), SILENT, "")
    archive.ledger.watched("yard", at(10))
    archive.ledger.watched("yard", None)
    assert told(archive.gaps(now=at(999))) == [("door", 12, None, "silent")]
    archive.ledger.watched("attic", at(20))
    with_attic = archive.gaps(now=at(999))
    assert told(with_attic)[1:] == [("attic", 20, None, "stopped")]
    assert archive.gaps(["yard"], now=at(999)) == ()


minutes = st.integers(0, 12)
cameras = st.sampled_from(["door", "yard", "attic"])
entries = st.lists(st.tuples(cameras, minutes, st.none() | minutes, st.sampled_from(GapReason)), max_size=8)


def shares_a_moment(gap: GapRecord, since: int | None, until: int | None) -> bool:
    """By looking at every half minute of a time that is longer than any gap; a gap without length is its begin."""
    for half in range(-2, 60):
        moment = at(half / 2)
        in_gap = gap.began_at <= moment and (gap.ended_at is None or moment < gap.ended_at)
        in_gap |= moment == gap.began_at == gap.ended_at
        if in_gap and (since is None or moment >= at(since)) and (until is None or moment < at(until)):
            return True
    return False


@given(entries, st.sets(cameras), st.none() | minutes, st.none() | minutes)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_gaps_are_those_that_share_a_moment_with_the_span(
    archive: Archive,
    entered: list[tuple[str, int, int | None, GapReason]],
    asked: set[str],
    since: int | None,
    until: int | None,
) -> None:
    change(archive, "DELETE FROM gaps")
    held: dict[tuple[str, int, GapReason], GapRecord] = {}
    for camera in ("door", "yard", "attic"):
        begin(archive, camera=camera)
    for camera, began, ended, reason in entered:
        gap = archive.ledger.begin_gap(camera, at(began), reason, "")
        held[camera, began, reason] = gap if ended is None else archive.ledger.end_gap(gap.id, at(ended))
    expected = [
        gap for gap in held.values() if (not asked or gap.camera in asked) and shares_a_moment(gap, since, until)
    ]
    found = archive.gaps(sorted(asked), None if since is None else at(since), None if until is None else at(until))
    assert list(found) == sorted(expected, key=lambda gap: gap.began_at), (
        "those that began together as they were entered"
    )
    assert archive.gaps() == tuple(sorted(held.values(), key=lambda gap: gap.began_at))


def test_a_writer_killed_between_begin_and_end_leaves_a_gap_that_can_be_ended(url: str) -> None:
    for _ in range(2):
        writer = start(url)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    with Archive.open(url) as archive:
        assert rows(archive, "gaps") == [1]
        (gap,) = archive.gaps()
        assert (gap.camera, gap.began_at, gap.ended_at, gap.detail) == ("door", START, None, DETAIL)
        assert archive.ledger.watched_until("door") == START
        (ended,) = archive.ledger.end_gaps(None, at(5))
        assert (ended.id, ended.ended_at, ended.reason) == (gap.id, at(5), gap.reason)


def test_times_come_back_in_utc(archive: Archive) -> None:
    moment = datetime(2026, 1, 1, 5, 0, 0, 123457, tzinfo=timezone(timedelta(hours=-8)))
    gap = archive.ledger.end_gap(archive.ledger.begin_gap("door", moment, SILENT, "").id, moment)
    assert gap.began_at == gap.ended_at == moment
    assert gap.began_at.tzinfo is UTC
    assert gap.ended_at is not None
    assert gap.ended_at.tzinfo is UTC
