"""The coding stage: one process, from tracks to coded tracks, and then to identities: the codec is loaded there."""

import hashlib
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Protocol

import cv2
import numpy as np

from pipelines.channels import Inbox
from pipelines.loading import loading
from pipelines.messages import Beat, CodecReady, Downstream, TrackCoded, TrackFound
from pipelines.recognising import Recogniser, features_of
from pipelines.worker import ALERT_SECONDS, Control
from streamproc.config import EncodeSettings, Settings
from streamproc.types import CROP_SIZE, CodedFace, CodedTrack, FaceCode, FaceCrop, FloatArray, FrameTime, Image, Track

WAITING = 64
"""Messages that may wait; a track is about 0.6 MB."""
NICENESS = 5
"""Its nets are not needed before the first track ends: until then reading and searching go first."""


class Coder(Recogniser, Protocol):
    """What the stage needs of `streamproc.codec.face_codec.FaceCodec`."""

    @property
    def codec_id(self) -> str:
        """The name of its weights."""
        ...

    @property
    def profile(self) -> str:
        """The name that they were loaded by."""
        ...

    def encode(self, crops: Image, quality: int | None, features: FloatArray | None = None, /) -> Sequence[FaceCode]:
        """The codes of (N, 256, 256, 3) uint8 RGB whose `features` are those, by default their own."""
        ...


def run(
    control: Control,
    connection: Connection,
    outbox: Connection,
    settings: EncodeSettings,
    crops: Path | None,
    gathering: tuple[str, Settings] | None,
) -> None:
    """Loads the codec, then codes tracks until it is asked to stop; they may come in meanwhile. Then it gathers what an
    archive holds into identities: `gathering` names the archive, and all settings."""
    os.nice(NICENESS)
    inbox = Inbox(connection, WAITING)
    with loading():
        from streamproc.codec.face_codec import FaceCodec

        codec = FaceCodec.load(settings.profile, settings.device, settings.enhancement)
        warm(codec, settings.quality)
    if gathering is None:
        code(control, inbox, outbox, settings, crops, codec)
        return
    with ThreadPoolExecutor(1) as beside:
        # While tracks are coded: a database's libraries take their time.
        following = beside.submit(_following)
        code(control, inbox, outbox, settings, crops, codec)
    following.result().gather(*gathering, codec=codec)


def _following() -> ModuleType:
    with loading():
        return import_module("pipelines.identities.following")


def warm(codec: Coder, quality: int | None) -> None:
    """Nothing; nets and kernels, which the first coding loads, are loaded before there is work that waits for them."""
    codec.encode(np.zeros((1, CROP_SIZE, CROP_SIZE, 3), np.uint8), quality)


def code(
    control: Control, inbox: Inbox, outbox: Connection, settings: EncodeSettings, crops: Path | None, codec: Coder
) -> None:
    """Codes tracks until it is asked to stop, and keeps the original crops in the folder `crops` where a report wants
    them."""
    control.stoppable()
    outbox.send(CodecReady(codec.codec_id, codec.profile))
    while not control.stopping.is_set():
        control.beat(Beat())
        news = _take(inbox, settings.batch)
        tracks = [message.track for message in news if isinstance(message, TrackFound)]
        coded = iter(code_tracks(codec, tracks, settings))
        for message in news:
            if not isinstance(message, TrackFound):
                outbox.send(message)
                continue
            track = next(coded)
            if crops is not None:
                keep_crops(crops, message.track, track)
            outbox.send(TrackCoded(message.key, track))


def _take(inbox: Inbox, batch: int) -> list[Downstream]:
    """What is waiting, with about `batch` faces at most, in its order."""
    news: list[Downstream] = []
    faces = 0
    message = inbox.get(ALERT_SECONDS)
    while message is not None:
        news.append(message)
        faces += len(message.track.shots) if isinstance(message, TrackFound) else 0
        message = inbox.waiting() if faces < batch else None
    return news


def code_tracks(codec: Coder, tracks: Sequence[Track], settings: EncodeSettings) -> list[CodedTrack]:
    """The tracks with their shots coded, all shots in one batch."""
    shots = [shot for track in tracks for shot in track.shots]
    if not shots:
        return [_coded(track, []) for track in tracks]
    crops = np.stack([shot.image for shot in shots])
    codes = iter(codec.encode(crops, settings.quality, features_of(codec, tracks, settings.unsmear)))
    return [_coded(track, [next(codes) for _ in track.shots]) for track in tracks]


def _coded(track: Track, codes: Sequence[FaceCode]) -> CodedTrack:
    faces = tuple(_face(shot, code) for shot, code in zip(track.shots, codes, strict=True))
    return CodedTrack(track.ordinal, track.started_at, track.ended_at, track.detections, faces)


def _face(shot: FaceCrop, code: FaceCode) -> CodedFace:
    found = shot.detection
    x0, y0, x1, y1 = (float(edge) for edge in found.box)
    landmarks = tuple((float(x), float(y)) for x, y in found.landmarks)
    checksum = zlib.crc32(code.base)
    return CodedFace(_time(shot), (x0, y0, x1, y1), landmarks, found.confidence, shot.quality, code, checksum)


def _time(shot: FaceCrop) -> FrameTime:
    assert shot.time is not None, "a track's shots come out of frames"
    return shot.time


def keep_crops(folder: Path, track: Track, coded: CodedTrack) -> None:
    """Nothing; the track's crops lie in `folder` as PNG, each under its code's name."""
    for shot, face in zip(track.shots, coded.faces, strict=True):
        cv2.imwrite(str(folder / crop_name(face.code)), cv2.cvtColor(shot.image, cv2.COLOR_RGB2BGR))


def crop_name(code: FaceCode) -> str:
    """File name of the original crop of a code; whoever reads the code out of the archive finds the crop by it."""
    return hashlib.sha256(code.base + (code.enhancement or b"")).hexdigest()[:24] + ".png"
