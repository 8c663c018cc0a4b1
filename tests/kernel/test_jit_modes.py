"""How kernels are compiled: Numba is tested once, and where it has changed, its stock way gives the same bits."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import pytest

import basis
from basis.kernel.numba import cache

HERE = Path(__file__).parent

MODE = textwrap.dedent(
    """
    import warnings
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        {change}
        from basis.kernel.numba import jit

        @jit.stage
        def half(x):
            return 0.5 * x

        @jit.open_kernel
        def total(count):
            return half(count) + half(3.0)

        from numba import types
        signature = types.float64(types.float64)
        address = jit.bind_sizes(total, signature, {{}})
    print(jit.MODE, len(said), *(str(w.message).partition(" has other")[0] for w in said), address > 0)
    """
)

#: Lines of code that make Numba another one than the kernels were made for.
CHANGES = {
    "a name is gone": "import numba.core.codegen as c; del c.JITCodeLibrary",
    "a call fails": "import llvmlite.binding as b; b.parse_bitcode = None",
    "another result": "import ctypes; ctypes.c_double = type('c_double', (ctypes.c_double,), {'value': 0.5})",
}


def child(code, folder, **environment):
    """A process that runs code in `folder`, and keeps its kernels there."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("NUMBA_DISABLE_JIT", "BASIS_JIT")}
    package = str(Path(basis.__file__).parent.parent)
    made = {**inherited, "BASIS_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": package, **environment}
    (folder / "child.py").write_text(code)
    return subprocess.run([sys.executable, "child.py"], env=made, cwd=folder, capture_output=True, text=True)


def mode(folder, change="pass", **environment):
    """How a process compiles, how many warnings it gave and for what, in which Numba was changed by a line of code."""
    done = child(MODE.format(change=change), folder, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_numba_is_tested_once(tmp_path):
    assert mode(tmp_path) == "default 0 True"
    (kept,) = tmp_path.rglob("self-test-*")
    before = kept.stat().st_mtime_ns
    # what went well is not done again
    assert mode(tmp_path, CHANGES["another result"]) == "default 0 True"
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize("change", CHANGES)
def test_another_numba_is_used_the_stock_way_with_one_warning(tmp_path, change):
    assert mode(tmp_path, CHANGES[change]) == f"stock 1 Numba {numba.__version__} True"
    assert not list(tmp_path.rglob("self-test-*"))


def test_the_stock_way_can_be_chosen(tmp_path):
    assert mode(tmp_path, CHANGES["a name is gone"], BASIS_JIT="stock") == "stock 0 True"


def test_another_way_cannot(tmp_path):
    done = child(MODE.format(change="pass"), tmp_path, BASIS_JIT="fast")
    assert "ValueError: BASIS_JIT is 'fast'; it must be 'stock', or not be set." in done.stderr


RUNS = textwrap.dedent(
    """
    import hashlib, basis

    @basis.compiled
    def modest(view, act, share=0.4):
        wanted = share * view.equity / view.price("BTC")
        if view.long("BTC") < 0.5 * wanted:
            act.entry_full("USDT", share * view.equity)
            act.entry_full("BTC", wanted - view.long("BTC"))

    def hashes():
        found = []
        for mode, strategy in (("btc_basis", None), ("btc_basis", modest), ("eth_leveraged", None)):
            result = basis.backtest(mode, start="2024-02-01", end="2024-02-04", strategy=strategy)
            assert result.status == "complete"
            tables = (result.equity, result.attribution, result.positions, result.risk, result.events)
            found.append(hashlib.sha256("".join(table.to_csv() for table in tables).encode()).hexdigest())
        return found

    if __name__ == "__main__":
        print(*hashes())
    """
)


@pytest.mark.slow
def test_the_stock_way_gives_the_same_bits(tmp_path):
    # what was compiled before in this checkout serves
    folder = str(Path(cache.CACHE).parent)
    default, stock = [child(RUNS, tmp_path, BASIS_CACHE_DIR=folder, **way) for way in ({}, {"BASIS_JIT": "stock"})]
    assert (stock.returncode, stock.stderr) == (0, "")
    assert len(stock.stdout.split()) == 3
    assert stock.stdout == default.stdout


@pytest.mark.slow
def test_marked_tests_hold_in_the_stock_way():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "stock", str(HERE)]
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_DISABLE_JIT"} | {"BASIS_JIT": "stock"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
