"""The service, watched: Prometheus' metrics and a health check over HTTP.

`/metrics` is read off the supervisor at each scrape; nothing is counted twice. `/healthz` answers 200 while every stage
is up and the archive takes faces, 503 with what is wrong otherwise; a camera that fails is no fault of the service.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from threading import Thread
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamproc.errors import PipelineError

if TYPE_CHECKING:
    from pipelines.service import Service, Watched


class _Cameras(Collector):
    """The service's figures, as they are."""

    def __init__(self, service: "Service") -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """One family a figure."""
        cameras = list(self._service.cameras.values())
        now = datetime.now(UTC)
        yield _counter("frames", "Frames that were due for detection", cameras, lambda c: c.beat.frames)
        yield _counter("frames_damaged", "Frames that could not be decoded", cameras, lambda c: c.beat.corrupt)
        yield _counter("frames_dropped", "Frames that detection was too busy for", cameras, lambda c: c.beat.dropped)
        yield _counter("tracks", "Tracks archived, unfinished ones among them", cameras, lambda c: c.tracks)
        yield _counter("faces", "Faces archived", cameras, lambda c: c.faces)
        yield _counter("restarts", "Ends of the camera's process", cameras, lambda c: c.restarts)
        lag = GaugeMetricFamily("streamproc_lag_seconds", "Age of the newest frame", labels=["camera"])
        live = GaugeMetricFamily("streamproc_live", "1 while the camera gives usable video", labels=["camera"])
        for camera in cameras:
            live.add_metric([camera.job.camera], float(camera.live))
            if camera.beat.newest is not None:
                lag.add_metric([camera.job.camera], (now - camera.beat.newest).total_seconds())
        yield lag
        yield live
        stages = CounterMetricFamily("streamproc_stage_restarts", "Ends of a stage's process", labels=["stage"])
        for stage in list(self._service.stages.values()):
            stages.add_metric([stage.name], stage.restarts)
        yield stages
        yield GaugeMetricFamily(
            "streamproc_detection_share",
            "Share of cameras' rates that detection can take",
            self._service.share,
        )
        yield GaugeMetricFamily(
            "streamproc_archive_well", "1 while the archive takes faces", float(self._service.archive.well)
        )


def _counter(name: str, text: str, cameras: Sequence["Watched"], figure: Any) -> CounterMetricFamily:
    family = CounterMetricFamily(f"streamproc_{name}", text, labels=["camera"])
    for camera in cameras:
        family.add_metric([camera.job.camera], figure(camera))
    return family


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a scrape every few seconds is no news."""


def serve(service: "Service", host: str, port: int) -> int:
    """The port that answers from now on, `port` or, for 0, a free one; raises PipelineError where it is taken."""
    registry = CollectorRegistry()
    registry.register(_Cameras(service))
    metrics = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start: Any) -> Any:
        if environ.get("PATH_INFO") != "/healthz":
            return metrics(environ, start)
        wrong = service.troubles()
        start("503 Service Unavailable" if wrong else "200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return ["\n".join(wrong or ["well"]).encode() + b"\n"]

    try:
        server = make_server(host, port, answer, handler_class=_Quiet)
    except OSError as error:
        raise PipelineError(
            f"Metrics cannot be served at {host}:{port} ({error.strerror}): choose another service.metrics_port."
        ) from error
    Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_port)
