"""The supervisor: starts the stages, feeds them sources, notices when one dies or hangs, ends them all.

    capture (one a source) ==frames==> detect --tracks--> encode --coded tracks--> archive

Each capture sits on a seat, a connection to the detector that outlives it: when a capture dies, of a file that crashes
its decoder, say, the supervisor reports the source's end on its seat and the other sources go on. When another stage
dies the batch ends with a PipelineError.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipelines.children import CONTEXT, Child
from pipelines.messages import Archived, Beat, Ended, Noticed, SourceDone, SourceJob
from streamproc.config import Settings
from streamproc.errors import PipelineError
from streamproc.types import SourceResult

LISTEN_SECONDS = 0.5
START_UP = 4
"""How many times longer a stage may be silent while it imports and loads its models."""


@dataclass(frozen=True, slots=True)
class Entries:
    """What each stage runs, "module:function"."""

    capture: str = "pipelines.capture:run"
    detect: str = "pipelines.detect:run"
    encode: str = "pipelines.encode:run"
    archive: str = "pipelines.archive:run"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a source is; `result` once it has come to its end; `notice`, once, what is worth a line about it."""

    source: str
    camera: str
    frames: int = 0
    frames_expected: int | None = None
    tracks: int = 0
    result: SourceResult | None = None
    notice: str = ""


@dataclass(slots=True)
class Seat:
    """A place for a capture: the end of the connection that it is given."""

    connection: Connection
    job: SourceJob | None = None
    child: Child | None = None


class Supervisor:
    """Owns the processes of one batch: a context manager, for whatever ends it no process is left.

    Detector and coder take seconds to import and load, so they start when it is entered; captures and the archive's
    writer when there is something to do.
    """

    def __init__(
        self,
        archive_url: str,
        settings: Settings,
        progress: Callable[[Progress], None],
        crops: Path | None = None,
        entries: Entries | None = None,
        identities: bool = True,
    ) -> None:
        """`crops`: folder for the original crops, where a report wants them; `identities`: gather what is archived."""
        self._archive_url = archive_url
        self._settings = settings
        self._progress = progress
        self._crops = crops
        self._entries = entries or Entries()
        self._gathering = (archive_url, settings) if identities else None
        self._seats: list[Seat] = []
        self._stages: list[Child] = []
        self._unclaimed: list[Connection] = []
        """What the archive's writer will read from."""
        self._news: dict[int, Progress] = {}
        self._noticed: set[str] = set()
        self._results: dict[int, SourceResult] = {}

    def run(self, jobs: Sequence[SourceJob]) -> list[SourceResult]:
        """The result of each job, in order; to be called once, and the archive must be there by then.

        Raises PipelineError when a stage dies or hangs.
        """
        waiting = deque(jobs)
        self._news = {job.key: Progress(job.source, job.camera) for job in jobs}
        try:
            self._begin("archive", self._entries.archive, 1, *self._unclaimed, self._archive_url)
            while len(self._results) < len(jobs):
                self._fill_seats(waiting)
                self._listen(LISTEN_SECONDS)
                # The stages first: a capture also dies of a detector that is gone.
                self._check_stages()
                self._check_seats()
            if self._gathering and any(result.archived for result in self._results.values()):
                self._gather()
        except OSError as error:
            raise _unable(error) from error
        return [self._results[job.key] for job in jobs]

    def _gather(self) -> None:
        """Waits while the coder, whose last task that is, gathers what the archive now holds."""
        coder = self._stages[1]
        coder.ask_to_stop()
        while coder.exit_code is None:
            self._listen(LISTEN_SECONDS)
        if coder.exit_code:
            raise PipelineError(
                f"All is archived, but not gathered into identities: the process {coder.last_words()}. "
                "Say `streamproc identity gather`."
            )

    def __enter__(self) -> Self:
        """The supervisor, its first stages started. Raises PipelineError."""
        try:
            self._start()
        except BaseException as error:
            self._stop()
            if isinstance(error, OSError):
                raise _unable(error) from error
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """No process is left, and every transaction of the archive is whole."""
        self._stop()

    def _start(self) -> None:
        settings, entries = self._settings, self._entries
        theirs: list[Connection] = []
        for _ in range(settings.capture.at_once):
            detector_end, capture_end = CONTEXT.Pipe(duplex=True)
            self._seats.append(Seat(capture_end))
            theirs.append(detector_end)
        tracks_in, tracks_out = CONTEXT.Pipe(duplex=False)
        codes_in, codes_out = CONTEXT.Pipe(duplex=False)
        self._unclaimed.append(codes_in)
        handed = [*theirs, tracks_in, tracks_out, codes_out]
        detect, encode = settings.detect, settings.encode
        self._begin("detect", entries.detect, detect.threads, theirs, tracks_out, detect)
        told = encode, self._crops, self._gathering
        self._begin("encode", entries.encode, encode.threads, tracks_in, codes_out, *told)
        for connection in handed:
            connection.close()

    def _begin(self, name: str, entry: str, threads: int, *args: Any) -> None:
        self._stages.append(Child(name, entry, threads, *args))

    def _fill_seats(self, waiting: deque[SourceJob]) -> None:
        for seat in self._seats:
            if seat.child is None and waiting:
                seat.job = waiting.popleft()
                capture = self._settings.capture
                seat.child = Child("capture", self._entries.capture, 1, seat.connection, seat.job, capture)

    def _children(self) -> list[tuple[Child, SourceJob | None]]:
        captures = [(seat.child, seat.job) for seat in self._seats if seat.child]
        return [*captures, *((stage, None) for stage in self._stages)]

    def _listen(self, timeout: float) -> None:
        """Takes in what the children say, waiting up to `timeout` seconds for the first of them."""
        children = self._children()
        wait([ready for child, _ in children for ready in (child.control, child.sentinel)], timeout)
        for child, job in children:
            for message in child.messages():
                self._take(message, job)

    def _take(self, message: Any, job: SourceJob | None) -> None:
        match message:
            case Beat(frames, expected) if job is not None and frames:
                self._tell(job.key, frames=frames, frames_expected=expected)
            case Archived(key, tracks):
                self._tell(key, tracks=tracks)
            case Noticed(text) if job is not None and text not in self._noticed:
                self._noticed.add(text)
                self._progress(replace(self._news[job.key], notice=text))
            case SourceDone(key, result):
                self._results[key] = result
                self._tell(key, frames=result.frames, tracks=result.tracks, result=result)

    def _tell(self, key: int, **changes: Any) -> None:
        self._news[key] = replace(self._news[key], **changes)
        self._progress(self._news[key])

    def _check_seats(self) -> None:
        """Frees the seats of captures that ended; of one that died or hangs, the later stages are told."""
        for seat in self._seats:
            child, job = seat.child, seat.job
            if child is None or job is None:
                continue
            code = child.exit_code
            if code is None and not self._hangs(child):
                continue
            for message in child.messages():
                self._take(message, job)
            if code != 0:
                why = "gave no sign of life" if code is None else child.last_words()
                error = f"Reading '{job.source}' failed, its process {why}; ingest it again."
                with contextlib.suppress(BrokenPipeError):  # the detector is gone, which the next check reports
                    seat.connection.send(Ended(job, self._news[job.key].frames, error=error, whole=False))
            child.end()
            seat.child = seat.job = None

    def _check_stages(self) -> None:
        if len(self._results) == len(self._news):
            return
        for child in self._stages:
            if child.exit_code is not None:
                raise PipelineError(f"The {child.name} stage {child.last_words()}")
        hanging = [child for child in self._stages if self._hangs(child)]
        if hanging:
            # The one that fell silent first is the cause: the others wait for it.
            child = min(hanging, key=lambda stage: stage.heard)
            seconds = time.monotonic() - child.heard
            raise PipelineError(f"The {child.name} stage gave no sign of life for {seconds:.0f} s and was ended.")

    def _hangs(self, child: Child) -> bool:
        patience = self._settings.supervisor.silence * (1 if child.spoke else START_UP)
        return time.monotonic() - child.heard > patience

    def _stop(self) -> None:
        """Ends all processes: the archive's writer after its transaction, the others at once."""
        try:
            for writer in self._stages[2:]:
                writer.ask_to_stop()
                end = time.monotonic() + self._settings.supervisor.stop
                while writer.exit_code is None and time.monotonic() < end:
                    wait([writer.control, writer.sentinel], LISTEN_SECONDS)
                    list(writer.messages())
        finally:
            for child, _ in self._children():
                child.end()
            for connection in (*(seat.connection for seat in self._seats), *self._unclaimed):
                connection.close()


def _unable(error: OSError) -> PipelineError:
    return PipelineError(f"The stages cannot be run: {error}. See to memory and open files.")
