"""The range coder: round trips, lengths against the ideal, canonical endings, hostile tables and bytes."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from streamproc.codec.range_coder import (
    CodeTables,
    RangeDecoder,
    RangeEncoder,
    counts_from_pmf,
    decode_rows,
    ideal_bits,
)
from streamproc.codec.trellis import ROUNDING
from streamproc.errors import CodecError, CorruptCode, WeightsError

Ints = npt.NDArray[np.int64]
Part = tuple[CodeTables, Ints, Ints]
relaxed = settings(deadline=None, max_examples=200)


@st.composite
def tables_of(draw: st.DrawFn) -> CodeTables:
    rows = draw(st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=12), min_size=1, max_size=4))
    offsets = draw(st.lists(st.integers(-300, 300), min_size=len(rows), max_size=len(rows)))
    counts = [counts_from_pmf(np.array(row) + 0.01) for row in rows]
    return CodeTables.from_counts(counts, offsets, escape=draw(st.booleans()))


@st.composite
def parts(draw: st.DrawFn) -> Part:
    tables = draw(tables_of())
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.integers(0, 60))
    indexes = rng.integers(0, len(tables), size)
    symbols = tables.offsets[indexes] + rng.integers(0, tables.lengths[indexes], dtype=np.int64)
    if tables.escape:
        wild = rng.random(size) < 0.2
        symbols[wild] = rng.integers(-(2 ** rng.integers(1, 16)), 2 ** rng.integers(1, 16), int(wild.sum()))
    return tables, indexes, symbols


def encode(stream: list[Part]) -> bytes:
    encoder = RangeEncoder()
    for tables, indexes, symbols in stream:
        encoder.encode(symbols, indexes, tables)
    return encoder.finish()


def laplace(tables: int = 32) -> CodeTables:
    values = np.arange(-40, 41)
    pmfs = [np.exp(-np.abs(values) / (0.1 * 1.15**scale)) for scale in range(tables)]
    return CodeTables.from_counts([counts_from_pmf(pmf) for pmf in pmfs], np.full(tables, -40), escape=True)


def random_symbols(tables: CodeTables, size: int, seed: int) -> tuple[Ints, Ints]:
    """Symbols as the tables expect them."""
    rng = np.random.default_rng(seed)
    indexes = rng.integers(0, len(tables), size)
    slots = (tables.cdf[indexes, 1:] <= rng.integers(0, 2**16, (size, 1))).sum(axis=1)
    return indexes, tables.offsets[indexes] + slots


@relaxed
@given(st.lists(parts(), min_size=1, max_size=3))
def test_round_trip_within_a_byte_of_the_ideal(stream: list[Part]) -> None:
    data = encode(stream)
    bits = sum(ideal_bits(symbols, indexes, tables) for tables, indexes, symbols in stream)
    assert len(data) <= math.ceil(bits / 8 + 1e-6)
    decoder = RangeDecoder(data)
    for tables, indexes, symbols in stream:
        assert np.array_equal(decoder.decode(indexes, tables), symbols)
    decoder.finish()


@pytest.mark.parametrize("size", [0, 1, 64, 25_000])
@pytest.mark.parametrize("seed", range(4))
def test_long_streams_reach_the_ideal_length(size: int, seed: int) -> None:
    tables = laplace()
    indexes, symbols = random_symbols(tables, size, seed)
    data = encode([(tables, indexes, symbols)])
    assert abs(len(data) - ideal_bits(symbols, indexes, tables) / 8) <= 1
    decoder = RangeDecoder(data)
    assert np.array_equal(decoder.decode(indexes, tables), symbols)
    decoder.finish()


def test_carries_run_through_many_bytes() -> None:
    # A first symbol just below a half, then the topmost symbols again and again: low becomes 0x7fff..., then carries.
    tables = CodeTables.from_counts([[1, 2**15 - 2, 1, 2**15]], [0])
    for last in range(4):
        symbols = np.array([1, *[3] * 200, last, last])
        indexes = np.zeros(len(symbols), dtype=int)
        decoder = RangeDecoder(encode([(tables, indexes, symbols)]))
        assert np.array_equal(decoder.decode(indexes, tables), symbols)
        decoder.finish()


def test_shape_is_kept_and_finish_is_repeatable() -> None:
    tables = laplace()
    indexes, symbols = random_symbols(tables, 24, 5)
    encoder = RangeEncoder()
    encoder.encode(symbols.reshape(2, 3, 4), indexes.reshape(2, 3, 4), tables)
    assert encoder.finish() == encoder.finish() == encode([(tables, indexes, symbols)])
    again = RangeDecoder(encoder.finish()).decode(indexes.reshape(2, 3, 4), tables)
    assert again.dtype == np.int32
    assert np.array_equal(again, symbols.reshape(2, 3, 4))


@pytest.mark.parametrize("value", [-(2**15), -1, 0, 3, 4, 5, 2**15 - 1])
@pytest.mark.parametrize("offset", [-(2**15), 0, 2**15 - 5])
def test_escapes_reach_every_16_bit_value(value: int, offset: int) -> None:
    tables = CodeTables.from_counts([np.full(4, 2**14)], [offset], escape=True)
    data = encode([(tables, np.array([0]), np.array([value]))])
    assert len(data) <= 5
    decoder = RangeDecoder(data)
    assert decoder.decode([0], tables).tolist() == [value]
    decoder.finish()


def test_encoder_refuses_what_it_cannot_code_and_stays_usable() -> None:
    plain = CodeTables.from_counts([[2**15, 2**15]], [0])
    encoder = RangeEncoder()
    encoder.encode([0, 1], [0, 0], plain)
    before = encoder.finish()
    for symbols, indexes in (([2], [0]), ([0], [1]), ([0], [-1]), ([0, 0], [0]), ([0.5], [0]), ([2**15], [0])):
        with pytest.raises(CodecError):
            encoder.encode(np.array(symbols), np.array(indexes), plain)
    with pytest.raises(CodecError, match="16 bits"):
        encoder.encode([2**15], [0], laplace(1))
    assert encoder.finish() == before


def decoded(data: bytes, part: Part) -> Ints | None:
    """The symbols that `data` is accepted for, None where it is refused."""
    tables, indexes, _ = part
    decoder = RangeDecoder(data)
    try:
        symbols = decoder.decode(indexes, tables)
        decoder.finish()
    except CorruptCode:
        return None
    return symbols.astype(np.int64)


@relaxed
@given(parts(), st.binary(min_size=1, max_size=8), st.integers(1, 12))
def test_longer_and_shorter_streams_are_not_taken_for_the_same(part: Part, junk: bytes, cut: int) -> None:
    # They may stand for other symbols now and then: no coder without a checksum can tell.
    data = encode([part])
    for other in (data + junk, data[:-cut]):
        if other != data:
            found = decoded(other, part)
            assert found is None or not np.array_equal(found, part[2])


def test_cut_streams_are_nearly_always_refused() -> None:
    tables = laplace()
    passed = 0
    for seed in range(500):
        part = (tables, *random_symbols(tables, 100, seed))
        data = encode([part])
        passed += sum(decoded(data[:-cut], part) is not None for cut in range(3, len(data), 7))
        assert decoded(data + b"\0", part) is None
    assert passed <= 25


@settings(deadline=None, max_examples=600)
@given(tables_of(), st.binary(max_size=40), st.integers(0, 80), st.integers(0, 2**32))
def test_whatever_is_accepted_is_what_the_encoder_writes(tables: CodeTables, data: bytes, size: int, seed: int) -> None:
    indexes = np.random.default_rng(seed).integers(0, len(tables), size)
    symbols = decoded(data, (tables, indexes, indexes))
    if symbols is not None:
        assert encode([(tables, indexes, symbols)]) == data


def test_every_short_stream_is_accepted_for_its_own_symbols_only() -> None:
    # All 65,793 byte strings of at most two bytes: those accepted are canonical, and all canonical ones are accepted.
    tables = CodeTables.from_counts([[1, 2**15 - 1, 2**15 - 2**8, 2**8]], [0])
    indexes = np.zeros(4, dtype=int)
    accepted = {}
    for data in [b"", *(bytes([a]) for a in range(256)), *(bytes([a, b]) for a in range(256) for b in range(256))]:
        found = decoded(data, (tables, indexes, indexes))
        if found is not None:
            assert tuple(found.tolist()) not in accepted
            accepted[tuple(found.tolist())] = data
    for symbols in np.ndindex(4, 4, 4, 4):
        data = encode([(tables, indexes, np.array(symbols))])
        assert (accepted.get(symbols) == data) if len(data) <= 2 else symbols not in accepted


def test_a_stream_of_nothing_cannot_stand_for_many_symbols() -> None:
    tables = laplace()
    with pytest.raises(CorruptCode, match="cut short"):
        RangeDecoder(b"", "base layer").decode(np.zeros(1_000_000, dtype=np.int32), tables)


def test_reading_past_the_end_is_bounded() -> None:
    # Eight bits a symbol: three bytes hold three, and the window lags by one.
    flat = CodeTables.from_counts([np.full(256, 256)], [0])
    assert RangeDecoder(b"\1\2\3").decode([0] * 4, flat).tolist() == [1, 2, 3, 0]
    with pytest.raises(CorruptCode, match="cut short"):
        RangeDecoder(b"\1\2\3").decode([0] * 5, flat)


def test_the_gap_that_division_leaves_is_refused() -> None:
    # The fourth interval is no multiple of 2**16 wide, so its topmost values belong to no symbol.
    tables = CodeTables.from_counts([[1, 2**16 - 1]], [0])
    assert RangeDecoder(b"\xff" * 30).decode([0] * 3, tables).tolist() == [1, 1, 1]
    with pytest.raises(CorruptCode, match="no encoder writes"):
        RangeDecoder(b"\xff" * 30).decode([0] * 4, tables)


def test_rows_decode_as_single_streams_do() -> None:
    tables = laplace(16)
    streams = [random_symbols(tables, 400, seed) for seed in range(5)]
    rows = [symbols[[np.flatnonzero(indexes == t)[0] for t in range(16)]] for indexes, symbols in streams]
    payloads = [encode([(tables, np.arange(16), row)]) for row in rows]
    ends = np.cumsum([len(data) for data in payloads])
    assert np.array_equal(decode_rows(b"".join(payloads), ends, tables, ROUNDING, 16), rows)
    assert np.array_equal(decode_rows(b"".join(payloads), ends, tables, ROUNDING, 7), np.array(rows)[:, :7])
    ends[2:] += 1
    with pytest.raises(CorruptCode, match="code 3 of 5"):
        decode_rows(b"".join([*payloads[:3], b"\0", *payloads[3:]]), ends, tables, ROUNDING, 16)
    with pytest.raises(CodecError):
        decode_rows(b"", [1], tables, ROUNDING, 16)
    with pytest.raises(CodecError):
        decode_rows(b"", [0], tables, ROUNDING, 17)


@relaxed
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_counts_are_exact_and_near_the_pmf(pmf: list[float]) -> None:
    if sum(pmf) == 0:
        pmf[0] = 1.0
    counts = counts_from_pmf(pmf)
    assert counts.sum() == 2**16
    assert counts.min() >= 1
    share = np.array(pmf) / sum(pmf)
    nonzero = share > 0
    lost = float((share[nonzero] * np.log2(share[nonzero] * 2**16 / counts[nonzero])).sum())
    assert lost < 0.01
    assert np.array_equal(counts, counts_from_pmf(pmf))


@pytest.mark.parametrize("pmf", [[], [0.0], [math.nan, 1], [math.inf], [-1, 2], [[1.0]], [1.0] * 5000])
def test_a_pmf_that_is_none_is_refused(pmf: Any) -> None:
    with pytest.raises(WeightsError):
        counts_from_pmf(pmf)


@relaxed
@given(tables_of())
def test_tables_round_trip_through_safetensors(tables: CodeTables) -> None:
    again = CodeTables.from_arrays(load(save(tables.to_arrays("base"))), "base")
    assert np.array_equal(again.cdf, tables.cdf)
    assert np.array_equal(again.lengths, tables.lengths)
    assert np.array_equal(again.offsets, tables.offsets)
    assert again.escape == tables.escape
    with pytest.raises(ValueError, match="read-only"):
        again.cdf[0, 0] = 1


HOSTILE = {
    "no lengths": {"lengths": None},
    "float counts": {"counts": np.array([32768.0, 32768.0, 65536.0])},
    "count of zero": {"counts": np.array([0, 65536, 65536])},
    "negative count": {"counts": np.array([-1, 65537, 65536])},
    "wrong sum": {"counts": np.array([32768, 32767, 65536])},
    "wrong total length": {"lengths": np.array([2, 2])},
    "negative length": {"lengths": np.array([4, -1])},
    "zero length": {"lengths": np.array([3, 0])},
    "huge length": {"lengths": np.array([2**31 - 1, 1])},
    "overflowing length": {"lengths": np.array([2**40, 1])},
    "missing offset": {"offsets": np.array([0])},
    "offset beyond 16 bits": {"offsets": np.array([0, 2**15])},
    "empty": {"counts": np.array([], dtype=int), "lengths": np.array([], dtype=int)},
    "too many tables": {
        "lengths": np.ones(2**13, int),
        "counts": np.full(2**13, 2**16),
        "offsets": np.zeros(2**13, int),
    },
    "two dimensions": {"lengths": np.array([[2, 1]])},
    "escape of two": {"escape": np.array([2])},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_arrays_are_refused(change: dict[str, Any]) -> None:
    good = CodeTables.from_counts([[32768, 32768], [65536]], [0, 5]).to_arrays("t")
    assert len(CodeTables.from_arrays(good, "t")) == 2
    bad = good | {f"t.{name}": array for name, array in change.items()}
    with pytest.raises(WeightsError):
        CodeTables.from_arrays({name: array for name, array in bad.items() if array is not None}, "t")


def test_hostile_cumulative_counts_are_refused() -> None:
    for row in ([0, 3, 3, 65536], [1, 2, 3, 65536], [0, 5, 4, 65536], [0, 1, 2, 65535]):
        with pytest.raises(WeightsError):
            CodeTables(np.array([row]), np.array([3], np.int32), np.array([0], np.int32), False)
    with pytest.raises(WeightsError):
        CodeTables(np.array([[0, 9, 65536], [0, 8, 65536]]), np.array([2, 1]), np.array([0, 0]), False)
