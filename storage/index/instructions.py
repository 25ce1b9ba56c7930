"""What the compiled loops use of the processor by name: counting bits, finding them, fetching memory ahead of need.

Each becomes an instruction that LLVM knows, and so runs on every processor: as AVX-512 where that is there.
"""

from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

WORD: Final = 64
"""Bits of a word; numbers that `below` compares at once."""

Shorts = npt.NDArray[np.uint16]
_P = ParamSpec("_P")
_R = TypeVar("_R")


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function, compiled by numba and kept beside its source; other threads go on while it runs.

    Sums may be reordered: that is what lets the processor add several numbers at once.
    """
    options: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": {"reassoc", "nsz", "contract"}}
    return cast(Callable[_P, _R], numba.njit(**options)(function))


def _set_bits(_context: Any, _word: Any) -> tuple[Signature, Any]:
    def generate(_target: Any, builder: ir.IRBuilder, _signature: Signature, arguments: Any) -> ir.Value:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


def _lowest_bit(_context: Any, _word: Any) -> tuple[Signature, Any]:
    def generate(_target: Any, builder: ir.IRBuilder, _signature: Signature, arguments: Any) -> ir.Value:
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.uint64), generate


def _below(_context: Any, _numbers: Any, _first: Any, _bound: Any) -> tuple[Signature, Any]:
    def generate(target: Any, builder: ir.IRBuilder, signature: Signature, arguments: Any) -> ir.Value:
        lane, place = ir.IntType(16), ir.IntType(32)
        lanes, places = ir.VectorType(lane, WORD), ir.VectorType(place, WORD)
        numbers = target.make_array(signature.args[0])(target, builder, arguments[0])
        start = builder.bitcast(builder.gep(numbers.data, [arguments[1]]), lanes.as_pointer())
        bound = builder.insert_element(lanes(ir.Undefined), arguments[2], place(0))
        bounds = builder.shuffle_vector(bound, lanes(ir.Undefined), places([0] * WORD))
        less = builder.icmp_unsigned("<", builder.load(start, align=2), bounds)
        return builder.bitcast(less, ir.IntType(WORD))

    return types.uint64(types.Array(types.uint16, 1, "C"), types.int64, types.uint16), generate


def _fetch(_context: Any, rows: Any, _row: Any) -> tuple[Signature, Any]:
    def generate(target: Any, builder: ir.IRBuilder, signature: Signature, arguments: Any) -> ir.Value:
        table = target.make_array(signature.args[0])(target, builder, arguments[0])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        stride = builder.extract_value(table.strides, 0)
        place = builder.gep(builder.bitcast(table.data, byte), [builder.mul(arguments[1], stride)])
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(prefetch, [place, number(0), number(3), number(1)])  # to be read, into the nearest cache
        return target.get_dummy_value()

    return types.void(rows, types.int64), generate


set_bits = cast(Callable[[np.uint64], np.uint64], intrinsic(_set_bits))
"""How many bits of a word are set."""
lowest_bit = cast(Callable[[np.uint64], int], intrinsic(_lowest_bit))
"""The number of the lowest set bit of a word, of which there is one."""
below = cast(Callable[[Shorts, int, np.uint16], np.uint64], intrinsic(_below))
"""A bit for each of 64 numbers from the first on: whether it is below the bound."""
fetch = cast(Callable[[npt.NDArray[Any], int], None], intrinsic(_fetch))
"""Nothing; the row's memory is on its way to the processor."""
