"""From an opened container to the pictures that are worth something."""

import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamproc.errors import SourceError
from streamproc.media.h264 import FrameNumbers
from streamproc.media.naming import redact
from streamproc.media.opening import cleaned, lost
from streamproc.media.reports import SenderReports

DAMAGED_IN_A_ROW = 300
"""A source is given up on after this many frames or packets in a row that cannot be decoded."""
NO_TIMESTAMPS = 0x80
"""AVFMT_NOTIMESTAMPS: a raw stream, whose duration and timestamps FFmpeg guesses."""

_MICROSECOND = Fraction(1, 1_000_000)


class Decoder:
    """The sound pictures of a video stream, in the order shown; damaged ones are skipped and counted.

    A decoder flags a picture that it had to patch, and shows the ones predicted from it without a word, as if whole.
    Those of a live stream are damaged, too, up to the next key frame: it comes soon, or the connection is made anew
    after `DAMAGED_IN_A_ROW`. A file's are given: it may hold no other key frame.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        uri: str,
        live: bool,
        threads: int,
        damaged: Callable[[], None] | None,
    ) -> None:
        """`threads`: of the decoder; `damaged` is called for each damaged frame."""
        self.corrupt = 0
        self.sound = 0
        self.reached: Fraction | None = None
        """Where the last packet, of sound too, ends: seconds."""
        self.reports = SenderReports(container)
        self._container, self._stream, self._uri, self._damaged = container, stream, uri, damaged
        self._in_a_row = 0
        self._arrivals = live and bool(container.format.flags & NO_TIMESTAMPS)
        context = stream.codec_context
        context.thread_type = "AUTO"
        context.thread_count = threads
        if context.name == "mjpeg":
            # This decoder alone hides damage without flagging the frame; told to explode, it refuses the packet.
            context.options = {"err_detect": "explode"}
        self._predicted = live and not context.codec.intra_only
        self._numbers = FrameNumbers(context.extradata) if context.name == "h264" else None
        self._broken = False

    @property
    def hopeless(self) -> bool:
        """Whether it was given up on."""
        return self._in_a_row >= DAMAGED_IN_A_ROW

    def pictures(self) -> Iterator[VideoFrame]:
        """The sound pictures; raises SourceError after `DAMAGED_IN_A_ROW`, SourceStalled when a stream falls silent."""
        for packet in self._packets():
            if self._predicted and (packet.is_corrupt or self._misses(packet)):
                self._broken = True
            try:
                pictures = self._stream.decode(packet)
            except av.error.FFmpegError as error:
                self._count_damage(error)
                continue
            for picture in pictures:
                if picture.is_corrupt or (self._broken and not picture.key_frame):
                    self._count_damage()
                else:
                    self._broken = False
                    self._in_a_row = 0
                    self.sound += 1
                    yield picture

    def _misses(self, packet: "Packet[Stream]") -> bool:
        return self._numbers is not None and self._numbers.lost_before(bytes(packet))

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
            if self._arrivals and packet.size:
                packet.time_base = _MICROSECOND
                packet.pts = packet.dts = time.monotonic_ns() // 1000
            if packet.pts is not None and packet.stream.type in ("video", "audio"):
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                self.reached = end if self.reached is None else max(self.reached, end)
            if packet.stream.index == self._stream.index:
                self.reports.read(packet)
                yield packet
        raise lost(self._uri, failure) from cleaned(failure)

    def _count_damage(self, error: av.error.FFmpegError | None = None) -> None:
        self.corrupt += 1
        self._broken = self._predicted
        self._in_a_row += 1
        if self._damaged is not None:
            self._damaged()
        if self.hopeless:
            raise SourceError(
                f"'{redact(self._uri)}' is given up on at frame {self.sound}: {DAMAGED_IN_A_ROW} damaged frames in a "
                "row."
            ) from (cleaned(error) if error else None)
