"""`doctor`: whether a site can be watched, asked before anybody finds out from an empty search."""

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines import machine, probes
from pipelines.contact_sheet import write_sheet
from pipelines.messages import CameraJob
from pipelines.probing import Check, Probe, Seen, State, made_check, run_probes
from pipelines.site import camera_jobs
from streamproc import config as settings_file
from streamproc.config import Settings
from streamproc.errors import StreamprocError

CAMERA_LIMIT = 10.0
"""Seconds beyond a camera's own patience after which its process is ended: opening and reading wait that long each."""
ARCHIVE_LIMIT, INTEGRITY_LIMIT, CONTENTS_LIMIT, WEIGHTS_LIMIT, HARDWARE_LIMIT = 60.0, 300.0, 600.0, 180.0, 20.0
"""Seconds: a writer waits 30 for another; nets are converted where they were not yet."""
READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked at: a configuration's file, the archive (before service.archive of it), and the folder that the
    contact sheet of all cameras goes into; each may be None. `mend`: what does not agree in the archive is mended."""

    config: Path | None = None
    archive: str | None = None
    frames: Path | None = None
    mend: bool = False


def examine(asked: Asked) -> Iterator[Check]:
    """One check after the other, as they come to an end; none hangs, and none raises."""
    began = time.monotonic()
    settings, jobs, first = _configuration(asked)
    yield made_check("configuration", *first, time.monotonic() - began)
    for name, find in (
        ("clock", machine.clock),
        ("memory", lambda: machine.memory(len(jobs))),
        ("cores", lambda: machine.cores(len(jobs))),
    ):
        yield _timed(name, find)
    pictures: list[Seen] = []
    for found in run_probes([*_cameras(settings, jobs), *_site(settings, asked)]):
        if isinstance(found, Seen):
            pictures.append(found)
        else:
            yield found
    # Nets compute: by themselves, so that the cameras' times are theirs.
    yield from (found for found in run_probes(_nets(settings)) if isinstance(found, Check))
    if asked.frames is not None and jobs:
        folder = asked.frames
        yield _timed("contact sheet", lambda: (State.OK, write_sheet(folder, [job.camera for job in jobs], pictures)))


def _configuration(asked: Asked) -> tuple[Settings, Sequence[CameraJob], tuple[State, str]]:
    if asked.config is None:
        return Settings(), (), (State.OK, "None was given: the defaults are looked at, and no camera.")
    settings = Settings()
    try:
        settings = settings_file.load(asked.config)
        jobs = camera_jobs(settings, asked.config.parent)
    except StreamprocError as error:
        return settings, (), (State.FAILED, str(error))
    if not jobs:
        return settings, jobs, (State.FAILED, f"{asked.config} names no cameras: list them under 'cameras'.")
    if asked.archive is None and settings.service.archive is None:
        return settings, jobs, (State.WARNING, "No archive is named: set service.archive, or give `run` --archive.")
    if settings.service.secrets is not None:
        secrets = asked.config.parent / settings.service.secrets
        if os.stat(secrets).st_mode & READABLE_BY_OTHERS:
            said = f"Others may read the file of secrets {secrets}: make it yours alone (chmod 600)."
            return settings, jobs, (State.WARNING, said)
    return settings, jobs, (State.OK, f"{asked.config} names {len(jobs)} camera{'' if len(jobs) == 1 else 's'}.")


def _cameras(settings: Settings, jobs: Sequence[CameraJob]) -> Iterator[Probe]:
    patience = settings.service.silent
    for job in jobs:
        names = (probes.CAMERA.format(job.camera),)
        args = (job.camera, job.uri, job.transport, patience)
        yield Probe(names, "pipelines.probes:camera", args, 2 * patience + CAMERA_LIMIT)


def _site(settings: Settings, asked: Asked) -> Iterator[Probe]:
    url = asked.archive or settings.service.archive
    if url is not None:
        yield Probe(probes.ARCHIVE, "pipelines.probes:archive", (url, settings.encode.profile), ARCHIVE_LIMIT)
        seen = (url, asked.mend)
        yield Probe((probes.CONTENTS,), "pipelines.probes:contents", seen, CONTENTS_LIMIT, State.WARNING)
        yield Probe((probes.INTEGRITY,), "pipelines.probes:integrity", (url,), INTEGRITY_LIMIT, State.WARNING)
    service = settings.service
    yield Probe((probes.PORT,), "pipelines.probes:port", (service.metrics_host, service.metrics_port), HARDWARE_LIMIT)
    yield Probe((probes.HARDWARE,), "pipelines.probes:hardware", (), HARDWARE_LIMIT)


def _nets(settings: Settings) -> list[Probe]:
    return [Probe(probes.WEIGHTS, "pipelines.probes:weights", (settings.encode,), WEIGHTS_LIMIT)]


def _timed(name: str, find: Callable[[], tuple[State, str]]) -> Check:
    began = time.monotonic()
    try:
        state, detail = find()
    except (StreamprocError, OSError) as error:
        state, detail = State.FAILED, str(error)
    return made_check(name, state, detail, time.monotonic() - began)
