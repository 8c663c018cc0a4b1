"""The modes in ether over any market, in both share classes: one book, one set of orders, two numeraires."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

import basis
from support.reward_runs import with_rewards
from support.share_classes import assert_same_but_for_the_numeraire
from support.staking_draws import config_of, markets, policies

pytestmark = pytest.mark.filterwarnings("ignore::basis.errors.RunStoppedWarning")

ROWS = 60
ETHER, TOKEN = "wallet:BaseToken:ETH", "wallet:BaseToken:{}"
POOL, DEBT = "aave_v3:aToken:{}", "aave_v3:debtToken:WETH"


@st.composite
def cases(draw):
    """A market (weETH: with payouts), a policy without flows, a book of ether, tokens, collateral and debt."""
    made = draw(markets(ROWS))
    mode, overrides, _ = draw(policies(ROWS).filter(lambda policy: policy[0] != "pure_lending"))
    # whether a loop by hand goes on with nothing free hangs on the rounding of an empty wallet
    overrides = {**overrides, "risk.limits": {}}
    if mode == "eth_leveraged":
        overrides["strategy.loop_steps"] = 0
    overrides["strategy.dust_threshold"] = draw(st.sampled_from((None, 0.0)))
    seed = draw(st.integers(0, 999))
    return made, mode, overrides, seed


def market_and_book(made, mode, seed):
    rng = np.random.default_rng(seed)
    panel = made.panel()
    if made.lst == "weETH":
        price = 0.002 * np.exp(np.cumsum(0.02 * rng.standard_normal(ROWS)))
        panel = with_rewards(panel, ((11, 0.5), (30, 0.2)), price)
        panel = with_rewards(panel, ((30, 0.4),), 2.0 * price, symbol="ETHFI", step=40)
    book = {ETHER: float(rng.uniform(5.0, 100.0)), TOKEN.format(made.lst): float(rng.uniform(0.0, 30.0))}
    if mode == "eth_leveraged":
        pool = float(rng.uniform(10.0, 200.0))
        book |= {POOL.format(made.lst): pool, DEBT: float(rng.uniform(0.0, 0.93)) * pool * 1.05 / 1.06}
    return panel, book


@trials(max_examples=40)
@given(case=cases())
def test_the_share_class_is_only_the_numeraire(case):
    made, mode, overrides, seed = case
    panel, book = market_and_book(made, mode, seed)
    runs = [
        basis.backtest(config_of(made, panel, (mode, {**overrides, "share_class": name}, [])), panel, positions=book)
        for name in ("USDT", "ETH")
    ]
    assert_same_but_for_the_numeraire(*runs, exact=1e-10)


@trials(max_examples=40)
@given(case=cases(), share_class=st.sampled_from(("USDT", "ETH")))
def test_both_drivers_leave_the_same_bits(case, share_class):
    made, mode, overrides, seed = case
    panel, book = market_and_book(made, mode, seed)
    config = config_of(made, panel, (mode, {**overrides, "share_class": share_class}, []))
    one, other = (basis.backtest(config, panel, positions=book, driver=driver) for driver in ("kernel", "event"))
    assert (one.status, one.cause) == (other.status, other.cause)
    for name in ("equity", "attribution", "positions", "exposure", "risk"):
        assert getattr(one, name).equals(getattr(other, name)), name
    assert one.events.drop(columns="correlation_id").equals(other.events.drop(columns="correlation_id"))


@trials(max_examples=60)
@given(case=cases(), share_class=st.sampled_from(("USDT", "ETH")))
def test_with_rewards_and_dust_the_sums_close(case, share_class):
    made, mode, overrides, seed = case
    panel, book = market_and_book(made, mode, seed)
    config = config_of(made, panel, (mode, {**overrides, "share_class": share_class}, []))
    result = basis.backtest(config, panel, positions=book)
    scale = result.exposure.filter(like="value|").abs().sum(axis=1).max()
    assert result.equity["residual"].abs().max() <= 1e-12 * scale * ROWS
    tokens = [name for name in result.positions if "EIGEN" in name or "ETHFI" in name]
    assert bool(tokens) == (made.lst == "weETH")
    assert not tokens or (result.positions[tokens] >= 0.0).all(axis=None)
    reported = result.events[result.events["kind"] == "reward"]
    assert np.isclose(reported["notional"].sum(), result.attribution["reward_pnl"].sum(), rtol=1e-9, atol=1e-12 * scale)
    earning = result.status == "complete" and made.lst == "weETH" and (
        mode == "eth_leveraged" or result.positions[TOKEN.format("weETH")].iloc[28:30].min() > 0.0
    )  # fmt: skip
    if earning and result.positions[[n for n in result.positions if n.endswith("weETH")]].iloc[29].max() > 0.0:
        assert len(reported) > 0
