"""What Numba is made to do differently for kernels, by names that are its own affair; used by `jit` only.

`self_test` checks that it does so, and `jit` does without where it does not.

Numba optimises and assembles every function by itself and again in each of its callers, once for every literal it is
called with, and reads all of them anew for every type of argument. Here the parts of an hour are only read. Entry
points are optimised whole, and LLVM alone binds an entry point whose sizes were left open to the sizes of a book.
"""

import glob
import inspect
import pickle
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from llvmlite import binding, ir
from numba import _dynfunc, types
from numba.core import compiler_lock, ir_utils, postproc
from numba.core import ir as numba_ir
from numba.core.analysis import compute_cfg_from_blocks
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target
from numba.core.typed_passes import NativeLowering
from numba.core.untyped_passes import LiteralUnroll

from basis.processes import remove

from .cache import file_lock, read_whole, write_whole
from .intrinsics import SIZE_FUNCTION
from .turns import EndlessLoop, is_over, turns_of_thread


class _CheckedFiles(IndexDataCacheFile):
    """The files of one function: its overloads, and an index of them. Each is read only if it is whole.

    The folder is named by all that kernels are made of, so that no stamp of a source file is asked for.
    """

    def _load_index(self) -> dict[Any, str]:
        with suppress(Exception):
            if (content := read_whole(Path(self._index_path))) is not None:
                return pickle.loads(content)  # noqa: S301 - the user's own file, and whole: `read_whole` looks
        return {}

    def save(self, key: Any, data: Any) -> None:
        # a name is never used for another overload: who has read an older index must not load that
        stem = Path(self._index_path).stem
        name = f"{stem}.{secrets.token_hex(8)}.nbc"
        folder, index = Path(self._cache_path), {**self._load_index(), key: name}
        write_whole(folder / name, self._dump((key, data)))
        write_whole(Path(self._index_path), self._dump(index))
        for path in folder.glob(f"{glob.escape(stem)}.*.nbc"):
            if path.name not in index.values():
                remove(path)

    def load(self, key: Any) -> Any:
        name = self._load_index().get(key)
        content = None if name is None else read_whole(Path(self._cache_path) / name)
        if content is None:
            return None
        kept, data = pickle.loads(content)  # noqa: S301 - as above
        return data if kept == key else None


class KernelCache(FunctionCache):
    """Numba's cache of one function, written by one process at a time: all overloads share one index file.

    A damaged file is compiled again, and what cannot be written is not kept.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = _CheckedFiles(self._cache_path, self._impl.filename_base, None)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with suppress(Exception):
            return super().load_overload(sig, target_context)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with file_lock("index"), suppress(OSError):
            super().save_overload(sig, data)


class _PartLibrary(JITCodeLibrary):
    """Code of a function that only other compiled functions call: kept as it was lowered."""

    def finalize(self) -> None:
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0


@register_pass(mutates_CFG=True, analysis_only=False)
class _PartLowering(NativeLowering):
    _name = "basis_part_lowering"

    def run_pass(self, state: Any) -> bool:
        codegen = state.targetctx.codegen()
        state.library = _PartLibrary(codegen, state.func_id.func_qualname)
        state.flags.no_compile = True
        done = super().run_pass(state)
        made = state["cr"]
        # This takes the place of the wrapper that Python callers would use.
        cfunc = _dynfunc.make_function(made.fndesc.lookup_module(), "part", "", 0, made.env, (state.library,))
        state.targetctx.insert_user_function(cfunc, made.fndesc, [state.library])
        state["cr"] = made._replace(cfunc=cfunc)
        return done


class PartCompiler(CompilerBase):
    """Reads a part of the hour and leaves machine code to the entry points that contain it."""

    def define_pipelines(self) -> list:
        builder = DefaultPassBuilder.define_nopython_pipeline(self.state)
        builder.passes = [
            (_PartLowering, text) if step is NativeLowering else (step, text) for step, text in builder.passes
        ]
        builder._finalized = False
        builder.finalize()
        return [builder]


@register_pass(mutates_CFG=True, analysis_only=False)
class _OwnCode(FunctionPass):
    """Counts the turns of every loop that a user has written, and has what he compiled himself compiled alike."""

    _name = "basis_own_code"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        function = state.func_ir
        _replace_called(function, state.pipeline.own)
        _count_turns(function)
        function._definitions = ir_utils.build_definitions(function.blocks)
        postproc.PostProcessor(function).run()
        return True


def _replace_called(function: Any, own: Callable[[Any], Any]) -> None:
    """Put for every function that was compiled elsewhere what `own` makes of it, where it makes anything of it."""
    for block in function.blocks.values():
        for statement in block.find_insts(numba_ir.Assign):
            found = _value_from_outside(function, statement.value)
            made = None if found is None else own(found)
            if made is not None:
                statement.value = numba_ir.Global(statement.target.name, made, statement.loc)


def _value_from_outside(function: Any, value: Any) -> Any:
    """What a global, a variable of an outer function, or an attribute of a module is; None for anything else."""
    if isinstance(value, numba_ir.Global | numba_ir.FreeVar):
        return value.value
    if isinstance(value, numba_ir.Expr) and value.op == "getattr":
        definition = ir_utils.guard(ir_utils.get_definition, function, value.value)
        module = _value_from_outside(function, definition)
        return getattr(module, value.attr, None) if inspect.ismodule(module) else None
    return None


def _count_turns(function: Any) -> None:
    """At the head of every loop, count a turn, and leave where it is one too many."""
    blocks = function.blocks
    heads = {loop.header: _first_line(blocks, loop) for loop in compute_cfg_from_blocks(blocks).loops().values()}
    if not heads:
        return
    entry = blocks[min(blocks)]
    words = entry.scope.redefine("$turns", entry.loc)
    entry.body[:0] = _call(entry, words, turns_of_thread, ())
    label = max(blocks)
    for head in sorted(heads):
        block, rest = blocks[head], numba_ir.Block(blocks[head].scope, blocks[head].loc)
        leaves = numba_ir.Block(block.scope, block.loc)
        leaves.append(numba_ir.StaticRaise(EndlessLoop, (), heads[head]))
        blocks[label + 1], blocks[label + 2] = rest, leaves
        over = block.scope.redefine("$over", block.loc)
        # where a function begins with its loop, the words are looked up first
        kept = 2 if block is entry else 0
        rest.body = block.body[kept:]
        block.body = block.body[:kept] + _call(block, over, is_over, (words,))
        block.append(numba_ir.Branch(over, label + 2, label + 1, block.loc))
        label += 2


def _first_line(blocks: Any, loop: Any) -> Any:
    """Where a loop is written: the test of a while loop is compiled to its end."""
    found = [statement.loc for label in loop.body for statement in blocks[label].body]
    here = blocks[loop.header].loc
    return min((loc for loc in found if loc.filename == here.filename), key=lambda loc: loc.line, default=here)


def _call(place: Any, target: Any, called: Any, args: tuple) -> list[Any]:
    """Statements that call a function and keep what it returns."""
    name = place.scope.redefine("$called", place.loc)
    return [
        numba_ir.Assign(numba_ir.Global(called.__name__, called, place.loc), name, place.loc),
        numba_ir.Assign(numba_ir.Expr.call(name, args, (), place.loc), target, place.loc),
    ]


def own_code_compiler(is_own: Callable[[Any], bool], part: Callable[..., Any]) -> type:
    """A compiler of what a user has written.

    Parameters
    ----------
    is_own : whether a plain function is one of the user
    part : compiles a function that he has compiled himself: called with it, this compiler, and options of Numba
    """
    made: dict[Any, Any] = {}

    class OwnCodeCompiler(PartCompiler):
        @staticmethod
        def own(value: Any) -> Any:
            """What stands for a function that the user has compiled himself; None for anything else."""
            if not isinstance(value, Dispatcher) or not is_own(value.py_func) or value.targetoptions.get("parallel"):
                return None
            if value not in made:
                kept = {name: value.targetoptions[name] for name in ("fastmath",) if name in value.targetoptions}
                model = value.targetoptions.get("error_model", "python")
                made[value] = part(value.py_func, OwnCodeCompiler, error_model=model, **kept)
                if not value._can_compile:
                    # it was compiled for certain types of arguments, and takes no others as they are
                    for types_of_arguments in value.nopython_signatures:
                        made[value].compile(types_of_arguments)
                    made[value].disable_compile()
            return made[value]

        def define_pipelines(self) -> list:
            [builder] = super().define_pipelines()
            place = [step for step, _ in builder.passes].index(LiteralUnroll)
            builder.passes.insert(place + 1, (_OwnCode, "count the turns of loops"))
            return [builder]

    return OwnCodeCompiler


def is_kept(kernel: Any, signature: Any) -> bool:
    """Whether the cache has a kernel for a signature."""
    cache = kernel._cache
    if not isinstance(cache, KernelCache):
        return False
    codegen = cpu_target.target_context.codegen()
    # Numba files it under the whole signature, or under its arguments where it was given no more.
    keys = [cache._index_key(wanted, codegen) for wanted in (signature, getattr(signature, "args", signature))]
    return not cache._cache_file._load_index().keys().isdisjoint(keys)


def for_any_literal(part: Any) -> Any:
    """One compiled function for all literals that a part is called with."""
    template = part.get_call_template

    def get_call_template(args: tuple, kws: Mapping[str, Any]) -> Any:
        return template(tuple(map(types.unliteral, args)), {name: types.unliteral(a) for name, a in kws.items()})

    part.get_call_template = get_call_template
    return part


class _BoundLibrary(JITCodeLibrary):
    """An entry point with all its parts: nothing but the entry point itself is seen from outside.

    The parts of two books have the same names and other sizes: a linker would take the first for both.
    """

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration and function.name != self.name:
                function.linkage = binding.Linkage.internal
        super()._optimize_final_module()


def _context() -> Any:
    """Numba's context with all that machine code asks of it at run time; without it the process would abort.

    By itself Numba waits with it for the first function that it compiles.
    """
    cpu_target.target_context.refresh()
    return cpu_target.target_context


def machine() -> str:
    """Processor and features that machine code is made for."""
    return repr(cpu_target.target_context.codegen().magic_tuple())


def read(function: Any, signature: Any) -> tuple[str, bytes]:
    """Name and LLVM bitcode of an open kernel with all its parts, as they were read."""
    with compiler_lock.global_compiler_lock:
        made = function.get_compile_result(signature)
        return made.fndesc.llvm_func_name, made.library._get_module_for_linking().as_bitcode()


def bind(read: tuple[str, bytes], signature: Any, sizes: Mapping[str, int], name: str) -> JITCodeLibrary:
    """Machine code of an open kernel whose sizes, by the names of their functions, are constants."""
    inner, bitcode = read
    with compiler_lock.global_compiler_lock:
        context = _context()
        codegen = context.codegen()
        library = _BoundLibrary(codegen, name)
        library.enable_object_caching()
        module = codegen._create_empty_module(name)
        for size, value in sizes.items():
            constant = ir.Function(module, SIZE_FUNCTION, size)
            constant.attributes.add("alwaysinline")
            ir.IRBuilder(constant.append_basic_block()).ret(ir.Constant(ir.IntType(64), value))
        kind = context.call_conv.get_function_type(signature.return_type, signature.args)
        outer = ir.Function(module, kind, name)
        builder = ir.IRBuilder(outer.append_basic_block())
        builder.ret(builder.call(ir.Function(module, kind, inner), outer.args))
        library.add_ir_module(module)
        library._final_module.link_in(binding.parse_bitcode(bitcode))
        library.finalize()
        return library


def dump(library: JITCodeLibrary) -> Any:
    """What `load` makes a library of, in another process."""
    return library.serialize_using_object_code()


def load(dumped: Any) -> JITCodeLibrary:
    """Machine code that was made before."""
    with compiler_lock.global_compiler_lock:
        return _context().codegen().unserialize_library(dumped)
