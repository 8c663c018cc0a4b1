"""Sizes that follow the book, and limits that are told: nothing is written beyond a buffer, and nothing is left out."""

import numpy as np
import pytest

import basis
from basis.components import run_state
from basis.config_files import config_file, read_yaml
from basis.errors import EngineError
from basis.inputs import build
from support.kernel_stages import events_per_row
from support.result_checks import events, held, reasons
from support.runs import busy
from support.small_markets import at_row, market, path, steady, walk

DRIVERS = ("kernel", "event")
QUIET = {"risk.limits": {}}
#: Transfers that can be under way in a book of few venues.
QUEUE = 24


@pytest.fixture(params=DRIVERS)
def driver(request):
    return request.param


def many_venues(count):
    """Names of so many exchanges, and overrides for a hedge over them; all are like OKX."""
    okx = read_yaml(config_file("venues/okx.yaml"))
    names = ["okx", *(f"venue{number:03d}" for number in range(1, count))]
    made = {f"venues.{name}": {**okx, "name": name} for name in names[1:]}
    return names, {"strategy.hedge_allocation": dict.fromkeys(names, 1.0 / count), "initial_capital": 1e6, **made}


def hedge(count, spot, driver, overrides=None, **more):
    names, own = many_venues(count)
    panel = market(spot, venues=tuple(dict.fromkeys((*names, "binance"))))
    overrides = {**busy("btc_basis"), **QUIET, **own, **(overrides or {})}
    return names, basis.backtest("btc_basis", panel, overrides=overrides, driver=driver, **more)


def shorts(result, names, row=-1):
    return np.array([held(result, f"{name}:Perp:BTCUSDT").to_numpy()[row] for name in names])


# --- orders of a step, steps of a route, transfers under way ---------------------------------------------------------


@pytest.mark.parametrize("count", [31, 32, 33, 34])
def test_a_hedge_over_any_number_of_venues_opens_whole(count, driver):
    names, result = hedge(count, walk(12, 1), driver)
    assert result.status == "complete"
    assert len(events(result, "transfer", row=0)) == count + 1, "margin to each, and cash for spot"
    assert "transit queue full" not in reasons(result)
    short = shorts(result, names)
    assert (short < 0.0).all()
    assert short == pytest.approx(np.full(count, short[0]), rel=0.1)
    assert held(result, "binance:BaseToken:BTC").iloc[-1] == pytest.approx(-short.sum(), rel=1e-6)


@pytest.mark.parametrize("count", [127, 128, 129])
def test_a_route_has_a_step_for_each_venue(count, driver):
    names, result = hedge(count, steady(6), driver, {"transfers.instant": True})
    assert (shorts(result, names) < 0.0).all()
    assert len(events(result, "fill", detail="perp")) == count


@basis.compiled(every_row=True)
def hedges_then_leaves(view, act):
    """Opens a hedge, leaves it alone, and wants more margin back than there is cash."""
    if view.first:
        act.entry_full("USDT", 0.4 * view.equity)
        act.entry_full("BTC", 0.5 * view.equity / view.price("BTC"))
    view.memory[0] += 1.0
    if view.memory[0] == 5.0:
        act.exit_full("USDT", 0.6 * view.equity)


@pytest.mark.parametrize("count", [15, 16, 17])
def test_perps_of_all_venues_are_rolled_in_one_step(count, driver):
    """The price halves: the locked profit of a short becomes cash where it is closed and opened again."""
    spot = path((0, 60_000.0), (1, 60_000.0), (3, 30_000.0), (8, 30_000.0))
    overrides = {"transfers.instant": True}
    _, result = hedge(count, spot, driver, overrides, strategy=hedges_then_leaves)
    traded = events(result, "fill", row=4, detail="perp")
    assert len(traded) == 2 * count
    assert traded.quantity.sum() == 0.0
    assert reasons(result) == []


@basis.compiled(every_row=True)
def sends(view, act, times=1.0):
    """Sends margin in each of so many rows."""
    view.memory[0] += 1.0
    if view.memory[0] <= times:
        act.entry_partial("USDT", 1_000.0 * view.memory[0])


@pytest.mark.parametrize("sent", [QUEUE - 1, QUEUE, QUEUE + 1])
def test_so_many_transfers_can_be_under_way(sent, driver):
    """One is sent a row, and none arrives before the end: the one too many is rejected, and says why."""
    slow = {"deposit": "90d", "withdrawal": "90d", "source": "assumption"}
    overrides = {
        **busy("btc_basis"), **QUIET, "strategy.hedge_allocation": {"okx": 1.0}, "venues.okx.latency": slow,
    }  # fmt: skip
    panel = market(steady(40), venues=("okx", "binance"))
    result = basis.backtest("btc_basis", panel, overrides=overrides, driver=driver, strategy=sends(times=sent))
    assert result.status == "complete"
    assert len(events(result, "transfer")) == min(sent, QUEUE)
    assert reasons(result) == ["transit queue full"] * (sent > QUEUE)


# --- events of a row -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [149, 150, 151, 400])
def test_any_number_of_withdrawals_may_fall_due_in_one_row(count, driver):
    panel = market(steady(30))
    asked = [{"timestamp": at_row(panel, 10), "amount": -50.0}] * count
    result = basis.backtest("btc_basis", panel, overrides={**QUIET, "flows": asked}, driver=driver)
    assert result.status == "complete"
    for detail in ("withdrawal requested", "withdrawal paid"):
        assert len(events(result, "flow", detail=detail)) == count
    assert result.equity["withdrawal_pending"].iloc[-1] == 0.0


@pytest.mark.parametrize("less", [-1, 0, 1])
def test_a_row_with_more_events_than_there_is_room_for_ends_the_run(less, driver, monkeypatch):
    """It cannot be, as the room follows the book; if it were so all the same, no event would be lost without a word."""
    panel, at_once = market(steady(5)), {**QUIET, "transfers.instant": True}
    usual = basis.backtest("btc_basis", panel, overrides=at_once, driver=driver)
    most = int((usual.events["timestamp"] == usual.equity.index[0]).sum())
    monkeypatch.setattr(run_state, "_ROWS_OF_EVENTS", 1)
    monkeypatch.setattr(build, "most_events_of_row", lambda *of: most - less)
    # the event driver makes room before each order
    if less <= 0 or driver == "event":
        found = basis.backtest("btc_basis", panel, overrides=at_once, driver=driver)
        assert found.events.equals(usual.events)
    else:
        with pytest.raises(EngineError, match=r"1 events, orders or transfers found no room before row"):
            basis.backtest("btc_basis", panel, overrides=at_once, driver=driver)


@pytest.mark.parametrize("mode", ["btc_basis", "eth_leveraged", "usdt_market_neutral", "ml_directional"])
def test_no_row_comes_near_the_room_that_is_kept_for_it(mode, sample_data):
    result = basis.backtest(mode, sample_data, "2024-02-01", "2024-04-01")
    room = events_per_row(result._recording)
    assert int(result.events.groupby("timestamp").size().max()) < 0.5 * room


# --- actions ---------------------------------------------------------------------------------------------------------


@basis.compiled(every_row=True)
def decides_often(view, act, count=8.0):
    """Wants BTC from row 1 on, which its market lets be reached in no row; in row 3 so many actions about margin."""
    view.memory[0] += 1.0
    if view.memory[0] == 1.0:
        act.entry_full("USDT", 0.5 * view.equity)
    if view.memory[0] == 2.0:
        act.entry_full("BTC", 0.5)
    if view.memory[0] == 4.0:
        for _ in range(int(count)):
            act.exit_partial("USDT", 0.0)


@pytest.mark.parametrize("fill", ["same_bar", "next_bar"])
@pytest.mark.parametrize("count", [6, 7, 8])
def test_what_goes_on_finds_room_or_is_given_up_with_an_event(count, fill, driver):
    panel = market(steady(12), venues=("okx", "binance"))
    for name in [name.partition("|")[2] for name in panel.columns if name.startswith("mark|")] + ["spot|BTC"]:
        panel.columns[f"volume|{name}"] = np.full(len(panel), 0.1)
        panel.columns[f"volatility|{name}"] = np.full(len(panel), 0.004)
    overrides = {
        **QUIET, "strategy.hedge_allocation": {"okx": 1.0}, "execution.participation": 0.1, "transfers.instant": True,
        "fill": fill, "costs.enabled": False,
    }  # fmt: skip
    result = basis.backtest("btc_basis", panel, overrides=overrides, driver=driver, strategy=decides_often(count=count))
    assert result.status == "complete"
    given_up = [reason for reason in reasons(result) if reason.startswith("no room to go on")]
    assert len(given_up) == (count > 7)
    bought = held(result, "binance:BaseToken:BTC").to_numpy()
    assert (bought[-1] > bought[6]) == (count <= 7)
