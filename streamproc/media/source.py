"""Videos, pictures, network streams and plugged-in cameras as sequences of frames with exact times (PyAV)."""

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.frame import VideoFrame

from streamproc.errors import NotVideo, SourceError, SourceStalled, TruncatedSource
from streamproc.media.decoding import DAMAGED_IN_A_ROW, NO_TIMESTAMPS, Decoder
from streamproc.media.hardware import Hardware
from streamproc.media.naming import content_hash, default_camera, device_path, expand, is_picture, is_url, redact
from streamproc.media.notices import About, Notice
from streamproc.media.opening import is_rtsp, open_container, video_stream
from streamproc.media.pixels import RgbConverter, quarter_turns
from streamproc.media.timing import ASTRAY, RateGate, StreamClock
from streamproc.types import Clock, Frame, FrameTime, Image, Transport

__all__ = [
    "DAMAGED_IN_A_ROW",
    "SourceInfo",
    "VideoSource",
    "content_hash",
    "default_camera",
    "expand",
    "is_picture",
    "redact",
]

_OLDEST_CLOCK = 1980  # a creation time before this year is a clock that was never set (MP4 counts from 1904)


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source says of itself. `width` and `height` are those of the upright pictures; `rate` is frames per second
    on average, `duration` in seconds; `rotation` is the quarter turn applied, degrees clockwise."""

    width: int
    height: int
    rate: Fraction | None
    frames_expected: int | None
    duration: Fraction | None
    rotation: int
    live: bool


class VideoSource:
    """The frames of one file, picture, URL or device, in the order shown.

    A context manager; iterate over it once. Frames that are flagged as damaged and packets that cannot be decoded are
    skipped and counted. Opening raises SourceNotFound, NotVideo, SourceStalled or SourceError; iterating raises
    SourceError after `DAMAGED_IN_A_ROW`, SourceStalled when a live source falls silent, and TruncatedSource, after the
    last frame, when a file ends before its container said it would.
    """

    info: SourceInfo
    started_at: datetime

    def __init__(
        self,
        uri: str,
        camera_id: str,
        started_at: datetime | None = None,
        max_rate: float | None = None,
        *,
        timeout: float = 10.0,
        threads: int = 2,
        transport: Transport = "tcp",
        damaged: Callable[[], None] | None = None,
        hardware: Hardware | None = None,
        notice: Callable[[Notice], None] | None = None,
        wanted: Callable[[FrameTime, Image], bool] | None = None,
    ) -> None:
        """`started_at`: when the first frame was captured (for a file by default its creation time, else when it was
        last written; for a live source now); `max_rate`: frames given per second of stream time, at most; `timeout`:
        seconds that a URL or device may stay silent; `threads`: of the decoder; `transport`: of RTSP; `damaged` is
        called for each damaged frame; `hardware` decodes what it can; `notice` gets what a log should say; `wanted` is
        asked of each frame that `max_rate` leaves, with its luma (H, W) uint8 (valid during the call), whether it is to
        be given: the others are not even converted."""
        if started_at is not None and started_at.tzinfo is None:
            raise ValueError("started_at must say its time zone.")
        self.uri = uri
        self.camera_id = camera_id
        self._name = redact(uri)
        self.frames = 0
        self._asked_start = started_at
        self._timeout = timeout
        self._threads = threads
        self._transport: Transport = transport
        self._damaged = damaged
        self._hardware = hardware or Hardware()
        self._notice = notice or (lambda news: None)
        self._wanted = wanted
        self._gate = RateGate(max_rate)
        self._decoder: Decoder | None = None
        self._size: tuple[int, int] | None = None
        self._told_astray = False

    @property
    def corrupt(self) -> int:
        """Frames that were damaged, so far."""
        return 0 if self._decoder is None else self._decoder.corrupt

    @property
    def clock(self) -> Clock:
        """What told the last frame's time; a live source's may change."""
        by_url = is_url(self.uri) and not self.info.live and self._asked_start is None
        return Clock.ARRIVAL if by_url else self._clock.clock

    def __enter__(self) -> Self:
        acceleration = self._hardware.acceleration()
        try:
            self._open(acceleration)
        except SourceError as error:
            if acceleration is None or self._decoder is None or isinstance(error, SourceStalled):
                raise
            self._hardware.give_up(f"it does not decode '{self._name}'")
            self._open(None)
        for text in self._hardware.news():
            self._notice(Notice(About.HARDWARE, text))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, SourceError) and self._decoder is not None and self._decoder.hopeless:
            self._hardware.give_up("it decoded nothing any more")
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        """The frames, each (H, W, 3) uint8 RGB; `index` counts decoded frames, also those that were not given."""
        converter = RgbConverter()
        time = self._first_time
        for picture in itertools.chain([self._first], self._pictures):
            if picture is not self._first:
                time = self._clock.stamp(picture.pts, picture.time_base, picture.duration, self._sender())
            index, self.frames = self.frames, self.frames + 1
            self._watch(picture)
            if not self._gate.wants(self._clock.elapsed):
                continue
            if self._wanted is None or self._wanted(time, converter.luma(picture)):
                yield Frame(self.camera_id, index, time, converter.convert(picture))
        self._check_end()

    def _open(self, acceleration: HWAccel | None) -> None:
        self._container: InputContainer = open_container(self.uri, self._timeout, self._transport, acceleration)
        try:
            self._prepare(acceleration is not None)
        except BaseException:
            self._container.close()
            raise

    @property
    def codec(self) -> str:
        """What the video is coded with, FFmpeg's name."""
        return self._stream.codec_context.name

    def _prepare(self, accelerated: bool) -> None:
        self._stream = video_stream(self._container, self.uri)
        context = self._stream.codec_context
        if accelerated and not context.is_hwaccel:
            self._hardware.give_up(f"not for {context.name}")
        live = self._is_live()
        self._decoder = Decoder(self._container, self._stream, self.uri, live, self._threads, self._damaged)
        self._pictures = self._decoder.pictures()
        first = next(self._pictures, None)
        if first is None:
            raise NotVideo(f"'{self._name}' announces pictures, but none can be decoded: it is damaged.")
        self._first: VideoFrame = first
        self.info = self._describe(first, live)
        self._begin_clock(first)

    def _begin_clock(self, first: VideoFrame) -> None:
        interval = 1 / self.info.rate if self.info.rate else None
        start = (self._asked_start or self._default_start(_utc_now())).astimezone(UTC)
        wall_clock = _utc_now if self.info.live and self._asked_start is None else None
        self._clock = StreamClock(start, interval, self.info.duration, wall_clock)
        self._first_time = self._clock.stamp(first.pts, first.time_base, first.duration, self._sender())
        self.started_at = self._first_time.captured_at

    def _sender(self) -> Fraction | None:
        return None if self._decoder is None else self._decoder.reports.origin

    def _watch(self, picture: VideoFrame) -> None:
        """Nothing; what is new about the pictures and their time was told."""
        size = (picture.height, picture.width) if quarter_turns(picture) % 2 else (picture.width, picture.height)
        if self._size is not None and size != self._size:
            (width, height), (old_width, old_height) = size, self._size
            text = f"the picture is now {width}x{height}, was {old_width}x{old_height}"
            self._notice(Notice(About.SIZE, text))
        self._size = size
        astray = self._clock.astray
        if abs(astray) >= ASTRAY and not self._told_astray:
            self._told_astray = True
            way = "ahead" if astray > 0 else "behind"
            text = f"its clock is {float(abs(astray)):.0f} s {way}; times are told by when frames arrive"
            self._notice(Notice(About.CLOCK, text))

    def _is_live(self) -> bool:
        if device_path(self.uri) is not None or is_rtsp(self.uri):
            return True
        return is_url(self.uri) and self._stated_duration() is None

    def _describe(self, first: VideoFrame, live: bool) -> SourceInfo:
        turns = quarter_turns(first)
        width, height = (first.height, first.width) if turns % 2 else (first.width, first.height)
        rate = self._stream.average_rate or self._stream.guessed_rate or None
        duration = self._stated_duration()
        expected = self._stream.frames or (round(duration * rate) if duration and rate else None)
        return SourceInfo(width, height, rate, expected, duration, (-90 * turns) % 360, live)

    def _stated_duration(self) -> Fraction | None:
        container, stream = self._container, self._stream
        if container.format.flags & NO_TIMESTAMPS:
            return None
        if container.format.name == "avi" and stream.frames and stream.average_rate:
            return stream.frames / stream.average_rate  # FFmpeg shrinks an AVI's duration to what is left of the file
        return Fraction(container.duration, av.time_base) if container.duration else None

    def _default_start(self, now: datetime) -> datetime:
        if self.info.live or is_url(self.uri):
            return now
        created = self._container.metadata.get("creation_time", "")
        try:
            stated = datetime.fromisoformat(created)
        except ValueError:
            stated = None
        if stated is not None and stated.tzinfo is not None and stated.year >= _OLDEST_CLOCK:
            return stated
        return datetime.fromtimestamp(os.stat(self.uri).st_mtime, UTC)

    def _check_end(self) -> None:
        duration, end = self.info.duration, self._decoder.reached if self._decoder else None
        if self.info.live or duration is None or end is None:
            return
        reached = end - Fraction(self._container.start_time or 0, av.time_base)
        if duration - reached > max(Fraction(1), duration / 50):
            raise TruncatedSource(
                f"'{self._name}' was cut: it ends after {float(reached):.1f} s of the {float(duration):.1f} s that "
                "it states. What was there has been read; copy the file again if the rest is needed."
            )


def _utc_now() -> datetime:
    return datetime.now(UTC)
