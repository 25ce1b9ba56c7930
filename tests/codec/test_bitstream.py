"""The payloads: round trips, golden bytes, and what becomes of damaged, foreign and random bytes."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamproc.codec.bitstream import (
    ALL,
    CODECS,
    HEADER_BYTES,
    MAX_BASE_BYTES,
    MAX_ENHANCEMENT_BYTES,
    SHARES,
    Enhancement,
    EnhancementHeader,
    EnhancementTables,
    PictureFile,
    Share,
    pack_base,
    pack_enhancement,
    pack_file,
    read_header,
    unpack_bases,
    unpack_enhancement,
    unpack_file,
)
from streamproc.codec.integer_context import first_half
from streamproc.codec.range_coder import CodeTables, IntArray, RangeEncoder, counts_from_pmf
from streamproc.errors import CodecError, CorruptCode

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "payloads.json").read_text(encoding="utf-8"))
repeatable = settings(deadline=None, max_examples=300, derandomize=True)
"""For damage: a checksum of 16 bits lets one in 65,536 pass, which chance finds now and then (as seed 18711, spread 4,
in two turns, cut by two bytes)."""


def geometric(reach: int, *, escape: bool) -> CodeTables:
    """Tables of 2**-|v| and steeper, exact in floating point."""
    values = np.abs(np.arange(-reach, reach + 1))
    pmfs = [2.0 ** -(values * steep) for steep in (1, 2, 3, 0)]
    return CodeTables.from_counts([counts_from_pmf(pmf) for pmf in pmfs], np.full(4, -reach), escape=escape)


def base_tables(dimensions: int = 24) -> CodeTables:
    four = geometric(6, escape=True).to_arrays("t")
    repeated = {name: np.tile(array, dimensions // 4) for name, array in four.items() if name != "t.escape"}
    return CodeTables.from_arrays(repeated | {"t.escape": four["t.escape"]}, "t")


BASE = base_tables()
HYPER_INDEXES = np.arange(4, dtype=np.int32)[:, None, None] * np.ones((1, 2, 2), dtype=np.int32)
EVERYWHERE = (np.ones((8, 8), bool),)
TABLES = EnhancementTables(geometric(3, escape=True), HYPER_INDEXES, geometric(9, escape=True), EVERYWHERE)
HALVES = replace(TABLES, turns=(first_half(8), ~first_half(8)))


def indexes_of(hyper: IntArray, latent: IntArray | None) -> IntArray:
    """A stand-in for the hyper-decoder: each z picks the table of 16 of the y, (4, 2, 2) to (4, 8, 8); and for the
    context: of the y that are not read yet, the left neighbour picks it."""
    indexes = np.repeat(np.repeat(hyper & 3, 4, axis=1), 4, axis=2).astype(np.int32)
    if latent is not None:
        indexes = np.where(first_half(8), indexes, np.roll(latent, 1, axis=2) & 3).astype(np.int32)
    return indexes


def example(seed: int, spread: int = 4) -> tuple[Enhancement, bytes]:
    rng = np.random.default_rng(seed)
    low, high = sorted(int(value) for value in rng.integers(-255, 256, 2))
    header = EnhancementHeader(int(rng.integers(0, 16)), low, high, SHARES["learned"][rng.integers(2)])
    hyper = rng.integers(-spread, spread + 1, (4, 2, 2)).astype(np.int32)
    latent = rng.integers(-spread, spread + 1, (4, 8, 8)).astype(np.int32)
    return Enhancement(header, hyper, latent), rng.bytes(16)


def example_file(seed: int) -> PictureFile:
    rng = np.random.default_rng(seed)
    low, high = sorted(int(value) for value in rng.integers(-255, 256, 2))
    codec = CODECS[1 + seed % 3]
    share = SHARES[codec][rng.integers(4)]
    header = EnhancementHeader(int(rng.integers(8)), low, high, share, codec, int(rng.integers(16)))
    return PictureFile(header, rng.bytes(int(rng.integers(0, 3000))))


def packed(enhancement: Enhancement, base: bytes) -> bytes:
    return pack_enhancement(enhancement, indexes_of(enhancement.hyper, None), TABLES, base)


symbol = st.integers(-8, 8) | st.integers(-(2**15), 2**15 - 1)


@settings(deadline=None, max_examples=200)
@given(st.lists(symbol, min_size=24, max_size=24), st.integers(0, 24))
def test_base_round_trip_whole_and_by_prefix(values: list[int], count: int) -> None:
    symbols = np.array(values, dtype=np.int32)
    data = pack_base(symbols, BASE)
    assert np.array_equal(unpack_bases([data, data], BASE), [symbols, symbols])
    assert np.array_equal(unpack_bases([data], BASE, count=count), [symbols[:count]])


def test_base_is_bounded() -> None:
    flat = CodeTables.from_counts([np.full(2**11, 2**5)] * 200, np.zeros(200, dtype=int))
    with pytest.raises(CodecError, match="275 bytes"):
        pack_base(np.full(200, 999, dtype=np.int32), flat)
    with pytest.raises(CorruptCode, match="256 bytes"):
        unpack_bases([bytes(MAX_BASE_BYTES + 1)], BASE)
    with pytest.raises(CorruptCode, match="2 of 2"):
        unpack_bases([b"", bytes(MAX_BASE_BYTES + 1)], BASE, count=0)
    with pytest.raises(CodecError):
        pack_base(np.zeros(23, dtype=np.int32), BASE)
    assert unpack_bases([], BASE).shape == (0, 24)


def test_ten_thousand_damaged_bases_are_refused_or_valid() -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(10_000):
        data = bytearray(pack_base(rng.integers(-6, 7, 24).astype(np.int32), BASE))
        if trial % 4 == 0:
            data = data[: rng.integers(0, len(data))]
        elif trial % 4 == 1:
            data[rng.integers(0, len(data))] ^= 1 << rng.integers(0, 8)
        elif trial % 4 == 2:
            data = bytearray(rng.bytes(int(rng.integers(0, 300))))
        else:
            data += rng.bytes(int(rng.integers(1, 20)))
        try:
            symbols = unpack_bases([bytes(data)], BASE)[0]
        except CorruptCode:
            refused += 1
        else:
            assert pack_base(symbols, BASE) == bytes(data)
    assert refused > 5_000


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32), st.sampled_from([0, 1, 4, 300, 2**15 - 1]))
def test_enhancement_round_trip(seed: int, spread: int) -> None:
    enhancement, base = example(seed, spread)
    data = packed(enhancement, base)
    again = unpack_enhancement(data, TABLES, indexes_of, base)
    assert again.header == enhancement.header == read_header(data)
    assert np.array_equal(again.hyper, enhancement.hyper)
    assert np.array_equal(again.latent, enhancement.latent)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32), st.sampled_from([0, 1, 4, 300, 2**15 - 1]))
def test_round_trip_in_two_turns(seed: int, spread: int) -> None:
    enhancement, base = example(seed, spread)
    data = pack_enhancement(enhancement, indexes_of(enhancement.hyper, enhancement.latent), HALVES, base)
    assert np.array_equal(unpack_enhancement(data, HALVES, indexes_of, base).latent, enhancement.latent)


@repeatable
@given(st.integers(0, 2**32), st.sampled_from([0, 1, 4, 300, 2**15 - 1]))
def test_a_cut_in_two_turns_is_refused(seed: int, spread: int) -> None:
    enhancement, base = example(seed, spread)
    data = pack_enhancement(enhancement, indexes_of(enhancement.hyper, enhancement.latent), HALVES, base)
    with pytest.raises(CorruptCode):
        unpack_enhancement(data[:-2], HALVES, indexes_of, base)


@repeatable
@given(st.integers(0, 20), st.data())
def test_cut_flipped_and_extended_enhancements_are_refused(seed: int, data: st.DataObject) -> None:
    enhancement, base = example(seed)
    good = packed(enhancement, base)
    flipped = bytearray(good)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    flipped[bit // 8] ^= 1 << bit % 8
    cut = good[: data.draw(st.integers(0, len(good) - 1))]
    for bad in (bytes(flipped), cut, good + data.draw(st.binary(min_size=1, max_size=9))):
        with pytest.raises(CorruptCode):
            unpack_enhancement(bad, TABLES, indexes_of, base)


@repeatable
@given(st.binary(max_size=400), st.booleans())
def test_random_bytes_are_refused(junk: bytes, plausible: bool) -> None:
    data = b"\x23" + (200 << 15 | 300 << 6).to_bytes(3, "big") + junk if plausible else junk
    with pytest.raises(CorruptCode):
        unpack_enhancement(data, TABLES, indexes_of, b"base")


def test_another_faces_base_is_refused() -> None:
    enhancement, base = example(1)
    with pytest.raises(CorruptCode, match="its base layer"):
        unpack_enhancement(packed(enhancement, base), TABLES, indexes_of, example(2)[1])


def test_other_tables_are_refused() -> None:
    enhancement, base = example(3)
    foreign = EnhancementTables(geometric(3, escape=True), HYPER_INDEXES, geometric(5, escape=True), EVERYWHERE)
    with pytest.raises(CorruptCode):
        unpack_enhancement(packed(enhancement, base), foreign, indexes_of, base)


def test_headers_are_checked_before_any_work() -> None:
    good = packed(*example(4))

    def never(hyper: IntArray, latent: IntArray | None) -> IntArray:
        raise AssertionError("the symbols were decoded")

    def ranges(number: int) -> bytes:
        return good[:1] + number.to_bytes(3, "big") + good[4:]

    for data, message in (
        (b"", "0 bytes"),
        (good[:5], "5 bytes"),
        (good + bytes(MAX_ENHANCEMENT_BYTES), "bytes"),
        (bytes([5 << 5]) + good[1:], "version 5: a newer streamproc"),
        (bytes([7 << 5]) + good[1:], "version 7: a newer streamproc"),
        (bytes([0]) + good[1:], "none that streamproc writes"),
        (bytes([2 << 5]) + good[1:], "none that streamproc writes"),
        (bytes([3 << 5]) + good[1:], "none that streamproc writes"),
        (bytes([4 << 5]) + good[1:], "none that streamproc writes"),
        (ranges(100 << 15 | 200 << 6 | 1), "none that streamproc writes"),
        (ranges(100 << 15 | 200 << 6 | 1 << 4), "none that streamproc writes"),
        (pack_file(example_file(4), b""), "codec 'jpeg2000'"),
        (ranges(200 << 15 | 100 << 6), "ascending"),
        (ranges(511 << 15 | 511 << 6), "ascending"),
    ):
        with pytest.raises(CorruptCode, match=message):
            unpack_enhancement(data, TABLES, never, b"")


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32))
def test_file_round_trip(seed: int) -> None:
    file = example_file(seed)
    data = pack_file(file, b"base")
    assert unpack_file(data, b"base") == file
    assert read_header(data) == file.header
    assert len(data) == HEADER_BYTES + len(file.data)


@repeatable
@given(st.integers(0, 20), st.data())
def test_cut_flipped_extended_and_foreign_files_are_refused(seed: int, data: st.DataObject) -> None:
    good = pack_file(example_file(seed), b"base")
    flipped = bytearray(good)
    for bit in data.draw(st.lists(st.integers(0, 8 * len(good) - 1), min_size=1, max_size=2, unique=True)):
        flipped[bit // 8] ^= 1 << bit % 8
    cut = good[: data.draw(st.integers(0, len(good) - 1))]
    for bad in (bytes(flipped), cut, good + data.draw(st.binary(min_size=1, max_size=9))):
        with pytest.raises(CorruptCode):
            unpack_file(bad, b"base")
    with pytest.raises(CorruptCode, match="its base layer"):
        unpack_file(good, b"another")


def test_a_learned_payload_is_no_file() -> None:
    enhancement, base = example(1)
    with pytest.raises(CorruptCode, match="learned codec"):
        unpack_file(packed(enhancement, base), base)


def test_files_are_bounded_when_written() -> None:
    header = EnhancementHeader(0, 0, 0, codec="jpeg")
    with pytest.raises(CodecError, match="above the format's 65536"):
        pack_file(PictureFile(header, bytes(MAX_ENHANCEMENT_BYTES)), b"")
    for number, head in ((0, 1), (3, 16), (3, -1)):
        with pytest.raises(CodecError, match="Head"):
            EnhancementHeader(0, 0, 0, ALL, CODECS[number], head)


def test_shares_of_older_versions_are_not_written() -> None:
    header = EnhancementHeader(0, 0, 0, Share(0.4, 0.4), "hevc")
    with pytest.raises(CodecError, match="no longer takes"):
        pack_file(PictureFile(header, b"file"), b"")


@pytest.mark.parametrize(
    "header",
    [
        partial(EnhancementHeader, 16, 0, 1),
        partial(EnhancementHeader, -1, 0, 1),
        partial(EnhancementHeader, 0, 2, 1),
        partial(EnhancementHeader, 0, -256, 0),
        partial(EnhancementHeader, 0, 0, 256),
        partial(EnhancementHeader, 0, 0, 1, Share(0.7, 0.7)),
        partial(EnhancementHeader, 0, 0, 1, Share(0.1, 0.9), "jpeg"),
        partial(EnhancementHeader, 8, 0, 1, ALL, "jpeg"),
    ],
)
def test_headers_that_the_format_cannot_say_are_refused(header: Callable[[], EnhancementHeader]) -> None:
    with pytest.raises(CodecError):
        header()


def test_enhancements_are_bounded_when_written() -> None:
    shape = (500, 8, 8)
    flat = CodeTables.from_counts([np.full(4096, 16)], [0], escape=True)
    tables = EnhancementTables(flat, np.zeros(1, dtype=np.int32), flat, EVERYWHERE)
    many = Enhancement(EnhancementHeader(0, 0, 0), np.zeros(1, dtype=np.int32), np.full(shape, 5000, dtype=np.int32))
    with pytest.raises(CodecError, match="above the format's 65536"):
        pack_enhancement(many, np.zeros(shape, dtype=np.int32), tables, b"")


def golden_enhancement(entry: dict[str, Any]) -> Enhancement:
    said = entry["header"]
    header = EnhancementHeader(said["quality"], said["low"], said["high"], Share(said["share"], said["share"]))
    return Enhancement(header, np.array(entry["hyper"], np.int32), np.array(entry["latent"], np.int32))


def test_golden_base() -> None:
    entry = GOLDEN["base"]
    assert pack_base(np.array(entry["symbols"], np.int32), BASE).hex() == entry["hex"]
    assert unpack_bases([bytes.fromhex(entry["hex"])], BASE).tolist() == [entry["symbols"]]


@pytest.mark.parametrize("entry", GOLDEN["enhancement-1"], ids=lambda entry: entry["name"])
def test_golden_enhancement(entry: dict[str, Any]) -> None:
    enhancement, base = golden_enhancement(entry), bytes.fromhex(entry["base"])
    assert packed(enhancement, base).hex() == entry["hex"]
    again = unpack_enhancement(bytes.fromhex(entry["hex"]), TABLES, indexes_of, base)
    assert again.header == enhancement.header
    assert again.hyper.tolist() == entry["hyper"]
    assert again.latent.tolist() == entry["latent"]


def test_golden_stream_of_the_range_coder() -> None:
    entry = GOLDEN["range-coder"]
    encoder = RangeEncoder()
    encoder.encode(entry["symbols"], entry["indexes"], geometric(6, escape=True))
    assert encoder.finish().hex() == entry["hex"]
