"""The service, watched: Prometheus' metrics and a health check over HTTP.

`/metrics` is read off the supervisor at each scrape; nothing is counted twice. `/healthz` answers 200 while every stage
is up, the archive takes faces and a known face was found again of late, 503 with what is wrong otherwise; a camera that
fails is no fault of the service.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from threading import Thread
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import psutil
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from pipelines.tallies import BOUNDS, Searched, Spread
from streamproc.errors import PipelineError

if TYPE_CHECKING:
    from pipelines.checking import KnownFaceCheck
    from pipelines.service import Service
    from pipelines.watched import Stage, Watched


class _Site(Collector):
    """The service's figures, as they are."""

    def __init__(self, service: "Service") -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """One family a figure."""
        yield from _camera_counters(list(self._service.cameras.values()), self._searched())
        yield from _camera_gauges(list(self._service.cameras.values()), datetime.now(UTC))
        yield from _stages(list(self._service.stages.values()))
        yield _memory(self._service)
        yield GaugeMetricFamily(
            "streamproc_detection_share",
            "Share of cameras' rates that detection can take",
            self._service.stages["detect"].total.share if "detect" in self._service.stages else 1.0,
        )
        sightings = CounterMetricFamily(
            "streamproc_sightings", "Tracks that show who is watched for", labels=["watch", "camera"]
        )
        for (watch, camera), count in list(self._service.follower.sightings.items()):
            sightings.add_metric([watch, camera], count)
        yield sightings
        yield from _check(self._service.schedule.check)
        yield GaugeMetricFamily(
            "streamproc_archive_well", "1 while the archive takes faces", float(self._service.archive.well)
        )

    def _searched(self) -> dict[str, Searched]:
        detect = self._service.stages.get("detect")
        return {one.camera: one for one in detect.total.searched} if detect is not None else {}


def _camera_counters(cameras: Sequence["Watched"], searched: Mapping[str, Searched]) -> Iterator[Metric]:
    def looked(camera: "Watched") -> Searched:
        return searched.get(camera.job.camera, Searched(camera.job.camera, 0, 0))

    figures: tuple[tuple[str, str, Callable[[Watched], int]], ...] = (
        ("frames", "Frames that were due for detection", lambda c: c.total.frames),
        ("frames_searched", "Frames that were searched for faces", lambda c: looked(c).frames),
        ("frames_damaged", "Frames that could not be decoded", lambda c: c.total.corrupt),
        ("frames_dropped", "Frames that detection was too busy for", lambda c: c.total.dropped),
        ("detections", "Faces found in frames, the same one in many", lambda c: looked(c).detections),
        ("tracks", "Tracks archived, each once", lambda c: c.tracks),
        ("faces", "Faces archived, each once", lambda c: c.faces),
        ("restarts", "Ends of the camera's process", lambda c: c.restarts),
        ("reconnects", "Sessions with the camera after the first", lambda c: max(0, c.total.sessions - 1)),
    )
    for name, text, figure in figures:
        family = CounterMetricFamily(f"streamproc_{name}", text, labels=["camera"])
        for camera in cameras:
            family.add_metric([camera.job.camera], figure(camera))
        yield family


def _camera_gauges(cameras: Sequence["Watched"], now: datetime) -> Iterator[Metric]:
    lag = GaugeMetricFamily("streamproc_lag_seconds", "Age of the newest frame", labels=["camera"])
    live = GaugeMetricFamily("streamproc_live", "1 while the camera gives usable video", labels=["camera"])
    wanted = GaugeMetricFamily("streamproc_open", "1 within the camera's recording hours", labels=["camera"])
    face = GaugeMetricFamily("streamproc_last_face_seconds", "Age of the newest archived face", labels=["camera"])
    for camera in cameras:
        label = [camera.job.camera]
        live.add_metric(label, float(camera.live))
        wanted.add_metric(label, float(camera.open))
        for family, newest in ((lag, camera.beat.newest), (face, camera.newest_face)):
            if newest is not None:
                family.add_metric(label, (now - newest).total_seconds())
    yield from (lag, live, wanted, face)


def _stages(stages: Sequence["Stage"]) -> Iterator[Metric]:
    counters: tuple[tuple[str, str, Callable[[Stage], float]], ...] = (
        ("restarts", "Ends of a stage's process", lambda s: s.restarts),
        ("batches", "Batches of frames, shots or tracks", lambda s: s.total.batches),
        ("items", "Frames, shots or tracks in these batches", lambda s: s.total.items),
        ("busy_seconds", "Seconds at work", lambda s: s.total.busy),
    )
    gauges: tuple[tuple[str, str, Callable[[Stage], float]], ...] = (
        ("waiting", "Messages under way to the next stage or waiting to be written", lambda s: s.total.waiting),
        ("slots", "Messages that may be", lambda s: s.total.slots),
    )
    for kind, figures in ((CounterMetricFamily, counters), (GaugeMetricFamily, gauges)):
        for name, text, figure in figures:
            family = kind(f"streamproc_stage_{name}", text, labels=["stage"])
            for stage in stages:
                family.add_metric([stage.name], figure(stage))
            yield family
    totals = {stage.name: stage.total for stage in stages}
    if "encode" in totals:
        yield _histogram("encode_seconds", "Coding of a face", totals["encode"].encode)
    if "archive" in totals:
        yield _histogram("write_seconds", "A track's transaction", totals["archive"].write)
        yield _histogram("arrival_seconds", "From a shot's capture to its archiving", totals["archive"].arrival)


def _check(check: "KnownFaceCheck") -> Iterator[Metric]:
    """Of the last known-face check; without values until there was one."""
    figures = (
        ("well", "1 if the last known-face check found the face again", lambda done: float(done.well)),
        ("age_seconds", "Time since the last known-face check", lambda done: check.age),
        ("seconds", "What the last known-face check took", lambda done: done.seconds),
    )
    for name, text, figure in figures:
        family = GaugeMetricFamily(f"streamproc_check_{name}", text, labels=[])
        if check.last is not None:
            family.add_metric([], figure(check.last))
        yield family


def _histogram(name: str, text: str, spread: Spread) -> HistogramMetricFamily:
    bounds = [str(float(bound)) for bound in BOUNDS] + ["+Inf"]
    buckets = list(zip(bounds, itertools.accumulate(spread.counts), strict=True))
    return HistogramMetricFamily(f"streamproc_{name}", text, buckets=buckets, sum_value=spread.total)


def _memory(service: "Service") -> Metric:
    """Of every process, asked of the system now; one that is gone has none."""
    children = {f"camera {camera.job.camera}": camera.child for camera in list(service.cameras.values())}
    children |= {stage.name: stage.child for stage in list(service.stages.values())}
    family = GaugeMetricFamily("streamproc_memory_bytes", "Resident memory of a process", labels=["process"])
    family.add_metric(["supervisor"], psutil.Process().memory_info().rss)
    for name, child in children.items():
        with suppress(psutil.Error, ValueError):  # it ends while it is looked at
            if child is not None and child.pid is not None:
                family.add_metric([name], psutil.Process(child.pid).memory_info().rss)
    return family


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a scrape every few seconds is no news."""


def serve(service: "Service", host: str, port: int) -> int:
    """The port that answers from now on, `port` or, for 0, a free one; raises PipelineError where it is taken."""
    registry = CollectorRegistry()
    registry.register(_Site(service))
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
