"""What the processes of `doctor` look at. Each loads what it needs, so that a camera's starts at once."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pipelines.machine import metrics_port
from pipelines.probing import Answers, Seen, State
from pipelines.worker import Control
from streamproc.config import EncodeSettings
from streamproc.errors import ArchiveError, ArchiveNotFound, WeightsError

if TYPE_CHECKING:
    from storage import ArchiveCondition

THUMBNAIL = 320
"""Width of the pictures on the contact sheet."""
LITTLE_ROOM, LITTLE_SHARE, NO_ROOM = 1 << 30, 0.05, 64 << 20
"""Bytes and share of a disk under which a warning is due, and bytes under which nothing can be done any more."""
FEW_DAYS = 7.0
AHEAD = timedelta(minutes=1)
"""How far the archive may be ahead of the clock: cameras' own clocks differ."""

CAMERA = "camera {}"
WEIGHTS = ("weights: face feature", "weights: detector", "weights: codec", "decoding")
ARCHIVE = ("archive", "archive: codec", "archive: times", "disk")
CONTENTS = "archive: contents"
INTEGRITY, HARDWARE, PORT = "archive: integrity", "hardware decoding", "metrics port"


def camera(control: Control, name: str, uri: str, transport: str, timeout: float) -> None:
    """One frame of a camera."""
    from streamproc.media.glimpse import glimpse

    answers = Answers(control)

    def find() -> tuple[State, str]:
        import cv2
        import numpy as np

        seen = glimpse(uri, name, timeout, "udp" if transport == "udp" else "tcp")
        height, width = seen.picture.shape[:2]
        size = THUMBNAIL, max(1, round(height * THUMBNAIL / width))
        answers.show(Seen(name, np.asarray(cv2.resize(seen.picture, size, interpolation=cv2.INTER_AREA), np.uint8)))
        rate = f"{seen.rate:.3g} frames/s" if seen.rate else "an unknown rate"
        what = f"{width}x{height}, {rate}, {seen.codec}, first frame after {seen.seconds:.1f} s."
        if seen.black:
            return State.WARNING, f"{what} The picture is black: see to the camera's lid, its light and its exposure."
        return State.OK, what

    answers.give(CAMERA.format(name), find)


def weights(control: Control, settings: EncodeSettings) -> None:
    """The trained nets: there, the right ones, loaded; and a known code decodes to what it must."""
    answers = Answers(control)
    from streamproc.codec.face_codec import FaceCodec
    from streamproc.codec.trunk import require_trunk
    from streamproc.codec.weights import load_weights
    from streamproc.faces.finder import FaceFinder
    from streamproc.faces.weights import require_known_nets

    def trunk() -> tuple[State, str]:
        import numpy as np

        from streamproc.types import CROP_SIZE

        codec = FaceCodec(load_weights(settings.profile), "cpu")
        require_trunk(codec.trunk_id)
        codec.raw_features(np.zeros((1, CROP_SIZE, CROP_SIZE, 3), np.uint8))
        return State.OK, "FaceNet is there, has the right hash and runs."

    def detector() -> tuple[State, str]:
        require_known_nets()
        FaceFinder.load("cpu")
        return State.OK, "MTCNN's three nets are there, have the right hash and load."

    def codec() -> tuple[State, str]:
        loaded = FaceCodec.load(settings.profile, settings.device, settings.enhancement)
        if settings.quality is not None and settings.quality not in loaded.qualities:
            raise WeightsError(
                f"there is no quality {settings.quality} of '{settings.enhancement}': set encode.quality to one of "
                f"{', '.join(map(str, loaded.qualities))}, or null"
            )
        return State.OK, f"Profile {loaded.profile} ({loaded.codec_id}) has the hash that it states and loads."

    answers.give(WEIGHTS[0], trunk)
    answers.give(WEIGHTS[1], detector)
    answers.give(WEIGHTS[2], codec)
    answers.give(WEIGHTS[3], lambda: _decoding(settings.profile))


def _decoding(profile: str) -> tuple[State, str]:
    from streamproc.codec.face_codec import FaceCodec
    from streamproc.codec.known_code import require_known_decoding

    if require_known_decoding(FaceCodec.load(profile, "cpu")):
        return State.OK, "A known face's code decodes to what it must."
    return State.OK, "These weights are your own: there is no known code to compare with."


def archive(control: Control, url: str, profile: str) -> None:
    """The archive as it lies there, but for its integrity, and the disk under it."""
    answers = Answers(control)
    held: ArchiveCondition | None = None

    def opened() -> tuple[State, str]:
        nonlocal held
        from storage import archive_condition, database

        place = database(url)
        place.require_place(create=True)
        if place.file is not None and not os.access(place.file.absolute().parent, os.W_OK):
            folder = place.file.absolute().parent
            raise ArchiveError(f"The archive's folder {folder} cannot be written to: see to its permissions.")
        name = place if place.file is None else place.file.absolute()
        try:
            held = archive_condition(url)
        except ArchiveNotFound:
            return State.OK, f"There is none at {name} yet: `run` and `ingest` make it."
        if held.revision != held.newest_revision:
            return State.WARNING, (
                f"{name} has the schema {held.revision}, this version's is {held.newest_revision}: the next start "
                "brings it up to date, so make a copy before."
            )
        return State.OK, f"{name} opens, has the schema {held.revision} and can be written to."

    answers.give(ARCHIVE[0], opened)
    answers.give(ARCHIVE[1], lambda: _codecs(held, profile))
    answers.give(ARCHIVE[2], lambda: _times(held))
    answers.give(ARCHIVE[3], lambda: _disk(url, held))


def _codecs(held: "ArchiveCondition | None", profile: str) -> tuple[State, str]:
    from streamproc.codec.profiles import stated_codec

    if held is None or not held.codecs:
        return State.OK, "There are no faces in it that the codec must fit."
    ours = stated_codec(profile)
    faces = sum(codec.faces for codec in held.codecs)
    others = [codec for codec in held.codecs if codec.codec_id != ours.codec_id]
    foreign = sum(codec.faces for codec in others)
    if not others:
        return State.OK, f"All {faces} faces were written by the codec in use, {ours.profile} ({ours.codec_id})."
    names = ", ".join(f"{codec.profile} ({codec.codec_id})" for codec in others)
    return State.FAILED if foreign == faces else State.WARNING, (
        f"{foreign} of {faces} faces were written by {names}, not by {ours.profile} ({ours.codec_id}): searches ask "
        "those weights for them, so keep them at hand, and `streamproc upgrade` codes faces anew."
    )


def _times(held: "ArchiveCondition | None") -> tuple[State, str]:
    if held is None or held.newest is None:
        return State.OK, "There is nothing in it that could be ahead of the clock."
    ahead = held.newest - datetime.now(UTC)
    if ahead > AHEAD:
        return State.FAILED, (
            f"Its newest entry is of {held.newest:%Y-%m-%d %H:%M:%SZ}, {ahead.total_seconds() / 60:.0f} minutes ahead "
            "of this machine's clock: set the clock, or find out who wrote it with a wrong one."
        )
    return State.OK, f"Its newest entry is of {held.newest:%Y-%m-%d %H:%M:%SZ}."


def _disk(url: str, held: "ArchiveCondition | None") -> tuple[State, str]:
    from storage import database

    place = database(url)
    place.require_place(create=True)
    a_day = held.bytes_a_day if held is not None else None
    if place.file is None:
        rate = "" if a_day is None else f", to which about {a_day / 2**20:.1f} MiB are written a day"
        return State.OK, f"The archive lies on the disk of its server{rate}: look there for how much is free."
    folder = place.file.absolute().parent
    disk = shutil.disk_usage(folder)
    said = f"{disk.free / 2**30:.1f} GiB are free of {disk.total / 2**30:.1f} where {folder} lies"
    days = None if a_day is None else disk.free / max(a_day, 1.0)
    if a_day is not None and days is not None:
        said += f"; about {a_day / 2**20:.1f} MiB are written a day, for which that is {min(days, 9999):.0f} days"
    if disk.free < NO_ROOM:
        return State.FAILED, f"{said}: free some space now."
    if disk.free < LITTLE_ROOM or disk.free < LITTLE_SHARE * disk.total or (days is not None and days < FEW_DAYS):
        return State.WARNING, f"{said}: free some space."
    return State.OK, f"{said}."


def integrity(control: Control, url: str) -> None:
    """Every page of the archive, read."""
    answers = Answers(control)

    def find() -> tuple[State, str]:
        from storage import require_sound

        try:
            require_sound(url)
        except ArchiveNotFound:
            return State.OK, "There is no archive yet."
        return State.OK, "All of it was read and is sound."

    answers.give(INTEGRITY, find)


def contents(control: Control, url: str, mend: bool) -> None:
    """Whether what is in the archive agrees with itself and with what is kept beside it, mended where that is asked."""
    answers = Answers(control)

    def find() -> tuple[State, str]:
        from storage import examine

        try:
            found = examine(url, mend)
        except ArchiveNotFound:
            return State.OK, "There is no archive yet."
        if found is None:
            return State.OK, "It has an older schema: what is in it is looked at once it is up to date."
        left = any(not one.mended for one in found)
        said = " ".join(one.said for one in found) or "Everything in it agrees."
        return State.FAILED if left else State.WARNING if found else State.OK, said

    answers.give(CONTENTS, find)


def hardware(control: Control) -> None:
    """What could decode beside the CPU; drivers can hang as well."""
    answers = Answers(control)

    def find() -> tuple[State, str]:
        from streamproc.media.glimpse import decoding_hardware

        kinds = decoding_hardware()
        return State.OK, f"FFmpeg can decode with {', '.join(kinds)}." if kinds else "None: the CPU decodes."

    answers.give(HARDWARE, find)


def port(control: Control, host: str, number: int | None) -> None:
    """Where metrics are to be served; a name server may hang."""
    Answers(control).give(PORT, lambda: metrics_port(host, number))
