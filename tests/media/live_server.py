"""Cameras for the service's tests: `python3 live_server.py PORT` serves `/live`, a moving test picture,
and `/frozen`, one picture for ever. PORT 0 chooses one; it is printed.

Run by the system's Python, which has GStreamer's bindings (`gi`) where they are installed; never imported by the tests.
"""

# mypy: ignore-errors
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

SIZE = "video/x-raw,format=I420,width=320,height=240,framerate=15/1"
PICTURES = {
    "/live": f"( videotestsrc is-live=true pattern=ball ! {SIZE} ! jpegenc ! rtpjpegpay name=pay0 )",
    "/frozen": f"( videotestsrc is-live=true pattern=smpte75 ! {SIZE} ! jpegenc ! rtpjpegpay name=pay0 )",
}

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
for path, launch in PICTURES.items():
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch)
    factory.set_shared(True)
    server.get_mount_points().add_factory(path, factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
