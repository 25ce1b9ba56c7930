"""A camera over HTTP, for tests: MJPEG as `multipart/x-mixed-replace`, and an MPEG transport stream.

As a program it prints its address and serves until it is killed.
"""

import base64
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
from numbered_clips import RATE, numbered

LOGIN = "viewer:s3cret"
BOUNDARY = b"--picture\r\n"
GARBAGE = bytes(range(256)) * 8


class _Handler(BaseHTTPRequestHandler):
    clip: Path | None = None

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != "Basic " + base64.b64encode(LOGIN.encode()).decode():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        path = self.path.split("?")[0]
        ways: dict[str, Callable[[], None]] = {
            "/live": lambda: self.pictures(10_000),
            "/dies": lambda: self.pictures(10),
            "/hangs": lambda: time.sleep(20),
            "/stops": self.stops,
            "/grows": self.grows,
            "/turns": self.turns,
            "/garbage": self.garbage,
            "/ts": self.transport_stream,
        }
        if path not in ways:
            self.send_error(404)
            return
        self.send_response(200)
        kind = "video/mp2t" if path == "/ts" else "multipart/x-mixed-replace; boundary=picture"
        self.send_header("Content-Type", kind)
        self.end_headers()
        with contextlib.suppress(OSError):  # who watched went
            ways[path]()

    def pictures(self, count: int, width: int = 640, height: int = 360) -> None:
        due = time.monotonic()
        for number in range(count):
            self.part(cv2.imencode(".jpg", numbered(number, width, height)[..., ::-1])[1].tobytes())
            due += 1 / RATE
            time.sleep(max(0.0, due - time.monotonic()))

    def stops(self) -> None:
        self.pictures(5)
        time.sleep(20)

    def grows(self) -> None:
        self.pictures(6, 480, 270)
        self.pictures(6)

    def turns(self) -> None:
        while True:
            self.pictures(RATE, 480, 270)
            self.pictures(RATE)

    def part(self, jpeg: bytes) -> None:
        head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
        self.wfile.write(BOUNDARY + head + jpeg + b"\r\n")

    def garbage(self) -> None:
        self.pictures(5)
        self.part(GARBAGE)
        jpeg = cv2.imencode(".jpg", numbered(0)[..., ::-1])[1].tobytes()
        self.part(jpeg[: len(jpeg) // 2])
        self.pictures(5)
        self.wfile.write(GARBAGE + b"\r\n")
        self.pictures(5)

    def transport_stream(self) -> None:
        assert self.clip is not None
        data, size = self.clip.read_bytes(), 188 * 7
        for start in range(0, len(data), size):
            self.wfile.write(data[start : start + size])
            time.sleep(0.002)


@contextmanager
def http_camera(clip: Path | None = None) -> Iterator[str]:
    """The server's address, `127.0.0.1:PORT`; `clip` is what `/ts` sends."""
    handler = type("Handler", (_Handler,), {"clip": clip})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


if __name__ == "__main__":
    with http_camera() as address:
        print(address, flush=True)
        time.sleep(3600)
