"""Live detection with a slow finder: cameras share it evenly, a busy one starves nobody, old frames are let go."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from fake_stages import FakeFinder

from pipelines.channels import FrameWriter
from pipelines.links import Door, Inlet, Letter, knock
from pipelines.live_detect import Detector
from pipelines.live_messages import SessionTrack
from pipelines.messages import Ended, Opened, SourceJob
from pipelines.tallies import StageReport
from pipelines.worker import Control
from streamproc.config import CaptureSettings, DetectSettings
from streamproc.media.cadence import Cadence, Rates
from streamproc.media.share import STALE
from streamproc.types import Detection, Frame, FrameTime, Image, Polygon

RATE = 30.0
"""Frames a second that each camera would like searched."""
ABLE = 20.0
"""Frames a second that can be."""


class Told(Control):
    """What the detector says, in place of a line to a supervisor."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.beats: list[StageReport] = []

    def stoppable(self) -> None:
        pass

    def beat(self, message: object) -> None:
        assert isinstance(message, StageReport)
        self.beats.append(message)


class SlowFinder(FakeFinder):
    """Notes whose frames it searched and how old they were: a pixel says which camera, the others are its picture."""

    def __init__(self) -> None:
        self.searched: Counter[int] = Counter()

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        time.sleep(len(images) / ABLE)
        self.searched.update(int(image[0, 0, 0]) for image in images)
        return super().detect(images)


class Camera(threading.Thread):
    """Offers frames, as the detector wishes (`paced`) or as fast as it can."""

    def __init__(self, door: Path, number: int, level: int, paced: bool, roi: Polygon = ()) -> None:
        super().__init__(daemon=True)
        self.door, self.number, self.level, self.paced, self.roi = door, number, level, paced, roi
        self.over = threading.Event()
        self.offered = self.dropped = 0
        self.aged = 0
        self.paces: list[tuple[float, bool]] = []

    def run(self) -> None:
        settings = CaptureSettings(max_rate=RATE, motion=False)
        cadence, luma = Cadence(Rates.live(settings), None), np.zeros((32, 32), np.uint8)
        picture = np.full((32, 32, 3), self.level, np.uint8)
        picture[0, 0] = self.number
        writer = FrameWriter(knock(self.door, lambda: None, 10), self.number, 6, lambda: None)
        job = SourceJob(self.number, "fake://", "fake://", f"camera {self.number}", None, None)
        writer.send(Opened(job, datetime.now(UTC), RATE, False, time.monotonic(), None, self.roi))
        index = 0
        while not self.over.is_set():
            now, pace = datetime.now(UTC), writer.pace()
            self.paces.append((pace.share, pace.face))
            if not self.paced or cadence.wants(luma, now, pace.share, pace.face):
                self.offered += 1
                time_ = FrameTime(0, index, Fraction(1, 30), now)
                self.dropped += not writer.offer(Frame(job.camera, index, time_, picture))
            index += 1
            time.sleep(1 / RATE if self.paced else 0.003)
        self.aged = writer.aged
        writer.send(Ended(job))


class Site:
    """A detector in a thread, with the door of the stage behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.finder, self.control = folder, SlowFinder(), Told()
        self.inlet = Inlet(Door(folder / "encode"))
        self.tracks: list[SessionTrack] = []
        door = Door(folder / "detect")
        self.detector = Detector(self.control, door, folder / "encode", DetectSettings(), self.finder)
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.detector.run, self._take)]
        for thread in self.threads:
            thread.start()
        self.cameras: list[Camera] = []

    def _take(self) -> None:
        while self.threads[0].is_alive() or not self.control.stopping.is_set():
            for letter in self.inlet.letters(16, 0.1):
                self._note(letter)

    def _note(self, letter: Letter) -> None:
        if isinstance(letter.message, SessionTrack):
            self.tracks.append(letter.message)
        letter.safe()

    def camera(self, number: int, level: int = 10, paced: bool = True, roi: Polygon = ()) -> Camera:
        self.cameras.append(Camera(self.folder / "detect", number, level, paced, roi))
        self.cameras[-1].start()
        return self.cameras[-1]

    def close(self) -> None:
        for camera in self.cameras:
            camera.over.set()
            camera.join(5)
        self.control.stopping.set()
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    if not site.control.stopping.is_set():
        site.close()


def within(what: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_overload_lowers_every_cameras_rate_alike(site: Site) -> None:
    one, other = site.camera(1), site.camera(2)
    within(lambda: bool(site.control.beats) and site.control.beats[-1].share < 0.55, 15)
    before, offered, dropped = Counter(site.finder.searched), one.offered, one.dropped
    time.sleep(4)
    assert one.dropped - dropped < 0.3 * (one.offered - offered)
    searched = site.finder.searched - before
    assert searched[1] > 15
    assert searched[1] == pytest.approx(searched[2], rel=0.25)
    site.close()
    assert one.paces[-1][0] == pytest.approx(other.paces[-1][0], abs=0.21), "the last news may be under way"
    assert one.paces[-1][0] < 0.8


def test_a_flood_starves_nobody(site: Site) -> None:
    flood = site.camera(1, paced=False)
    within(lambda: site.finder.searched[1] > 10, 10)
    calm = [site.camera(number) for number in (2, 3)]
    time.sleep(5)
    searched = Counter(site.finder.searched)
    site.close()
    assert flood.dropped > 100
    for camera in calm:
        assert searched[camera.number] >= 15
        assert searched[camera.number] >= 0.6 * (camera.offered - camera.aged - camera.dropped)


def test_old_frames_are_given_back_unsearched(tmp_path: Path) -> None:
    """Those that came while the nets were loading, say."""
    door = Door(tmp_path / "detect")
    camera = Camera(tmp_path / "detect", 1, 10, paced=True)
    camera.start()
    time.sleep(STALE + 1)
    finder, control = SlowFinder(), Told()
    detector = Detector(control, door, tmp_path / "encode", DetectSettings(), finder)
    detector._work(detector._intake.take())
    within(lambda: camera.is_alive(), 1)
    time.sleep(0.1)
    camera.over.set()
    camera.join(5)
    assert camera.aged == 6
    assert camera.dropped > 0


def test_a_camera_hears_of_the_face_in_its_view(site: Site) -> None:
    empty, watched = site.camera(1, level=10), site.camera(2, level=200)
    within(lambda: bool(watched.paces) and watched.paces[-1][1], 10)
    time.sleep(0.5)
    site.close()
    assert not any(face for _, face in empty.paces)
    (track,) = site.tracks
    assert track.session.camera == "camera 2"


def test_faces_outside_the_region_are_dropped(site: Site) -> None:
    """The fake face is in the middle of the picture."""
    corner = ((0.0, 0.0), (0.4, 0.0), (0.4, 0.4), (0.0, 0.4))
    outside, inside = site.camera(1, 200, roi=corner), site.camera(2, 200, roi=((0.4, 0.4), (0.6, 0.4), (0.5, 0.6)))
    within(lambda: site.finder.searched[1] > 5 and site.finder.searched[2] > 5, 10)
    site.close()
    assert not any(face for _, face in outside.paces)
    assert any(face for _, face in inside.paces)
    assert {track.session.camera for track in site.tracks} == {"camera 2"}
