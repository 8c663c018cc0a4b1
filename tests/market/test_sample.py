"""The synthetic market: the same for a seed, believable, and with every event it promises."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from basis.market.sample import EVENTS, FIVE_MINUTE_MONTH, write_sample

PERPS = [f"{venue}_{pair}" for venue in ("binance", "bybit", "okx") for pair in ("btcusdt", "ethusdt")]
SPOTS = ["binance_btcusdt", "bybit_btcusdt", "bybit_ethusdt", "uniswapv3_wethusdt", "uniswapv3_eigenweth"]
SPOTS += ["uniswapv3_ethfiweth"]
EXPECTED = (
    {f"spot/{name}" for name in SPOTS}
    | {f"{kind}/{name}" for kind in ("perp", "funding") for name in PERPS}
    | {f"aave/{name}" for name in ("usdt", "weth", "weeth", "wsteth")}
    | {"lst/weeth", "lst/wsteth", "gas/ethereum", "signals/btc_1h", "signals/btc_5m", "perp_5m/binance_btcusdt"}
    | {"rewards/" + n for n in ("eigen_distributions", "ethfi_topups", "ethfi_seasons_estimated", "eeth_apy_daily")}
)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    return folder


@pytest.fixture(scope="module")
def read(sample_data: Path):
    return lambda series: pl.read_parquet(sample_data / f"{series}.parquet")


def within(frame: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    return frame.filter(pl.col("timestamp").is_between(start, end))


def test_the_committed_sample_is_what_seed_0_makes(sample_data: Path, fresh: Path) -> None:
    names = {str(p.relative_to(fresh)) for p in fresh.rglob("*.parquet")}
    assert names == {f"{series}.parquet" for series in EXPECTED}
    assert names == {str(p.relative_to(sample_data)) for p in sample_data.rglob("*.parquet")}
    for name in sorted(names):
        kept, made = pl.read_parquet(sample_data / name), pl.read_parquet(fresh / name)
        assert kept.schema == made.schema, name
        for column in kept.columns:
            left, right = kept[column], made[column]
            if left.equals(right, null_equal=True):
                continue
            # Another processor may round a logarithm otherwise in its last bit: a price moves by one tick at most.
            assert left.dtype.is_numeric(), f"{name} {column}"
            assert (left.is_null() == right.is_null()).all(), f"{name} {column}"
            np.testing.assert_allclose(left.to_numpy(), right.to_numpy(), rtol=2e-3, err_msg=f"{name} {column}")
            assert (left.eq_missing(right)).mean() > 0.999 or left.dtype == pl.Float64, f"{name} {column}"


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_market(fresh: Path, tmp_path: Path) -> None:
    again = write_sample(tmp_path / "again")
    for path in again:
        assert path.read_bytes() == (fresh / path.relative_to(tmp_path / "again")).read_bytes(), path.name
    write_sample(tmp_path / "other", seed=1)
    name = "perp/bybit_btcusdt.parquet"
    assert (tmp_path / "other" / name).read_bytes() != (fresh / name).read_bytes()


def test_the_events_are_there_for_other_seeds_too(tmp_path: Path) -> None:
    write_sample(tmp_path, seed=7)
    opens = pl.read_parquet(tmp_path / "perp/bybit_btcusdt.parquet")["open"].to_numpy()
    assert (opens[24:] / opens[:-24] - 1).min() < -0.25
    assert (opens[336:] / opens[:-336] - 1).max() > 0.45


def test_it_is_small(sample_data: Path) -> None:
    assert sum(p.stat().st_size for p in sample_data.rglob("*") if p.is_file()) < 8_000_000


@pytest.mark.parametrize("folder", ["spot", "perp", "funding", "aave", "lst", "gas", "rewards"])
def test_columns_and_types_are_those_of_real_data(sample_data: Path, real_data: Path, folder: str) -> None:
    for path in sorted((real_data / folder).glob("*.parquet")):
        real, ours = pl.read_parquet_schema(path), pl.read_parquet_schema(sample_data / folder / path.name)
        assert list(ours.items()) == list(real.items()), path.name


@pytest.mark.parametrize("series", sorted(EXPECTED))
def test_stamps_cover_the_window_on_an_exact_grid(read, series: str) -> None:
    frame = read(series)
    if "timestamp" not in frame.columns:
        return
    stamps = frame["timestamp"]
    assert stamps.dtype == pl.Datetime("us", "UTC")
    short = series.endswith("_5m") or series.startswith("perp_5m")
    first, last = FIVE_MINUTE_MONTH if short else (datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    assert (stamps[0], stamps[-1]) == (first, last)
    steps = {"funding": timedelta(hours=8), "aave": timedelta(days=1), "rewards": timedelta(days=1)}
    step = timedelta(minutes=5) if short else steps.get(series.split("/")[0], timedelta(hours=1))
    assert stamps.diff().drop_nulls().unique().to_list() == [step]


@pytest.mark.parametrize("series", sorted(s for s in EXPECTED if s.split("/")[0] in ("spot", "perp", "perp_5m")))
def test_bars_hold_together(read, series: str) -> None:
    frame = read(series).drop_nulls()
    assert (frame["low"] > 0).all()
    assert (frame["low"] <= frame[["open", "close"]].min_horizontal()).all()
    assert (frame["high"] >= frame[["open", "close"]].max_horizontal()).all()
    gap = (frame["open"].shift(-1) / frame["close"] - 1).abs().drop_nulls()
    # Under 2 bp, but for the row whose next one is in the hole.
    assert (gap < 2e-4).sum() >= gap.len() - 1
    volume = frame["volume" if "volume" in frame.columns else "quote_volume"]
    assert (volume > 0).all()
    spread = (frame["high"] - frame["low"]) / frame["open"]
    assert np.corrcoef(np.log(volume), np.log(spread + 1e-5))[0, 1] > 0.3


def test_five_minute_bars_add_up_to_the_hours(read) -> None:
    hours = read("perp/binance_btcusdt")
    small = (
        read("perp_5m/binance_btcusdt")
        .group_by_dynamic("timestamp", every="1h")
        .agg(pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last(), pl.len())
        .filter(pl.col("len") == 12)
        .join(hours, on="timestamp")
    )
    assert small.height == 31 * 24
    for column in ("open", "high", "low", "close"):
        assert (small[column] == small[f"{column}_right"]).all()


@pytest.mark.parametrize("asset", ["btc", "eth"])
def test_returns_look_like_returns(read, asset: str) -> None:
    returns = np.diff(np.log(read(f"perp/bybit_{asset}usdt")["open"].to_numpy()))
    size = np.abs(returns) - np.abs(returns).mean()
    for lag in (1, 6, 24):
        assert (size[lag:] * size[:-lag]).mean() / size.var() > 0.1, "volatility does not cluster"
    assert ((returns - returns.mean()) ** 4).mean() / returns.var() ** 2 > 5, "tails are thin"
    assert 0.3 < returns.std() * np.sqrt(8760) < 1.0


def test_assets_move_together_and_venues_agree(read) -> None:
    btc, eth = (np.diff(np.log(read(f"perp/bybit_{a}usdt")["open"].to_numpy())) for a in ("btc", "eth"))
    assert 0.6 < np.corrcoef(btc, eth)[0, 1] < 0.95
    for asset in ("btc", "eth"):
        ours = read(f"perp/bybit_{asset}usdt")["close"].to_numpy()
        for venue in ("binance", "okx"):
            other = read(f"perp/{venue}_{asset}usdt")["close"].to_numpy()
            deviation = 1e4 * np.nanstd(other / ours - 1)
            assert 0.1 < deviation < 5, f"{venue} {asset}: {deviation} bp"


@pytest.mark.parametrize("name", PERPS)
def test_funding_follows_the_basis(read, name: str) -> None:
    asset = name.split("_")[1][:3]
    perp, spot, funding = read(f"perp/{name}"), read(f"spot/bybit_{asset}usdt"), read(f"funding/{name}")
    premium = (perp["open"] / spot["open"] - 1).to_numpy()
    rows = np.arange(1, funding.height)
    mean = np.array([np.nanmean(premium[8 * r - 8 : 8 * r]) for r in rows])
    rate = funding["funding_rate"].to_numpy()[1:]
    known = ~np.isnan(rate)
    assert np.corrcoef(mean[known], rate[known])[0, 1] > 0.5
    assert 0 < rate[known].mean() * 1e4 < 3
    assert np.corrcoef(rate[known][1:], rate[known][:-1])[0, 1] > 0.5
    opens = perp["open"].to_numpy()[::8]
    assert np.array_equal(funding["perp_open"].to_numpy(), opens, equal_nan=True)


@pytest.mark.parametrize(("asset", "fall"), [("btc", -0.25), ("eth", -0.30)])
def test_crash(read, asset: str, fall: float) -> None:
    for venue in ("binance", "bybit", "okx"):
        frame = read(f"perp/{venue}_{asset}usdt")
        opens = frame["open"].to_numpy()
        change = opens[24:] / opens[:-24] - 1
        worst = int(np.nanargmin(change))
        assert change[worst] < fall
        stamp = frame["timestamp"][worst + 24]
        assert EVENTS["crash"].start <= stamp <= EVENTS["crash"].end + timedelta(hours=24)


def test_squeeze_liquidates_a_resting_short(read) -> None:
    event, wick = EVENTS["squeeze"], EVENTS["squeeze_wick"]
    for venue in ("binance", "bybit", "okx"):
        frame = within(read(f"perp/{venue}_btcusdt"), event.start, event.end)
        opens = frame["open"].to_numpy()
        assert opens[-1] / opens[0] > 1.45
        bar = frame.filter(pl.col("timestamp") == wick.start).row(0, named=True)
        assert bar["high"] / max(bar["open"], bar["close"]) > 1.12
        # A short at leverage 2 holds margin for a rise of about one half.
        assert bar["high"] / opens[0] > 1.5


def test_funding_flip(read) -> None:
    event = EVENTS["funding_flip"]
    assert event.end - event.start >= timedelta(days=5)
    for name in PERPS:
        rates = within(read(f"funding/{name}"), event.start + timedelta(hours=16), event.end)["funding_rate"]
        assert rates.len() >= 15
        assert rates.mean() < -2e-4
        assert (rates < 0).mean() > 0.9


@pytest.mark.parametrize("token", ["weeth", "wsteth"])
def test_depeg_and_recovery(read, token: str) -> None:
    frame = read(f"lst/{token}").with_columns(gap=pl.col("market_rate_eth_median24h") / pl.col("oracle_rate_eth") - 1)
    low = frame.filter(pl.col("gap") < -0.05)
    assert low.height >= 24
    assert -0.08 < frame["gap"].min() < -0.05
    event = EVENTS["depeg"]
    assert low["timestamp"][0] >= event.start
    assert low["timestamp"][-1] <= event.end + timedelta(days=1, hours=12)
    calm = frame.filter(~pl.col("timestamp").is_between(event.start, event.end + timedelta(days=4)))
    assert calm["gap"].abs().max() < 0.005
    later = within(frame, event.end + timedelta(days=4), event.end + timedelta(days=10))
    assert later["gap"].abs().max() < 0.005


def test_borrow_spike_turns_the_carry_of_a_loop(read) -> None:
    event = EVENTS["borrow_spike"]
    weth, usdt, lst = read("aave/weth"), read("aave/usdt"), read("lst/wsteth")
    during = within(weth, event.start, event.end)
    assert during.height >= 4
    assert (during["variable_borrow_apr"] > 0.25).all()
    assert within(usdt, event.start, event.end)["supply_apr"].min() > 5 * usdt["supply_apr"].median()
    rates = lst["oracle_rate_eth"]
    staking = np.log(rates[-1] / rates[0]) / 2
    assert 0.02 < staking < 0.04
    levered = 10
    assert levered * staking - (levered - 1) * weth["variable_borrow_apr"].median() > 0
    assert levered * staking - (levered - 1) * during["variable_borrow_apr"].mean() < -1


@pytest.mark.parametrize("series", ["spot/binance_btcusdt", "perp/binance_btcusdt"])
def test_the_hole_is_three_null_hours(read, series: str) -> None:
    null = read(series).filter(pl.col("open").is_null())
    event = EVENTS["binance_hole"]
    hours = [event.start + timedelta(hours=h) for h in range(3)]
    assert null["timestamp"].to_list() == hours
    assert hours[-1] == event.end
    assert all(null[column].is_null().all() for column in null.columns if column != "timestamp")


def test_one_okx_settlement_is_missing(read) -> None:
    for name in PERPS:
        null = read(f"funding/{name}").filter(pl.col("funding_rate").is_null())["timestamp"].to_list()
        assert null == ([EVENTS["okx_funding_hole"].start] if name.startswith("okx") else [])
        if not name.startswith("binance_btc"):
            assert read(f"perp/{name}").null_count().sum_horizontal()[0] == 0


@pytest.mark.parametrize("token", ["usdt", "weth", "weeth", "wsteth"])
def test_reserve_indices_accrue_at_about_the_snapshot_rates(read, token: str) -> None:
    frame = read(f"aave/{token}")
    for index, rate in (("liquidity_index", "supply_apr"), ("variable_borrow_index", "variable_borrow_apr")):
        values, rates = frame[index].to_numpy(), frame[rate].to_numpy()
        assert (np.diff(values) > 0).all()
        assert np.log(values[-1] / values[0]) == pytest.approx((rates[:-1] + rates[1:]).sum() / 2 / 365, rel=0.05)
    used = frame["total_variable_debt"] / frame["total_supplied"]
    assert (used - frame["utilization"]).abs().max() < 1e-12
    assert np.corrcoef(used, frame["variable_borrow_apr"])[0, 1] > 0.4
    assert (frame["supply_apr"] < frame["variable_borrow_apr"]).all()


@pytest.mark.parametrize("token", ["weeth", "wsteth"])
def test_oracle_rates_step_at_midnight_only(read, token: str) -> None:
    frame = read(f"lst/{token}")
    moved = frame.filter(pl.col("oracle_rate_eth").diff() != 0)
    assert (moved["timestamp"].dt.hour() == 0).all()
    assert (frame["is_observed"] == (frame["timestamp"].dt.hour() == 0)).all()
    assert (frame["oracle_rate_eth"].diff().drop_nulls() >= 0).all()
    assert frame["market_rate_eth_median24h"].n_unique() > 1_000


def test_gas_is_spiky_and_known_at_its_stamp(read) -> None:
    frame = read("gas/ethereum")
    price = frame["gas_price_gwei"]
    assert (frame["sampled_at"] < frame["timestamp"]).all()
    lag = (frame["timestamp"] - frame["sampled_at"]).dt.total_seconds()
    assert (lag == frame["sample_lag_s"]).all()
    assert (price - frame["base_fee_gwei"] - frame["priority_fee_p50_gwei"]).abs().max() < 1e-9
    assert (frame["priority_fee_p25_gwei"] <= frame["priority_fee_p50_gwei"]).all()
    assert (frame["priority_fee_p50_gwei"] <= frame["priority_fee_p75_gwei"]).all()
    assert price.max() > 10 * price.median()
    assert price.min() > 0
    assert (frame["eth_usd"] == read("spot/bybit_ethusdt")["open"]).all()
    assert (frame["block_number"].diff().drop_nulls() > 0).all()


@pytest.mark.parametrize(
    ("bars", "signals"), [("perp/binance_btcusdt", "btc_1h"), ("perp_5m/binance_btcusdt", "btc_5m")]
)
def test_signals_fit_the_bars(read, bars: str, signals: str) -> None:
    frame = read(f"signals/{signals}")
    assert frame.columns == ["timestamp", "signal", "confidence", "sd"]
    assert (frame["timestamp"] == read(bars)["timestamp"]).all()
    assert set(frame["signal"].unique()) == {-1, 0, 1}
    assert frame["confidence"].is_between(0, 1).all()
    assert frame["sd"].is_between(1e-5, 0.05).all()
    changes = (frame["signal"].diff() != 0).mean()
    assert 0.005 < changes < 0.2


def test_a_signal_knows_nothing_of_later_bars() -> None:
    from basis.market.sample import example_signals

    rng = np.random.default_rng(3)
    stamps = 3600 * np.arange(600)
    prices = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(600)))
    later = prices.copy()
    later[401:] *= rng.uniform(0.5, 2, 199)
    before, after = example_signals(stamps, prices), example_signals(stamps, later)
    for column in ("signal", "confidence", "sd"):
        np.testing.assert_array_equal(before[column][:401], after[column][:401])
        assert not np.array_equal(before[column][401:], after[column][401:])
