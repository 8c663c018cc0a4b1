"""Run folders audited from outside: no number of a run may be other than what accounting, events and files say."""

import shutil

import numpy as np
import pandas as pd
import pytest
from audit_cases import REAL, SAMPLE
from audit_random import make_case, make_market
from auditor import COLUMNS, Audit, audit

import basis
from support.damage import trials

pytestmark = pytest.mark.filterwarnings("ignore::basis.errors.RunStoppedWarning")


@pytest.fixture(scope="module")
def make_run(tmp_path_factory):
    """Run a case, save it, audit it; each once."""
    made = {}

    def make(name, case, data):
        if (name, data) not in made:
            mode, overrides, book = case
            folder = tmp_path_factory.mktemp("runs") / "run"
            result = basis.backtest(mode, data, overrides=overrides, positions=book, out=folder)
            made[name, data] = result, Audit(folder, data), folder
        return made[name, data]

    return make


@pytest.fixture
def sample_run(make_run, sample_data):
    return lambda name: make_run(name, SAMPLE[name], sample_data)


@pytest.mark.parametrize("name", SAMPLE)
def test_runs_on_the_sample(name, sample_run, sample_data):
    result, _, folder = sample_run(name)
    assert result.status == "complete"
    assert audit(folder, sample_data) == []


@pytest.mark.parametrize("name", REAL)
def test_runs_on_real_data(name, make_run, real_data):
    result, _, folder = make_run(name, REAL[name], real_data)
    assert result.status == "complete"
    assert audit(folder, real_data) == []


@pytest.mark.parametrize("seed", range(8))
def test_random_books_in_random_markets(seed, tmp_path):
    data = make_market(tmp_path / "data", seed)
    overrides, book = make_case(seed)
    basis.backtest("btc_basis", data, overrides=overrides, positions=book, out=tmp_path / "run")
    assert audit(tmp_path / "run", data) == []


@pytest.mark.slow
def test_books_and_markets_of_any_seed(tmp_path):
    for chance in trials(2):
        seed = chance.randrange(2**31)
        # the audit keeps what it has read of a path
        folder = tmp_path / str(seed)
        data = make_market(folder / "data", seed)
        overrides, book = make_case(seed)
        basis.backtest("btc_basis", data, overrides=overrides, positions=book, out=folder / "run")
        assert audit(folder / "run", data) == [], seed
        shutil.rmtree(folder)


# --- the cases are what they are meant to be ----------------------------------------------------------------------


def kinds(result):
    return result.events["kind"].value_counts()


def test_the_cases_meet_what_they_are_meant_to_meet(sample_run):
    assert kinds(sample_run("squeeze")[0])["fill"] > 50
    flows = sample_run("flows over a hole")[0]
    assert kinds(flows)["flow"] == 6
    assert (flows.panel["mark|binance:Perp:BTCUSDT|source"] == "bybit").sum() == 3
    assert sample_run("liquidation everywhere")[0].summary["liquidations"] == 3
    assert sample_run("liquidation with something left")[0].attribution["liquidation_loss"].min() < 0.0
    assert (sample_run("next bar")[0].positions.filter(like="Perp").iloc[-2] != 0.0).any(axis=None)
    sent = sample_run("capital at the venue")[0].events.query("kind == 'transfer'")
    assert sent.empty
    lending = sample_run("lending")[0]
    refused = lending.events.query("kind == 'reject'")
    assert list(refused["detail"]) == ["withdrawal exceeds equity"]
    paid = lending.events.query("detail == 'withdrawal paid'")
    assert list(paid["amount"][:2]) == [-60_000.0, -1_000.0]
    emptied = lending.equity["equity"][paid["timestamp"].iloc[-1]]
    assert emptied == pytest.approx(0.0, abs=1e-6)
    assert lending.equity["equity"].iloc[-1] == pytest.approx(20_000.0, rel=1e-2)
    assert {"stop", "take_profit", "perp"} <= set(sample_run("signals")[0].events["detail"])
    assert "stop" in set(sample_run("signals, levered, next bar")[0].events["detail"])
    in_eth = sample_run("ETH share class")[0]
    assert in_eth.attribution["delta_pnl"].abs().sum() > 1.0


def test_equity_of_the_first_row_holds_its_costs(sample_run):
    result = sample_run("capital at the venue")[0]
    first = result.attribution.iloc[0]
    assert first["fees"] < 0.0
    assert result.equity["pnl_balance"].iloc[0] == pytest.approx(first[list(COLUMNS)].sum(), abs=1e-9)


# --- the audit itself finds what is wrong ------------------------------------------------------------------------


def findings(other):
    other.run()
    return {finding.check for finding in other.found}


STORED = [
    "binance:BaseToken:USDT",
    "binance:BaseToken:BTC",
    "binance:Perp:BTCUSDT",
    "binance:Perp:BTCUSDT|cost",
    "wallet:BaseToken:USDT|in_transit",
]


@pytest.mark.parametrize("column", STORED)
def test_a_changed_quantity_is_found(column, sample_run):
    audit = sample_run("liquidation with something left")[1]
    assert f"positions {column}" in findings(audit.changed("positions", 50, column, 1e-4))


@pytest.mark.parametrize(
    ("table", "column", "by"),
    [
        ("equity", "equity", 1e-3),
        ("equity", "net_flow", 1e-3),
        ("equity", "residual", 1e-9),
        ("equity", "pnl_balance", 1e-3),
        ("equity", "pnl_attributed", 1e-3),
        ("equity", "withdrawal_pending", 1e-3),
        ("exposure", "value|binance:Perp:BTCUSDT", 1e-3),
        ("exposure", "net_delta|BTC", 1e-6),
        ("risk", "margin_ratio|binance", 1e-6),
        ("risk", "margin_ratio|binance|worst", 1e-6),
        ("risk", "margin_ratio|binance|before", 1e-6),
        ("risk", "maintenance_ratio|binance", 1e-6),
        ("panel", "spot|BTC", 1e-3),
        ("panel", "mark|binance:Perp:BTCUSDT", 1e-3),
        ("panel", "high|binance:Perp:BTCUSDT", 1e-3),
        ("panel", "gas_price_gwei", 1e-6),
    ],
)
def test_a_changed_number_is_found(table, column, by, sample_run):
    audit = sample_run("liquidation with something left")[1]
    other = audit.changed(table, 40, column, by)
    if table == "panel":
        other.market = {**audit.market, column: other.panel[column].to_numpy()}
    assert findings(other)


NUMBERS = {
    "spot": "quantity price reference_price rate notional fee slippage realised_cash amount",
    "perp": "quantity price reference_price rate notional fee slippage realised_cash amount",
    "transfer": "quantity notional fee gas gas_units amount",
    "arrival": "amount",
    "funding": "quantity price rate notional realised_cash amount",
    "liquidation": "quantity price rate notional fee realised_cash amount",
    "flow": "quantity amount",
    "supply": "quantity price notional gas gas_units amount",
    "withdraw": "quantity price notional gas gas_units amount",
}
NUMBERS |= dict.fromkeys(("stop", "take_profit"), NUMBERS["perp"])
WHERE = {
    "stop": "signals",
    "take_profit": "signals",
    "flow": "leaving",
    "transfer": "leaving",
    "supply": "lending",
    "withdraw": "lending",
}


@pytest.mark.parametrize(("kind", "column"), [(k, c) for k, names in NUMBERS.items() for c in names.split()])
def test_a_changed_number_of_an_event_is_found(kind, column, sample_run):
    audit = sample_run(WHERE.get(kind, "liquidation with something left"))[1]
    events = audit.events
    rows = np.flatnonzero(((events["kind"] == kind) | (events["detail"] == kind)) & (events["kind"] != "order"))
    rows = [row for row in rows if events[column].iloc[row] != 0.0] or list(rows)
    for row in (rows[0], rows[-1]):
        value = events[column].iloc[row]
        other = audit.changed("events", row, column, 1e-4 * abs(value) or 1e-2)
        assert findings(other), (row, value)


@pytest.mark.parametrize("kind", ["fill", "transfer", "arrival", "funding", "liquidation"])
def test_an_event_that_is_missing_or_there_twice_is_found(kind, sample_run):
    audit = sample_run("liquidation with something left")[1]
    row = int(np.flatnonzero(audit.events["kind"] == kind)[-1])
    kept = [i for i in range(len(audit.events)) if i != row]
    for places in (kept, sorted([*range(len(audit.events)), row])):
        other = audit.changed("events", 0, "fee", 0.0)
        other.events = audit.events.iloc[places]
        assert findings(other)


def test_in_eth_share_class_the_hedge_is_of_bitcoin(sample_run):
    """The strategy looks at the asset it hedges, whatever else the book is exposed to."""
    result = sample_run("ETH share class")[0]
    held = result.positions.iloc[10]
    short = -sum(held[f"{venue}:Perp:BTCUSDT"] for venue in ("binance", "bybit", "okx"))
    assert short == pytest.approx(held["binance:BaseToken:BTC"], rel=0.02)
    # trades are for deviations, not for every hour
    assert result.events.query("kind == 'fill'")["timestamp"].nunique() < 100
    assert -result.attribution[["fees", "slippage"]].to_numpy().sum() < 0.05 * result.equity["equity"].iloc[0]


# --- known cases --------------------------------------------------------------------------------------------------


def test_gas_is_paid_once_from_what_is_there(tmp_path):
    """In ETH share class the wallet's ETH is the only purse: it cannot pay the shortfall of itself."""
    data = make_market(tmp_path / "data", 1)
    overrides, book = make_case(1)
    price = pd.read_parquet(data / "gas" / "ethereum.parquet")["gas_price_gwei"][0]
    gas = 65_000.0 * price * 1e-9
    book |= {"wallet:BaseToken:ETH": 0.6 * gas}
    overrides |= {"costs.enabled": True, "flows": []}
    basis.backtest("btc_basis", data, overrides=overrides, positions=book, out=tmp_path / "run")
    assert [finding for finding in audit(tmp_path / "run", data) if finding.check == "gas"] == []


def test_a_flow_is_no_drawdown(tmp_path):
    """Money taken out is no loss, money brought in no gain: the alert follows the time-weighted growth."""
    found = {}
    for seed in range(3):
        data = make_market(tmp_path / f"data{seed}", seed)
        overrides, book = make_case(seed)
        folder = tmp_path / f"run{seed}"
        basis.backtest("btc_basis", data, overrides=overrides, positions=book, out=folder)
        other = Audit(folder, data)
        other.levels_follow_from_limits("drawdown")
        found[seed] = other.found
    assert not any(found.values()), found
