"""A hint to the processor that a row will be read soon, for compiled loops that read large arrays in no fixed order."""

from typing import Any

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

NUMBERS_IN_CACHE_LINE = 16


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch(_: Any, array: Any, row: Any, column: Any) -> Any:
    """LLVM's `prefetch` of one cache line, for reading, into the second-level cache. It changes nothing else."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type = signature.args[0]
        array_value = context.make_array(array_type)(context, builder, arguments[0])
        address = cgutils.get_item_pointer(
            context, builder, array_type, array_value, list(arguments[1:]), wraparound=False, boundscheck=False
        )
        address, int32 = builder.bitcast(address, ir.IntType(8).as_pointer()), ir.IntType(32)
        function_type = ir.FunctionType(ir.VoidType(), [address.type, int32, int32, int32])
        prefetch = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
        # Arguments: 0 = for reading, 2 = second-level cache, 1 = data and not instructions.
        builder.call(prefetch, [address, int32(0), int32(2), int32(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def prefetch_row(vectors: Any, row: Any) -> None:
    """Tell the processor that a row of float32 vectors will be read soon."""
    for column in range(0, vectors.shape[1], NUMBERS_IN_CACHE_LINE):
        _prefetch(vectors, row, column)
