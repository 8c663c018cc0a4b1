"""Names over addresses: what compiled code reads by a name is what was packed, with the same source in plain Python."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numba import types

from basis.kernel.numba import cache, jit
from basis.kernel.numba.struct_view import StructView, make_records

pytestmark = pytest.mark.stock
WORDS = types.int64[::1]
RUN = types.float64(WORDS)
EVENT = np.dtype([("kind", "i8"), ("quantity", "f8"), ("price", "f8")])
ADD = types.float64(types.float64, types.float64)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Kernels of a test are named by their functions alone: an edit of one would not be seen in a cache that stays."""
    monkeypatch.setattr(cache, "CACHE", str(tmp_path))


def run_open(function, view, value, field="sizes"):
    """Result of an open kernel, bound to the counts of a value."""
    bound = jit.bind_sizes(jit.open_kernel(function), RUN, view.size_constants(field, getattr(value, field)))
    caller = StructView("caller", {"function": RUN})
    enter_view = caller.view

    @jit.kernel
    def enter(handle, words):
        return enter_view(handle).function(words)

    return enter(caller.pack(SimpleNamespace(function=bound)), view.pack(value))


def run_closed(function, view, value):
    """Result of a kernel that reads its counts from the handle."""
    return jit.kernel(function)(view.pack(value))


COUNTED = StructView("counted", {"sizes": {"venues": "count", "lanes": "count"}, "cash": "f8 venues"})


def total_of_counts(view):
    def total(handle):
        run = view(handle)
        found = 0.0
        for venue in range(run.sizes.venues):
            found += run.cash[venue] + run.sizes.lanes
        return found

    return total


@pytest.mark.parametrize("venues", [0, 1, 3])
def test_counts_are_integers(venues):
    value = SimpleNamespace(sizes=SimpleNamespace(venues=venues, lanes=2), cash=np.arange(1.0, venues + 1.0))
    expected = value.cash.sum() + 2.0 * venues
    assert run_closed(total_of_counts(COUNTED.view), COUNTED, value) == expected
    assert run_open(total_of_counts(COUNTED.open_view), COUNTED, value) == expected


@pytest.mark.skipif(jit.MODE == jit.STOCK, reason="the stock way binds no counts")
def test_a_bound_count_is_a_constant():
    view = StructView("constant", {"sizes": {"venues": "count"}, "cash": "f8 venues"})
    open_view = view.open_view

    def length(handle):
        return float(open_view(handle).cash.shape[0])

    value = SimpleNamespace(sizes=SimpleNamespace(venues=3), cash=np.zeros(3))
    assert run_open(length, view, value) == 3.0
    if jit.MODE == jit.DEFAULT:
        code = jit._bound[-1].get_asm_str()
        assert "$4613937818241073152" in code, "3.0, without a look at the handle"


def test_columns_of_a_wider_table():
    view = StructView("columns", {"mark": "f8 rows k in width"})
    names = view.view

    def read(handle):
        mark = names(handle).mark
        found = 0.0
        for t in range(mark.shape[0]):
            for i in range(mark.shape[1]):
                found += mark[t, i] * (t + 1)
                mark[t, i] = -1.0
        return found

    table = np.arange(60.0).reshape(4, 15)
    part = table[:, 10:14]
    expected = float((part * np.arange(1.0, 5.0)[:, None]).sum())
    assert run_closed(read, view, SimpleNamespace(mark=part)) == expected
    assert (table[:, 10:14] == -1.0).all()
    assert (table[:, :10] >= 0.0).all()
    assert (table[:, 14] >= 0.0).all()
    with pytest.raises(ValueError, match=r"columns\.mark must be contiguous along its last axis"):
        view.pack(SimpleNamespace(mark=table[:, ::2]))


BLOCK = {
    "sizes": {"lanes": "count", "tokens": "count", "first_token": "count", "equity": "count"},
    "block": "f8 rows lanes",
}
#: The same rows as parts of one block, and as arrays of their own.
PARTS = {
    "shared": {"token": "f8 tokens lanes of block at first_token", "equity_row": "f8 lanes of block at equity"},
    "apart": {"token": "f8 tokens lanes", "equity_row": "f8 lanes"},
}


def add_up(view):
    def add(handle):
        run = view(handle)
        found = 0.0
        for lane in range(run.sizes.lanes):
            for slot in range(run.sizes.tokens):
                run.equity_row[lane] += run.token[slot, lane]
            found += run.equity_row[lane]
        return found

    return add


def block_value():
    block = np.arange(32.0).reshape(8, 4)
    sizes = SimpleNamespace(lanes=4, tokens=3, first_token=2, equity=6)
    return SimpleNamespace(sizes=sizes, block=block, token=block[2:5], equity_row=block[6])


@pytest.mark.parametrize("how", PARTS)
@pytest.mark.parametrize("bound", [True, False])
def test_rows_of_a_block(how, bound):
    view = StructView(f"block_{how}", {**BLOCK, **PARTS[how]})
    value = block_value()
    expected = value.block[6] + value.block[2:5].sum(axis=0)
    if bound:
        assert run_open(add_up(view.open_view), view, value) == expected.sum()
    else:
        assert run_closed(add_up(view.view), view, value) == expected.sum()
    assert (value.block[6] == expected).all()


def test_columns_of_a_table_of_the_struct():
    view = StructView(
        "table", {"sizes": {"width": "count"}, "table": "f8 rows width", "mark": "f8 rows k in width of table at 3"}
    )
    names = view.view

    def read(handle):
        return names(handle).mark[2, 1]

    table = np.arange(24.0).reshape(3, 8)
    value = SimpleNamespace(sizes=SimpleNamespace(width=8), table=table, mark=table[:, 3:5])
    assert run_closed(read, view, value) == 20.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"token": np.zeros((2, 4))}, "token has 2 tokens, of .tokens, lanes.; it must have 3"),
        ({"token": np.zeros((3, 5))}, "token has 5 lanes"),
        ({"token": np.zeros((3, 4))}, "token is not the part of block that begins at first_token"),
        (
            {"block": np.zeros((8, 4), dtype=np.float32)},
            "block is float32 of 2 axes; it must be float64 of .rows, lanes",
        ),
        ({"block": np.zeros((8, 8))[:, ::2]}, "block must be C-contiguous"),
        ({"equity_row": np.zeros((1, 4))}, "equity_row is float64 of 2 axes"),
    ],
)
def test_what_is_packed_is_checked(change, message):
    view = StructView("checked", {**BLOCK, **PARTS["shared"]})
    value = SimpleNamespace(**{**vars(block_value()), **change})
    with pytest.raises(ValueError, match=rf"checked\.{message}"):
        view.pack(value)


def test_records():
    view = StructView("records", {"count": "i8 one", "events": (EVENT, "events")})
    names = view.view

    def write(handle):
        run = names(handle)
        for e in range(run.events.shape[0]):
            run.events[e].kind = e + 1
            run.events[e].quantity = run.events[e].kind * 0.5
            run.events[e].price += 1.0
            run.count[0] += 1
        last = run.events[run.events.shape[0] - 1]
        last.price = 7.0
        return last.quantity

    value = SimpleNamespace(count=np.zeros(1, dtype=np.int64), events=make_records(EVENT, 3))
    assert run_closed(write, view, value) == 1.5
    assert value.events["kind"].tolist() == [1, 2, 3]
    assert value.events["quantity"].tolist() == [0.5, 1.0, 1.5]
    assert value.events["price"].tolist() == [1.0, 1.0, 7.0]
    assert value.count[0] == 3
    value.events = np.zeros(3, dtype=EVENT)
    with pytest.raises(ValueError, match=r"records\.events must be a numpy\.recarray"):
        view.pack(value)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (np.dtype([("size", "f8")]), "must not be called size"),
        (np.dtype([("price", "f4")]), "price of its records is float32"),
        (np.dtype("f8"), "float64 is no type of records"),
        ("f4 rows", "no kind of field"),
        ("f8 lanes of nowhere at 0", "a part of 'nowhere', which is no such array"),
    ],
)
def test_what_cannot_be_declared(kind, message):
    with pytest.raises(ValueError, match=message):
        StructView("declared", {"field": kind})


def test_nested_structs_and_functions():
    view = StructView("nested", {"add": ADD, "model": {"busy": "u1 hours", "deep": {"step": "int"}}})
    names = view.view

    @jit.kernel
    def add(a, b):
        return a + b

    def call(handle):
        run = names(handle)
        return run.add(1.5, float(run.model.busy[1] + run.model.deep.step))

    model = SimpleNamespace(busy=np.array([0, 2], dtype=np.uint8), deep=SimpleNamespace(step=40))
    assert run_closed(call, view, SimpleNamespace(add=add, model=model)) == 43.5


@pytest.mark.skipif(jit.MODE != jit.DEFAULT, reason="this is the other half")
def test_the_same_in_plain_python():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__))]
    done = subprocess.run(command, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
