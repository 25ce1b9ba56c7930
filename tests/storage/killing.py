"""Work in a process that is killed at a moment told by how many calls it has made: the same on every machine."""

import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from started import CONTEXT

Work = Callable[[], object]


def killed_at_random(work: Work, moments: int, chance: random.Random) -> Iterator[None]:
    """After each of so many times that the work was begun and killed; it was let through once before, to count.

    Half of the moments are in its last tenth, where it is committed and files get their names. The caller brings back
    what the work changes before it goes on.
    """
    total = _calls(work, None, 0.0)
    yield
    for k in range(moments):
        _calls(work, chance.randrange(0 if k % 2 else total * 9 // 10, total), chance.random() * 0.001)
        yield


def _calls(work: Work, kill_after: int | None, seconds: float) -> int:
    """How many calls the work had made when it came to its end, or was killed."""
    counter: Any = CONTEXT.RawValue("q", 0)
    process = CONTEXT.Process(target=_worked, args=(work, counter), daemon=True)
    process.start()
    if kill_after is not None:
        while counter.value < kill_after and process.is_alive():
            time.sleep(0.0001)
        time.sleep(seconds)
        process.kill()
    process.join()
    assert process.exitcode == 0 or kill_after is not None, "the work failed by itself"
    return int(counter.value)


def _worked(work: Work, counter: Any) -> None:
    def count(_frame: object, _event: str, _argument: object) -> None:
        counter.value += 1

    sys.setprofile(count)
    work()
    sys.setprofile(None)
