"""What is due when: real scheduling, the test's own clocks where they jump."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NoReturn
from zoneinfo import ZoneInfo

import pytest

from pipelines.jobs import Due, Jobs, every_minute
from pipelines.live_messages import ClearAsked
from pipelines.schedule import Schedule
from pipelines.statistics import Figures, Seen, Statistics
from storage import Rules, Terms
from streamproc.config import RetentionSettings, ServiceSettings, Settings
from streamproc.errors import ConfigError
from streamproc.media.hours import parse_hours

BERLIN = ZoneInfo("Europe/Berlin")
HOURLY = ServiceSettings(check=3600.0)


class Clocks:
    """Two clocks, of which one can be set."""

    def __init__(self) -> None:
        self.set_by = 0.0

    def wall(self) -> float:
        return time.time() + self.set_by


@pytest.fixture
def begun() -> Iterator[Callable[..., tuple[Jobs, Clocks]]]:
    started: list[Jobs] = []

    def begin(settings: ServiceSettings = HOURLY) -> tuple[Jobs, Clocks]:
        clocks = Clocks()
        jobs = Jobs(clocks.wall)
        started.append(jobs)
        jobs.begin()
        jobs.plan(settings, BERLIN)
        return jobs, clocks

    yield begin
    for jobs in started:
        jobs.end()


def until(what: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def seconds_to(jobs: Jobs, due: Due) -> float:
    at = jobs.next_time(due)
    assert at is not None
    return (at - datetime.now(UTC)).total_seconds()


def test_what_is_planned_when(begun: Callable[..., tuple[Jobs, Clocks]]) -> None:
    jobs, _ = begun()
    assert 0 <= seconds_to(jobs, Due.HOURS) <= 60
    assert 3590 < seconds_to(jobs, Due.CHECK) <= 3600
    clearance = jobs.next_time(Due.CLEARANCE)
    assert clearance is not None
    assert clearance.astimezone(BERLIN).strftime("%H:%M:%S") == "04:00:00"
    assert jobs.taken() == []


def test_only_what_changed_is_planned_anew(begun: Callable[..., tuple[Jobs, Clocks]]) -> None:
    jobs, _ = begun()
    before = {due: jobs.next_time(due) for due in Due}
    time.sleep(0.05)
    jobs.plan(HOURLY.model_copy(update={"statistics": None}), BERLIN)
    assert jobs.next_time(Due.STATISTICS) is None
    assert jobs.next_time(Due.CHECK) == before[Due.CHECK]
    jobs.plan(HOURLY.model_copy(update={"check": 60.0}), BERLIN)
    assert 50 < seconds_to(jobs, Due.CHECK) <= 60
    assert jobs.next_time(Due.CLEARANCE) == before[Due.CLEARANCE]
    jobs.plan(ServiceSettings(check=None), BERLIN)
    assert jobs.next_time(Due.CHECK) is None


def test_it_becomes_due_again_and_again_and_late_ones_are_one(begun: Callable[..., tuple[Jobs, Clocks]]) -> None:
    jobs, _ = begun(ServiceSettings(statistics=1.0, check=None))
    for _ in range(2):
        until(lambda: Due.STATISTICS in jobs.taken(), 5)
    jobs._scheduler.pause()  # as on a machine that stood still
    time.sleep(3.2)
    jobs.taken()
    jobs._scheduler.resume()
    until(lambda: not jobs._due.empty(), 5)
    assert jobs._due.qsize() == 1
    assert 0 < seconds_to(jobs, Due.STATISTICS) <= 1


@pytest.mark.parametrize("by", [-7200.0, 7200.0])
def test_a_clock_that_is_set_hides_nothing(by: float, begun: Callable[..., tuple[Jobs, Clocks]]) -> None:
    jobs, clocks = begun()
    job = jobs._scheduler.get_job(Due.HOURS.value)
    job.modify(next_run_time=datetime.now(UTC) + timedelta(hours=2))  # what the clock of before had planned
    clocks.set_by = by
    assert jobs.taken() == [Due.HOURS, Due.CHECK]
    assert jobs.taken() == []
    assert seconds_to(jobs, Due.HOURS) <= 60
    assert 3590 < seconds_to(jobs, Due.CHECK) <= 3600
    clocks.set_by += 1.0  # what time servers do all day
    assert jobs.taken() == []


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_no_minute_at_which_hours_change_is_missed(zone: str) -> None:
    """Over the days on which clocks change: at each firing the state is that of the whole minute after it."""
    hours = parse_hours(["mon-fri 07:00-19:00", "sat 22:00-02:30", "sun 02:10-04:45"], ZoneInfo(zone), "gate")
    trigger = every_minute()
    for day in (
        datetime(2026, 3, 7, tzinfo=UTC),
        datetime(2026, 10, 3, tzinfo=UTC),
        datetime(2026, 10, 24, tzinfo=UTC),
    ):
        at, changes = day, 0
        while at < day + timedelta(days=2):
            following = trigger.get_next_fire_time(at, at + timedelta(milliseconds=1))
            assert following - at == timedelta(minutes=1)
            changes += hours.open_at(at) != hours.open_at(following)
            assert hours.open_at(at) == hours.open_at(following - timedelta(milliseconds=1))
            at = following
        assert changes >= 2


class Failing:
    """A schedule whose hours cannot be kept at first."""

    def __init__(self, settings: Settings) -> None:
        self.log: list[str] = []
        self.told: list[object] = []
        self.kept = 0
        self.fails = False
        self.schedule = Schedule(
            settings, lambda event: self.log.append(str(event)), self.told.append, self._keep, self._no_child
        )

    def _keep(self) -> None:
        if self.fails:
            raise ConfigError("There is no time zone 'Mars'.")
        self.kept += 1

    def _no_child(self) -> NoReturn:
        raise OSError("no process can be started")


def test_a_job_that_fails_is_one_sentence_and_runs_again() -> None:
    one = Failing(Settings(service=ServiceSettings(check=None)))
    one.schedule.begin()
    try:
        for fails in (True, False):
            one.fails = fails
            one.schedule._jobs._due.put(Due.HOURS)
            one.schedule._jobs._due.put(Due.HOURS)
            one.schedule.turn([], True)
        assert one.kept == 2
        assert one.log == [
            "The job 'recording hours' failed, and is done again when it is due: There is no time zone 'Mars'."
        ]
    finally:
        one.schedule.end()


def test_clearing_up_is_asked_for_at_the_start_and_when_it_changes() -> None:
    one = Failing(Settings(service=ServiceSettings(check=None)))
    one.schedule.begin()
    try:
        assert one.told == []
        retention = RetentionSettings(enhancement_days=2.0)
        changed = Settings(service=ServiceSettings(check=None), retention=retention)
        one.schedule.settle(changed)
        one.schedule.settle(changed)
        (asked,) = one.told
        assert isinstance(asked, ClearAsked)
        assert asked.rules == Rules(Terms(pictures=timedelta(days=2)))
        assert abs(datetime.now(UTC) - asked.at) < timedelta(minutes=1)
        one.schedule.stage_restarted("archive")
        one.schedule.stage_restarted("detect")
        assert len(one.told) == 2
        one.schedule.settle(Settings(service=ServiceSettings(check=None)))
        assert isinstance(one.told[2], ClearAsked)
        assert not one.told[2].rules.any, "what is under way ends"
    finally:
        one.schedule.end()


def test_statistics_count_past_restarts_and_closing() -> None:
    counted = Statistics()

    def see(at: float, frames: int, live: bool = True, is_open: bool = True) -> None:
        yard = Seen("yard", Figures(), False, False)
        counted.see([Seen("gate", Figures(frames, frames // 10, 2, 6), live, is_open), yard], at)

    see(0, 0)
    see(10, 60)
    see(20, 30)  # begun anew
    see(30, 40, live=False)
    see(40, 40, live=False, is_open=False)
    assert [str(event) for event in counted.events()] == [
        "gate: live 66.7%, 100 frames, 10 dropped, 2 tracks, 6 faces",
        "yard: closed all the time, 0 frames, 0 dropped, 0 tracks, 0 faces",
    ]
    see(50, 50)
    (gate, _) = counted.events()
    assert str(gate) == "gate: live 100.0%, 10 frames, 1 dropped, 0 tracks, 0 faces"
    counted.see([], 60)
    assert [str(event) for event in counted.events()] == []
