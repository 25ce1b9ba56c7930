"""Links whose ends are closed and opened again: everything arrives, in order, at least once."""

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.links import Door, Inlet, Letter, Post, knock
from streamproc.errors import PipelineError


class Receiver:
    """A stage that takes letters in, says that some are safe, and breaks its lines when told to."""

    def __init__(self, path: Path, breaks: Callable[[int], bool]) -> None:
        self.got: list[object] = []
        self.safe: list[object] = []
        self._door, self._breaks = Door(path), breaks
        self._lines: list[Connection] = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.stopped.is_set():
            self._lines += self._door.newcomers()
            for ready in wait(self._lines, 0.02):
                assert isinstance(ready, Connection)
                try:
                    letter = Letter(ready, ready.recv())
                except (EOFError, OSError):
                    self._lines.remove(ready)
                    continue
                self.got.append(letter.message)
                if self._breaks(len(self.got)):
                    # As a kill does it: received, but its effect never became safe.
                    ready.close()
                    self._lines.remove(ready)
                    continue
                self.safe.append(letter.message)
                letter.safe()


def nothing() -> None:
    return


def send_all(path: Path, count: int, limit: int = 8) -> bool:
    post = Post(path, limit, nothing, 10)
    for number in range(count):
        post.send(number)
    return post.finish(10)


@settings(deadline=None, max_examples=15)
@given(breaks=st.sets(st.integers(1, 60), max_size=6))
def test_every_letter_becomes_safe_in_order(tmp_path_factory: pytest.TempPathFactory, breaks: set[int]) -> None:
    path = tmp_path_factory.mktemp("links") / "door"
    receiver = Receiver(path, breaks.__contains__)
    assert send_all(path, 40)
    receiver.stopped.set()
    receiver.thread.join()
    first_times = list(dict.fromkeys(receiver.safe))
    assert first_times == list(range(40))


def test_a_post_waits_for_a_stage_that_comes_back(tmp_path: Path) -> None:
    waited = threading.Event()
    post = Post(tmp_path / "door", 4, waited.set, 10)
    sending = threading.Thread(target=lambda: post.send("hello"), daemon=True)
    sending.start()
    assert waited.wait(5)
    receiver = Receiver(tmp_path / "door", lambda count: False)
    sending.join(5)
    assert post.finish(5)
    assert receiver.got == ["hello"]
    receiver.stopped.set()


def test_no_more_than_the_limit_is_under_way(tmp_path: Path) -> None:
    door, held = Door(tmp_path / "door"), threading.Event()
    post = Post(tmp_path / "door", 3, held.set, 10)
    sending = threading.Thread(target=lambda: deque(map(post.send, range(5))), daemon=True)
    sending.start()
    assert held.wait(5)
    assert sending.is_alive()
    assert post.under_way == 3
    (line,) = door.newcomers()
    while sending.is_alive() or post.under_way:
        while line.poll(0.05):
            Letter(line, line.recv()).safe()
        if not sending.is_alive():
            post.settle(0.05)
    assert post.under_way == 0


def test_a_stage_that_is_busy_holds_no_sender_up(tmp_path: Path) -> None:
    """As when the disk is full: whole tracks go on to the stage, up to the limit, though it takes none."""
    inlet, heard = Inlet(Door(tmp_path / "door")), list[int]()
    post = Post(tmp_path / "door", 33, nothing, 10)
    track = bytes(600_000)

    def send() -> None:
        for number in range(32):
            post.send((number, track), partial(heard.append, number))

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    sending.join(20)
    assert not sending.is_alive()
    assert heard == []
    letters = inlet.letters(20, 5.0)
    while len(letters) < 32:
        letters += inlet.letters(20, 5.0)
    assert [letter.message[0] for letter in letters] == list(range(32))
    letters[9].safe()
    post.settle(5.0)
    assert heard == list(range(10))
    letters[-1].safe()
    assert post.finish(5)
    assert heard == list(range(32))
    assert inlet.letters(1, 0.0) == []


def test_a_door_that_never_opens_is_said(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(PipelineError, match="encode was not there for 0 s"):
        knock(tmp_path / "encode", nothing, 0.3)
    assert time.monotonic() - began < 5


def test_what_a_killed_stage_left_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "door"
    path.write_bytes(b"")
    receiver = Receiver(path, lambda count: False)
    assert send_all(path, 3)
    assert receiver.got == [0, 1, 2]
    receiver.stopped.set()
