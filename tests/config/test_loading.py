"""Layers of a configuration: share class, mode, environment, overrides; templates; the way to YAML and back."""

import copy
import pickle
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
import yaml

from basis.config import Config, list_modes, load_config
from basis.errors import ConfigError

MODES = ("btc_basis", "pure_lending")


def load(x="btc_basis", overrides=None, environ=None):
    return load_config(x, overrides, environ=environ or {})


def test_shipped_modes_have_a_line_each():
    modes = list_modes()
    assert set(MODES) <= set(modes)
    assert all(line and "\n" not in line for line in modes.values())


@pytest.mark.parametrize("mode", MODES)
def test_name_of_a_mode_is_that_of_its_file(mode):
    assert load(mode).mode == mode


def test_defaults_of_the_contract():
    config = load()
    assert config.initial_capital == 100_000
    assert (config.start, config.end, config.bar_interval) == (None, None, timedelta(hours=1))
    assert (config.fill, config.close_at_end, config.start_venue) == ("same_bar", False, "wallet")
    assert (config.valuation, config.seed, config.flows) == ("market", 0, ())
    strategy = config.strategy
    assert (strategy.rebalance, strategy.position_deviation_threshold, strategy.max_delta_drift) == (True, 0.12, 0.02)
    assert (strategy.margin_ratio_target, strategy.margin_ratio_band) == (0.5, (0.7, 1.8))
    assert (strategy.gas_reserve, strategy.rate_rule.enabled, strategy.lst, strategy.target_ltv) == (
        10,
        False,
        None,
        None,
    )
    assert (config.costs.enabled, config.rewards.enabled, config.risk.simulate_liquidation) == (True, True, True)
    assert not config.transfers.instant
    assert config.data.min_funding_coverage == 0.99
    hours = {kind: limit / timedelta(hours=1) for kind, limit in config.data.max_staleness.items()}
    assert hours == {"price": 3, "aave": 36, "lst": 36, "gas": 24, "features": 36}


def test_btc_basis_instruments_and_limits():
    config = load()
    assert config.instruments == (
        "wallet:BaseToken:USDT",
        "binance:BaseToken:USDT",
        "binance:BaseToken:BTC",
        "bybit:BaseToken:USDT",
        "okx:BaseToken:USDT",
        "binance:Perp:BTCUSDT",
        "bybit:Perp:BTCUSDT",
        "okx:Perp:BTCUSDT",
    )
    limits = {name: (limit.warning, limit.critical) for name, limit in config.risk.limits.items()}
    assert limits == {"margin_ratio": (0.3, 0.2), "net_delta_ratio": (0.05, 0.2)}
    assert config.data.sources["funding/okx_btcusdt"] == ("okx", "bybit")
    assert list(config.venues) == ["binance", "bybit", "okx", "wallet"]


def test_pure_lending_holds_the_token_and_what_it_lends():
    config = load("pure_lending")
    assert config.instruments == ("wallet:BaseToken:USDT", "aave_v3:aToken:USDT")
    assert config.risk.limits == {}
    assert list(config.venues) == ["aave_v3", "wallet"]


def test_weight_of_zero_skips_the_venue():
    config = load(overrides={"strategy.hedge_allocation": {"binance": 1, "bybit": 0, "okx": 0}})
    assert config.hedge_venues == ("binance",)
    assert config.instruments[-1] == "binance:Perp:BTCUSDT"
    assert not any("okx" in key for key in config.instruments)


def test_layers_rank_share_class_mode_environment_overrides(tmp_path):
    assert load(overrides={"share_class": "ETH"}).initial_capital == 100
    assert load(environ={"BASIS__SHARE_CLASS": "ETH"}).initial_capital == 100
    mode = tmp_path / "mine.yaml"
    mode.write_text("mode: btc_basis\ninitial_capital: 7000\nseed: 1\n")
    assert load(mode).initial_capital == 7000
    assert load(str(mode)).strategy.spot_venue == "binance"
    environ = {"BASIS__INITIAL_CAPITAL": "8000", "BASIS__SEED": "2"}
    assert load(mode, environ=environ).initial_capital == 8000
    config = load(mode, {"initial_capital": 9000}, environ)
    assert (config.initial_capital, config.seed) == (9000, 2)


def test_a_layer_merges_deeply_and_an_override_replaces():
    layer = load({"mode": "btc_basis", "data": {"sources": {"spot/ethusdt": ["okx"]}}})
    assert layer.data.sources["spot/ethusdt"] == ("okx",)
    assert "spot/btcusdt" in layer.data.sources
    override = load(overrides={"strategy.hedge_allocation": {"okx": 1.0}})
    assert override.strategy.hedge_allocation == {"okx": 1.0}
    entry = load(overrides={"data.sources.spot/ethusdt": ["okx"]})
    assert entry.data.sources == layer.data.sources


@pytest.mark.parametrize(
    "nested", [{"data": {"sources": {"spot/ethusdt": ["okx"]}}}, {"data.sources": {"spot/ethusdt": ["okx"]}}]
)
def test_sources_of_one_series_leave_those_of_the_others(nested):
    """A mapping of sources used to drop every series that it does not name, and with them the stand-ins."""
    entry = load(overrides={"data.sources.spot/ethusdt": ["okx"]})
    assert load(overrides=nested) == entry
    assert len(entry.data.sources) == len(load().data.sources)


SPOT = "spot/btcusdt"


@pytest.mark.parametrize(
    ("overrides", "sources"),
    [
        ({}, ("binance", "bybit")),
        ({"strategy.spot_venue": "bybit"}, ("bybit", "binance")),
        ({"strategy.spot_venue": "okx"}, ("okx", "binance", "bybit")),
        ({"strategy.spot_venue": "bybit", f"data.sources.{SPOT}": ["binance"]}, ("binance",)),
        ({f"data.sources.{SPOT}": ["bybit"]}, ("bybit",)),
        ({"data": {"sources": {SPOT: ["bybit", "binance"]}}}, ("bybit", "binance")),
    ],
)
def test_the_spot_venue_chooses_the_source_of_its_price(overrides, sources):
    config = load(overrides=overrides)
    assert config.data.sources[SPOT] == sources
    assert config.replace({"seed": 3}).data.sources[SPOT] == sources
    assert load(config.to_dict()) == config


def test_the_spot_venue_of_a_file_chooses_the_source_of_its_price():
    assert load({"mode": "btc_basis", "strategy": {"spot_venue": "bybit"}}).data.sources[SPOT] == ("bybit", "binance")
    given = {"mode": "btc_basis", "strategy": {"spot_venue": "bybit"}, "data": {"sources": {SPOT: ["binance"]}}}
    assert load(given).data.sources[SPOT] == ("binance",)


def test_one_entry_of_a_mapping():
    overrides = {"strategy.hedge_allocation.binance": 0.5, "strategy.hedge_allocation.bybit": "0.2"}
    assert load(overrides=overrides).strategy.hedge_allocation == {"binance": 0.5, "bybit": 0.2, "okx": 0.3}
    limits = load(
        overrides={"risk.limits.margin_ratio.critical": 0.25, "risk.limits.drawdown": {"warning": 0.1, "critical": 0.2}}
    )
    assert limits.risk.limits["margin_ratio"].critical == 0.25
    assert set(limits.risk.limits) == {"margin_ratio", "net_delta_ratio", "drawdown"}
    assert load(overrides={"risk.limits": {}}).risk.limits == {}


def test_environment_counts_no_case_and_leaves_other_variables_alone():
    environ = {
        "BASIS__STRATEGY__HEDGE_ALLOCATION": "{okx: 0.5, binance: 0.5}",
        "basis__strategy__hedge_allocation__okx": "0.25",
        "BASIS__STRATEGY__HEDGE_ALLOCATION__BINANCE": "0.75",
        "BASIS__VENUES__BINANCE__WITHDRAWAL_FEE__BTC": "0.5",
        "BASIS_ENVIRONMENT": "dev",
        "BASIS_DATA_DIR": "nowhere",
        "HOME": "nowhere",
    }
    config = load(environ=environ)
    assert config.strategy.hedge_allocation == {"okx": 0.25, "binance": 0.75}
    assert config.venues["binance"].withdrawal_fee["BTC"].at("2024-05-01").value == 0.5


def test_process_environment_is_the_default(monkeypatch):
    monkeypatch.setenv("BASIS__SEED", "41")
    assert load_config("btc_basis").seed == 41
    assert load().replace({"seed": 42}).seed == 42


def test_text_of_an_override_is_yaml():
    config = load(
        overrides={"costs.enabled": "false", "strategy.spot_venue": "okx", "strategy.margin_ratio_band": "[.5, 2]"}
    )
    assert config.costs.enabled is False
    assert config.strategy.spot_venue == "okx"
    assert config.strategy.margin_ratio_band == (0.5, 2.0)


@pytest.mark.parametrize("text", ["1e-4", "0.0001", "1.0e-4", "+.0001"])
def test_numbers_that_yaml_1_1_reads_as_text(text, tmp_path):
    path = tmp_path / "mode.yaml"
    path.write_text(f"mode: btc_basis\nstrategy: {{max_delta_drift: {text}}}\n")
    assert load(path).strategy.max_delta_drift == 1e-4
    assert load({"mode": "btc_basis", "strategy": {"max_delta_drift": text}}).strategy.max_delta_drift == 1e-4


@pytest.mark.parametrize(
    "value",
    [
        "2024-05-14",
        "2024-05-14T00:00:00Z",
        "2024-05-14 02:00+02:00",
        date(2024, 5, 14),
        datetime(2024, 5, 14),
        datetime(2024, 5, 14, 2, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_instants_are_utc_and_a_bare_date_is_midnight(value, tmp_path):
    start = load(overrides={"start": value}).start
    assert start == datetime(2024, 5, 14, tzinfo=UTC)
    assert start.tzinfo is UTC
    path = tmp_path / "mode.yaml"
    path.write_text(f"mode: btc_basis\nstart: {value}\n")
    assert load(path).start == start


def test_one_row_is_a_run():
    assert load(overrides={"start": "2024-05-14", "end": "2024-05-14"}).end


def test_staleness_for_all_by_kind_and_by_series():
    hour = timedelta(hours=1)
    assert set(load(overrides={"data.max_staleness": "1h"}).data.max_staleness.values()) == {hour}
    some = load(overrides={"data.max_staleness": {"gas": "60m", "spot/btcusdt": "PT1H"}}).data.max_staleness
    daily = dict.fromkeys(("aave", "lst", "features"), 36 * hour)
    assert some == {"price": 3 * hour, **daily, "gas": hour, "spot/btcusdt": hour}
    assert load(overrides={"data.max_staleness.price": hour}).data.max_staleness["price"] == hour


def test_flows_stand_in_the_order_of_time():
    flows = [{"timestamp": "2024-06-01", "amount": -50}, {"timestamp": "2024-05-20T12:00", "amount": "1e3"}]
    assert [flow.amount for flow in load(overrides={"flows": flows}).flows] == [1000, -50]


def test_dict_with_instruments_stands_alone():
    config = load({"mode": "own", "share_class": "ETH", "asset": "ETH", "instruments": ["wallet:BaseToken:ETH"]})
    assert config.initial_capital == 100
    assert config.instruments == ("wallet:BaseToken:ETH",)
    assert config.strategy.hedge_allocation is None
    assert list(config.venues) == ["wallet"]


def test_instruments_repeat_no_key_and_can_be_replaced():
    keys = ["{start_venue}:BaseToken:{share_class}", "wallet:BaseToken:USDT", "{hedge}:Perp:ETHUSDT"]
    config = load(overrides={"instruments": keys, "strategy.hedge_allocation": {"okx": 1}})
    assert config.instruments == ("wallet:BaseToken:USDT", "okx:Perp:ETHUSDT")
    assert config.instrument_templates == tuple(keys)
    assert config.replace({"instruments": keys[:1]}).instruments == ("wallet:BaseToken:USDT",)


def test_own_venue_needs_no_name_of_its_own():
    own = {"kind": "exchange", "spot_fee": {"taker": 0, "maker": 0}, "spot_slippage": 0}
    config = load({"mode": "btc_basis", "venues": {"kraken": own}}, {"strategy.spot_venue": "kraken"})
    assert config.venues["kraken"].name == "kraken"
    assert "kraken:BaseToken:BTC" in config.instruments


ROUND_TRIPS = [
    ("btc_basis", {}),
    ("pure_lending", {}),
    ("pure_lending", {"start": "2024-05-14T07:30:15.25", "end": datetime(2025, 1, 1), "bar_interval": "15m"}),
    ("btc_basis", {"share_class": "ETH", "flows": [{"timestamp": "2024-06-01", "amount": 1e-7}], "risk.limits": {}}),
    ("btc_basis", {"venues.okx.tiers": {"BTCUSDT": [[None, "4e-3", 0, 125]]}, "venues.binance.perp_slippage": 2.5}),
    (
        "btc_basis",
        {"strategy.hedge_allocation": {"okx": 1}, "venues.okx.latency.deposit": "0s", "data.max_staleness": "90s"},
    ),
]


@pytest.mark.parametrize(("mode", "overrides"), ROUND_TRIPS)
def test_yaml_reads_back_to_an_equal_config(mode, overrides, tmp_path):
    config = load(mode, overrides)
    text = config.to_yaml()
    path = tmp_path / "config.yaml"
    path.write_text(text)
    again = load(path)
    assert again == config
    assert again.to_yaml() == text == load(mode, overrides).to_yaml()
    assert again.instruments == config.instruments
    assert load(config.to_dict()) == config
    assert load(yaml.safe_load(text)) == config


def test_config_passes_through_and_keeps_what_it_is():
    config = load(overrides={"initial_capital": 5})
    assert load_config(config, environ={"BASIS__INITIAL_CAPITAL": "6"}) is config
    changed = load_config(config, {"seed": 3}, environ={"BASIS__INITIAL_CAPITAL": "6"})
    assert (changed.initial_capital, changed.seed, config.seed) == (5, 3, 0)


def test_replace_fetches_the_venues_it_comes_to_need():
    small = load(overrides={"strategy.hedge_allocation": {"binance": 1}})
    assert list(small.venues) == ["binance", "wallet"]
    assert small.replace({"strategy.hedge_allocation": {"okx": 1}}) == load(
        overrides={"strategy.hedge_allocation": {"okx": 1}}
    )


def test_config_is_frozen_through_and_through():
    config = load()
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3
    with pytest.raises(ValueError, match="frozen"):
        config.strategy.rebalance = False
    for change in (
        lambda: config.strategy.hedge_allocation.update(okx=1),
        lambda: config.venues.pop("okx"),
        lambda: config.data.sources.__setitem__("spot/btcusdt", ()),
        lambda: config.risk.limits.clear(),
        lambda: config.venues["okx"].tiers.setdefault("X", ()),
    ):
        with pytest.raises(ConfigError, match="frozen"):
            change()
    assert config == load()


def test_loading_leaves_its_input_as_it_was():
    given = {"mode": "btc_basis", "strategy": {"hedge_allocation": {"okx": 1, "binance": 0, "bybit": 0}}}
    kept = copy.deepcopy(given)
    load(given, {"strategy.hedge_allocation.okx": 1, "venues.binance.perp_fee.taker": 0.5})
    assert given == kept
    assert load().venues["binance"].perp_fee[0].taker == 0.0005


def test_config_can_be_hashed_copied_and_sent_to_a_worker():
    config = load()
    assert len({config, load(), copy.deepcopy(config), pickle.loads(pickle.dumps(config))}) == 1
    assert pickle.loads(pickle.dumps(config)).venues["okx"].perp_fee.at("2024-05-01").taker == 0.0005


def test_every_field_says_what_it_is():
    def fields(model):
        for name, field in model.model_fields.items():
            yield f"{model.__name__}.{name}", field.description
            if hasattr(field.annotation, "model_fields"):
                yield from fields(field.annotation)

    assert [name for name, text in fields(Config) if not text] == []


def test_a_section_without_content_means_its_defaults(tmp_path):
    path = tmp_path / "mode.yaml"
    path.write_text("mode: btc_basis\nstrategy:\ncosts:\nflows:\n")
    assert load(path) == load()
    with pytest.raises(ConfigError, match=r"strategy\.spot_venue"):
        load(overrides={"strategy": None})


def test_a_rate_rule_whose_rates_are_given_is_on():
    rule = {"enter": 0.08, "leave": 0.03, "window": "7d"}
    assert load_config("btc_basis", {"strategy.rate_rule": rule}, environ={}).strategy.rate_rule.enabled
    off = load_config("btc_basis", {"strategy.rate_rule": {**rule, "enabled": False}}, environ={})
    assert not off.strategy.rate_rule.enabled


@pytest.mark.parametrize(
    ("mode", "override"),
    [
        ("usdt_market_neutral", {"strategy.rebalance_depth": 0.2}),
        ("btc_basis", {"strategy.target_ltv": 0.8}),
        ("pure_lending", {"strategy.margin_ratio_target": 0.4}),
    ],
)
def test_a_setting_that_the_strategy_does_not_read_is_refused(mode, override):
    with pytest.raises(ConfigError, match=r"does not read it, so that nothing would change"):
        load_config(mode, override, environ={})


def test_the_environment_may_name_a_setting_of_another_mode():
    assert load_config("pure_lending", environ={"BASIS__STRATEGY__MARGIN_RATIO_TARGET": "0.4"}).mode == "pure_lending"
