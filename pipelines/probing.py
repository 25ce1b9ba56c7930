"""Checks that may hang, in killable processes with time limits: whatever becomes of one, every check is answered."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import wait
from typing import Any

from pipelines.children import Child
from pipelines.messages import Beat
from pipelines.worker import Control
from streamproc.errors import StreamprocError
from streamproc.media.naming import redact
from streamproc.types import Image

START_UP = 60.0
"""Seconds that a process may be silent while it imports: many start at once."""
TURN = 0.2


class State(StrEnum):
    """What a check came to."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """A check's name, what it came to, a sentence that says what to do where it is not well, and how long it took."""

    name: str
    state: State
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Probe:
    """A process: the checks that it answers, in their order, "module:function" with its arguments, its limit, seconds
    from its first sign of life, and what a check is that takes longer."""

    names: tuple[str, ...]
    entry: str
    args: tuple[Any, ...]
    limit: float
    late: State = State.FAILED


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A camera's picture, made small."""

    camera: str
    picture: Image


class Answers:
    """A probe's end of its line."""

    def __init__(self, control: Control) -> None:
        """From now on its time runs."""
        self._control = control
        self._began = time.monotonic()
        control.send(Beat())

    def give(self, name: str, find: Callable[[], tuple[State, str]]) -> None:
        """Nothing; what `find` finds, state and sentence, is told; an error of ours is a failed check."""
        began = time.monotonic()
        try:
            state, detail = find()
        except StreamprocError as error:
            state, detail = State.FAILED, str(error)
        self._control.send(made_check(name, state, detail, time.monotonic() - began))

    def show(self, seen: Seen) -> None:
        """Nothing; the picture is on its way."""
        self._control.send(seen)


def made_check(name: str, state: State, detail: str, seconds: float) -> Check:
    """The check, without credentials and as one sentence to a line."""
    sentence = " ".join(redact(detail).split())
    if sentence.split(" ")[0].isalpha():  # not an address or a file's name
        sentence = sentence[:1].upper() + sentence[1:]
    return Check(redact(name), state, sentence, round(seconds, 2))


class _Running:
    """A probe at work."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.child = Child(f"doctor {probe.names[0]}", probe.entry, 1, *probe.args)
        self.began = time.monotonic()
        self.asked: list[str] = list(probe.names)

    def hear(self) -> Iterator[Check | Seen]:
        """What it has said."""
        for message in self.child.messages():
            if isinstance(message, Beat):
                self.began = time.monotonic()
            elif isinstance(message, Check):
                self.asked.remove(message.name)
                yield message
            elif isinstance(message, Seen):
                yield message

    def verdict(self) -> tuple[State, str] | None:
        """What its other checks come to, since nothing more comes of it; None while something may."""
        if self.child.exit_code is not None:
            return State.FAILED, f"the process that looked {self.child.last_words()}."
        limit = self.probe.limit if self.child.spoke else START_UP
        if time.monotonic() - self.began > limit:
            return self.probe.late, f"no answer in {limit:.0f} s, so who looked was ended: see to what it hangs on."
        return None


def run_probes(probes: Sequence[Probe]) -> Iterator[Check | Seen]:
    """The checks of all probes, run at once, as they come in; none takes longer than its limit and `START_UP`."""
    running = [_Running(probe) for probe in probes]
    try:
        while running:
            wait([ready for one in running for ready in (one.child.control, one.child.sentinel)], TURN)
            for one in list(running):
                verdict = one.verdict()
                yield from one.hear()
                if verdict is None and one.asked:
                    continue
                took = time.monotonic() - one.began
                if verdict is not None:
                    yield from (made_check(name, *verdict, took) for name in one.asked)
                running.remove(one)
                one.child.end()
    finally:
        for one in running:
            one.child.end()
