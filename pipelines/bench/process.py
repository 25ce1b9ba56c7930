"""A process of its own for a measurement: the libraries read how many threads they get when they are imported."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from pipelines.children import CONTEXT
from streamproc.errors import PipelineError

_P = ParamSpec("_P")
_R = TypeVar("_R")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def measured_apart(threads: int, measure: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """What `measure`, a function of a module, gives in a fresh process whose libraries use `threads` CPU threads; its
    errors are raised here. Raises PipelineError when the process was killed."""
    with ProcessPoolExecutor(1, CONTEXT, _set_threads, (threads,)) as pool:
        try:
            return pool.submit(measure, *args, **kwargs).result()
        except BrokenProcessPool as error:
            raise PipelineError(
                "the measuring process was killed: see whether memory ran out, and try again"
            ) from error


def _set_threads(threads: int) -> None:
    """Runs first in the process; the measuring function's module is imported after it."""
    os.environ |= dict.fromkeys(THREADS, str(threads))
