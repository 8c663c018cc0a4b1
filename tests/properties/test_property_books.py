"""Any market, any configuration: sums close, balances are possible, legs stay equal, flows add up."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from basis.engine.simulation import simulate
from support.exchange_draws import config_of, markets, policies
from support.kernel_view import RunView
from support.runs import settings
from support.small_markets import VENUES, market, walk

EXAMPLES = 60


def ran(panel, policy):
    return RunView(simulate(config_of(panel, policy), panel))


def scale_of(made):
    return max(1.0, 100_000.0 + np.abs(made.flow).sum())


@trials(max_examples=EXAMPLES)
@given(drawn=markets(), policy=policies())
def test_balance_and_attribution_agree_in_every_row(drawn, policy):
    panel = drawn.panel()
    made = ran(panel, policy)
    assert made.status == "complete" or made.cause.startswith("insolvent")
    assert np.abs(made.residual[: made.stop]).max() <= 1e-9 * scale_of(made)
    # what really is left of it is rounding
    assert np.abs(made.residual[: made.stop]).max() <= 1e-12 * scale_of(made) * max(
        1.0, np.abs(made.equity).max() / 1e5
    )


@trials(max_examples=EXAMPLES)
@given(drawn=markets(), policy=policies())
def test_nobody_holds_less_than_nothing(drawn, policy):
    panel = drawn.panel()
    made = ran(panel, policy)
    stop = made.stop
    tokens = [k for k in made.slots.keys if k.type == "BaseToken" and k not in made.slots.cash]
    for key in tokens:
        assert made.quantity(key)[:stop].min() >= 0.0, key
    assert made.all_in_transit[:, :stop].min() >= 0.0
    if policy[0]["risk.simulate_liquidation"]:
        for venue in VENUES:
            cash, balance = made.quantity(f"{venue}:BaseToken:USDT")[:stop], made.margin_balance(venue)[:stop]
            open_ = made.short_at(venue)[:stop] != 0.0
            # a loss realised against cash is covered by the profit that is still open, or the venue has closed all
            assert balance.min() >= -1e-9 * scale_of(made), venue
            assert cash[~open_].min(initial=0.0) >= -1e-9 * scale_of(made), venue


@trials(max_examples=EXAMPLES)
@given(drawn=markets(), policy=policies(moving=False))
def test_both_legs_are_equal_within_the_band_of_the_delta(drawn, policy):
    panel = drawn.panel()
    made = ran(panel, policy)
    stop = made.stop
    worth = np.abs(made.long - made.short)[:stop] * panel.columns["spot|BTC"][:stop]
    solvent = made.equity[:stop] > 1e-6 * 100_000.0
    assert (worth <= 0.02 * made.equity[:stop] * (1.0 + 1e-9) + 1e-9)[solvent].all()


@trials(max_examples=EXAMPLES)
@given(drawn=markets(), policy=policies())
def test_no_entry_leaves_spot_unhedged(drawn, policy):
    """No fill that enters leaves more spot without a short than a liquidation has, nor a row shorts without spot."""
    panel = drawn.panel()
    made = ran(panel, policy)
    perps = [str(k) for k in made.slots.perp]
    coins = [str(k) for k in made.slots.keys if k.type == "BaseToken" and k.symbol == "BTC"]
    held = dict.fromkeys([*coins, *perps], 0.0)

    def total(keys):
        return sum(held[key] for key in keys)

    trades = [e for e in made.events if e.kind in ("fill", "liquidation")]
    for e, following in pairwise([*trades, None]):
        before = total(held)
        held[e.instrument] += e.quantity
        entering = e.kind == "fill" and e.action in ("entry_full", "entry_partial")
        if entering:
            unhedged = total(held)
            assert unhedged <= max(before, 0.0) + 1e-9 * total(coins)
            if following is None or following.row > e.row:
                assert unhedged >= -1e-9 * total(coins)
    last = made.quantities(perps)[:, made.stop - 1]
    assert np.abs([held[key] for key in perps] - last).max() <= 1e-9 * max(1.0, *held.values())


@trials(max_examples=EXAMPLES)
@given(drawn=markets(), policy=policies())
def test_flows_add_up(drawn, policy):
    panel = drawn.panel()
    made = ran(panel, policy)
    stop, pairs = made.stop, policy[1]
    flow, total = made.flow[:stop], made.total_flow[:stop]
    assert np.allclose(np.cumsum(flow), total, rtol=1e-12, atol=1e-6)
    deposits = sum(amount for row, amount in pairs if amount > 0.0 and row < stop)
    asked = -sum(amount for row, amount in pairs if amount < 0.0 and row < stop)
    paid = -made.events_of("flow", "withdrawal paid").amount.sum()
    refused = -sum(e.amount for e in made.events_of("reject", "withdrawal exceeds equity"))
    pending = made.pending[stop - 1]
    assert np.isclose(deposits - paid, total[-1], rtol=1e-12, atol=1e-6)
    assert np.isclose(asked, paid + refused + pending, rtol=1e-12, atol=1e-6)
    assert (made.pending[:stop] >= 0.0).all()


@trials(max_examples=EXAMPLES)
@given(drawn=markets(), policy=policies())
def test_nothing_is_opened_while_an_alert_is_critical(drawn, policy):
    panel = drawn.panel()
    # `rebalance: false` is a hold without any override of risk
    made = ran(panel, ({**policy[0], "strategy.rebalance": True}, policy[1]))
    levels = {}
    for e in made.events:
        if e.kind == "alert":
            levels[e.detail] = e.level
        opens = e.kind == "decision" and e.detail == "BTC" and e.action in ("entry_full", "entry_partial")
        if opens:
            assert max(levels.values(), default=0.0) < 2.0


# --- scale -----------------------------------------------------------------------------------------------------------

FLAT = {
    **{f"venues.{v}.spot_slippage.BTCUSDT": {"buckets": [[None, 5]], "source": "test"} for v in VENUES},
    **{f"venues.{v}.perp_slippage.BTCUSDT": {"buckets": [[None, 3]], "source": "test"} for v in VENUES},
    **{f"venues.{v}.tiers.BTCUSDT": {"brackets": [[None, 0.005, 0, 50]], "source": "test"} for v in VENUES},
    **{f"venues.{v}.withdrawal_fee.USDT": 0 for v in VENUES},
    "venues.wallet.gas_units.transfer": 0,
}


@trials(max_examples=30)
@given(drawn=markets(), policy=policies(), factor=st.sampled_from((2.0, 0.25, 1024.0)))
def test_costs_in_proportion_make_every_row_proportional_to_the_capital(drawn, policy, factor):
    panel = drawn.panel()
    overrides, pairs = policy
    one = ran(panel, ({**overrides, **FLAT, "initial_capital": 100_000.0}, pairs))
    more = [(row, factor * amount) for row, amount in pairs]
    other = ran(panel, ({**overrides, **FLAT, "initial_capital": factor * 100_000.0}, more))
    assert other.stop == one.stop
    for name, values in one.in_proportion_to_capital.items():
        assert (other.in_proportion_to_capital[name] == factor * values).all(), name
    assert other.margin_ratios.tobytes() == one.margin_ratios.tobytes()
    assert (other.events.kind == one.events.kind).all()


def test_a_panel_is_not_written_to():
    panel = market(walk(60, 5))
    before = {name: values.copy() for name, values in panel.columns.items()}
    simulate(settings(), panel)
    assert all((panel.columns[name] == values).all() for name, values in before.items())
