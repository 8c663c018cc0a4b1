"""What is refused, and in which words: path, what was given, what is allowed, nearest name."""

import pytest

from basis.config import load_config
from basis.errors import ConfigError

NAN, INF = float("nan"), float("inf")


def message(x="btc_basis", overrides=None, environ=None):
    with pytest.raises(ConfigError) as caught:
        load_config(x, overrides, environ=environ or {})
    return str(caught.value)


@pytest.mark.parametrize("capital", [0, -1, NAN, INF, -0.0, True, None, "lots"])
def test_capital_must_be_positive(capital):
    assert message(overrides={"initial_capital": capital}) == f"Invalid initial_capital: {capital}. Must be > 0."


@pytest.mark.parametrize("share_class", ["EUR", "usdt", "BTC", None, 5])
def test_share_class_is_one_of_two(share_class):
    expected = f"Invalid share_class: {share_class}. Must be 'USDT' or 'ETH'."
    assert message(overrides={"share_class": share_class}) == expected
    assert message({"mode": "btc_basis", "share_class": share_class}) == expected if share_class else True


WRONG = [
    # unknown keys, with the nearest
    ("stratgy.rebalance", False, ["Unknown key stratgy", "Did you mean strategy?", "Allowed: mode,"]),
    (
        "strategy.hedge_alocation",
        {"okx": 1},
        ["Unknown key strategy.hedge_alocation: {'okx': 1}", "mean hedge_allocation?"],
    ),
    ("venues.binance.perp_feee", 1, ["Unknown key venues.binance.perp_feee", "Did you mean perp_fee?"]),
    ("venues.binanc.perp_fee.taker", 1, ["Unknown venue venues.binanc", "Did you mean binance?", "okx"]),
    ("venues.wallet.gas_units.transfr", 1, ["venues.wallet.gas_units: transfr", "Did you mean transfer?"]),
    ("risk.limits.margn", {"warning": 1, "critical": 2}, ["risk.limits: margn", "Did you mean margin_ratio?"]),
    ("risk.limits.ltv|aave_v3", {"warning": 1, "critical": 2}, ["risk.limits: ltv|aave_v3", "health_factor"]),
    # weights
    (
        "strategy.hedge_allocation.binance",
        0.5,
        ["strategy.hedge_allocation: {'binance': 0.5,", "sum to 1 (they sum to 1.1)"],
    ),
    ("strategy.hedge_allocation", {}, ["strategy.hedge_allocation: {}", "sum to 1"]),
    (
        "strategy.hedge_allocation",
        {"okx": 1.5, "bybit": -0.5},
        ["strategy.hedge_allocation.bybit: -0.5. Must be >= 0."],
    ),
    ("strategy.hedge_allocation", {"okx": NAN}, ["strategy.hedge_allocation.okx: nan. Must be a finite number."]),
    ("strategy.hedge_allocation", {"okx": True}, ["strategy.hedge_allocation.okx: True. Must be a number."]),
    ("strategy.hedge_allocation", {"okxx": 1}, ["okxx. Must name an exchange: binance, bybit, okx. Did you mean okx?"]),
    ("strategy.hedge_allocation", {"wallet": 1}, ["wallet. Must name an exchange"]),
    ("strategy.hedge_allocation", 1, ["strategy.hedge_allocation: 1. Must be a mapping."]),
    # venues
    ("strategy.spot_venue", "krakn", ["strategy.spot_venue: krakn. Must name an exchange: binance, bybit, okx."]),
    ("start_venue", "aave_v3", ["start_venue: aave_v3. Must be one of binance, bybit, okx, wallet."]),
    ("venues.kraken", {"kind": "bank"}, ["venues.kraken.kind: bank. Must be 'exchange', 'protocol'"]),
    ("venues.binance.name", "bin", ["venues.binance.name: bin. Must be binance"]),
    ("venues.okx.tiers", {"like": "bybt", "source": "x"}, ["venues.okx.tiers.like: bybt", "Did you mean bybit?"]),
    ("venues.okx.tiers", {"like": "bybit"}, ["venues.okx.tiers", "source"]),
    ("venues.okx.tiers", {"like": "wallet", "source": "x"}, ["wallet has no figures of its own for tiers"]),
    ("venues.okx.tiers", {}, ["venues.okx.tiers.BTCUSDT: None. Must be set: the instruments hold okx:Perp:BTCUSDT."]),
    ("venues.okx.perp_fee", None, ["venues.okx.perp_fee: None. Must be set"]),
    ("venues.binance.spot_slippage", {}, ["venues.binance.spot_slippage: None. Must be set"]),
    ("venues.binance.perp_fee", 0.001, ["venues.binance.perp_fee: 0.001", "from, source, taker, maker"]),
    ("venues.binance.perp_fee", [], ["venues.binance.perp_fee: []. Must hold at least one entry"]),
    ("venues.binance.perp_fee.taker", "much", ["venues.binance.perp_fee[0].taker: much. Must be a number."]),
    ("venues.binance.perp_fee.taker", INF, ["venues.binance.perp_fee[0].taker: inf. Must be a finite number."]),
    ("venues.binance.perp_fee.taker.x", 1, ["venues.binance.perp_fee.taker is 0.0005 and has no keys"]),
    ("venues.binance.perp_slippage.BTCUSDT", [[10, 3], [5, 4], [None, 5]], ["must rise in max notional".capitalize()]),
    ("venues.binance.perp_slippage.BTCUSDT", [[10, 3]], ["end with null"]),
    ("venues.binance.tiers.BTCUSDT", [[10, 0.5, 0, 2], [20, 0.4, 0, 1]], ["rise in max notional and in rate"]),
    ("venues.binance.tiers.BTCUSDT", [[10, 0.5, 0]], ["Missing value venues.binance.tiers.BTCUSDT[0].brackets[0]"]),
    (
        "venues.aave_v3.reserves.USDT.ltv",
        0.9,
        ["venues.aave_v3.reserves.USDT[0].ltv: 0.9. Must be <= liquidation_threshold"],
    ),
    # time
    ("start", "2024-02-30", ["start: 2024-02-30. Must be a date"]),
    ("start", "yesterday", ["start: yesterday. Must be a date"]),
    ("start", 2024, ["start: 2024. Must be a date"]),
    ("end", "0001-01-01T00:00+10:00", ["end: 0001", "years 1970 to 2261"]),
    ("bar_interval", "3x", ["bar_interval: 3x. Must be a duration such as 90s, 30m, 3h, 1d or PT3H."]),
    ("bar_interval", 3600, ["bar_interval: 3600. Must be a duration"]),
    ("bar_interval", "1m", ["bar_interval: 1m. Must be from 5m to 1d"]),
    ("bar_interval", "25h", ["bar_interval: 25h. Must be from 5m to 1d"]),
    ("venues.okx.latency.deposit", "-5m", ["venues.okx.latency.deposit: -5m. Must be a duration"]),
    ("data.max_staleness", "soon", ["data.max_staleness: soon. Must be a duration"]),
    ("data.max_staleness.pric", "1h", ["data.max_staleness: pric", "Did you mean price?"]),
    # choices, numbers, booleans
    ("fill", "samebar", ["fill: samebar. Must be 'same_bar' or 'next_bar'. Did you mean same_bar?"]),
    ("valuation", "spot", ["valuation: spot. Must be 'market' or 'oracle'."]),
    ("strategy.lst", "steth", ["strategy.lst: steth. Must be 'weETH' or 'wstETH'. Did you mean wstETH?"]),
    ("close_at_end", 1, ["close_at_end: 1. Must be true or false."]),
    ("costs.enabled", "perhaps", ["costs.enabled: perhaps. Must be true or false."]),
    ("seed", 1.5, ["seed: 1.5. Must be a whole number"]),
    ("seed", True, ["seed: True. Must be a whole number"]),
    ("seed", -1, ["seed: -1. Must be >= 0."]),
    ("strategy.gas_reserve", False, ["strategy.gas_reserve: False. Must be a number."]),
    ("strategy.gas_reserve", "12:30", ["strategy.gas_reserve: 12:30. Must be a number."]),
    ("strategy.position_deviation_threshold", 2, ["Must be <= 1."]),
    (
        "strategy.margin_ratio_band",
        [1.2, 1.5],
        ["margin_ratio_band: [1.2, 1.5]. Must be [low, high] with 0 < low < 1 < high."],
    ),
    ("strategy.margin_ratio_band", [0.5], ["Missing value strategy.margin_ratio_band[1]"]),
    ("strategy.target_ltv", 1, ["strategy.target_ltv: 1. Must be < 1."]),
    ("strategy.rate_rule.enabled", True, ["strategy.rate_rule.enter: None. Must be set"]),
    ("strategy.rate_rule", {"enter": 0.1, "leave": 0.1}, ["strategy.rate_rule.leave: 0.1. Must be < enter (0.1)."]),
    ("strategy", 3, ["strategy: 3. Must be a mapping."]),
    ("data.min_funding_coverage", 99, ["data.min_funding_coverage: 99. Must be <= 1."]),
    ("data.sources", {"spt/btcusdt": ["okx"]}, ["data.sources: spt/btcusdt", "Did you mean spot/btcusdt?"]),
    ("data.sources.spot/btcusdt", "okx", ["data.sources.spot/btcusdt: okx. Must be a list."]),
    ("data.sources.spot/btcusdt", ["okx", "okx"], ["data.sources.spot/btcusdt: ['okx', 'okx']. Must be different"]),
    ("data.sources.spot/btcusdt", ["../x"], ["data.sources.spot/btcusdt"]),
    ("flows", [{"timestamp": "2024-05-01", "amount": 0}], ["flows[0].amount: 0.0. Must be > 0 (deposit)"]),
    ("flows", [{"timestamp": "2024-05-01", "amount": NAN}], ["flows[0].amount: nan. Must be a finite number."]),
    ("flows", [{"amount": 1}], ["Missing key flows[0].timestamp."]),
    # limits whose order is wrong
    ("risk.limits.margin_ratio.warning", 0.1, ["risk.limits.margin_ratio.critical: 0.2. Must be <= warning (0.1)."]),
    (
        "risk.limits.net_delta_ratio|BTC",
        {"warning": 0.2, "critical": 0.1},
        ["critical: 0.1. Must be >= warning (0.2)."],
    ),
    ("risk.limits.health_factor", {"warning": 1.1, "critical": 1.2}, ["critical: 1.2. Must be <= warning (1.1)."]),
    ("risk.limits.margin_ratio|kraken", {"warning": 1, "critical": 1}, ["risk.limits: kraken. Must name an exchange"]),
    ("risk.limits.ltv", {"warning": 0.5}, ["Missing key risk.limits.ltv.critical."]),
    # instruments and asset
    ("asset", "ETH", ["asset: ETH. Must be BTC in mode btc_basis."]),
    ("instruments", ["okx:Perp"], ["instruments: okx:Perp", "venue:type:symbol"]),
    ("instruments", ["okx:Prep:BTCUSDT"], ["type 'Prep' is unknown"]),
    ("instruments", ["okxx:Perp:BTCUSDT"], ["venue 'okxx' is unknown".capitalize(), "binance"]),
    ("instruments", ["wallet:Perp:BTCUSDT"], ["Perp must be at a venue of kind exchange"]),
    ("instruments", ["aave_v3:aToken:DOGE"], ["venues.aave_v3.reserves.DOGE: None. Must be set"]),
    ("instruments", ["{asst}:Perp:BTCUSDT"], ["{asst} is no key of the configuration"]),
    ("instruments", ["{strategy.lst}:Perp:BTCUSDT"], ["strategy.lst: None. Must be set: the instruments hold"]),
    ("instruments", ["{seed}:Perp:BTCUSDT"], ["{seed} must stand for a text"]),
    (
        "strategy.hedge_allocation",
        None,
        ["strategy.hedge_allocation: None. Must be set: the instruments hold {hedge}:"],
    ),
    ("mode", "pure_lending", ["mode: pure_lending. Must stay btc_basis"]),
]


@pytest.mark.parametrize(("key", "value", "parts"), WRONG, ids=[f"{key}={value}" for key, value, _ in WRONG])
def test_wrong_values(key, value, parts):
    text = message(overrides={key: value})
    assert [part for part in parts if part not in text] == [], text
    assert "http" not in text
    assert "pydantic" not in text
    assert "\n" not in text


def test_end_before_start():
    text = message(overrides={"start": "2024-02-01", "end": "2024-01-31T23:00"})
    assert text.startswith("Invalid end: 2024-01-31T23:00:00+00:00. Must not be before start")


def test_lending_of_another_asset_is_refused():
    text = message("pure_lending", {"asset": "DOGE", "share_class": "ETH"})
    assert text == "Invalid asset: DOGE. Must be USDT or ETH in mode pure_lending."


def test_cross_checks_of_levered_modes():
    assert "ltv_band: 0.2. Must be < 1 - target_ltv (0.1)" in message(
        overrides={"strategy.target_ltv": 0.9, "strategy.ltv_band": 0.2}
    )
    assert "sd_floor: 0.2. Must be <= sd_cap (0.1)" in message(
        overrides={"strategy.sd_floor": 0.2, "strategy.sd_cap": 0.1}
    )


def test_every_complaint_is_named():
    lines = message(overrides={"seed": -1, "fill": "x", "strategy.gas_reserve": -1}).splitlines()
    assert [line.split(":")[0] for line in lines] == ["Invalid fill", "Invalid seed", "Invalid strategy.gas_reserve"]


def test_unknown_mode_and_missing_file(tmp_path):
    text = message("pure_lendin")
    assert text.startswith("Unknown mode: pure_lendin. Did you mean pure_lending? Allowed: btc_basis,")
    assert "Configuration file not found" in message(tmp_path / "none.yaml")
    assert "Unknown mode: btc_bass. Did you mean btc_basis?" in message({"mode": "btc_bass"})
    assert "Missing key mode." in message({})
    assert "Invalid configuration: 5." in message(5)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("mode: btc_basis\nseed: 1\nseed: 2\n", "key 'seed' comes twice"),
        ("mode: [btc_basis\n", "no YAML"),
        ("- btc_basis\n", "must hold a mapping"),
        ("", "must hold a mapping"),
        ("mode: btc_basis\nstart: !!python/object/apply:os.getcwd []\n", "no YAML"),
        ("mode: btc_basis\nvenues: 3\n", "Invalid venues: 3"),
        ("mode: btc_basis\nvenues: {binance: 3}\n", "venues.binance: 3. Must be a mapping"),
        ("mode: btc_basis\n5: 3\n", "Unknown key 5"),
        ("mode: btc_basis\nshare_class: [USDT]\n", "Invalid share_class: ['USDT']. Must be 'USDT' or 'ETH'."),
    ],
)
def test_files_that_hold_something_else(content, part, tmp_path):
    path = tmp_path / "mode.yaml"
    path.write_text(content)
    text = message(path)
    assert part in text
    assert "\n" not in text


def test_overrides_and_variables_of_another_form():
    assert "Must be a dotted key" in message(overrides={"": 1})
    assert "Must be a dotted key" in message(overrides={"a..b": 1})
    assert "Must be a mapping of dotted keys" in message(overrides=["a=1"])
    assert "Invalid strategy.rebalance: no YAML." in message(overrides={"strategy.rebalance": "[1"})
    assert "BASIS__A__B=value" in message(environ={"BASIS__": "1"})
    assert "Unknown key seeed: 1. Did you mean seed?" in message(environ={"BASIS__SEEED": "1"})
    assert "set it as a whole" in message({"mode": "btc_basis", "flows": []}, {"flows.amount": 1})
