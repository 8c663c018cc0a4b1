"""Time only runs forward: nothing later changes a row, and a run may be cut anywhere without a trace."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

import basis
from basis.engine.simulation import checkpoint, simulate
from basis.results.folder import TABLES
from support.exchange_draws import config_of, markets, policies
from support.kernel_view import RunView, state_without_tier_bounds
from support.runs import settings
from support.small_markets import at_row, flows, market, pool, walk

ROWS = 60


def changed_after(panel, row, seed):
    """The same panel with every input after a row changed."""
    rng = np.random.default_rng(seed)
    columns = {name: values.copy() for name, values in panel.columns.items()}
    for values in columns.values():
        values[row + 1 :] *= rng.uniform(0.3, 3.0, len(values) - row - 1)
    return replace(panel, columns=columns)


@trials(max_examples=60)
@given(drawn=markets(rows=ROWS), policy=policies(rows=ROWS), row=st.integers(0, ROWS - 2), seed=st.integers(0, 99))
def test_no_row_knows_a_later_one(drawn, policy, row, seed):
    panel = drawn.panel()
    made = RunView(simulate(config_of(panel, policy), panel))
    other_panel = changed_after(panel, row, seed)
    other = RunView(simulate(config_of(panel, policy), other_panel))
    assert min(made.stop, row + 1) == min(other.stop, row + 1)
    assert other.record[: row + 1].tobytes() == made.record[: row + 1].tobytes()
    assert other.events_until(row) == made.events_until(row)


@trials(max_examples=20)
@given(row=st.integers(0, 38), seed=st.integers(0, 99), rule=st.booleans())
def test_no_row_of_lending_knows_a_later_one(row, seed, rule):
    mean = 0.04 + 0.03 * np.sin(np.arange(40))
    panel = pool(40, mean=mean)
    overrides = {"flows": flows(panel, (10, 20_000.0), (20, -30_000.0), (30, -1e6))}
    if rule:
        overrides["strategy.rate_rule"] = {"enabled": True, "enter": 0.05, "leave": 0.02, "window": "24h"}
    config = settings("pure_lending", overrides)
    made, other = RunView(simulate(config, panel)), RunView(simulate(config, changed_after(panel, row, seed)))
    assert other.record[: row + 1].tobytes() == made.record[: row + 1].tobytes()
    assert other.events_until(row) == made.events_until(row)


@trials(max_examples=60)
@given(drawn=markets(rows=ROWS), policy=policies(rows=ROWS), row=st.integers(0, ROWS - 2))
def test_a_run_cut_anywhere_goes_on_with_the_same_bits(drawn, policy, row):
    """While money travels, withdrawals wait, a rate rule remembers and orders fill in the next bar."""
    panel = drawn.panel()
    config = config_of(panel, policy)
    made = RunView(simulate(config, panel))
    if row >= made.stop - 1:
        return
    kept = checkpoint(made.recording, at_row(panel, row))
    rest = RunView(simulate(config, panel.slice(row, ROWS - 1), resume=kept))
    assert (rest.status, rest.stop) == (made.status, made.stop - row)
    assert rest.record.tobytes() == made.record[row:].tobytes()
    assert state_without_tier_bounds(rest).tobytes() == state_without_tier_bounds(made).tobytes()
    assert rest.raw_events.tobytes() == made.events_after(row)


@trials(max_examples=30)
@given(drawn=markets(rows=ROWS), policy=policies(rows=ROWS), row=st.integers(1, ROWS - 2))
def test_a_shorter_window_is_the_beginning_of_a_longer_one(drawn, policy, row):
    panel = drawn.panel()
    config = config_of(panel, ({**policy[0], "close_at_end": False}, policy[1]))
    whole, part = RunView(simulate(config, panel)), RunView(simulate(config, panel.slice(0, row)))
    assert part.record.tobytes() == whole.record[: row + 1].tobytes()
    assert part.raw_events.tobytes() == whole.events_until(row)


# --- tables of results -----------------------------------------------------------------------------------------------

CASES = {
    "in transit": {"venues.bybit.latency.deposit": "7h"},
    "pending": {"flows": [(8, 40_000.0), (20, -30_000.0), (22, -20_000.0)], "venues.bybit.latency.withdrawal": "9h"},
    "next bar": {"fill": "next_bar", "flows": [(20, -30_000.0)]},
    "rate rule": {"strategy.rate_rule": {"enabled": True, "enter": 0.05, "leave": -0.05, "window": "24h"}},
    "liquidation": {"strategy.margin_ratio_target": 0.1},
}


@pytest.mark.parametrize("name", CASES)
def test_every_table_of_a_resumed_run_is_that_of_the_whole(name):
    rng = np.random.default_rng(7)
    panel = market(walk(50, 7, 0.02), apr=0.1 * rng.standard_normal(50))
    overrides = dict(CASES[name])
    if "flows" in overrides:
        overrides["flows"] = flows(panel, *overrides["flows"])
    config = settings("btc_basis", overrides)
    whole = basis.backtest(config, panel)
    for row in (0, 1, 2, 20, 21, 24, 40):
        rest = basis.backtest(config, panel.slice(row, 49), resume=whole.checkpoint(at_row(panel, row)))
        for table in TABLES:
            one, other = whole.table(table), rest.table(table)
            assert list(one.columns) == list(other.columns), table
            stamps = np.asarray(one["timestamp"])
            later = stamps > np.asarray(whole.table("equity")["timestamp"])[row]
            mine = np.asarray(other["timestamp"]) > np.asarray(whole.table("equity")["timestamp"])[row]
            for column in one.columns:
                if column == "seq":  # numbers the events of a folder
                    continue
                left, right = np.asarray(one[column])[later], np.asarray(other[column])[mine]
                assert len(left) == len(right), (table, column)
                if column == "correlation_id":  # the run's name, and the number of the decision
                    left, right = (np.array([text.rpartition("-")[2] for text in x]) for x in (left, right))
                    # of a transfer before the checkpoint the rest knows the arrival only
                    sent_before = (np.asarray(other["kind"])[mine] == "arrival") & (right == "")
                    left = np.where(sent_before, "", left)
                if (table, column) == ("events", "detail"):
                    # why something was decided is worked out from tables, which begin with the checkpoint
                    told = np.asarray(one["kind"])[later] != "decision"
                    left, right = left[told], right[told]
                same = left == right
                if left.dtype.kind == "f":
                    same |= np.isnan(left) & np.isnan(right)
                assert np.all(same), (table, column, row)


def test_windows_of_the_sample_agree(sample_data):
    """The panel of a window is made anew from the files."""
    short = basis.backtest("btc_basis", sample_data, start="2024-02-01", end="2024-02-10")
    long = basis.backtest("btc_basis", sample_data, start="2024-02-01", end="2024-03-10")
    for name in ("equity", "attribution", "positions", "exposure", "risk", "panel"):
        one, other = short.table(name), long.table(name)
        rows = len(one["timestamp"])
        for column in one.columns:
            if column in other.columns:
                assert np.array_equal(
                    np.asarray(one[column]), np.asarray(other[column])[:rows], equal_nan=one[column].dtype.kind == "f"
                ), column
