"""Work in a forked process that is killed at a moment told by how many calls it has made: the same on every machine."""

import gc
import mmap
import os
import random
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator

Work = Callable[[], object]


def killed_at_random(work: Work, moments: int, chance: random.Random) -> Iterator[None]:
    """After each of so many times that the work was begun and killed; it was let through once before, to count.

    Half of the moments are in its last tenth, where it is committed and files get their names. The caller brings back
    what the work changes before it goes on.
    """
    total, whole = _run(work, None, 0.0)
    assert whole
    yield
    for k in range(moments):
        _run(work, chance.randrange(0 if k % 2 else total * 9 // 10, total), chance.random() * 0.001)
        yield


def _run(work: Work, kill_after: int | None, seconds: float) -> tuple[int, bool]:
    """(calls that the work made, whether it came to its end)."""
    counter = mmap.mmap(-1, 8)
    gc.collect()  # no connection of ours is finished by the child
    child = os.fork()
    if child == 0:
        _worked(work, counter)
    if kill_after is not None:
        while (
            struct.unpack("q", counter[:])[0] < kill_after
            and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        ):
            time.sleep(0.0001)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed by itself"
    return struct.unpack("q", counter[:])[0], not os.WIFSIGNALED(status)


def _worked(work: Work, counter: mmap.mmap) -> None:
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += 1
        counter[:] = struct.pack("q", calls)

    try:
        sys.setprofile(count)
        work()
    except BaseException as error:
        sys.setprofile(None)
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    os._exit(0)
