"""What a strategy watches beside its book: funding, trailing means, features; compiled and plain with the same bits."""

import math

import numpy as np
import pandas as pd
import pytest

import basis
from basis import Action, Decision, StrategyManager
from basis.components.run_state import RunState, StartingBook
from basis.engine.simulation import advance, simulate
from basis.errors import DataError, EngineError, InputError
from basis.strategies.view import View

WINDOW = {"start": "2024-02-01", "end": "2024-02-20"}
#: Called in plain Python and in compiled code alike.
READS = {
    "funding": "view.funding('okx')",
    "funding of a perp": "view.funding('bybit:Perp:BTCUSDT')",
    "funding of a week": "view.funding('okx', '7d')",
    "funding a year": "view.funding_apr('okx', '7d')",
    "funding of the hedge": "view.funding_apr('hedge', '3d')",
    "trailing mean": "view.mean('spot|BTC', '30d')",
    "trailing mean of what has no first hour": "view.mean('high|okx:Perp:BTCUSDT', '12h')",
    "column": "view.column('spot|BTC')",
    "feature": "view.feature('mine.score')",
    "by keywords": "view.funding(venue='okx', window='2d') + view.mean(name='spot|BTC', window='6h')",
}
FEATURES = {"strategy.features": ["mine"]}


@pytest.fixture(scope="session")
def with_features(sample_data, tmp_path_factory):
    """The sample with a file of one's own: a score at noon of every day, but for a hole of four days."""
    folder = tmp_path_factory.mktemp("data")
    for kind in sample_data.iterdir():
        (folder / kind.name).symlink_to(kind)
    days = pd.date_range("2024-01-20 12:00", "2024-03-20 12:00", freq="1D", tz="UTC")
    days = days[(days < "2024-02-08") | (days > "2024-02-12")]
    (folder / "features").mkdir()
    scores = np.random.default_rng(5).random(len(days))
    pd.DataFrame({"timestamp": days, "score": scores}).to_parquet(folder / "features" / "mine.parquet")
    return folder


def values_of(read, data, **more):
    """Instant → what plain Python reads in every row of a run."""
    found = {}

    class Reads(StrategyManager):
        every_row = True

        def make_decision(self, timestamp=None, market_data=None):
            found[pd.Timestamp(timestamp, tz="UTC")] = eval(read, {"view": self.view})

    basis.backtest("btc_basis", data=data, overrides=FEATURES, strategy=Reads, **{**WINDOW, **more})
    return pd.Series(found)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_compiled_strategy_sees_the_same_bits(read, with_features, cell):
    """Every row's value goes into the memory, in compiled code, in either driver, and in plain Python."""
    added = "view.memory[0] * 1.001 + value"

    class Plain(StrategyManager):
        every_row = True

        def make_decision(self, timestamp=None, market_data=None):
            view = self.view
            value = eval(read, {"view": view})
            return Decision(memory=(eval(added, {"view": view, "value": value}),)) if value == value else None

    body = f"value = {read}\nif value == value:\n    view.memory[0] = {added}"
    compiled = cell(body, "view, act", "@basis.compiled(every_row=True)")
    asked = {"data": with_features, "overrides": FEATURES, **WINDOW}
    states = [
        basis.backtest("btc_basis", strategy=strategy, driver=driver, **asked).checkpoint().state
        for strategy, driver in ((compiled, "kernel"), (compiled, "event"), (Plain, "kernel"))
    ]
    assert states[0].tobytes() == states[1].tobytes() == states[2].tobytes()
    idle = (
        basis.backtest("btc_basis", strategy=cell("return", "view, act", "@basis.compiled(every_row=True)"), **asked)
        .checkpoint()
        .state
    )
    assert (states[0] != idle).any()


def settled(data, venue):
    return pd.read_parquet(data / "funding" / f"{venue}_btcusdt.parquet").set_index("timestamp")["funding_rate"]


def test_funding_is_what_was_settled_until_then(with_features):
    rates = settled(with_features, "bybit").dropna()
    last, summed = (values_of(f"view.funding('bybit'{more})", with_features) for more in ("", ", '7d'"))
    yearly = values_of("view.funding_apr('bybit', '7d')", with_features)
    for instant in last.index[::17]:
        known = rates[rates.index <= instant]
        assert last[instant] == known.iloc[-1]
        week = known[known.index > instant - pd.Timedelta("7D")].sum()
        assert summed[instant] == pytest.approx(week, rel=1e-12)
        assert yearly[instant] == pytest.approx(week * 365 / 7, rel=1e-12)


def test_funding_of_the_hedge_is_what_the_rate_rule_watches(with_features):
    rule = {"strategy.rate_rule": {"enabled": True, "enter": 0.0, "leave": -1.0, "window": "3d"}}
    pairs = []

    class Reads(StrategyManager):
        every_row = True

        def make_decision(self, timestamp=None, market_data=None):
            pairs.append((self.view.rate, self.view.funding_apr("hedge", "3d")))

    basis.backtest("btc_basis", data=with_features, overrides=rule, strategy=Reads, **WINDOW)
    rate, funding = np.array(pairs).T
    assert rate.tobytes() == funding.tobytes()
    assert np.ptp(rate) > 0.0


def test_a_trailing_mean_is_of_the_rows_within_the_window(with_features):
    found = values_of("view.mean('spot|BTC', '7d')", with_features)
    long = basis.backtest("btc_basis", data=with_features, start="2024-01-20", end=WINDOW["end"])
    spot = long.panel["spot|BTC"]
    for instant in found.index[::29]:
        rows = spot[(spot.index > instant - pd.Timedelta("7D")) & (spot.index <= instant)]
        assert len(rows) == 168
        assert found[instant] == pytest.approx(rows.mean(), rel=1e-12)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_is_seen_does_not_depend_on_where_a_run_begins(read, with_features):
    whole = values_of(read, with_features)
    part = values_of(read, with_features, start="2024-02-06 05:00")
    assert len(part) > 300
    assert whole[part.index].to_numpy().tobytes() == part.to_numpy().tobytes()


def test_before_a_whole_window_nothing_is_known(with_features, cell):
    """The sample begins at some instant: a window that reaches beyond it is NaN, and is known once it is whole."""
    first = pd.read_parquet(with_features / "spot" / "binance_btcusdt.parquet")["timestamp"].iloc[0]
    begins = first.ceil("1D")
    found = values_of("view.mean('spot|BTC', '5d')", with_features, start=begins, end=begins + pd.Timedelta("8D"))
    known = found.dropna()
    assert begins + pd.Timedelta("4D") < known.index[0] <= begins + pd.Timedelta("6D")
    assert found[known.index[0] :].notna().all()
    idle = cell("view.memory[0] = view.mean('spot|BTC', '5d')", "view, act")
    made = basis.backtest("btc_basis", data=with_features, strategy=idle, start=begins, end=begins + pd.Timedelta("8D"))
    rows = f"{found.isna().sum()} of {len(found)} rows"
    assert any(
        f"the mean of column spot|BTC over 120 h, which is not known in {rows}" in line for line in made.warnings
    )


@pytest.mark.parametrize("read", ["view.mean('spot|BTC', '20000d')", "view.funding_apr('hedge', '20000d')"])
def test_a_window_that_is_never_whole_is_refused(read, with_features, cell):
    with pytest.raises(InputError, match=r"is not known in any of the 457 rows of this run. Choose a shorter window"):
        basis.backtest("btc_basis", data=with_features, strategy=cell(f"view.memory[0] = {read}"), **WINDOW)
    with pytest.raises(EngineError, match=r"failed in row 0 .* is not known in any of the 457 rows"):
        values_of(read, with_features)


def test_more_columns_than_there_is_room_for_are_refused(cell):
    body = "\n".join(f"view.memory[0] = view.mean('spot|BTC', '{hours}h')" for hours in range(1, 26))
    with pytest.raises(InputError, match="mine: mean: a strategy may watch at most 24 columns"):
        cell(body).check(basis.load_config("btc_basis"))


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_nothing_of_later_is_seen(read, with_features, tmp_path):
    """The data set cut after an instant shows the same up to it."""
    cut = pd.Timestamp("2024-02-15", tz="UTC")
    for kind in ("spot", "perp", "funding", "gas", "features"):
        (tmp_path / kind).mkdir()
        for path in (with_features / kind).glob("*.parquet"):
            table = pd.read_parquet(path)
            table[table["timestamp"] <= cut].to_parquet(tmp_path / kind / path.name)
    window = {"start": "2024-02-10", "end": cut}
    whole, short = (values_of(read, data, **window) for data in (with_features, tmp_path))
    assert whole.to_numpy().tobytes() == short.to_numpy().tobytes()


def test_rows_that_come_one_by_one_show_the_same(with_features, cell):
    """As a live run gets them; the state is compared, which holds all that was seen."""
    config = basis.load_config("btc_basis", {**WINDOW, "end": "2024-02-03"})
    body = "view.memory[0] = view.memory[0] * 1.001 + view.mean('spot|BTC', '6h')\nview.memory[1] = view.funding('okx')"
    strategy = cell(
        "if view.time > 1706780000.0:\n" + "".join(f"    {line}\n" for line in body.splitlines()),
        "view, act", "@basis.compiled(every_row=True)",
    ).strategy_for(config)  # fmt: skip
    panel = basis.DataProvider(with_features, config).panel()
    whole = simulate(config, panel, strategy=strategy)
    run = RunState(StartingBook(config, strategy), panel.slice(0, 0), capacity=len(panel))
    for row in range(len(panel)):
        if row:
            run.extend(panel.slice(0, row))
        advance(run, row, row + 1)
    assert run.block.tobytes() == whole.block.tobytes()
    assert not np.isnan(run.block).any()


# --- features --------------------------------------------------------------------------------------------------------


def test_a_feature_is_known_from_its_stamp_until_it_is_too_old(with_features):
    found = values_of("view.feature('mine.score')", with_features)
    file = pd.read_parquet(with_features / "features" / "mine.parquet").set_index("timestamp")["score"]
    noon = pd.Timestamp("2024-02-03 12:00", tz="UTC")
    assert found[noon] == file[noon]
    assert found[noon - pd.Timedelta("1h")] == file[noon - pd.Timedelta("1D")]
    last = pd.Timestamp("2024-02-07 12:00", tz="UTC")
    assert found[last + pd.Timedelta("36h")] == file[last]
    assert math.isnan(found[last + pd.Timedelta("37h")])
    result = basis.backtest("btc_basis", data=with_features, overrides=FEATURES, **WINDOW)
    assert result.panel["feature|mine.score"].equals(
        found.rename_axis(result.panel.index.name).rename("feature|mine.score")
    )
    assert any("features/mine: score is not known in" in line for line in result.warnings)
    assert "features/mine.parquet" in result.manifest["data"]
    longer = {**FEATURES, "data.max_staleness": {"features": "10d"}}
    held = basis.backtest("btc_basis", data=with_features, overrides=longer, **WINDOW)
    assert held.panel["feature|mine.score"].notna().all()


def test_a_feature_that_is_not_there_is_told(with_features, cell):
    with pytest.raises(DataError, match=r"features/other: no file features/other.parquet in .*strategy.features"):
        basis.backtest("btc_basis", data=with_features, overrides={"strategy.features": ["other"]}, **WINDOW)
    with pytest.raises(InputError, match=r"feature\|mine.scor.*did you mean feature\|mine.score"):
        basis.backtest(
            "btc_basis", data=with_features, overrides=FEATURES,
            strategy=cell("view.memory[0] = view.feature('mine.scor')"), **WINDOW,
        )  # fmt: skip
    with pytest.raises(InputError, match=r"strategy.features.*not a path"):
        basis.load_config("btc_basis", {"strategy.features": ["../mine"]})


@pytest.mark.parametrize(
    ("columns", "words"),
    [({}, "no column beside timestamp"), ({"name": ["a", "b"]}, "not a number"), ({"x": [np.inf, 1.0]}, "finite")],
)
def test_a_file_of_ones_own_that_holds_no_numbers_is_told(columns, words, sample_data, tmp_path):
    for kind in sample_data.iterdir():
        (tmp_path / kind.name).symlink_to(kind)
    (tmp_path / "features").mkdir()
    stamps = pd.to_datetime(["2024-02-01", "2024-02-02"], utc=True)
    pd.DataFrame({"timestamp": stamps, **columns}).to_parquet(tmp_path / "features" / "mine.parquet")
    with pytest.raises(DataError, match=words):
        basis.backtest("btc_basis", data=tmp_path, overrides=FEATURES, **WINDOW)


# --- what a view lists -----------------------------------------------------------------------------------------------


def test_tab_and_help_list_what_compiled_code_may_name(cell):
    listed = {name for name in dir(View) if not name.startswith("_")}
    with pytest.raises(InputError, match="A view has no 'nothing'") as caught:
        cell("view.memory[0] = view.nothing").check(basis.load_config("btc_basis"))
    named = str(caught.value).partition("It has ")[2].rstrip(".").split(", ")
    assert set(named) == listed
    for name in listed:
        assert getattr(View, name).__doc__, name


# --- the question of the notebook ------------------------------------------------------------------------------------


def test_in_above_eight_per_cent_out_below_three(sample_data, cell):
    """Ten lines, compiled and plain."""
    carry = cell(
        "rate = view.funding_apr('hedge', '7d')\n"
        "if rate > enter and view.long('BTC') == 0.0:\n"
        "    act.entry_full('USDT', 0.4 * view.equity)\n"
        "    act.entry_full('BTC', 0.4 * view.equity / view.price('BTC'))\n"
        "if rate < leave and view.long('BTC') > 0.0:\n"
        "    act.exit_full('BTC')",
        "view, act, enter=0.08, leave=0.03",
        "@basis.compiled(every_row=True)",
    )

    class Carry(StrategyManager):
        every_row = True

        def make_decision(self, timestamp=None, market_data=None):
            view, rate = self.view, self.view.funding_apr("hedge", "7d")
            if rate > 0.08 and view.long("BTC") == 0.0:
                coin = 0.4 * view.equity / view.price("BTC")
                return [Action("entry_full", "USDT", 0.4 * view.equity), Action("entry_full", "BTC", coin)]
            return [Action("exit_full", "BTC")] if rate < 0.03 and view.long("BTC") > 0.0 else None

    window = {"data": sample_data, "start": "2024-02-01", "end": "2024-08-01"}
    compiled = basis.backtest("btc_basis", strategy=carry, **window)
    plain = basis.backtest("btc_basis", strategy=Carry, **window)
    assert compiled.equity.equals(plain.equity)
    assert compiled.positions.equals(plain.positions)
    held = compiled.positions["binance:BaseToken:BTC"] > 0.0
    assert 0.05 < held.mean() < 0.95
    assert compiled.summary["fills"] > 2
