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


def _product(_context: Any, _question: Any, _first: Any, _row: Any, _number: Any, _signs: Any) -> tuple[Signature, Any]:
    def generate(target: Any, builder: ir.IRBuilder, signature: Signature, arguments: Any) -> ir.Value:
        question, first, rows, row, signs = arguments
        byte, real = ir.IntType(8), ir.FloatType()
        bytes_, reals = ir.VectorType(byte, WORD), ir.VectorType(real, WORD)
        table = target.make_array(signature.args[2])(target, builder, rows)
        place = builder.add(builder.mul(row, builder.extract_value(table.strides, 0)), first)
        start = builder.bitcast(builder.gep(table.data, [place]), bytes_.as_pointer())
        sizes = builder.uitofp(builder.load(start, align=1), reals)
        sizes = builder.fadd(sizes, reals([0.5] * WORD))
        whole = target.make_array(signature.args[0])(target, builder, question)
        asked = builder.load(builder.bitcast(builder.gep(whole.data, [first]), reals.as_pointer()), align=4)
        negative = builder.bitcast(signs, ir.VectorType(ir.IntType(1), WORD))
        signed = builder.select(negative, builder.fneg(asked), asked)
        kind = ir.FunctionType(real, [real, reals])
        add = builder.module.declare_intrinsic(f"llvm.vector.reduce.fadd.v{WORD}f32", (), kind)
        sums = [
            builder.call(add, [real(0.0), builder.fmul(factor, sizes)], fastmath=("reassoc", "nsz", "contract"))
            for factor in (signed, sizes)
        ]
        return target.make_tuple(builder, signature.return_type, sums)

    pair = cast(Any, types).Tuple((types.float32, types.float32))
    return pair(_question, types.int64, _row, types.int64, types.uint64), generate


set_bits = cast(Callable[[np.uint64], np.uint64], intrinsic(_set_bits))
"""How many bits of a word are set."""
lowest_bit = cast(Callable[[np.uint64], int], intrinsic(_lowest_bit))
"""The number of the lowest set bit of a word, of which there is one."""
signed_product = cast(
    Callable[[npt.NDArray[np.float32], int, npt.NDArray[np.uint8], int, np.uint64], tuple[float, float]],
    intrinsic(_product),
)
"""(question times numbers, numbers squared), summed over the 64 numbers that rows[row] holds from the first on: each is
a byte and 1/2, negative where its bit of the signs is set."""
below = cast(Callable[[Shorts, int, np.uint16], np.uint64], intrinsic(_below))
"""A bit for each of 64 numbers from the first on: whether it is below the bound."""
fetch = cast(Callable[[npt.NDArray[Any], int], None], intrinsic(_fetch))
"""Nothing; the row's memory is on its way to the processor."""
