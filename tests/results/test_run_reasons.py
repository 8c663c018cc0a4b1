"""Why a strategy was asked: every decision has its trigger, and a trigger is a band that was left or what happened."""

import math

import numpy as np
import pandas as pd
import pytest

import basis
from basis.reports import Result
from basis.results.reasons import Band
from support.small_markets import flows, market, path, steady

WINDOW = {"start": "2024-05-20", "end": "2024-07-10"}
FLOWS = [
    {"timestamp": "2024-05-25T03:00:00Z", "amount": 20_000},
    {"timestamp": "2024-06-10T03:30:00Z", "amount": -30_000},
]
MODES = {
    "btc_basis": {"flows": FLOWS},
    "btc_basis, next bar": {"fill": "next_bar", "flows": FLOWS},
    "usdt_market_neutral": {},
    "eth_leveraged": {},
    "eth_staking_only": {},
    "pure_lending": {"strategy.rate_rule": {"enabled": True, "window": "48h", "enter": 0.05, "leave": 0.045}},
    "ml_directional": {},
}


@pytest.fixture(scope="module", params=MODES)
def shipped(request, sample_data):
    mode = request.param.partition(",")[0]
    return basis.backtest(mode, sample_data, overrides={**WINDOW, **MODES[request.param]})


def decisions_of(result):
    return result.events[result.events["kind"] == "decision"]


def reasons_at(result, row):
    """Triggers that the events give the decision of a row."""
    details = decisions_of(result).set_index("timestamp")["detail"]
    found = details.loc[[result.equity.index[row]]]
    assert found.nunique() == 1
    return found.iloc[0].removeprefix("trigger=").split("; ")


def test_every_decision_says_why(shipped):
    details = decisions_of(shipped)["detail"]
    assert len(details) > 0
    assert details.str.match(r"^trigger=\S").all()
    for detail in set(details):
        for why in detail.removeprefix("trigger=").split("; "):
            name, _, edge = why.rpartition(" ")
            if name[-1:] in "<>":
                _, value, sign = name.split()
                assert (float(value) < float(edge)) == (sign == "<"), why


def test_only_decisions_are_explained(shipped):
    others = shipped.events[shipped.events["kind"] != "decision"]
    assert not others["detail"].str.startswith("trigger=").any()


def test_a_folder_has_the_same_reasons(sample_data, tmp_path):
    made = basis.backtest("btc_basis", sample_data, overrides={**WINDOW, "flows": FLOWS})
    opened = basis.open_run(made.save(tmp_path / "run", report=False))
    assert opened.events.equals(made.events)
    for row in np.unique(np.searchsorted(made.equity.index, decisions_of(made)["timestamp"]))[:20]:
        assert opened.reasons.bands(int(row)) == made.reasons.bands(int(row))
        assert opened.reasons.triggers(int(row)) == made.reasons.triggers(int(row)) == reasons_at(made, row)


def test_a_run_that_went_on_has_its_reasons(sample_data):
    """From a checkpoint, of a book in ether that was given: its first row has no row before it in the tables."""
    settings = {
        "share_class": "ETH",
        "initial_capital": 30,
        "risk.limits": {},
        "start": "2024-02-01",
        "end": "2024-02-08",
    }
    held = {"wallet:BaseToken:ETH": 1.0, "wallet:BaseToken:USDT": 50_000.0}
    whole = basis.backtest("btc_basis", sample_data, overrides=settings, positions=held)
    rest = basis.backtest(
        "btc_basis", sample_data, overrides=settings, positions=held, resume=whole.checkpoint("2024-02-03")
    )
    late = whole.events[whole.events["timestamp"] > "2024-02-04"]
    same = rest.events[rest.events["timestamp"] > "2024-02-04"]
    assert len(late) > 0
    assert list(late["detail"]) == list(same["detail"])
    assert "first row" not in " ".join(rest.events["detail"])
    # what the checkpoint held is in no table of the run that went on: it is read from the checkpoint
    row = whole.equity.index.get_loc(rest.equity.index[0])
    assert rest.reasons.bands(0) == whole.reasons.bands(row)
    assert rest.reasons.held("binance:BaseToken:BTC", 0) == whole.reasons.held("binance:BaseToken:BTC", row) > 0.0
    repr(rest.explain(rest.equity.index[0]))


@pytest.mark.parametrize("driver", ["kernel", "event"])
@pytest.mark.parametrize("fill", ["same_bar", "next_bar"])
def test_the_first_row_of_a_run_that_went_on_has_its_reason(driver, fill, sample_data, tmp_path):
    """Wherever a run is split, its decisions have the reasons of the run that was not."""
    june = {"start": "2024-06-01", "end": "2024-06-04", "strategy.position_deviation_threshold": 0.0, "fill": fill}
    june["flows"] = [{"timestamp": "2024-06-02T07:00:00Z", "amount": -200_000}]
    whole = basis.backtest("eth_basis", sample_data, overrides=june, driver=driver)
    told = decisions_of(whole)
    for at in sorted(set(told["timestamp"]))[1:12:3]:
        before = whole.equity.index[whole.equity.index.get_loc(at) - 1]
        rest = basis.backtest("eth_basis", sample_data, overrides=june, resume=whole.checkpoint(before), driver=driver)
        assert rest.equity.index[0] == at
        first, expected = decisions_of(rest), told[told["timestamp"] == at]["detail"]
        first = first[first["timestamp"] == at]["detail"]
        assert len(first) > 0
        if fill == "same_bar":
            assert list(first) == list(expected)
        else:
            assert set(first) == {"trigger=decided before the run went on"}
        opened = basis.open_run(rest.save(tmp_path / f"{at:%d%H}", report=False))
        assert opened.reasons.bands(0) == rest.reasons.bands(0) == whole.reasons.bands(whole.equity.index.get_loc(at))


def test_a_signal_that_changes_where_a_run_goes_on_is_a_reason(sample_data):
    whole = basis.backtest("ml_directional", sample_data, overrides=WINDOW)
    told = decisions_of(whole)
    changed = told[told["detail"].str.startswith("trigger=signal ")].iloc[0]
    before = whole.equity.index[whole.equity.index.get_loc(changed["timestamp"]) - 1]
    rest = basis.backtest("ml_directional", sample_data, overrides=WINDOW, resume=whole.checkpoint(before))
    assert decisions_of(rest)["detail"].iloc[0] == changed["detail"]


@pytest.mark.parametrize("driver", ["kernel", "event"])
def test_both_drivers_give_the_same_reasons(driver, sample_data):
    run = basis.backtest("btc_basis", sample_data, start="2024-02-01", end="2024-02-10", driver=driver)
    other = basis.backtest("btc_basis", sample_data, start="2024-02-01", end="2024-02-10")
    assert list(run.events["detail"]) == list(other.events["detail"])


# --- worked by hand ---------------------------------------------------------------------------------------------------


def test_a_margin_that_falls_below_its_band(make_run):
    """The price rises by a half: the shorts lose, and every venue's margin ratio falls below 0.35."""
    rising = market(path((0, 40_000.0), (5, 40_000.0), (30, 60_000.0), (40, 60_000.0)))
    run = basis.backtest("btc_basis", rising, overrides={"risk.limits": {}, "costs.enabled": False})
    found = [row for row in range(len(run.equity)) if run.equity.index[row] in set(decisions_of(run)["timestamp"])]
    row = next(row for row in found if any("margin_ratio" in why for why in reasons_at(run, row)))
    for why in (why for why in reasons_at(run, row) if why.startswith("margin_ratio|")):
        measure, value, sign, edge = why.split()
        assert (sign, float(edge)) == ("<", 0.35)
        assert float(value) == pytest.approx(run.risk[f"{measure}|before"].iloc[row], rel=1e-2)
    # nothing was asked for a margin inside its band
    inside = run.risk[[f"margin_ratio|{v}|before" for v in ("binance", "bybit", "okx")]].iloc[row - 1]
    assert ((inside >= 0.35) & (inside <= 0.75)).all() or row - 1 in found


def test_what_happens_in_a_row_is_a_reason():
    still = market(steady(60))
    moved = flows(still, (20, 10_000.0), (40, -5_000.0))
    run = basis.backtest("btc_basis", still, overrides={"flows": moved, "close_at_end": True})
    assert reasons_at(run, 0)[0] == "first row"
    assert "deposit 10,000" in reasons_at(run, 20)
    assert "withdrawal requested 5,000" in reasons_at(run, 40)
    assert reasons_at(run, 59)[0] == "last row, close_at_end"
    arrived = run.events[run.events["kind"] == "arrival"]["timestamp"].iloc[0]
    assert "transfer arrived" in reasons_at(run, run.equity.index.get_loc(arrived))


def test_the_net_delta_before_a_decision_is_that_of_the_book():
    """A long that is 5 % larger than its short: the drift is 0.05 units at the price, over the equity."""
    still = market(steady(10, 50_000.0))
    book = {
        "binance:BaseToken:USDT": 50_000.0, "binance:BaseToken:BTC": 1.05,
        "binance:Perp:BTCUSDT": -1.0, "binance:Perp:BTCUSDT|cost": -50_000.0,
    }  # fmt: skip
    only = {"strategy.hedge_allocation": {"binance": 1.0}, "costs.enabled": False}
    run = basis.backtest("btc_basis", still, positions=book, overrides=only)
    # row 0 decides; what was held before it is the book itself
    first = {band.name: band for band in run.reasons.bands(0)}
    assert first["invested"].value == pytest.approx(1.05 * 50_000.0 / 102_500.0, rel=1e-12)
    assert first["margin_ratio|binance"].value == pytest.approx(1.0, rel=1e-12)
    assert first["net_delta_ratio|BTC"].value == pytest.approx(0.05 * 50_000.0 / 102_500.0, rel=1e-9)
    assert "net_delta_ratio|BTC 0.0244 > 0.02" in run.reasons.triggers(0)
    assert (first["margin_ratio|binance"].low, first["margin_ratio|binance"].high) == (0.35, 0.9)


def test_a_band_is_told_with_as_many_digits_as_it_takes():
    assert Band("margin_ratio|okx", 0.349, 0.35, 0.75).left() == "margin_ratio|okx 0.349 < 0.35"
    assert Band("invested", 0.686_712, 0.6, 0.686_666).left() == "invested 0.68671 > 0.68667"
    assert not Band("ltv", 0.85, 0.83, 0.87).is_left
    assert Band("health_factor", 1.02, 1.03).is_left
    assert not Band("dust", 5.0, high=math.inf).is_left


# --- explain ----------------------------------------------------------------------------------------------------------


def sections(explanation):
    """Lines of an explanation by its titles."""
    found, title = {}, ""
    for line in repr(explanation).splitlines()[1:]:
        if not line.startswith(" "):
            title = line
            found[title] = []
        else:
            found[title].append(line.strip())
    return found


def test_explain_says_why_and_what_it_led_to(results):
    result = results["plain"]
    stamp = decisions_of(result)["timestamp"].iloc[-1]
    hour = result.explain(stamp)
    told = sections(hour)
    assert [f"asked because: {why.split(' ')[0]}" for why in hour.asked_because] == [
        " ".join(line.split(" ")[:3]) for line in told["Reasons"] if line.startswith("asked")
    ]
    for name in hour.bands.index:
        assert any(line.startswith(f"{name} ") for line in told["Reasons"])
    assert any("below its band" in line or "above its band" in line for line in told["Reasons"])
    # each fill is told by what it leads to: the last of an instrument is what the positions hold
    for line in told["Orders and fills"]:
        assert not line.startswith("fill") or (": to " in line and " at " in line and "(" in line)
    fills = hour.orders[hour.orders["kind"] == "fill"]
    for instrument in set(fills["instrument"]):
        held = result.positions.loc[stamp, instrument]
        change = fills[fills["instrument"] == instrument]["quantity"].sum()
        assert result.reasons.held(instrument, hour.row) + change == pytest.approx(held, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("fill", ["same_bar", "next_bar"])
def test_what_fills_lead_to_is_what_is_held(fill, sample_data):
    """In every row with fills of the first weeks: what was held before the orders, and the fills, are the position."""
    run = basis.backtest("btc_basis", sample_data, overrides={**WINDOW, "end": "2024-06-10", "fill": fill})
    stamps = run.events[run.events["kind"] == "fill"]["timestamp"].unique()
    assert len(stamps) >= 3
    for stamp in stamps:
        hour = run.explain(stamp)
        changes = hour.orders[hour.orders["kind"] == "fill"].groupby("instrument")["quantity"].sum()
        for instrument, change in changes.items():
            held = hour.held_before_orders(instrument) + change
            assert held == pytest.approx(run.positions.loc[stamp, instrument], rel=1e-9, abs=1e-12), (stamp, instrument)


def test_what_stays_undone_is_told(sample_data):
    """The first row waits for cash; where little of the volume may be taken, the rest of an order is not filled."""
    run = basis.backtest("btc_basis", market(steady(30)))
    assert any("waits for what is on its way" in line for line in sections(run.explain(run.equity.index[0]))["Undone"])
    quiet = run.equity.index[-1]
    assert sections(run.explain(quiet))["Undone"] == ["none"]
    assert run.explain(quiet).asked_because == []
    slow = {"execution.participation": 0.01, "initial_capital": 1e7, "start": "2024-02-01", "end": "2024-02-03"}
    run = basis.backtest("btc_basis", sample_data, overrides=slow)
    [stamp, *_] = run.events[run.events["kind"] == "fill"]["timestamp"]
    asked = decisions_of(run).query("timestamp == @stamp and instrument == 'BTC'")["amount"].iloc[0]
    done = run.positions.loc[stamp, "binance:BaseToken:BTC"]
    [line] = [text for text in run.explain(stamp).undone if "BTC" in text]
    left, of = (float(word.replace(",", "")) for word in line.split() if word[0].isdigit())
    assert line.startswith("entry_full BTC: ")
    assert (left, of) == (pytest.approx(asked - done, rel=1e-6), pytest.approx(asked, rel=1e-6))


def test_a_period_sums_its_rows(results):
    result = results["flows"]
    period = result.explain("2024-02-03", "2024-02-11 12:00")
    rows = result.attribution.loc["2024-02-03":"2024-02-11 12:00"]
    expected = rows.sum()
    for name in period.pnl.index:
        assert period.pnl[name] == pytest.approx(expected[name], rel=1e-12)
    assert period.pnl.sum() == pytest.approx(expected.sum(), abs=1e-6)
    assert period.worst.name == rows.sum(axis=1).idxmin()
    assert period.worst.sum() == pytest.approx(rows.sum(axis=1).min(), abs=1e-6)
    told = sections(period)
    assert f"{period.worst.name:%Y-%m-%d %H:%M}" in told["Worst row"][0]
    assert any("flow" in line and "deposit 20,000" in line for line in told["Events"])
    costs = -rows[["fees", "slippage", "gas", "transfer_fees", "flash_fees"]].sum().sum()
    assert period.decisions["cost"].sum() == pytest.approx(costs, rel=1e-6)
    assert set(period.decisions["asked_because"])
    assert "<table>" in period._repr_html_()


@pytest.mark.parametrize(
    ("begin", "end"), [("2024-02-05", "2024-02-03"), ("2030-01-01", "2030-02-01"), ("2020-01-01", "2020-02-01")]
)
def test_a_period_without_rows_is_told(results, begin, end):
    with pytest.raises(
        basis.errors.InputError, match=r"The run has no rows from .* Its rows are 2024-02-01T00:00:00Z to"
    ):
        results["plain"].explain(begin, end)


def test_a_stopped_or_struck_run_can_be_told(results):
    result = results["struck"]
    assert isinstance(result, Result)
    told = sections(result.explain("2024-01-20", "2024-04-10"))
    assert sum(line.split(": ")[1].startswith("liquidation") for line in told["Events"] if ": " in line) >= 3
    assert pd.Timestamp(told["Worst row"][0][:16], tz="UTC") in result.equity.index
