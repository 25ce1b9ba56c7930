"""Frames through shared memory, messages through pipes, all in one process here."""

import multiprocessing
import threading
import time
from datetime import UTC, datetime
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from pipelines.channels import FrameReader, FrameWriter, Inbox
from pipelines.messages import FrameReady, RingAnnounced
from streamproc.types import Frame, FrameTime

TIME = FrameTime(0, 5, Fraction(1, 10), datetime(2026, 3, 1, tzinfo=UTC))


def _frame(index: int, height: int = 40, width: int = 60) -> Frame:
    image = np.random.default_rng(index).integers(0, 256, (height, width, 3), np.uint8)
    return Frame("yard", index, TIME, image)


@pytest.fixture
def pipe() -> tuple[Connection, Connection]:
    one, other = multiprocessing.get_context("spawn").Pipe()
    return one, other


def _receive(reader: FrameReader) -> FrameReady:
    message = reader.receive()
    while isinstance(message, RingAnnounced):
        message = reader.receive()
    assert isinstance(message, FrameReady)
    return message


def test_frames_arrive_as_they_were(pipe: tuple[Connection, Connection]) -> None:
    """Also when they grow in the middle of a source, and when more pass than there are slots."""
    writer, reader = FrameWriter(pipe[0], 3, 2, lambda: None), FrameReader(pipe[1])
    for index in range(12):
        sent = _frame(index, 40 if index < 6 else 200)
        writer.put(sent)
        ready = _receive(reader)
        got = reader.frame(ready)
        assert (got.camera_id, got.index, got.time, ready.key) == ("yard", index, TIME, 3)
        assert np.array_equal(got.image, sent.image)
        reader.free(ready)


def test_writer_waits_for_a_free_slot(pipe: tuple[Connection, Connection]) -> None:
    waited = threading.Event()
    writer, reader = FrameWriter(pipe[0], 0, 2, waited.set), FrameReader(pipe[1])
    frames = [_frame(index) for index in range(3)]
    thread = threading.Thread(target=lambda: list(map(writer.put, frames)), daemon=True)
    thread.start()
    first, second = _receive(reader), _receive(reader)
    assert waited.wait(5)
    assert not pipe[1].poll()
    assert np.array_equal(reader.frame(first).image, frames[0].image), "a slot in use is not written"
    reader.free(first)
    third = _receive(reader)
    thread.join(5)
    assert np.array_equal(reader.frame(second).image, frames[1].image)
    assert np.array_equal(reader.frame(third).image, frames[2].image)


def test_news_of_another_source_frees_nothing(pipe: tuple[Connection, Connection]) -> None:
    """A seat's next capture finds slots given back that were its predecessor's."""
    reader = FrameReader(pipe[1])
    before = FrameWriter(pipe[0], 0, 2, lambda: None)
    before.put(_frame(0))
    late = _receive(reader)
    after = FrameWriter(pipe[0], 1, 2, lambda: None)
    after.put(_frame(1))
    reader.free(late)
    after.put(_frame(2))
    one, two = _receive(reader), _receive(reader)
    assert one.offset != two.offset
    assert np.array_equal(reader.frame(one).image, _frame(1).image)


def test_successor_on_a_seat_keeps_its_ring(pipe: tuple[Connection, Connection]) -> None:
    """The detector may have read the next source's first frame before it deals with the end of the one before."""
    reader = FrameReader(pipe[1])
    for key in (0, 1):
        FrameWriter(pipe[0], key, 2, lambda: None).put(_frame(key))
    before, after = _receive(reader), _receive(reader)
    reader.forget(0)
    assert np.array_equal(reader.frame(after).image, _frame(1).image)
    with pytest.raises(KeyError):
        reader.frame(before)


def test_memory_has_no_name(pipe: tuple[Connection, Connection]) -> None:
    folder = Path("/dev/shm")
    if not folder.is_dir():
        pytest.skip("this system does not show its shared memory")
    before = set(folder.iterdir())
    writer, reader = FrameWriter(pipe[0], 0, 4, lambda: None), FrameReader(pipe[1])
    writer.put(_frame(0))
    _receive(reader)
    assert set(folder.iterdir()) <= before


def test_inbox_is_bounded(pipe: tuple[Connection, Connection]) -> None:
    """It takes in what it has room for; the rest waits in the pipe, in order, and a sender waits with it."""
    inbox = Inbox(pipe[1], 2)
    block = b"x" * 1_000_000
    sent: list[int] = []

    def send() -> None:
        for number in range(6):
            pipe[0].send((number, block))
            sent.append(number)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    time.sleep(0.5)
    assert len(sent) < 5
    assert [number for number, _ in filter(None, (inbox.get(5) for _ in range(6)))] == list(range(6))
    thread.join(5)
    assert inbox.waiting() is None
    assert inbox.get(0.01) is None


def test_a_writer_knows_how_long_a_frame_waits(pipe: tuple[Connection, Connection]) -> None:
    writer, reader = FrameWriter(pipe[0], 0, 2, lambda: None), FrameReader(pipe[1])
    assert writer.waiting == 0
    writer.put(_frame(0))
    time.sleep(0.2)
    assert writer.offer(_frame(1))
    assert 0.2 <= writer.waiting < 2
    reader.free(_receive(reader))
    writer.put(_frame(2))
    assert writer.waiting < 0.2
