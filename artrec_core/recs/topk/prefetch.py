"""A hint to the processor that a row will be read soon, for compiled loops that jump about in large arrays."""

from typing import Any

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

NUMBERS_IN_LINE = 16


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch(_: Any, array: Any, row: Any, column: Any) -> Any:
    """LLVM's `prefetch` of one cache line: for reading, kept in the second-level cache; it changes nothing else."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        given = context.make_array(kind)(context, builder, arguments[0])
        place = cgutils.get_item_pointer(
            context, builder, kind, given, list(arguments[1:]), wraparound=False, boundscheck=False
        )
        place, whole = builder.bitcast(place, ir.IntType(8).as_pointer()), ir.IntType(32)
        of = ir.FunctionType(ir.VoidType(), [place.type, whole, whole, whole])
        hint = cgutils.get_or_insert_function(builder.module, of, "llvm.prefetch.p0")
        builder.call(hint, [place, whole(0), whole(2), whole(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def expect_row(vectors: Any, row: Any) -> None:
    """Say that a row of float32 vectors will be read soon."""
    for column in range(0, vectors.shape[1], NUMBERS_IN_LINE):
        _prefetch(vectors, row, column)
