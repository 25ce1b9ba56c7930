"""What a flush makes of the segments: which are kept, marked, or written anew and joined.

New rows take in the segments before them as long as these are less than twice as large, so that a row is written again
only when its segment doubles, and a search meets few segments. A segment with many removed rows is written anew.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from storage.index.kernels import Longs
from storage.index.rows import Rows, together
from storage.index.segment import WIDEST, Segment, marked, write_segment

LARGEST = 2**20
"""Rows of a segment at most: what an erased face costs, and a merge."""
GROWTH = 2
WASTE = 0.1
"""The share of removed rows from which a segment is written anew; up to there they are scanned in vain."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a flush does: rows that are added, keys that are removed, and those whose vectors have to be gone from the
    files, all removed ones' where it is `thorough`."""

    added: tuple[Rows, ...]
    removed: Longs
    erased: Longs
    thorough: bool


def merged(folder: Path, segments: Sequence[Segment], change: Change, number: int) -> tuple[tuple[Segment, ...], int]:
    """(the segments after the change, the next free number); their new files, named by numbers from `number` on, are on
    the disk, and no old one is touched."""
    entries: list[Segment | Rows] = []
    for segment in segments:
        entry = _changed(folder, segment, change, number)
        if entry is not segment:
            number += 1
        if len(entry):
            entries.append(entry)
    for rows in _narrow(change.added):
        entries.append(_joined(entries, rows))
    after = []
    for entry in entries:
        if isinstance(entry, Rows):
            entry = write_segment(folder, f"{number}.rows", entry)
            number += 1
        after.append(entry)
    return tuple(after), number


def _changed(folder: Path, segment: Segment, change: Change, number: int) -> Segment | Rows:
    """The segment itself, with more marks, or the rows that are left of it."""
    numbers = segment.numbers_of(change.removed)
    gone = segment.is_removed()
    before = int(gone.sum())
    gone[numbers] = True
    after = int(gone.sum())
    erases = len(segment.numbers_of(change.erased)) > 0 or (change.thorough and after > 0)
    if erases or after > WASTE * len(segment):
        return segment.rows().taken(~gone[~segment.is_removed()])
    return marked(folder, f"{number}.gone", segment, gone) if after > before else segment


def _narrow(added: Sequence[Rows]) -> Iterator[Rows]:
    """The added rows, in as few parts as segments can hold."""
    if not added:
        return
    rows = together(list(added))
    apart = np.stack((rows.keys // (WIDEST // 2), rows.tracks // (WIDEST // 2)), axis=1)
    _, group = np.unique(apart, axis=0, return_inverse=True)
    for number in range(int(group.max()) + 1):
        which = np.flatnonzero(group == number)
        for start in range(0, len(which), LARGEST):
            yield rows.taken(which[start : start + LARGEST])


def _joined(entries: list[Segment | Rows], rows: Rows) -> Rows:
    """The rows and those of the last entries, which are taken off, as far as they are to be one."""
    parts, total = [rows], len(rows)
    while entries and len(entries[-1]) < GROWTH * total and total + len(entries[-1]) <= LARGEST:
        last = entries[-1]
        rows_before = last.rows() if isinstance(last, Segment) else last
        if not _near([*parts, rows_before]):
            break
        entries.pop()
        parts.append(rows_before)
        total += len(rows_before)
    return together(parts) if len(parts) > 1 else rows


def _near(parts: Sequence[Rows]) -> bool:
    """Whether keys and tracks lie close enough together for one segment."""
    keys, tracks = np.concatenate([part.keys for part in parts]), np.concatenate([part.tracks for part in parts])
    return int(np.ptp(keys)) < WIDEST and int(np.ptp(tracks)) < WIDEST
