"""Hardware that is asked for and not there: software decodes the same pictures, and says so once."""

from pathlib import Path

import av
import numpy as np
import pytest
from av.codec.hwaccel import hwdevices_available
from made_clips import Clip

from streamproc.media.hardware import Hardware
from streamproc.media.notices import About, Notice
from streamproc.media.source import VideoSource
from streamproc.types import Frame


def works(kind: str) -> bool:
    try:
        return bool(av.CodecContext.create("h264", "r", hwaccel=av.codec.hwaccel.HWAccel(kind)).is_hwaccel)
    except av.error.FFmpegError:
        return False


MISSING = [kind for kind in hwdevices_available() if not works(kind)]


def read(path: Path, hardware: Hardware) -> tuple[list[Frame], list[Notice]]:
    notices: list[Notice] = []
    with VideoSource(str(path), "gate", hardware=hardware, notice=notices.append) as source:
        return list(source), notices


@pytest.mark.parametrize("wanted", [*MISSING, "abacus", "auto"])
def test_software_stands_in_and_gives_the_same(tmp_path: Path, wanted: str) -> None:
    if wanted == "auto" and len(MISSING) < len(hwdevices_available()):
        pytest.skip("there is hardware here")
    path = Clip().write(tmp_path / "a.mkv")
    hardware = Hardware(wanted)
    frames, notices = read(path, hardware)
    plain, silence = read(path, Hardware())
    assert len(frames) == len(plain) == 50
    for frame, other in zip(frames, plain, strict=True):
        assert frame.time == other.time
        np.testing.assert_array_equal(frame.image, other.image)
    assert silence == []
    assert [notice.about for notice in notices] == [About.HARDWARE]
    assert wanted in notices[0].text
    assert notices[0].text.endswith("software does")
    assert read(path, hardware)[1] == [], "said once"


@pytest.mark.parametrize("wanted", [kind for kind in hwdevices_available() if works(kind)])
def test_hardware_shows_what_software_does(tmp_path: Path, wanted: str) -> None:
    path = Clip().write(tmp_path / "a.mkv")
    frames, _ = read(path, Hardware(wanted))
    plain, _ = read(path, Hardware())
    assert [frame.time for frame in frames] == [frame.time for frame in plain]
    for frame, other in zip(frames, plain, strict=True):
        assert np.abs(frame.image.astype(int) - other.image).mean() < 2


def test_hardware_that_cannot_be_given_up_twice() -> None:
    hardware = Hardware("auto")
    hardware.give_up("it is too hot")
    hardware.give_up("it is too cold")
    assert hardware.acceleration() is None
    assert hardware.news() == ["no hardware decodes (auto: it is too hot), software does"]
    assert hardware.news() == []
