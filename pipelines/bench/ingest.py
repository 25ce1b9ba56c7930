"""`bench ingest`: the service on live cameras in real time, at several numbers of them, held against what was true.

Scenes are composed (`scenery.py`), served as RTSP cameras by GStreamer (`cameras.py`) and watched by the real service
into a fresh archive. A pass counts when it lay wholly within the measured time; it is **found** when the archive has a
track whose best shot shows it, and **right** when that shot's decoded feature is nearest to the right person's other
photo. Beside it, the plain loop of facenet-pytorch on the first frames of one of the clips.

The server takes a little of the same machine; it is not counted.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from pipelines.bench.cameras import CameraServer, looped, server_python
from pipelines.bench.process import measured_apart
from pipelines.bench.scenery import Format, LivePass, compose_scenes, matched_passes, shown_between, walkers
from pipelines.bench.seen import gallery_of, seen_tracks
from pipelines.bench.watching import Sample, Watch, watch
from storage import Archive
from streamproc.codec.face_codec import FaceCodec
from streamproc.config import Settings
from streamproc.evaluation.plain_loop import MIN_FRAMES, people, plain_loop
from streamproc.evaluation.portraits import Person
from streamproc.evaluation.scene_matching import SeenTrack
from streamproc.evaluation.scene_truth import SceneTruth
from streamproc.faces.finder import FaceFinder

CAMERAS = (1, 2, 4, 8, 16)
LONGEST_CLIP = 120.0
"""Seconds after which a clip begins again, at the latest: composing takes longer than showing."""
SLACK = timedelta(seconds=3)
"""How far an archived time may be from the true one: a stream's clock begins when its first picture was decoded."""
MINUTE = timedelta(minutes=1)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: numbers of cameras, each for so many seconds; `plain`: frames that the plain loop gets."""

    cameras: tuple[int, ...]
    seconds: float
    form: Format
    plain: int


@dataclass(frozen=True, slots=True)
class IngestRow:
    """An engine on so many cameras.

    `frames` that were due for detection and how many of them were `dropped`; archived `faces`; `people_found`: those of
    whom a pass is right, of `people_true` who passed; `passes`, found and right. `max_lag_s`: the oldest that a frame
    was which had not been searched yet. `cores`: processor seconds a second; `streams_per_core`: cameras by cores, or
    for the plain loop, which is as slow as it is, frames a processor second by frames a second of a camera. `rss_mib`:
    the most that all processes had resident (what they share counted in each); means of the third and the last minute
    where there are four.
    """

    engine: str
    transport: str
    cameras: int
    width: int
    height: int
    fps: int
    seconds: float
    frames: int
    dropped: int
    faces: int
    people_found: int
    people_true: int
    passes: int
    passes_found: int
    passes_right: int | None
    max_lag_s: float | None
    cores: float
    streams_per_core: float
    rss_mib: float
    rss_third_minute_mib: float | None
    rss_last_minute_mib: float | None
    restarts: int


def measure(
    plan: Plan, portraits: Path | None, clips: Path | None, settings: Settings, progress: Progress
) -> list[IngestRow]:
    """A row a number of cameras, then the plain loop's; people from the folder `portraits` (None: from the samples).
    Clips are kept in the folder `clips`, for the next time.

    Raises MissingLibrary without GStreamer, SourceNotFound and NoFace for the portraits, ConfigError for a plan in
    which nobody passes, PipelineError when the service fails.
    """
    server_python()  # before minutes are spent on composing
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kept = clips or folder
        kept.mkdir(parents=True, exist_ok=True)
        walking = walkers(portraits, FaceFinder.load(settings.detect.device), progress)
        names = [f"camera-{number:02d}" for number in range(1, max(plan.cameras) + 1)]
        scenes = compose_scenes(names, plan.form, walking, kept, progress)
        rows = []
        for number, count in enumerate(plan.cameras):
            url = str(folder / f"{count}.db")
            rows.append(_watched(plan, scenes[:count], kept, url, walking, settings))
            progress("cameras", number + 1, len(plan.cameras))
        if plan.plain:
            rows.append(_plain(plan, scenes[0], kept / scenes[0].clip))
    return rows


def _watched(
    plan: Plan, scenes: Sequence[SceneTruth], clips: Path, url: str, walking: Sequence[Person], settings: Settings
) -> IngestRow:
    """The service on these scenes."""
    with Archive.open(url, create=True):
        pass
    pictures = {scene.view.camera: looped(clips / scene.clip, scene.view.rate) for scene in scenes}
    with CameraServer(pictures) as server:
        jobs = [server.job(camera) for camera in pictures]
        seen = measured_apart(1, watch, url, settings, jobs, plan.seconds)
    codec = FaceCodec.load(settings.encode.profile, settings.encode.device)
    with Archive.open(url) as archive:
        tracks = seen_tracks(archive, codec)
    shown = [one for scene in scenes for one in shown_between(scene, server.epoch, seen.begun - 2 * SLACK, seen.ended)]
    passes = [
        one
        for one in matched_passes(shown, tracks, gallery_of(walking, codec), SLACK)
        if seen.begun <= one.start and one.end <= seen.ended
    ]
    return _row(plan, len(scenes), seen, tracks, passes)


def _row(plan: Plan, cameras: int, seen: Watch, tracks: Sequence[SeenTrack], passes: Sequence[LivePass]) -> IngestRow:
    seconds = (seen.ended - seen.begun).total_seconds()
    cores = seen.samples[-1].cpu / seconds
    enough = seen.ended - seen.begun >= 4 * MINUTE
    return IngestRow(
        engine="streamproc",
        transport="rtsp",
        cameras=cameras,
        width=plan.form.width,
        height=plan.form.height,
        fps=plan.form.fps,
        seconds=round(seconds, 1),
        frames=seen.frames,
        dropped=seen.dropped,
        faces=sum(len(track.shots) for track in tracks),
        people_found=len({one.matched.truth.identity for one in passes if one.matched.right}),
        people_true=len({one.matched.truth.identity for one in passes}),
        passes=len(passes),
        passes_found=sum(bool(one.matched.tracks) for one in passes),
        passes_right=sum(one.matched.right for one in passes),
        max_lag_s=round(max(sample.lag for sample in seen.samples), 2),
        cores=round(cores, 2),
        streams_per_core=round(cameras / cores, 2),
        rss_mib=round(max(sample.rss_mib for sample in seen.samples)),
        rss_third_minute_mib=_memory(seen.samples, seen.begun + 2 * MINUTE) if enough else None,
        rss_last_minute_mib=_memory(seen.samples, seen.ended - MINUTE) if enough else None,
        restarts=seen.restarts,
    )


def _memory(samples: Sequence[Sample], since: datetime) -> float:
    """Mean of the minute that begins at `since`, MiB."""
    within = [sample.rss_mib for sample in samples if since <= sample.at < since + MINUTE]
    return round(sum(within) / len(within), 1)


@dataclass(frozen=True, slots=True)
class PlainFigures:
    """What the plain loop came to: frames, faces, people, seconds of work without loading, processor seconds, MiB."""

    frames: int
    faces: int
    people: int
    seconds: float
    cpu: float
    rss_mib: float


def plain_figures(clip: Path, frames: int) -> PlainFigures:
    """The plain loop in this process, on so many first frames of a clip."""
    loop = plain_loop(clip, None, frames)
    memory = psutil.Process().memory_info().rss / 2**20
    return PlainFigures(len(loop.found), loop.faces, len(people(loop)), loop.working, loop.cpu, memory)


def _plain(plan: Plan, scene: SceneTruth, clip: Path) -> IngestRow:
    """The plain loop on the first frames of a clip, on all cores."""
    found = measured_apart(os.cpu_count() or 1, plain_figures, clip, plan.plain)
    # Who was there for long enough to be followed.
    there = [one for one in scene.passes if sum(face.frame < plan.plain for face in one.faces) >= MIN_FRAMES]
    cores = found.cpu / found.seconds
    return IngestRow(
        engine="plain-loop",
        transport="file",
        cameras=1,
        width=plan.form.width,
        height=plan.form.height,
        fps=plan.form.fps,
        seconds=round(found.seconds, 1),
        frames=found.frames,
        dropped=0,
        faces=found.faces,
        people_found=min(found.people, len(there)),
        people_true=len(there),
        passes=len(there),
        passes_found=min(found.people, len(there)),
        passes_right=None,
        max_lag_s=None,
        cores=round(cores, 2),
        streams_per_core=round(found.frames / found.cpu / plan.form.fps, 3),
        rss_mib=round(found.rss_mib),
        rss_third_minute_mib=None,
        rss_last_minute_mib=None,
        restarts=0,
    )
