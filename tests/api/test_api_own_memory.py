"""What compiled code of a user can do to memory and time: places beyond an array, recursion, loops without an end."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numba
import numpy as np
import pytest

import basis
from basis.errors import EngineError, InputError
from basis.kernel.numba import turns

SHORT = {"start": "2024-02-01", "end": "2024-02-03"}
DRIVERS = ("kernel", "event")
EVERY_ROW = "@basis.compiled(every_row=True)"
#: Seconds in which a signal has to end a run.
PROMPT = 1.0


def run(strategy, driver="kernel", **more):
    return basis.backtest("btc_basis", strategy=strategy, driver=driver, **{**SHORT, **more})


# --- places beyond an array ------------------------------------------------------------------------------------------


@numba.njit
def last_of_four(place):
    own = np.zeros(4)
    own[place] = 1.0
    return own.sum()


@numba.njit
def through_another(place):
    return last_of_four(place)


#: A body whose place is 3 in row 2 and 4 in row 3 → the line that goes beyond.
BEYOND = {
    "view.memory[0] += 1.0\nplace = int(view.memory[0])\nview.memory[place] = 1.0": "line 5: view.memory[place]",
    "view.memory[0] += 1.0\nx = view.memory[int(view.memory[0])]": "line 4: x = view.memory[",
    "view.memory[0] += 1.0\nown = np.zeros(4)\nown[int(view.memory[0])] = 1.0": "line 5: own[int(",
    "view.memory[0] += 1.0\nlast_of_four(int(view.memory[0]))": "own[place] = 1.0",
    "view.memory[0] += 1.0\nthrough_another(int(view.memory[0]))": "own[place] = 1.0",
}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("body", BEYOND)
def test_a_place_beyond_an_array_tells_strategy_row_index_and_line(body, driver, cell):
    strategy = cell(body, decorator=EVERY_ROW, last_of_four=last_of_four, through_another=through_another)
    with pytest.raises(EngineError) as caught:
        run(strategy, driver)
    said = str(caught.value)
    assert "failed in row 3 (2024-02-01T03:00:00Z): strategy mine raised IndexError: index 4 is out of bounds" in said
    assert "size 4" in said
    assert BEYOND[body] in said


@pytest.mark.parametrize("place", [-5, 4, 10**6])
def test_wild_writes_change_nothing_before_they_are_told(place, cell):
    """What stands beside the memory, the state of the run, is as the row before has left it."""
    strategy = cell("view.memory[place] = 1e9", place=place)
    with pytest.raises(EngineError, match=rf"index {place} is out of bounds"):
        run(strategy)


@pytest.mark.parametrize(
    "body",
    [
        "view.memory[0] = np.take_along_axis(np.zeros((4, 1)), np.array([[9]]), 0).sum()",
        "view.memory[0] = np.bincount(np.array([-3])).sum()",
        "view.memory[0] = np.zeros(4)[np.array([9])].sum()",
    ],
)
def test_what_numba_brings_is_checked_too(body, cell):
    with pytest.raises(EngineError, match="mine raised IndexError"):
        run(cell(body))


@pytest.mark.parametrize("body", ["np.zeros(4).flat[9] = 1.0", "x = numba.carray(view.memory, 100)[50]"])
def test_what_no_array_bounds_is_refused(body, cell):
    with pytest.raises(
        InputError, match=r"mine cannot be compiled: (flat|carray) reaches memory without a check \(line 3"
    ):
        run(cell(body, numba=numba))


def test_within_its_arrays_it_may_do_all(cell):
    body = "own = np.zeros(4)\nfor i in range(4):\n    own[i] = i\nview.memory[0] = own[-1] + last_of_four(3)"
    assert run(cell(body, last_of_four=last_of_four)).status == "complete"


def test_what_was_compiled_elsewhere_keeps_its_meaning(cell):
    """Division by zero raises where a user compiled it so, and is infinite in the strategy itself."""

    @numba.njit
    def divide(x, y):
        return x / y

    assert run(cell("view.memory[0] = 1.0 / view.dust")).status == "complete"
    with pytest.raises(EngineError, match=r"mine raised ZeroDivisionError: (float )?division by zero"):
        run(cell("view.memory[0] = divide(1.0, view.dust)", divide=divide))


@numba.njit("float64(float64)")
def power(x):
    return x**126


def test_what_was_compiled_for_certain_types_takes_no_others(cell):
    """As an integer the power would overflow."""
    strategy = cell("if power(3) != 3.0**126:\n    raise ValueError('overflow')", power=power)
    assert run(strategy).status == "complete"


# --- recursion -------------------------------------------------------------------------------------------------------


@numba.njit
def factorial(n):
    return 1.0 if n < 2 else n * factorial(n - 1)


@numba.njit
def even(n):
    return True if n == 0 else odd(n - 1)


@numba.njit
def odd(n):
    return False if n == 0 else even(n - 1)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("view.memory[0] = factorial(10**8)", "factorial calls itself (line"),
        ("view.memory[0] = even(int(view.equity))", "calls itself by way of"),
    ],
)
def test_recursion_is_refused_before_the_run(body, words, cell):
    with pytest.raises(InputError) as caught:
        run(cell(body, factorial=factorial, even=even))
    assert words in str(caught.value)
    assert "write it as a loop" in str(caught.value)


# --- loops without an end --------------------------------------------------------------------------------------------


@numba.njit
def for_ever(x):
    while x > 0.0:
        x += 1.0
    return x


#: A loop that does not end → the line that the error names.
ENDLESS = {
    "while True:\n    pass": "line 3: while True:",
    "x = 0.0\nwhile view.equity > 0.0:\n    x += 1.0": "line 4: while view.equity > 0.0:",
    "for i in range(10**12):\n    view.memory[0] += i": "line 3: for i in range(10**12):",
    "for i in range(10**6):\n    for j in range(10**6):\n        view.memory[0] += j": "for j in range(10**6):",
    "view.memory[0] = for_ever(view.equity)": "while x > 0.0:",
}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("body", ENDLESS)
def test_a_loop_that_does_not_end_is_an_error_with_its_line(body, driver, cell):
    with pytest.raises(EngineError) as caught:
        run(cell(body, for_ever=for_ever), driver)
    said = str(caught.value)
    assert "failed in row 0 (2024-02-01T00:00:00Z): strategy mine did not come to an end" in said
    assert "more than 100,000,000 turns in one decision" in said
    assert ENDLESS[body] in said


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_decision_has_so_many_turns_and_no_more(more, cell, monkeypatch):
    monkeypatch.setattr(turns, "TURNS_PER_DECISION", 1_000)
    # the turn that finds the loop at its end counts, too
    strategy = cell(f"for i in range({999 + more}):\n    view.memory[0] += i", decorator=EVERY_ROW)
    if more <= 0:
        assert run(strategy).status == "complete"
    else:
        with pytest.raises(EngineError, match="did not come to an end"):
            run(strategy)


def test_after_a_loop_without_an_end_the_next_run_is_as_before(cell):
    before = run(None).equity
    with pytest.raises(EngineError, match="did not come to an end"):
        run(cell("while True:\n    pass"))
    assert run(None).equity.equals(before)
    assert run(cell("for i in range(50):\n    view.memory[0] += i")).status == "complete"


def test_runs_in_threads_count_their_own_turns(cell):
    """Each has so many turns of a decision, whatever the others take."""
    strategy = cell(
        "x = 0.0\nfor i in range(3_000_000):\n    x += math.sqrt(i)\nview.memory[0] = x", decorator=EVERY_ROW
    )
    expected = run(strategy).equity
    found = []
    workers = [threading.Thread(target=lambda: found.append(run(strategy).equity)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 3
    assert all(equity.equals(expected) for equity in found)


# --- signals ---------------------------------------------------------------------------------------------------------

#: Each would run for minutes, without using up the turns of a decision; the last counts none.
SLOW = {
    "a slow turn": "x = 0.0\nfor i in range(90_000_000):\n    x += np.arange(1000.0).sum()\nview.memory[0] = x",
    "many rows": "x = 0.0\nfor i in range(30_000_000):\n    x += math.sqrt(i)\nview.memory[0] = x",
    "not to be stopped": "view.memory[0] = uncounted(4e9)",
}


@numba.njit(parallel=True)
def uncounted(turns):
    """What Numba runs in parallel is left as the user compiled it; some seconds, so that no thread stays behind."""
    x = 0.0
    while x < turns:
        x += 1.0
    return x


class Signal:
    """Sends a signal to this process a moment after a run has begun, and knows how long that then took."""

    def __init__(self, after=0.5):
        self._timer = threading.Timer(after, self._send)

    def _send(self):
        self._sent = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

    def __enter__(self):
        # a shell has what it runs in the background ignore it
        self._before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self._timer.start()
        return self

    def __exit__(self, *_):
        self.took = time.perf_counter() - self._sent
        signal.signal(signal.SIGINT, self._before)


@pytest.mark.filterwarnings("ignore:.*parallel=True")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("body", SLOW)
def test_a_signal_ends_a_run_within_a_second(body, driver, cell):
    strategy = cell(SLOW[body], decorator=EVERY_ROW, uncounted=uncounted)
    strategy.check(basis.load_config("btc_basis"))
    run(None, driver)
    with pytest.raises(KeyboardInterrupt), Signal() as sent:
        run(strategy, driver, start=None, end=None)
    assert sent.took < PROMPT
    assert run(None, driver).status == "complete"


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_signal_ends_a_run_in_an_event_loop_of_the_callers(driver, cell):
    """`asyncio.run` cancels the run rather than interrupt it."""
    strategy = cell(SLOW["many rows"], decorator=EVERY_ROW)
    config = basis.load_config("btc_basis")
    provider = basis.DataProvider(basis.api.default_data(), config)
    engine = basis.EventDrivenStrategyEngine(config, "backtest", provider, 100_000.0, "USDT", strategy=strategy)
    run(None, driver)
    with pytest.raises(KeyboardInterrupt), Signal() as sent:
        asyncio.run(engine.run_backtest(driver=driver))
    assert sent.took < PROMPT


def test_a_process_ends_though_a_loop_was_left_behind(tmp_path):
    script = tmp_path / "left.py"
    script.write_text(
        "import sys; sys.path[:0] = sys.argv[1:2]\n"
        "import basis, numba\n"
        "from test_api_own_memory import SHORT, Signal, uncounted\n"
        "@basis.compiled\n"
        "def mine(view, act):\n"
        "    view.memory[0] = uncounted(1e12)\n"
        "mine.check(basis.load_config('btc_basis'))\n"
        "try:\n"
        "    with Signal():\n"
        "        basis.backtest('btc_basis', strategy=mine, **SHORT)\n"
        "except KeyboardInterrupt:\n"
        "    print('left')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(Path(__file__).parent)], capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "left\n"), done.stderr


def test_the_stop_button_of_a_notebook_ends_a_run(tmp_path):
    """Jupyter sends the kernel of a notebook a signal, and an event loop runs in its main thread."""
    manager = pytest.importorskip("jupyter_client").manager.KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(tmp_path), env={**os.environ})
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)

        def execute(code, timeout=120):
            client.execute(code)
            return client.get_shell_msg(timeout=timeout)["content"]

        setup = (
            "import basis, math\n"
            "@basis.compiled(every_row=True)\n"
            "def mine(view, act):\n"
            "    x = 0.0\n    for i in range(30_000_000):\n        x += math.sqrt(i)\n    view.memory[0] = x\n"
            "mine.check(basis.load_config('btc_basis'))\n"
            "basis.backtest('btc_basis', start='2024-02-01', end='2024-02-02', driver='event')"
        )
        assert execute(setup)["status"] == "ok"
        for driver in DRIVERS:
            asked = client.execute(f"basis.backtest('btc_basis', strategy=mine, driver={driver!r})")
            while True:
                seen = client.get_iopub_msg(timeout=60)
                if seen["parent_header"].get("msg_id") == asked and seen["content"].get("execution_state") == "busy":
                    break
            time.sleep(1.0)
            sent = time.perf_counter()
            manager.interrupt_kernel()
            said = client.get_shell_msg(timeout=60)["content"]
            assert (said["status"], said.get("ename")) == ("error", "KeyboardInterrupt")
            # the answer comes through two processes, which a busy machine may keep waiting
            assert time.perf_counter() - sent < 3 * PROMPT
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
