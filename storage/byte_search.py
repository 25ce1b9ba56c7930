"""Where bytes are in files: pieces of what was removed, looked for in every byte of what is left.

SQLite and Postgres cut long values into pages, and fill freed room from its beginning: so a value is looked for by
short pieces, some in every page that it could have been on, and its first and last bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PIECE = 24
"""Bytes of a piece: by chance no other 24 bytes are the same."""
STEP = 1024
"""From piece to piece of a long value: pages are longer."""
VARIED = 12
"""Different bytes that a piece has at least, where the value has such pieces: runs of zeros are everywhere."""
CHUNK = 8 << 20

_BITS = 20
_FACTOR = np.uint32(2_654_435_761)
_HEAD = 4
"""Bytes by which a place is told to be no piece's, mostly."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Found:
    """A piece's place."""

    path: Path
    offset: int
    piece: bytes


def pieces(value: bytes) -> list[bytes]:
    """By what the value is looked for; short values are looked for as they are, those of less than 4 bytes not."""
    if len(value) <= PIECE:
        return [value] if len(value) >= _HEAD else []
    starts = sorted({*range(0, len(value) - PIECE + 1, STEP), len(value) - PIECE})
    parts = [value[start : start + PIECE] for start in starts]
    return [part for part in parts if len(set(part)) >= VARIED] or [value[:1000]]


def search(paths: Sequence[Path], wanted: Iterable[bytes], progress: Progress) -> list[Found]:
    """Every place of one of the wanted pieces in the files; files that are gone hold none."""
    heads: dict[bytes, list[bytes]] = {}
    for piece in set(wanted):
        heads.setdefault(piece[:_HEAD], []).append(piece)
    if not heads:
        return []
    table = np.zeros(1 << _BITS, np.bool_)
    table[_hashed(np.frombuffer(b"".join(heads), "<u4"))] = True
    longest = max(len(piece) for parts in heads.values() for piece in parts)
    sizes = {path: path.stat().st_size for path in paths if path.is_file()}
    done, total, found = 0, sum(sizes.values()), list[Found]()
    for path in sizes:
        for start, chunk, new in _chunks(path, longest - 1):
            for place in _places(chunk, table):
                for piece in heads.get(chunk[place : place + _HEAD], ()):
                    if chunk.startswith(piece, place) and place + len(piece) > len(chunk) - new:
                        found.append(Found(path, start + place, piece))
            done += new
            progress("searching files", done, total)
    return found


def _chunks(path: Path, overlap: int) -> Iterator[tuple[int, bytes, int]]:
    """(where it begins, bytes, how many of them are new) of the file, each chunk with the end of the one before."""
    with path.open("rb") as file:
        chunk, start = b"", 0
        while new := file.read(CHUNK):
            kept = chunk[-overlap:] if overlap else b""
            chunk = kept + new
            yield start - len(kept), chunk, len(new)
            start += len(new)


def _places(chunk: bytes, table: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[int]:
    """Where a piece may begin, by its first bytes."""
    found: list[int] = []
    for shift in range(_HEAD):
        count = (len(chunk) - shift) // _HEAD
        if count > 0:
            words = np.frombuffer(chunk, "<u4", count, shift)
            found += (np.flatnonzero(table[_hashed(words)]) * _HEAD + shift).tolist()
    return found


def _hashed(words: "np.ndarray[tuple[int], np.dtype[np.uint32]]") -> "np.ndarray[tuple[int], np.dtype[np.uint32]]":
    return (words * _FACTOR) >> np.uint32(32 - _BITS)
