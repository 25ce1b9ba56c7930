"""Processes that begin at once, say how far they are, and may be killed."""

import multiprocessing
import random
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

# Each is forked from one that has imported what takes long.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["storage", "storage.upgrading", "storage.postgres", "sqlalchemy.dialects.sqlite", "psycopg"]
)


class Started:
    """A process that does `work(said, *arguments)`, where `said` takes its words."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self._heard, said = CONTEXT.Pipe(duplex=False)
        self._process = CONTEXT.Process(target=_run, args=(work, said, arguments), daemon=True)
        self._process.start()
        said.close()

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    def hear(self) -> str | None:
        """Its next word; None once it has ended."""
        try:
            return str(self._heard.recv())
        except (EOFError, ConnectionError):
            return None

    def rest(self) -> list[str]:
        """What it says until it ends."""
        return list(iter(self.hear, None))

    def kill(self) -> list[str]:
        """What it had said that was not heard yet."""
        self._process.kill()
        self._process.join()
        return self.rest()

    def finish(self) -> None:
        """Nothing, once it is through, and well."""
        self.rest()
        self._process.join(60)
        assert self._process.exitcode == 0


def _run(work: Callable[..., None], said: Connection, arguments: tuple[Any, ...]) -> None:
    work(said, *arguments)


def seconds_of(work: Callable[..., None], *arguments: Any) -> float:
    """How long the work takes a process that nobody kills."""
    began = time.monotonic()
    Started(work, *arguments).finish()
    return time.monotonic() - began


def killed_within(seconds: float, chance: random.Random, work: Callable[..., None], *arguments: Any) -> list[str]:
    """What a process said that was killed at a moment drawn from that time."""
    process = Started(work, *arguments)
    time.sleep(chance.uniform(0, seconds))
    return process.kill()
