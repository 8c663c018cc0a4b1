"""Venues: dated tables and what overrides make of them, and the figures that are shipped."""

import itertools
import math
from datetime import UTC, datetime

import pytest

from basis.config import Dated, config_dir, load_config
from basis.config_files import read_yaml

EXCHANGES = ("binance", "bybit", "okx")
FILES = sorted((config_dir() / "venues").glob("*.yaml"))


def venues(overrides=None):
    return load_config("btc_basis", overrides, environ={}).venues


def day(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_table_in_force():
    tiers = venues()["binance"].tiers["BTCUSDT"]
    assert isinstance(tiers, Dated)
    assert tiers.changes() == tuple(map(day, ("2023-10-30", "2023-12-12", "2024-02-03", "2024-05-30")))
    assert tiers.at(day("2024-05-29")) is tiers[2]
    assert tiers.at("2024-05-30") is tiers[3]
    assert tiers.at(datetime(2025, 1, 1)) is tiers[3]
    assert tiers.at("2020-01-01") is tiers[0]


def test_entries_are_put_in_order_and_a_date_comes_once():
    rows = [{"from": "2025-01-01", "value": 2, "source": "x"}, {"from": "2024-01-01", "value": 1, "source": "x"}]
    table = venues({"venues.okx.liquidation_fee": rows})["okx"].liquidation_fee
    assert [entry.value for entry in table] == [1, 2]
    with pytest.raises(ValueError, match="same date"):
        venues({"venues.okx.liquidation_fee": rows[:1] * 2})


def test_override_of_one_key_reaches_every_entry_and_says_so():
    rows = [{"from": f"202{n}-01-01", "taker": 0.001, "maker": 0.0005, "source": "schedule"} for n in (4, 5)]
    fee = venues({"venues.okx.perp_fee": rows, "venues.okx.perp_fee.taker": "2e-3"})["okx"].perp_fee
    assert [(entry.taker, entry.maker) for entry in fee] == [(0.002, 0.0005)] * 2
    assert all(entry.source == "override of taker; else schedule" for entry in fee)


def test_bare_values_are_always_in_force():
    venue = venues(
        {
            "venues.okx.liquidation_fee": 0.002,
            "venues.okx.perp_fee": {"taker": 0, "maker": -0.0001},
            "venues.okx.perp_slippage": 5,
            "venues.okx.spot_slippage.BTCUSDT": [[1000, 1], [None, 2]],
            "venues.okx.tiers.BTCUSDT": [[300_000, 0.004, 0, 125], [None, 0.005, 300, 100]],
            "venues.okx.latency.deposit": "0s",
        }
    )["okx"]
    fee = venue.liquidation_fee.at("1980-01-01")
    assert (fee.value, fee.source) == (0.002, "override")
    assert venue.perp_fee.at("2024-01-01").maker == -0.0001
    assert venue.slippage("perp", "BTCUSDT") == venue.perp_slippage["default"]
    assert venue.slippage("perp", "BTCUSDT")[0].buckets == ((math.inf, 5.0),)
    assert venue.slippage("spot", "BTCUSDT")[0].buckets[0].bps == 1
    assert venue.slippage("spot", "ETHUSDT")[0].buckets[0].bps == 0.5
    assert venue.tiers["BTCUSDT"][0].brackets[-1] == (math.inf, 0.005, 300.0, 100.0)
    assert venue.latency.source == "override of deposit; else assumption"


def test_stand_ins_are_named():
    config = venues()
    for name in ("bybit", "okx"):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            pairs = zip(config[name].tiers[symbol], config["binance"].tiers[symbol], strict=True)
            for ours, theirs in pairs:
                assert (ours.since, ours.brackets) == (theirs.since, theirs.brackets)
                assert ours.source == f"assumption: Binance's tiers stand in; {theirs.source}"


def test_fees_of_the_regular_user():
    fees = {
        name: (v.spot_fee[0].taker, v.spot_fee[0].maker, v.perp_fee[0].taker, v.perp_fee[0].maker)
        for name, v in venues().items()
        if name in EXCHANGES
    }
    assert fees == {
        "binance": (0.001, 0.001, 0.0005, 0.0002),
        "bybit": (0.001, 0.001, 0.00055, 0.0002),
        "okx": (0.001, 0.0008, 0.0005, 0.0002),
    }


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_maintenance_margin_is_continuous_over_the_tiers(symbol):
    for table in venues()["binance"].tiers[symbol]:
        assert table.brackets[0].amount == 0
        for low, high in itertools.pairwise(table.brackets):
            edge = low.max_notional
            assert edge * low.rate - low.amount == pytest.approx(edge * high.rate - high.amount, rel=1e-12)
            assert low.max_leverage > high.max_leverage
        # The margin to open is never below the margin to keep.
        assert all(1 / bracket.max_leverage >= bracket.rate for bracket in table.brackets)


def test_lending_parameters():
    venue = load_config("pure_lending", environ={}).venues["aave_v3"]
    usdt = venue.reserves["USDT"].at("2024-06-01")
    assert (usdt.ltv, usdt.liquidation_threshold, usdt.liquidation_bonus) == (0.75, 0.78, 0.045)
    assert set(venue.gas_units) == {"supply", "withdraw", "borrow", "repay", "lever", "delever"}


def _numbers_without_source(node, path, sourced):
    """Paths of numbers (and durations) that neither their mapping nor one above gives a source for."""
    if isinstance(node, dict):
        sourced = sourced or bool(str(node.get("source") or "").strip())
        for key, value in node.items():
            yield from _numbers_without_source(value, f"{path}.{key}", sourced)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _numbers_without_source(value, f"{path}[{index}]", sourced)
    elif isinstance(node, (int, float)) and not isinstance(node, bool) and not sourced:
        yield path


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_number_has_a_source_and_a_date(path):
    content = read_yaml(path)
    assert content["name"] == path.stem
    assert list(_numbers_without_source(content, path.stem, False)) == []
    on_chain = {"aave_v3": ("pure_lending", {}), "lido": ("eth_staking_only", {"strategy.lst": "wstETH"})}
    on_chain |= dict.fromkeys(("etherfi", "uniswap_v3"), ("eth_staking_only", {}))
    if path.stem in on_chain:
        mode, overrides = on_chain[path.stem]
        venue = load_config(mode, overrides, environ={}).venues[path.stem]
    else:
        venue = venues({"start_venue": path.stem})[path.stem]
    for name in type(venue).model_fields:
        value = getattr(venue, name)
        tables = value.values() if isinstance(value, dict) else [value]
        for entry in itertools.chain.from_iterable(table for table in tables if isinstance(table, Dated)):
            assert not entry.source.startswith("override"), (name, entry)
            assert entry.since.year >= 2023, (name, entry)
