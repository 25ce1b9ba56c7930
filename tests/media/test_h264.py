"""Lost pictures, found by the numbers that H.264 gives them."""

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numbered_clips import encode

from streamproc.media.h264 import FrameNumbers


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> Sequence[bytes]:
    path = encode(tmp_path_factory.mktemp("clips") / "a.ts", [(480, 270, 70)])
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_a_whole_stream_misses_nothing(packets: Sequence[bytes]) -> None:
    numbers = FrameNumbers()
    assert len(packets) == 70
    assert not any(numbers.lost_before(packet) for packet in packets)


def test_each_loss_is_found_where_it_is(packets: Sequence[bytes]) -> None:
    chance = random.Random(5)
    kept = [number for number in range(len(packets)) if number == 0 or chance.random() > 0.2]
    numbers = FrameNumbers()
    found = [number for number in kept if numbers.lost_before(packets[number])]
    keys = {0, 30, 60}  # before them nothing is missed
    assert found == [late for early, late in pairwise(kept) if late != early + 1 and late not in keys]
    assert len(found) > 5


def test_pictures_that_none_follows_may_be_missing(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "b.ts"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.video.stream.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.options = {"bf": "2", "b-pyramid": "none", "threads": "1"}
        for _ in range(40):
            container.mux(stream.encode(av.VideoFrame(320, 240, "yuv420p")))
        container.mux(stream.encode())
    with av.open(str(tmp_path / "b.ts")) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    kept = [packet for packet in packets if not _none_follows(packet)]
    assert 5 < len(kept) < 35
    numbers = FrameNumbers()
    assert not any(numbers.lost_before(packet) for packet in kept)


def _none_follows(packet: bytes) -> bool:
    """Whether it is a picture's slice that is marked as of no use to others."""
    heads = [part[0] for part in packet.split(b"\0\0\1")[1:]]
    return any(head & 31 == 1 and head >> 5 == 0 for head in heads)


@given(st.lists(st.binary(max_size=60)))
def test_anything_can_be_read(packets: list[bytes]) -> None:
    numbers = FrameNumbers(b"\0\0\1\x67" + b"".join(packets)[:30])
    for packet in packets:
        assert numbers.lost_before(b"\0\0\1\x41" + packet) in (True, False)
        numbers.lost_before(b"\0\0\1\x67" + packet)
