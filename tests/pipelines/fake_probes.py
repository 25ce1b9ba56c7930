"""Probes that do what no probe should."""

import os
import signal
import time

from pipelines.probing import Answers, State
from pipelines.worker import Control


def half_way(control: Control, name: str) -> None:
    answers = Answers(control)
    answers.give(name, lambda: (State.OK, "rtsp://viewer:s3cret@host/live is well."))
    time.sleep(1000)


def crash(control: Control) -> None:
    Answers(control)
    os.kill(os.getpid(), signal.SIGSEGV)


def wrong(control: Control) -> None:
    def find() -> tuple[State, str]:
        raise OSError("rtsp://viewer:s3cret@host/live is broken")

    Answers(control).give("wrong", find)
