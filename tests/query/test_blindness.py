"""Gaps as an answer has them: those that touch are one, and overlapping ones blind a camera once."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from fake_codec import START, FakeCodec, feature, ingest
from hypothesis import given
from hypothesis import strategies as st

from storage import Archive
from streamproc.errors import UnknownRecord
from streamproc.query import Blindness, blindness, length_within, merged, search
from streamproc.types import GapReason, GapRecord

ANN = feature(1)
HOUR = timedelta(hours=1)


def gap(camera: str, began: int, ended: int | None, reason: GapReason = GapReason.SILENT, name: str = "") -> GapRecord:
    """Times in hours from START on."""
    last = None if ended is None else START + ended * HOUR
    return GapRecord(name, camera, START + began * HOUR, last, reason, f"detail {name}")


def spans(gaps: tuple[GapRecord, ...]) -> list[tuple[str, int, int | None]]:
    return [
        (one.camera, (one.began_at - START) // HOUR, None if one.ended_at is None else (one.ended_at - START) // HOUR)
        for one in gaps
    ]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(str(tmp_path / "a.db"), create=True) as opened:
        yield opened


def test_gaps_of_one_reason_that_touch_are_one() -> None:
    one = merged([gap("door", 3, 4, name="b"), gap("door", 1, 3, name="a"), gap("door", 5, 6)])
    assert spans(one) == [("door", 1, 4), ("door", 5, 6)]
    assert (one[0].id, one[0].detail) == ("a", "detail a")
    assert spans(merged([gap("door", 1, 5), gap("door", 2, 3), gap("door", 5, None)])) == [("door", 1, None)]
    assert spans(merged([gap("door", 1, None), gap("door", 2, 3)])) == [("door", 1, None)]
    apart = [gap("door", 1, 3), gap("yard", 3, 4), gap("door", 3, 4, GapReason.FROZEN)]
    assert spans(merged(apart)) == [("door", 1, 3), ("yard", 3, 4), ("door", 3, 4)]
    assert merged([]) == ()


def test_a_length_is_that_of_the_part_asked_about() -> None:
    until = START + 10 * HOUR
    assert length_within(gap("door", 2, 5), None, until) == 3 * HOUR
    assert length_within(gap("door", 2, 5), START + 4 * HOUR, until) == HOUR
    assert length_within(gap("door", 2, 50), START, until) == 8 * HOUR
    assert length_within(gap("door", 2, None), None, until) == 8 * HOUR
    assert length_within(gap("door", 20, None), None, until) == timedelta()


def test_blindness_counts_overlaps_once_and_names_the_blindest_first() -> None:
    gaps = [gap("door", 1, 3), gap("door", 2, 4, GapReason.FROZEN), gap("yard", 0, None), gap("attic", 5, 5)]
    assert blindness(gaps, None, START + 10 * HOUR) == (Blindness("yard", 10 * HOUR), Blindness("door", 3 * HOUR))
    assert blindness(gaps, START + 3 * HOUR, START + 4 * HOUR) == (Blindness("door", HOUR), Blindness("yard", HOUR))


hours = st.integers(0, 15)
any_gaps = st.lists(
    st.builds(gap, st.sampled_from(["door", "yard"]), hours, st.none() | hours, st.sampled_from(list(GapReason)[:2]))
).map(lambda gaps: [one for one in gaps if one.ended_at is None or one.ended_at >= one.began_at])


def dark(gaps: list[GapRecord] | tuple[GapRecord, ...], camera: str, reason: GapReason | None, hour: int) -> bool:
    """Whether the camera is in a gap (of this reason) in the hour after `hour`."""
    moment = START + hour * HOUR
    return any(
        one.camera == camera
        and reason in (None, one.reason)
        and one.began_at <= moment
        and (one.ended_at is None or moment < one.ended_at)
        for one in gaps
    )


@given(any_gaps, hours, hours)
def test_merging_and_blindness_are_what_looking_at_every_hour_gives(
    gaps: list[GapRecord], since: int, until: int
) -> None:
    one = merged(gaps)
    lengths = {blind.camera: blind.length for blind in blindness(gaps, START + since * HOUR, START + until * HOUR)}
    assert lengths == {
        blind.camera: blind.length for blind in blindness(one, START + since * HOUR, START + until * HOUR)
    }
    for camera in ("door", "yard"):
        for reason in list(GapReason)[:2]:
            for hour in range(18):
                assert dark(one, camera, reason, hour) == dark(gaps, camera, reason, hour)
            mine = [span for span in one if (span.camera, span.reason) == (camera, reason)]
            assert all(a.ended_at is not None and a.ended_at < b.began_at for a, b in pairwise(mine))
        hours_dark = sum(dark(gaps, camera, None, hour) for hour in range(since, until))
        assert lengths.get(camera, timedelta()) == hours_dark * HOUR


def test_an_answer_holds_the_gaps_of_the_cameras_and_the_time_asked_about(archive: Archive) -> None:
    ingest(archive, "door", [[ANN]])
    for camera, began, ended in (("door", 1, 3), ("door", 3, 4), ("yard", 2, None), ("door", 8, 9)):
        entered = archive.ledger.begin_gap(camera, START + began * HOUR, GapReason.SILENT, "")
        if ended is not None:
            archive.ledger.end_gap(entered.id, START + ended * HOUR)
    archive.ledger.watched("attic", START)

    def asked(*cameras: str, since: int | None = None, until: int | None = None) -> list[tuple[str, int, int | None]]:
        first, last = (None if hour is None else START + hour * HOUR for hour in (since, until))
        return spans(search(archive, FakeCodec(), ANN, cameras, first, last).gaps)

    assert asked() == [("door", 1, 4), ("yard", 2, None), ("door", 8, 9)]
    assert asked("door", since=4) == [("door", 8, 9)]
    assert asked("yard") == [("yard", 2, None)]
    assert asked("door", "yard", until=2) == [("door", 1, 3)]
    assert asked("attic") == []
    unwatched = search(archive, FakeCodec(), ANN, ["attic"], now=START + HOUR)
    assert (unwatched.verdict, spans(unwatched.gaps)) == ("no match", [("attic", 0, None)])
    with pytest.raises(UnknownRecord, match="no camera 'cellar'"):
        asked("cellar")
