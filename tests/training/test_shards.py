"""Shards that are made once, and files out of packages."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from streamproc.training.package_files import _read
from streamproc.training.shards import read_shard, shard_path, write_shards
from streamproc.types import Array


class Maker:
    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, items: Sequence[int]) -> dict[str, Array]:
        self.made += items
        return {"items": np.array(items)}


def test_made_once_and_again_under_another_key(tmp_path: Path) -> None:
    make = Maker()
    assert list(write_shards(tmp_path, range(7), make, 3, "a")) == [3, 6, 7]
    assert make.made == list(range(7))
    assert list(write_shards(tmp_path, range(7), make, 3, "a")) == [3, 6, 7]
    assert len(make.made) == 7
    assert read_shard(shard_path(tmp_path, 1))["items"].tolist() == [3, 4, 5]
    assert set(read_shard(shard_path(tmp_path, 1))) == {"items"}
    list(write_shards(tmp_path, range(7), make, 3, "b", lambda number: number == 1))
    assert make.made[7:] == [3, 4, 5]


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    make = Maker()
    next(iter(write_shards(tmp_path, range(6), make, 2)))
    assert not list(tmp_path.glob("*.partial"))
    list(write_shards(tmp_path, range(6), make, 2))
    assert make.made == list(range(6))


def test_a_damaged_shard_is_made_again(tmp_path: Path) -> None:
    make = Maker()
    list(write_shards(tmp_path, range(2), make, 2, "a"))
    shard_path(tmp_path, 0).write_bytes(b"cut")
    list(write_shards(tmp_path, range(2), make, 2, "a"))
    assert make.made == [0, 1, 0, 1]


@pytest.mark.parametrize(("member", "held"), [("a/b.bin", b"data"), ("a/none", b"")])
def test_file_of_a_wheel(member: str, held: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        wheel.writestr("a/b.bin", b"data")
    assert _read(tmp_path / "x.whl", member) == held
