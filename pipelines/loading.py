"""Start-up without looking for garbage.

What modules and models make stays. Python looks through it again and again while they are loaded, and at every full
collection after: a tenth of an ingest of seconds.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """While it is entered, nobody looks for garbage; what is there when it is left is never looked through again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
