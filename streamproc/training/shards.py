"""Shards: a long list of items made into array files, part by part, so that a run that was stopped goes on."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from streamproc.types import Array

Item = TypeVar("Item")
KEY = "key"
"""Name of the array that says what a shard was made with; shards without a key have none."""


def shard_path(folder: Path, number: int) -> Path:
    """Where shard `number` lies."""
    return folder / f"shard-{number:03d}.npz"


def write_shards(
    folder: Path,
    items: Sequence[Item],
    make: Callable[[Sequence[Item]], dict[str, Array]],
    size: int,
    key: str = "",
    wanted: Callable[[int], bool] = lambda number: True,
) -> Iterator[int]:
    """Yields the items done so far; writes the shards of `size` items that are missing or were made under another
    `key`, each at once or not at all, and only those whose number is `wanted`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(items), size)):
        target = shard_path(folder, number)
        if not wanted(number):
            continue
        if not _made(target, key):
            arrays = make(items[start : start + size])
            partial = target.with_suffix(".partial")
            with partial.open("wb") as file:
                np.savez(file, **arrays, **({KEY: np.array(key)} if key else {}))
            partial.replace(target)
        yield min(start + size, len(items))


def read_shard(path: Path) -> dict[str, Array]:
    """The arrays of one shard, its key left out."""
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files if name != KEY}


def _made(path: Path, key: str) -> bool:
    """Whether the shard is there and was made under `key`."""
    if not path.exists():
        return False
    try:
        with np.load(path) as arrays:
            return key == (str(arrays[KEY]) if KEY in arrays.files else "")
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
