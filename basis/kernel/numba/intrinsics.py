"""Small pieces of machine code that Python has no words for, by Numba's public ways to extend it."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: LLVM type of a function that returns a size, given the address of a handle's words.
SIZE_FUNCTION = ir.FunctionType(ir.IntType(64), [ir.IntType(64).as_pointer()])


def size_function(module: Any, name: str) -> Any:
    """The function of a size in an LLVM module, declared where the module has none of this name."""
    function = cgutils.get_or_insert_function(module, SIZE_FUNCTION, name)
    if function.is_declaration:
        function.attributes.add("readonly")
        function.attributes.add("nounwind")
    return function


@intrinsic
def not_inlined(typingctx: Any) -> Any:
    """The function that calls this stays a function of its own."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.none(), generate


@intrinsic
def stack_on_cache_line(typingctx: Any) -> Any:
    """Spilled vectors of the function that calls this start on a cache line.

    LLVM would leave them on 16 bytes (measured: 4.1 against 5.6 ns, at random).
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        builder.function.attributes.alignstack = 64
        return context.get_dummy_value()

    return types.none(), generate


@intrinsic
def pointer_to(typingctx: Any, array: Any) -> Any:
    """Address of the first element of an array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.bitcast(data, context.get_value_type(signature.return_type))

    return types.CPointer(array.dtype)(array), generate
