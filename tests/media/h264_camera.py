"""An H.264 camera on a bad network, for tests: `python3 h264_camera.py FILE LOSS CLOCK` prints its port, then serves
the transport stream FILE at `/live`, without the share LOSS of its RTP packets, its sender reports by CLOCK: `ntp`, or
`clock-time`, the time since the machine was started, which is no time of day.

Run by the system's Python, which has GStreamer's bindings (`gi`) where they are installed; never imported by the tests.
"""

# mypy: ignore-errors
import random
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

path, loss, clock = sys.argv[1], float(sys.argv[2]), sys.argv[3]
chance = random.Random(7)


def lose(pad, info):
    if not info.type & Gst.PadProbeType.BUFFER_LIST:
        return Gst.PadProbeReturn.DROP if chance.random() < loss else Gst.PadProbeReturn.OK
    packets, after = info.get_buffer_list(), pad.get_peer()
    for number in range(packets.length()):
        if chance.random() >= loss:
            after.chain(packets.get(number).copy())
    return Gst.PadProbeReturn.DROP


def set_clock(media):
    elements = media.get_element().get_parent().iterate_elements()
    while (found := elements.next())[0] == Gst.IteratorResult.OK:
        if found[1].get_factory().get_name() == "rtpbin":
            found[1].set_property("ntp-time-source", clock)


def configure(_factory, media):
    packets = Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST
    media.get_element().get_by_name("pay0").get_static_pad("src").add_probe(packets, lose)
    media.connect("prepared", set_clock)


Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(f"( filesrc location={path} ! tsdemux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )")
factory.connect("media-configure", configure)
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
