"""The camera stage of the service: one process a live camera, which it tries to reach for ever. Never imports torch.

What hangs in here, in FFmpeg, too, is ended from outside: the supervisor hears nothing then.
"""

import secrets
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, wait_exponential_jitter

from pipelines.channels import FrameWriter
from pipelines.links import BROKEN, knock
from pipelines.messages import CameraBeat, CameraJob, CameraState, ClockChanged, Ended, Noticed, Opened, Pace, SourceJob
from pipelines.worker import BEAT_SECONDS, Control
from streamproc.config import CaptureSettings, ServiceSettings
from streamproc.errors import SourceError, SourceStalled
from streamproc.media.cadence import Cadence, Rates
from streamproc.media.hardware import Hardware
from streamproc.media.health import PictureHealth, Trouble
from streamproc.media.motion import MotionGate
from streamproc.media.notices import About, Notice
from streamproc.media.regions import Regions
from streamproc.media.source import VideoSource
from streamproc.types import Clock, FrameTime, GapReason, Image

FIRST_RETRY = 0.25
"""Seconds before the second attempt; then twice as long each time, up to the settings'."""
MOST_LAG = timedelta(seconds=5)
"""How far a frame's time may be from the time that it comes at: streams fall behind, and cameras' clocks drift."""
PATIENCE = 60.0
"""Seconds that the detector may be away while it is started anew."""
UNSEARCHED = 5.0
"""Seconds for which a frame may wait for the detector, before the camera counts as not watched."""
UNSETTLED = timedelta(seconds=5)
"""A face in view is archived after so long (`TrackBuilder.unfinished`); of younger ones only the detector knows."""


def run(control: Control, door: Path, job: CameraJob, settings: ServiceSettings, capture: CaptureSettings) -> None:
    """Gives on the frames of one camera for ever, the newest ones where the detector cannot take all, and says what
    it sees of the camera."""
    camera = _Camera(control, door, job, settings, capture)
    retrying = Retrying(
        retry=retry_if_exception_type(SourceError),
        wait=wait_exponential_jitter(FIRST_RETRY, settings.retry, jitter=FIRST_RETRY),
        sleep=camera.rest,
    )
    while True:
        # Anew after each session: who was reached once is tried at once.
        retrying(camera.session)


class _Camera:
    """What lasts longer than one session."""

    def __init__(
        self, control: Control, door: Path, job: CameraJob, settings: ServiceSettings, capture: CaptureSettings
    ) -> None:
        self._control, self._door, self._job = control, door, job
        self._settings, self._capture = settings, capture
        self._regions = Regions(job.roi, job.masks)
        self._state: CameraState | None = None
        self._frames = self._corrupt = self._dropped = self._sessions = 0
        self._waiting = 0.0
        self._newest: datetime | None = None
        self._clock: Clock | None = None
        self._hardware = Hardware(capture.hardware)
        self._noticed: set[About] = set()

    def rest(self, seconds: float) -> None:
        """Nothing, after so many seconds; signs of life go on."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._beat(None)
            time.sleep(min(left, BEAT_SECONDS))

    def session(self) -> None:
        """One connection to the camera, until it breaks; raises SourceError where none came about."""
        self._health = PictureHealth(timedelta(seconds=self._settings.frozen), timedelta(seconds=self._settings.black))
        gate = MotionGate(self._regions) if self._capture.motion else None
        self._cadence = Cadence(Rates.live(self._capture), gate)
        self._trouble: CameraState | None = None
        self._line: FrameWriter | None = None
        self._newest, self._waiting = None, 0.0
        reached = False
        try:
            with VideoSource(
                self._job.uri,
                self._job.camera,
                max_rate=self._capture.max_rate,
                timeout=self._settings.silent,
                threads=1,
                transport=self._job.transport,
                damaged=self._saw_damage,
                hardware=self._hardware,
                notice=self._notice,
                wanted=self._wants,
            ) as source:
                reached = True
                self._sessions += 1
                self._follow(source)
        except SourceError as failure:
            silent = isinstance(failure, SourceStalled) or reached
            reason = GapReason.SILENT if silent else GapReason.UNREACHABLE
            self._say(CameraState(reason, self._newest or _now(), str(failure)))
            if not reached:
                raise
        self.rest(FIRST_RETRY)

    def _follow(self, source: VideoSource) -> None:
        self._line = self._writer(source)
        for frame in source:
            if self._trouble:
                break
            image = self._regions.blackened(frame.image)
            try:
                if (clock := source.clock) != self._clock:
                    self._clock = clock
                    self._line.send(ClockChanged(clock))
                self._dropped += not self._line.offer(replace(frame, image=image))
            except BROKEN:
                # The detector went; what it knew of this session went with it.
                since = frame.time.captured_at - UNSETTLED
                self._control.send(CameraState(GapReason.STAGE_LOST, since, "The detector was started anew."))
                self._state = None
                self._line = self._writer(source)
        with suppress(*BROKEN):  # a detector that is gone knows of no session to end
            self._line.send(Ended(self._session, source.frames, source.corrupt))
        self._say(self._trouble or CameraState(GapReason.SILENT, self._newest or _now(), "The stream ended."))

    def _wants(self, time_: FrameTime, luma: Image) -> bool:
        """Whether a due frame is to be searched, or shows that the session must end."""
        self._frames += 1
        self._newest = at = time_.captured_at
        self._judge(self._health.see(luma, at))
        self._beat(at)
        self._trouble = out_of_time(at, _now())
        pace = self._pace()
        due = pace is None or self._cadence.wants(luma, at, pace.share, pace.face)
        return due or self._trouble is not None

    def _pace(self) -> Pace | None:
        """What the detector last said; None where it is gone, as offering a frame will show."""
        assert self._line is not None
        try:
            pace = self._line.pace()
        except BROKEN:
            return None
        self._dropped += self._line.aged
        self._line.aged = 0
        self._waiting = self._line.waiting
        return pace

    def _writer(self, source: VideoSource) -> FrameWriter:
        """A line to the detector, on which a session has begun."""
        line = knock(self._door, lambda: self._beat(None), PATIENCE)
        key = secrets.randbits(40)
        now = source.started_at if source.frames <= 1 else _now()
        # Without the credentials: only this process needs them.
        job = SourceJob(key, self._job.source, self._job.source, self._job.camera, None, None)
        writer = FrameWriter(line, key, self._capture.slots, lambda: self._beat(None))
        rate = min(self._capture.max_rate, float(source.info.rate or self._capture.max_rate))
        self._clock = source.clock
        writer.send(Opened(job, now, rate, False, time.monotonic(), self._clock, self._job.roi))
        self._session = job
        return writer

    def _notice(self, notice: Notice) -> None:
        """Nothing; the log has it, what is so at each connection only once."""
        if notice.about is About.SIZE or notice.about not in self._noticed:
            self._noticed.add(notice.about)
            self._control.send(Noticed(notice.text))

    def _saw_damage(self) -> None:
        self._corrupt += 1
        self._judge(self._health.damaged(_now()))
        self._beat(None)

    def _judge(self, trouble: Trouble | None) -> None:
        if trouble is not None:
            self._say(CameraState(trouble.reason, trouble.since, f"The picture is {trouble.reason}."))
        elif self._waiting > UNSEARCHED:
            since = _now() - timedelta(seconds=self._waiting)
            self._say(CameraState(GapReason.BEHIND, since, f"No frame was searched for {self._waiting:.0f} s."))
        else:
            self._say(CameraState(None, _now(), ""))

    def _say(self, state: CameraState) -> None:
        """Nothing; the supervisor hears of a state that is another than the last."""
        if self._state is None or self._state.reason != state.reason:
            self._state = state
            self._control.send(state)

    def _beat(self, newest: datetime | None) -> None:
        self._control.beat(
            CameraBeat(self._frames, self._corrupt, self._dropped, newest, self._waiting, self._sessions)
        )


def out_of_time(captured: datetime, now: datetime) -> CameraState | None:
    """What is wrong where a frame that just came is of another time; a new session begins with the camera's newest
    frame, at the time that it is now."""
    if now - captured > MOST_LAG:
        late = (now - captured).total_seconds()
        return CameraState(GapReason.BEHIND, captured, f"Frames came {late:.0f} s late; the stream is begun anew.")
    if captured - now > MOST_LAG:
        early = (captured - now).total_seconds()
        return CameraState(GapReason.CLOCK_JUMP, now, f"The stream's clock ran {early:.0f} s ahead; it is begun anew.")
    return None


def _now() -> datetime:
    return datetime.now(UTC)
