"""The detection stage: one process for all sources, from frames to tracks."""

from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from pipelines.channels import FrameReader
from pipelines.loading import loading
from pipelines.messages import Beat, Downstream, Ended, FrameReady, Opened, TrackFound
from pipelines.worker import BEAT_SECONDS, Control
from streamproc.config import DetectSettings
from streamproc.faces.track import TrackBuilder
from streamproc.types import Detection, FaceCrop, Frame, FrameTime, Image, Track


class Finder(Protocol):
    """What the stage needs of `streamproc.faces.finder.FaceFinder`."""

    def detect(self, images: Sequence[Image], /) -> list[list[Detection]]:
        """Detections of each picture, all of one size."""
        ...

    def crop(self, image: Image, detection: Detection, camera_id: str | None, time: FrameTime | None, /) -> FaceCrop:
        """The aligned crop of one detection."""
        ...


def run(control: Control, connections: Sequence[Connection], outbox: Connection, settings: DetectSettings) -> None:
    """Loads the finder, then follows faces for ever."""
    with loading():
        from streamproc.faces.finder import FaceFinder

        finder = FaceFinder.load(settings.device, settings.min_face, settings.yunet)
    follow(control, connections, outbox, settings, finder)


def follow(
    control: Control, connections: Sequence[Connection], outbox: Connection, settings: DetectSettings, finder: Finder
) -> None:
    """Turns frames into tracks for ever; the supervisor ends it."""
    followers: dict[int, Follower] = {}
    readers = {connection: FrameReader(connection) for connection in connections}
    while True:
        control.beat(Beat())
        news = _take(readers, settings.batch)
        frames = {id(ready): reader.frame(ready) for reader, ready in news if isinstance(ready, FrameReady)}
        found = dict(zip(frames, detect(finder, list(frames.values())), strict=True))
        for reader, message in news:
            match message:
                case Opened(job, _, rate, still, _):
                    followers[job.key] = Follower(finder, rate, settings, still)
                    outbox.send(message)
                case FrameReady(key):
                    tracks = followers[key].update(frames[id(message)], found[id(message)])
                    reader.free(message)
                    _send(outbox, key, tracks)
                case Ended(job):
                    reader.forget(job.key)
                    follower = followers.pop(job.key, None)
                    outbox.send(_close(outbox, follower, message) if follower else message)
        # Views of slots must not outlive the ring's place in this process.
        frames.clear()


def _take(readers: dict[Connection, FrameReader], batch: int) -> list[tuple[FrameReader, Any]]:
    """What is waiting, with about `batch` frames at most; each source's messages in their order."""
    news: list[tuple[FrameReader, Any]] = []
    for ready in wait(list(readers), BEAT_SECONDS):
        assert isinstance(ready, Connection)
        reader = readers[ready]
        share = max(1, batch - len(news))
        while share and ready.poll():
            news.append((reader, reader.receive()))
            share -= 1
    return news


def _send(outbox: Connection, key: int, tracks: Sequence[Track]) -> None:
    for track in tracks:
        message: Downstream = TrackFound(key, track)
        outbox.send(message)


def _close(outbox: Connection, follower: "Follower", message: Ended) -> Ended:
    """The source's end with its counts, its open tracks sent before."""
    _send(outbox, message.job.key, follower.finish())
    return replace(message, detections=follower.detections, tracks=follower.tracks)


def detect(finder: Finder, frames: Sequence[Frame]) -> list[list[Detection]]:
    """The detections of each frame; frames of one size are searched in one go."""
    found: list[list[Detection]] = [[] for _ in frames]
    sizes: dict[tuple[int, ...], list[int]] = {}
    for position, frame in enumerate(frames):
        sizes.setdefault(frame.image.shape, []).append(position)
    for positions in sizes.values():
        together = finder.detect([frames[position].image for position in positions])
        for position, detections in zip(positions, together, strict=True):
            found[position] = detections
    return found


class Follower:
    """One source's tracks in the making, counted."""

    def __init__(self, finder: Finder, rate: float, settings: DetectSettings, still: bool) -> None:
        """`still`: the source is a picture, where one detection is all that a face can have."""
        self.detections = 0
        self.tracks = 0
        self._finder = finder
        self._builder = TrackBuilder(rate, settings.shots, 1 if still else settings.min_detections)

    def update(self, frame: Frame, detections: Sequence[Detection]) -> list[Track]:
        """The tracks that ended with this frame."""

        def crop(image: Image, detection: Detection) -> FaceCrop:
            return self._finder.crop(image, detection, frame.camera_id, frame.time)

        self.detections += len(detections)
        return self._counted(self._builder.update(frame, detections, crop))

    @property
    def following(self) -> bool:
        """Whether a face is in view, or was a moment ago."""
        return self._builder.following

    def unfinished(self) -> list[Track]:
        """The open tracks that there is news of."""
        return self._builder.unfinished()

    def finish(self) -> list[Track]:
        """The tracks that were still open."""
        return self._counted(self._builder.finish())

    def _counted(self, tracks: list[Track]) -> list[Track]:
        self.tracks += len(tracks)
        return tracks
