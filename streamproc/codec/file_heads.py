"""What lies round the picture in a conventional codec's file, kept once here instead of once a face.

Setting, size and parameter sets are the same bytes for all crops. `file_heads.json` is part of the format: its entries
never change and keep their places, new ones are added behind. They are standard-conforming bytes, so any decoder of
the standard reads what `attached` puts together. A library that begins its files otherwise does no harm: they are
stored whole until its head is added.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from streamproc.errors import CorruptCode

WHOLE = 0
"""Number that says that a file was stored as it is; the first head's is 1."""


@dataclass(frozen=True, slots=True)
class FileHead:
    """What lies before and after the picture's own bytes."""

    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Detached:
    """A file as it is stored: the number of its head, and the rest."""

    head: int
    data: bytes


@cache
def heads(codec: str) -> tuple[FileHead, ...]:
    """The heads of "jpeg", "jpeg2000" or "hevc", number 1 first."""
    text = files("streamproc.codec").joinpath("file_heads.json").read_text(encoding="ascii")
    return tuple(FileHead(bytes.fromhex(e["before"]), bytes.fromhex(e["after"])) for e in json.loads(text)[codec])


def detached(codec: str, file: bytes, own: slice) -> Detached:
    """`file` without its head, where that is known; `own` is the picture's own part of it."""
    head = FileHead(file[: own.start], file[own.stop :])
    known = heads(codec)
    if head not in known:
        return Detached(WHOLE, file)
    return Detached(known.index(head) + 1, file[own])


def attached(codec: str, stored: Detached) -> bytes:
    """The whole file; raises CorruptCode for a head that is not known."""
    if stored.head == WHOLE:
        return stored.data
    known = heads(codec)
    if stored.head > len(known):
        raise CorruptCode(f"The enhancement layer lacks head {stored.head} of {codec}: a newer streamproc is needed.")
    head = known[stored.head - 1]
    return head.before + stored.data + head.after
