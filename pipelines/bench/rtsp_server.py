"""Live cameras for measurements and tests: GStreamer's RTSP server before clips that loop for ever.

    python3 rtsp_server.py [--port N] [--login USER:PASSWORD] [--epoch SECONDS] CAMERA=PICTURES...

PICTURES are `ball` or `bars` (JPEG, 320x240, one moving, one still), or a file of H.264 (Annex B) and its frame rate:
`walk.h264@15`. Nothing is coded again. Like a camera, the loop runs on whether or not anybody watches: what is shown at
a time follows from the time since `--epoch` (Unix time, default now) alone. Who comes gets pictures from the next key
frame on. The port is printed once it listens; the server ends with its standard input.

A line `CAMERA FAULT` there damages what a clip's camera sends from then on:

    well            as it was made
    frozen          the last key frame, again and again
    garbage         random bytes where the coded pictures were
    silent          nothing
    loss SHARE      that share of the RTP packets is missing
    show PICTURES   another clip, maybe of another size

Run by the system's Python, which has GStreamer's bindings (`gi`) where they are installed; never imported.
"""

# mypy: ignore-errors
import argparse
import mmap
import random
import re
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstApp, GstRtspServer  # noqa: E402, F401 - GstApp gives appsrc its methods

JPEG = (
    "( videotestsrc is-live=true pattern={} ! video/x-raw,format=I420,width=320,height=240,framerate=15/1"
    " ! jpegenc ! rtpjpegpay name=pay0 )"
)
PATTERNS = {"ball": "ball", "bars": "smpte75"}
H264 = (
    "( appsrc name=clip is-live=true format=time max-bytes=0 caps=video/x-h264,stream-format=byte-stream,alignment=au"
    " ! h264parse config-interval=-1 ! rtph264pay name=pay0 aggregate-mode=zero-latency )"
)
MOST_LATE = 1.0
"""Seconds behind from which on pictures are skipped: a camera that was stopped does not make up for it."""
BOTH = Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST


class Clip:
    """The coded pictures of a file: `units[n]` is (first byte, the byte after the last, whether it is a key frame)."""

    def __init__(self, named: str) -> None:
        path, _, rate = named.rpartition("@")
        self.rate = int(rate)
        with open(path, "rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.units = list(self._units())

    def _units(self):
        begin, pictured, key = 0, False, False
        for found in re.finditer(b"\0?\0\0\1", self.data):
            kind = self.data[found.end()] & 31
            # Types 1 and 5 are slices; the first of a picture begins with macroblock 0, coded as a set bit.
            slice_ = kind in (1, 5)
            if pictured and (not slice_ or self.data[found.end() + 1] & 128):
                yield begin, found.start(), key
                begin, pictured, key = found.start(), False, False
            pictured, key = pictured or slice_, key or kind == 5
        yield begin, len(self.data), key

    def picture(self, number: int) -> bytes:
        """A coded picture; numbers beyond the last go round."""
        begin, end, _ = self.units[number % len(self.units)]
        return self.data[begin:end]

    def is_key(self, number: int) -> bool:
        """Whether the picture needs none before it."""
        return self.units[number % len(self.units)][2]

    def key_before(self, number: int) -> bytes:
        """The last key frame up to a number."""
        while not self.is_key(number):
            number -= 1
        return self.picture(number)


class Camera:
    """What one address shows. The pacing thread calls `advance`, GStreamer's and the reader's the rest."""

    def __init__(self, clip: Clip, epoch: float, phase: float) -> None:
        """Pictures are due at `epoch` and then at the clip's rate, later by the share `phase` of a picture's time."""
        self._clip, self._epoch, self._phase = clip, epoch, phase
        self._lock = threading.Lock()
        self._source = None
        self._random = random.Random(1)
        self._fault, self._loss, self._still = "well", 0.0, b""
        self._sent = -1
        self._ahead = None

    def made(self, _factory, media) -> None:
        """Somebody watches, after nobody did."""
        element = media.get_element()
        element.get_by_name("pay0").get_static_pad("src").add_probe(BOTH, self._carry)
        media.connect("unprepared", self._left)
        with self._lock:
            self._source, self._ahead = element.get_by_name("clip"), None

    def _left(self, _media) -> None:
        with self._lock:
            self._source = None

    def command(self, fault: str, argument: str) -> None:
        """Another fault from now on."""
        clip = Clip(argument) if fault == "show" else self._clip
        with self._lock:
            # What follows refers to pictures that were not sent: a key frame is waited for.
            if fault == "show" or self._fault != "well":
                self._ahead = None
            self._clip = clip
            self._still = clip.key_before(max(0, self._sent))
            self._loss = float(argument) if fault == "loss" else 0.0
            self._fault = "well" if fault in ("show", "loss") else fault

    def advance(self, now: float) -> float:
        """When to call again; what was due until `now` (monotonic seconds) is sent."""
        with self._lock:
            number = int((now - self._epoch) * self._clip.rate - self._phase)
            if number - self._sent > MOST_LATE * self._clip.rate:
                self._sent, self._ahead = number - 1, None
            for due in range(self._sent + 1, number + 1):
                if self._source is not None:
                    self._send(due)
            self._sent = number
            return self._due(number + 1)

    def _due(self, number: int) -> float:
        return self._epoch + (number + self._phase) / self._clip.rate

    def _send(self, number: int) -> None:
        if self._ahead is None:
            clock = self._source.get_clock()
            # In step with the pipeline's clock, which begins anew with each that is made.
            if clock is None or not (self._clip.is_key(number) or self._fault == "frozen"):
                return
            self._ahead = (clock.get_time() - self._source.get_base_time()) / Gst.SECOND - self._due(number)
        if self._fault == "silent":
            return
        data = self._still if self._fault == "frozen" else self._clip.picture(number)
        if self._fault == "garbage":
            data = self._spoilt(data)
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.pts = buffer.dts = max(0, int((self._due(number) + self._ahead) * Gst.SECOND))
        buffer.duration = Gst.SECOND // self._clip.rate
        self._source.emit("push-buffer", buffer)

    def _spoilt(self, data: bytes) -> bytes:
        """Every slice's content replaced; no byte is 0, so nothing in it looks like the beginning of another."""
        places = [found.end() for found in re.finditer(b"\0\0\1", data)]
        spoilt = bytearray(data)
        for place, end in zip(places, [*places[1:], len(data) + 3], strict=True):
            if data[place] & 31 in (1, 5):
                length = max(0, end - 3 - place - 2)
                # The first byte stays: it says that the picture begins.
                spoilt[place + 2 : place + 2 + length] = bytes(self._random.choices(range(1, 256), k=length))
        return bytes(spoilt)

    def _carry(self, pad, info):
        if not self._loss:
            return Gst.PadProbeReturn.OK
        packets = info.get_buffer_list()
        if packets is None:
            return Gst.PadProbeReturn.DROP if self._random.random() < self._loss else Gst.PadProbeReturn.OK
        behind = pad.get_peer()
        for number in range(packets.length()):
            if self._random.random() >= self._loss:
                behind.chain(packets.get(number))
        return Gst.PadProbeReturn.DROP


def play(cameras) -> None:
    """Sends what is due, for ever."""
    while True:
        now = time.monotonic()
        next_ = min(camera.advance(now) for camera in cameras.values())
        time.sleep(max(0.0, next_ - time.monotonic()))


def obey(cameras, loop) -> None:
    """Reads commands until there are no more."""
    for line in sys.stdin:
        camera, fault, argument = [*line.split(maxsplit=2), ""][:3]
        cameras[camera].command(fault, argument.strip())
    loop.quit()


def allow(server, factories, login: str) -> None:
    """Only who knows the login may see."""
    user, _, password = login.partition(":")
    permissions = GstRtspServer.RTSPPermissions()
    for right in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("viewer", right, True)
    for factory in factories:
        factory.set_permissions(permissions)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth = GstRtspServer.RTSPAuth()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)


def main() -> None:
    """Serves until its standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cameras", nargs="+", metavar="CAMERA=PICTURES")
    parser.add_argument("--port", default="0")
    parser.add_argument("--login")
    parser.add_argument("--epoch", type=float, default=time.time())
    asked = parser.parse_args()
    Gst.init(None)
    epoch = time.monotonic() - (time.time() - asked.epoch)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(asked.port)
    # Who asks for a camera waits for its next key frame; nobody waits for others.
    server.get_thread_pool().set_max_threads(-1)
    cameras, factories, clips = {}, [], {}
    for place, named in enumerate(asked.cameras):
        name, _, pictures = named.partition("=")
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_shared(True)
        if pictures in PATTERNS:
            factory.set_launch(JPEG.format(PATTERNS[pictures]))
        else:
            clip = clips.setdefault(pictures, None) or Clip(pictures)
            clips[pictures] = clip
            cameras[name] = Camera(clip, epoch, place / len(asked.cameras))
            factory.set_launch(H264)
            factory.connect("media-configure", cameras[name].made)
        server.get_mount_points().add_factory(f"/{name}", factory)
        factories.append(factory)
    if asked.login:
        allow(server, factories, asked.login)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    loop = GLib.MainLoop()
    threading.Thread(target=obey, args=(cameras, loop), daemon=True).start()
    if cameras:
        threading.Thread(target=play, args=(cameras,), daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
