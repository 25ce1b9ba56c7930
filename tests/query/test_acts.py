"""What users say of identities: every act holds, every act can be taken back, in any order."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import ActRecord
from streamproc.query.act_log import encoded, entries, identity_id, identity_number, told
from streamproc.query.acts import Act, Entry, Ignored, Merged, Named, Split, Standing, Undone, in_force, standing

AT = datetime(2026, 3, 1, tzinfo=UTC)
PEOPLE = range(1, 7)
TRACKS = [str(number) for number in range(100, 112)]

numbers = st.sampled_from(PEOPLE)
acts = st.one_of(
    st.builds(Named, numbers, st.one_of(st.none(), st.sampled_from(["anna", "ben", "carl"]))),
    st.builds(Ignored, numbers, st.booleans()),
    st.builds(Merged, numbers, st.lists(numbers, min_size=1, max_size=3).map(tuple)),
    st.builds(
        Split,
        numbers,
        st.integers(7, 12),
        st.lists(st.sampled_from(TRACKS), min_size=1, max_size=3, unique=True).map(tuple),
    ),
)


def log(*done: Act) -> list[Entry]:
    return [Entry(number, AT, "anna", act) for number, act in enumerate(done, start=1)]


def seen(held: Standing) -> object:
    """All that a standing says to the outside."""
    return (
        {number: held.identity(number) for number in range(1, 13)},
        {track: held.of_track(track, 1) for track in TRACKS},
        {number: held.name(number) for number in range(1, 13)},
        held.ignored,
        held.apart,
    )


@given(st.lists(acts, max_size=8), st.lists(acts, max_size=6))
def test_acts_undone_leave_what_was_before(before: list[Act], after: list[Act]) -> None:
    done = [*before, *after]
    undone = [Undone(number) for number in range(len(done), len(before), -1)]
    assert seen(standing(log(*done, *undone))) == seen(standing(log(*before)))


@given(st.lists(acts, min_size=1, max_size=8), st.data())
def test_an_act_undone_in_the_midst_is_as_if_it_had_not_been_done(done: list[Act], data: st.DataObject) -> None:
    gone = data.draw(st.integers(1, len(done)))
    without = [entry for entry in log(*done) if entry.number != gone]
    assert seen(standing(log(*done, Undone(gone)))) == seen(standing(without))


@given(st.lists(acts, min_size=1, max_size=8), st.data())
def test_an_undo_that_is_undone_was_none(done: list[Act], data: st.DataObject) -> None:
    gone = data.draw(st.integers(1, len(done)))
    again = log(*done, Undone(gone), Undone(len(done) + 1))
    assert seen(standing(again)) == seen(standing(log(*done)))
    assert in_force(again) == frozenset(range(1, len(done) + 1)) | {len(done) + 2}


@given(st.lists(acts, max_size=10))
def test_whom_an_identity_was_merged_into_is_itself(done: list[Act]) -> None:
    held = standing(log(*done))
    for number in range(1, 13):
        assert held.identity(held.identity(number)) == held.identity(number)
        assert number in held.members(held.identity(number))


@given(st.lists(acts, max_size=10), numbers, numbers)
def test_names_outlive_a_merge(done: list[Act], into: int, other: int) -> None:
    before = standing(log(*done))
    after = standing(log(*done, Merged(into, (other,))))
    names = {before.name(into), before.name(other)} - {None}
    assert set(after.given_names.get(after.identity(into), ())) >= names
    if before.name(into) is not None:
        assert after.name(other) == before.name(into)


def test_a_split_track_is_the_new_identity_wherever_a_machine_puts_it() -> None:
    held = standing(log(Split(1, 7, ("100",))))
    assert [held.of_track("100", home) for home in (1, 2)] == [7, 7]
    assert held.of_track("101", 1) == 1
    assert held.touched == {1, 7}


def test_a_merge_after_a_split_makes_one_again() -> None:
    held = standing(log(Split(1, 7, ("100",)), Merged(1, (7,)), Named(1, "anna")))
    assert held.of_track("100", 1) == 1
    assert held.name(7) == "anna"


@given(st.lists(st.one_of(acts, st.builds(Undone, st.integers(1, 9))), max_size=9))
def test_the_log_is_read_as_it_was_written(done: list[Act]) -> None:
    rows = [ActRecord(entry.number, entry.at, entry.by, encoded(entry.act)) for entry in log(*done)]
    assert entries(rows) == log(*done)
    assert all(told(act) for act in done)


@pytest.mark.parametrize("name", ["p0", "p", "p-1", "17", "p1x", "", "p" + "9" * 30])
def test_what_is_no_identity(name: str) -> None:
    assert identity_number(name) is None
    assert identity_number(identity_id(17)) == 17
