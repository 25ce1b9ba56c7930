"""When the camera itself says that its pictures were captured: the RTCP sender reports of an RTP stream (RFC 3550)."""

import struct
from fractions import Fraction

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

_MICROSECONDS = 1_000_000
_RTP = {"rtsp", "sdp", "rtp"}


class SenderReports:
    """Keeps the last that a stream's sender said of its clock."""

    def __init__(self, container: InputContainer) -> None:
        self.origin: Fraction | None = None
        """Unix time of the stream's timestamp 0 by the sender's clock, seconds; None before it has said so."""
        # Packets that came before the first report carry no time, but their timestamps count from the stream's start.
        if container.format.name in _RTP and container.start_time_realtime is not None:
            self.origin = Fraction(container.start_time_realtime, _MICROSECONDS)

    def read(self, packet: "Packet[Stream]") -> None:
        """Nothing; takes note of what FFmpeg made of the reports for this packet (`AVProducerReferenceTime`)."""
        if packet.pts is None or not packet.has_sidedata("prft"):
            return
        (wallclock,) = struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))
        self.origin = Fraction(wallclock, _MICROSECONDS) - packet.pts * packet.time_base
