"""What the service does by the clock: the scheduler says when, the supervisor's loop does it, here."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from pipelines.checking import KnownFaceCheck
from pipelines.children import Child
from pipelines.events import Event, Level, Log
from pipelines.jobs import Due, Jobs
from pipelines.live_messages import ClearAsked, HiddenForgotten, RoomAsked
from pipelines.retaining import rules
from pipelines.site import CHECK_CAMERA, local_zone
from pipelines.statistics import Seen, Statistics
from streamproc.config import Settings
from streamproc.errors import StreamprocError


class Schedule:
    """The jobs of one service."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        tell: Callable[[ClearAsked | RoomAsked | HiddenForgotten], None],
        keep_hours: Callable[[], None],
        start_check: Callable[[], Child],
    ) -> None:
        """`tell` gives a message to the archive, `keep_hours` opens and closes cameras, `start_check` starts a check's
        process."""
        self._settings, self._log, self._tell, self._keep_hours = settings, log, tell, keep_hours
        self._jobs = Jobs()
        self._statistics = Statistics()
        self.check = KnownFaceCheck(start_check, log)

    def begin(self) -> None:
        """Nothing; what is done at the start is done, or comes as soon as it can."""
        self._jobs.begin()
        self._jobs.plan(self._settings.service, local_zone(self._settings))
        self._do(Due.HOURS)
        self._do(Due.CHECK)
        self._do(Due.CLEARANCE)

    def end(self) -> None:
        """Nothing; nothing becomes due any more, and no check runs."""
        self._jobs.end()
        self.check.end()

    def settle(self, settings: Settings) -> None:
        """Nothing; these settings count from now on."""
        before, self._settings = self._settings, settings
        self._jobs.plan(settings.service, local_zone(settings))
        self._do(Due.HOURS)
        if before.service.check is None:
            self._do(Due.CHECK)
        if (kept := rules(settings)) != rules(before):
            self._tell(ClearAsked(kept, datetime.now(UTC)))

    def turn(self, cameras: list[Seen], up: bool) -> None:
        """Nothing; what is due is done. `up`: all stages are there."""
        self._statistics.see(cameras, time.monotonic())
        for due in self._jobs.taken():
            try:
                self._do(due)
            except (StreamprocError, OSError) as error:
                said = f"The job '{due}' failed, and is done again when it is due: {error}"
                self._log(Event("job_failed", said, Level.ERROR, detail=str(error)))
        done = self.check.turn(up)
        if done is not None and done.session is not None:
            # Those before are of no use any more; this one stays, for whoever wants to look into it.
            self._tell(HiddenForgotten(CHECK_CAMERA, done.session))

    def stage_restarted(self, name: str) -> None:
        """Nothing; what the stage may have had under way for a job is begun anew."""
        if self._settings.service.check is not None:
            self.check.ask_anew()
        if name == "archive":
            self._do(Due.CLEARANCE)

    def troubles(self) -> list[str]:
        """A sentence where the known face was not found, or was not looked for in time."""
        interval = self._settings.service.check
        return [] if interval is None else self.check.troubles(interval)

    def _do(self, due: Due) -> None:
        match due:
            case Due.HOURS:
                self._keep_hours()
            case Due.CHECK:
                if self._settings.service.check is not None:
                    self.check.ask()
            case Due.STATISTICS:
                for event in self._statistics.events():
                    self._log(event)
            case Due.CLEARANCE:
                if (kept := rules(self._settings)).any:
                    self._tell(ClearAsked(kept, datetime.now(UTC)))
            case Due.ROOM:
                if self._settings.retention.bytes is not None or self._settings.retention.free is not None:
                    self._tell(RoomAsked(datetime.now(UTC)))
