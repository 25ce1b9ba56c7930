"""How frames and messages cross between processes, with nothing left over however a process ends.

Messages go through pipes. Frames go through a ring of slots in shared memory without a name: the writer makes it and
hands its file descriptor to the reader, so the kernel takes it back when the last of them is gone, SIGKILL or not, and
a small /dev/shm (64 MiB in many containers) is no limit. There are no locks or semaphores between processes that a
killed one could keep. Everything is bounded: a frame waits for a free slot, a message for room in the reader's inbox.
"""

import mmap
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from pipelines.messages import FrameReady, Pace, RingAnnounced, SlotFreed
from streamproc.types import Frame, Image

PAGE = mmap.PAGESIZE
KEY_SHIFT = 16
"""A ring's number is its source's key, shifted, and a count: of its own among all rings of the batch."""


def anonymous_memory(size: int) -> int:
    """File descriptor of `size` bytes of shared memory that no file system shows."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("streamproc-frames")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


class FrameWriter:
    """The capture's end: puts frames into slots, makes a new ring when they outgrow it."""

    def __init__(self, connection: Connection, key: int, slots: int, waiting: Callable[[], None]) -> None:
        """`waiting` is called now and then while all slots are taken."""
        self._connection = connection
        self._key = key
        self._slots = slots
        self._waiting = waiting
        self._ring = -1
        self._stride = 0
        self._memory: mmap.mmap | None = None
        self._free: list[int] = []
        self._given: dict[int, float] = {}
        """By slot, the monotonic seconds at which what lies in it was given on."""
        self._missed = 0
        self._pace = Pace(1.0, False)
        self.aged = 0
        """Frames that the reader gave back unsearched."""
        self._take_back()

    def send(self, message: object) -> None:
        """Nothing; the message follows the frames sent before it."""
        self._connection.send(message)

    @property
    def waiting(self) -> float:
        """Seconds for which the oldest frame that was given on waits to be done with; 0.0 where none waits."""
        return time.monotonic() - min(self._given.values()) if self._given else 0.0

    def put(self, frame: Frame) -> None:
        """Nothing; the frame is copied into a slot and announced. Waits for a free slot."""
        memory = self._room(frame.image.nbytes)
        while not self._free:
            if not self._connection.poll(0.5):
                self._waiting()
            self._take_back()
        self._announce(memory, frame)

    def offer(self, frame: Frame) -> bool:
        """Whether there was a free slot for the frame; it is given on then, as by `put`."""
        memory = self._room(frame.image.nbytes)
        if self._free:
            self._announce(memory, frame)
            return True
        self._missed += 1
        return False

    def pace(self) -> Pace:
        """What the reader last said of how much it can take; raises what a broken line raises."""
        self._take_back()
        return self._pace

    def _room(self, size: int) -> mmap.mmap:
        """The ring for pictures of so many bytes; slots that were freed are free."""
        if self._memory is None or size > self._stride:
            self._memory = self._new_ring(size)
        self._take_back()
        return self._memory

    def _announce(self, memory: mmap.mmap, frame: Frame) -> None:
        image, offset = frame.image, self._free.pop()
        self._given[offset] = time.monotonic()
        _view(memory, offset, image.shape)[:] = image
        height, width = image.shape[:2]
        place, news = (self._ring, offset, height, width), (time.monotonic(), self._missed)
        self._missed = 0
        self.send(FrameReady(self._key, frame.camera_id, *place, frame.index, frame.time, *news))

    def _new_ring(self, size: int) -> mmap.mmap:
        self._stride = -(-size // PAGE) * PAGE
        # Late news of another ring's slots must not be taken for news of ours.
        self._ring = max(self._ring + 1, self._key << KEY_SHIFT)
        self._free = [slot * self._stride for slot in range(self._slots)]
        self._given.clear()
        descriptor = anonymous_memory(self._stride * self._slots)
        try:
            self.send(RingAnnounced(self._ring, self._stride * self._slots))
            reduction.send_handle(self._connection, descriptor, 0)
            return mmap.mmap(descriptor, self._stride * self._slots)
        finally:
            os.close(descriptor)

    def _take_back(self) -> None:
        while self._connection.poll():
            told = self._connection.recv()
            if isinstance(told, Pace):
                self._pace = told
                continue
            self.aged += not told.searched
            if told.ring == self._ring:
                self._free.append(told.offset)
                self._given.pop(told.offset, None)


class FrameReader:
    """The detector's end of one capture's connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._rings: dict[int, mmap.mmap] = {}

    def receive(self) -> Any:
        """The next message; a RingAnnounced has been taken in already."""
        message = self.connection.recv()
        if isinstance(message, RingAnnounced):
            descriptor = reduction.recv_handle(self.connection)
            try:
                self._rings[message.ring] = mmap.mmap(descriptor, message.size)
            finally:
                os.close(descriptor)
        return message

    def frame(self, ready: FrameReady) -> Frame:
        """The frame, its image a view of the slot: valid until `free` is called."""
        image = _view(self._rings[ready.ring], ready.offset, (ready.height, ready.width, 3))
        return Frame(ready.camera, ready.index, ready.time, image)

    def free(self, ready: FrameReady, searched: bool = True) -> None:
        """Nothing; the slot may be written again."""
        self.connection.send(SlotFreed(ready.ring, ready.offset, searched))

    def tell(self, pace: Pace) -> None:
        """Nothing; the writer hears of it."""
        self.connection.send(pace)

    def forget(self, key: int) -> None:
        """Nothing; lets go of the rings of the source that ended, not of its successor's on the same seat."""
        self._rings = {ring: memory for ring, memory in self._rings.items() if ring >> KEY_SHIFT != key}


class Inbox:
    """A reader's bounded store of messages, filled by a thread so that the sender need not wait for the reader."""

    def __init__(self, connection: Connection, capacity: int) -> None:
        self._connection = connection
        self._messages: queue.Queue[Any] = queue.Queue(capacity)
        threading.Thread(target=self._fill, daemon=True).start()

    def _fill(self) -> None:
        try:
            while True:
                self._messages.put(self._connection.recv())
        except (EOFError, OSError):
            return  # The sender is gone; the supervisor sees that as well, and ends this process.

    def get(self, timeout: float) -> Any | None:
        """The next message, or None when none came in `timeout` seconds."""
        try:
            return self._messages.get(timeout=timeout)
        except queue.Empty:
            return None

    def waiting(self) -> Any | None:
        """The next message if one is there already."""
        try:
            return self._messages.get_nowait()
        except queue.Empty:
            return None


def _view(memory: mmap.mmap, offset: int, shape: tuple[int, ...]) -> Image:
    size = int(np.prod(shape))
    return np.frombuffer(memory, np.uint8, size, offset).reshape(shape)
