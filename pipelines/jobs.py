"""The service's one scheduler: what is to be done by the clock, and when it is due.

Its thread touches nothing of the service: it notes what is due, and the supervisor's loop does it. Who runs late runs
once, nothing overlaps itself. APScheduler plans by the clock on the wall and sleeps until then; when that clock is set,
all is planned anew, so that an hour's step back is no hour without jobs.
"""

import logging
import queue
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from streamproc.config import ServiceSettings

GRACE_SECONDS = 600
"""How late a job may run; later, it waits for its next time."""
JUMP_SECONDS = 5.0
"""By so much the clock must have been set for it to count."""
CLEARANCE_HOUR = 4
"""When the archive is cleared up, by the clock on the wall: few faces come then."""

# What it would report are our own jobs, which the service reports on itself.
logging.getLogger("apscheduler").addHandler(logging.NullHandler())
logging.getLogger("apscheduler").propagate = False


class Due(StrEnum):
    """What is done by the clock."""

    HOURS = "recording hours"
    CHECK = "known-face check"
    STATISTICS = "statistics"
    CLEARANCE = "clearing up"
    ROOM = "looking for room"


class Jobs:
    """Says what is due."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        """`wall` and `steady`: seconds since 1970, and since whenever but never set."""
        self._wall, self._steady = wall, steady
        self._offset = wall() - steady()
        self._due: queue.SimpleQueue[Due] = queue.SimpleQueue()
        self._triggers: dict[Due, BaseTrigger] = {}
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": GRACE_SECONDS},
        )

    def begin(self) -> None:
        """Nothing; what was planned becomes due from now on."""
        self._scheduler.start()

    def end(self) -> None:
        """Nothing; nothing becomes due any more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def plan(self, settings: ServiceSettings, zone: ZoneInfo) -> None:
        """Nothing; jobs run as the settings say. Those that stay as they are notice nothing."""
        self._set(Due.HOURS, every_minute())
        self._set(Due.CHECK, _every(settings.check))
        self._set(Due.STATISTICS, _every(settings.statistics))
        self._set(Due.CLEARANCE, CronTrigger(hour=CLEARANCE_HOUR, timezone=zone))
        self._set(Due.ROOM, every_minute())

    def taken(self) -> list[Due]:
        """What has become due since the last time, each once."""
        due: set[Due] = set()
        offset = self._wall() - self._steady()
        if abs(offset - self._offset) > JUMP_SECONDS:
            # Clearing up is not made due: what a wrong clock calls old may be of today.
            due |= {Due.HOURS, *({Due.CHECK} & self._triggers.keys())}
            for name, trigger in self._triggers.items():
                self._add(name, trigger)
        self._offset = offset
        while not self._due.empty():
            due.add(self._due.get())
        return [name for name in Due if name in due]

    def next_time(self, due: Due) -> datetime | None:
        """When it will be due, None for what is not planned."""
        job = self._scheduler.get_job(due.value)
        return None if job is None else job.next_run_time

    def _set(self, due: Due, trigger: BaseTrigger | None) -> None:
        held = self._triggers.get(due)
        if repr(held) == repr(trigger):
            return
        if trigger is None:
            del self._triggers[due]
            self._scheduler.remove_job(due.value)
        else:
            self._triggers[due] = trigger
            self._add(due, trigger)

    def _add(self, due: Due, trigger: BaseTrigger) -> None:
        # Counted from now on, whatever the trigger counted from when it was made.
        if isinstance(trigger, IntervalTrigger):
            trigger = IntervalTrigger(seconds=trigger.interval.total_seconds(), timezone=UTC)
        self._scheduler.add_job(self._due.put, trigger, args=(due,), id=due.value, replace_existing=True)


def every_minute() -> BaseTrigger:
    """Recording hours begin and end at full minutes, in every zone and whichever clock changes: no boundary is missed,
    and one that a clock's jump hid is found a minute later at most."""
    return CronTrigger(second=0, timezone=UTC)


def _every(seconds: float | None) -> BaseTrigger | None:
    return None if seconds is None else IntervalTrigger(seconds=seconds, timezone=UTC)
