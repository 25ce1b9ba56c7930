"""What `benchmarks/faults.py` makes of a fault: whose gap it is, and which goals were missed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.faults import GATE, Fault, Goal, Outcome, owner, row
from pipelines.bench.scenery import LivePass
from streamproc.evaluation.scene_matching import MatchedPass
from streamproc.evaluation.scene_truth import Pass
from streamproc.types import GapReason, GapRecord

BEGAN = datetime(2026, 5, 4, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def outcome(goal: Goal, begins: float = 0.0, others: Sequence[str] = ()) -> Outcome:
    """A fault of 20 s, noticed after 5 s, all well 3 s after its end."""
    fault = Fault("server killed", GATE, lambda: None, lambda: True, lambda: True, goal)
    began = BEGAN + begins * SECOND
    return Outcome(fault, began, began + 24 * SECOND, 20.0, 5.0, 3.0, tuple(others))


def gap(begins: float, ends: float | None) -> GapRecord:
    ended = None if ends is None else BEGAN + ends * SECOND
    return GapRecord("gap", GATE, BEGAN + begins * SECOND, ended, GapReason.SILENT, "It is silent.")


def passing(begins: float) -> LivePass:
    start = BEGAN + begins * SECOND
    truth = Pass(GATE, "anna", "anna.png", 90.0, 150.0, 0.01, ())
    return LivePass(GATE, start, start + 5 * SECOND, MatchedPass(truth, ()))


def test_a_fault_that_keeps_its_goals() -> None:
    line = row(outcome(Goal(10, 5, ledger=True)), [gap(1, 23)], [passing(100)])
    assert line.well
    assert (line.noticed_s, line.recovered_s, line.gap_s, line.missed) == (5.0, 3.0, 22.0, 0)
    assert line.reasons == "gate silent"


@pytest.mark.parametrize(
    ("goal", "gaps", "passes", "others"),
    [
        (Goal(4, 5), [], [], []),
        (Goal(10, 2), [], [], []),
        (Goal(10, 5, ledger=True), [gap(10, 23)], [], []),
        (Goal(10, 5, ledger=True), [gap(1, None)], [], []),
        (Goal(10, 5, whole=True), [gap(1, 2)], [], []),
        (Goal(10, 5, whole=True), [], [passing(10)], []),
        (Goal(10, 5), [], [], ["yard"]),
    ],
)
def test_goals_that_are_missed(goal: Goal, gaps: list[GapRecord], passes: list[LivePass], others: list[str]) -> None:
    assert not row(outcome(goal, others=others), gaps, passes).well


def test_what_never_recovered_is_missed() -> None:
    assert row(outcome(Goal(None, 5)), [], []).well
    assert not row(replace(outcome(Goal(None, 5)), recovered=None), [], []).well


def test_a_gap_belongs_to_the_fault_that_was_not_over() -> None:
    first, second = outcome(Goal(10, 5)), outcome(Goal(10, 5), begins=30)
    assert owner(gap(-1, 3), [first, second]) is first
    assert owner(gap(20, 23), [first, second]) is first
    assert owner(gap(25, 33), [first, second]) is second
    assert owner(gap(90, 99), [first, second]) is None
