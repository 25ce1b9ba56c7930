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
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

from streamproc.errors import NotVideo, SourceError, TruncatedSource
from streamproc.media.naming import content_hash, default_camera, device_path, expand, is_picture, is_url, redact
from streamproc.media.opening import cleaned, lost, open_container, video_stream
from streamproc.media.pixels import RgbConverter, quarter_turns
from streamproc.media.timing import RateGate, StreamClock
from streamproc.types import Frame, FrameTime, Image, Transport

__all__ = ["SourceInfo", "VideoSource", "content_hash", "default_camera", "expand", "is_picture", "redact"]

DAMAGED_IN_A_ROW = 300
"""A source is given up on after this many frames or packets in a row that cannot be decoded."""

_NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS: a raw stream, whose duration FFmpeg guesses from its bit rate
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
        wanted: Callable[[FrameTime, Image], bool] | None = None,
    ) -> None:
        """`started_at`: when the first frame was captured (for a file by default its creation time, else when it was
        last written; for a live source now); `max_rate`: frames given per second of stream time, at most; `timeout`:
        seconds that a URL or device may stay silent; `threads`: of the decoder; `transport`: of RTSP; `damaged` is
        called for each damaged frame; `wanted` is asked of each frame that `max_rate` leaves, with its luma (H, W)
        uint8 (valid during the call), whether it is to be given: the others are not even converted."""
        if started_at is not None and started_at.tzinfo is None:
            raise ValueError("started_at must say its time zone.")
        self.uri = uri
        self.camera_id = camera_id
        self._name = redact(uri)
        self.frames = 0
        self.corrupt = 0
        self._asked_start = started_at
        self._timeout = timeout
        self._threads = threads
        self._transport: Transport = transport
        self._damaged = damaged
        self._wanted = wanted
        self._gate = RateGate(max_rate)
        self._damaged_in_a_row = 0
        self._reached: Fraction | None = None

    def __enter__(self) -> Self:
        self._container: InputContainer = open_container(self.uri, self._timeout, self._transport)
        try:
            self._prepare()
        except BaseException:
            self._container.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        """The frames, each (H, W, 3) uint8 RGB; `index` counts decoded frames, also those that were not given."""
        converter = RgbConverter()
        for picture in itertools.chain([self._first], self._pictures):
            time = self._clock.stamp(picture.pts, picture.time_base, picture.duration)
            index, self.frames = self.frames, self.frames + 1
            if not self._gate.wants(self._clock.elapsed):
                continue
            if self._wanted is None or self._wanted(time, converter.luma(picture)):
                yield Frame(self.camera_id, index, time, converter.convert(picture))
        self._check_end()

    def _prepare(self) -> None:
        self._stream = video_stream(self._container, self.uri)
        self._configure_decoder()
        self._pictures = self._decode()
        first = next(self._pictures, None)
        if first is None:
            raise NotVideo(f"'{self._name}' announces pictures, but none can be decoded: it is damaged.")
        self._first: VideoFrame = first
        self.info = self._describe(first)
        now = datetime.now(UTC)
        self.started_at = (self._asked_start or self._default_start(now)).astimezone(UTC)
        interval = 1 / self.info.rate if self.info.rate else None
        wall_clock = _utc_now if self.info.live else None
        self._clock = StreamClock(self.started_at, interval, self.info.duration, wall_clock)

    def _configure_decoder(self) -> None:
        context = self._stream.codec_context
        context.thread_type = "AUTO"
        context.thread_count = self._threads
        if context.name == "mjpeg":
            # This decoder alone hides damage without flagging the frame; told to explode, it refuses the packet.
            context.options = {"err_detect": "explode"}

    def _describe(self, first: VideoFrame) -> SourceInfo:
        turns = quarter_turns(first)
        width, height = (first.height, first.width) if turns % 2 else (first.width, first.height)
        rate = self._stream.average_rate or self._stream.guessed_rate or None
        duration = self._stated_duration()
        expected = self._stream.frames or (round(duration * rate) if duration and rate else None)
        live = device_path(self.uri) is not None or (is_url(self.uri) and duration is None)
        return SourceInfo(width, height, rate, expected, duration, (-90 * turns) % 360, live)

    def _stated_duration(self) -> Fraction | None:
        container, stream = self._container, self._stream
        if container.format.flags & _NO_TIMESTAMPS:
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

    def _decode(self) -> Iterator[VideoFrame]:
        """The sound frames; damaged ones are counted."""
        for packet in self._packets():
            try:
                pictures = self._stream.decode(packet)
            except av.error.FFmpegError as error:
                self._count_damage(error)
                continue
            for picture in pictures:
                if picture.is_corrupt:
                    self._count_damage()
                else:
                    self._damaged_in_a_row = 0
                    yield picture

    def _packets(self) -> Iterator["Packet[Stream]"]:
        """The video stream's packets; those of sound are read too, since the container's duration covers both."""
        demuxer = self._container.demux()
        while True:
            try:
                packet = next(demuxer)
            except StopIteration:
                return
            except av.error.InvalidDataError as error:
                self._count_damage(error)
                demuxer = self._container.demux()
                continue
            except av.error.FFmpegError as error:
                failure = error
                break
            if packet.pts is not None and packet.stream.type in ("video", "audio"):
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                self._reached = end if self._reached is None else max(self._reached, end)
            if packet.stream.index == self._stream.index:
                yield packet
        raise lost(self.uri, failure) from cleaned(failure)

    def _count_damage(self, error: av.error.FFmpegError | None = None) -> None:
        self.corrupt += 1
        self._damaged_in_a_row += 1
        if self._damaged is not None:
            self._damaged()
        if self._damaged_in_a_row >= DAMAGED_IN_A_ROW:
            raise SourceError(
                f"'{self._name}' is given up on at frame {self.frames}: {DAMAGED_IN_A_ROW} damaged frames in a row."
            ) from (cleaned(error) if error else None)

    def _check_end(self) -> None:
        duration = self.info.duration
        if self.info.live or duration is None or self._reached is None:
            return
        reached = self._reached - Fraction(self._container.start_time or 0, av.time_base)
        if duration - reached > max(Fraction(1), duration / 50):
            raise TruncatedSource(
                f"'{self._name}' was cut: it ends after {float(reached):.1f} s of the {float(duration):.1f} s that "
                "it states. What was there has been read; copy the file again if the rest is needed."
            )


def _utc_now() -> datetime:
    return datetime.now(UTC)
