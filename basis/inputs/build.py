"""From a configuration and a market to everything that a run reads."""

from collections import OrderedDict
from typing import Any

import numpy as np

from ..config import Config
from ..errors import ConfigError
from ..kernel.context import Inputs, Settings, Wallet
from ..kernel.keys import GAS_ASSET, QUOTE_ASSET
from ..kernel.layout.shape import hour_views, market_views
from ..market.panel import Panel
from .coefficients import Coefficients, MarketLimits, MarketPrices, make_coefficients
from .lending_terms import check_leverage, threshold_lines
from .plans import Plan, Strategy, check_names, plan_records
from .schedule import Flows, final_row, make_payouts, make_row_flags, schedule_flows
from .slots import Slots
from .terms import make_terms, terms_periods

#: Panels whose coefficients are kept: runs that differ in the strategy share them.
_PANELS_KEPT = 4
_kept: OrderedDict[tuple, tuple[Panel, Coefficients]] = OrderedDict()


def market_limits(config: Config) -> MarketLimits:
    """What orders meet under a configuration; without costs neither impact nor the price of a resting order."""
    execution, charged = config.execution, config.costs.enabled
    cap = np.inf if execution.participation is None else execution.participation
    return MarketLimits(execution.impact if charged else 0.0, cap, charged and execution.orders == "maker")


def shared_coefficients(config: Config, slots: Slots, panel: Panel, thresholds: dict[str, np.ndarray]) -> Coefficients:
    """Coefficients of a panel, kept for the last few panels; not to be written."""
    limits = market_limits(config) if slots.limited else None
    lines = tuple((name, line.tobytes()) for name, line in thresholds.items())
    key = (id(panel), slots, config.valuation, limits, lines)
    if key not in _kept:
        prices = MarketPrices(panel.columns, len(panel), slots, config.valuation)
        made = make_coefficients(prices, panel.timestamps / 1e9, thresholds, limits)
        # the panel is kept with its coefficients, so its id stays its own
        _kept[key] = panel, made
        while len(_kept) > _PANELS_KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key][1]


def with_strategy(
    slots: Slots, made: Coefficients, rate: np.ndarray | None, signal: np.ndarray | None, flows: Flows
) -> Coefficients:
    """The coefficients with what a rate rule watches, the signal and the flows; a copy where there is any of these."""
    if rate is None and signal is None and not flows.rows.any():
        return made
    own = Coefficients(made.hours.copy(), made.quotes.copy())
    hour, market = hour_views(slots.shape(), own.hours.T), market_views(slots.shape(), own.quotes)
    hour.watched_rate[0] = 0.0 if rate is None else rate
    if signal is not None:
        hour.signal[:] = signal
    market.deposit[:], market.withdrawals_asked[:] = flows.deposit, flows.asked
    return own


def watched_rate(config: Config, strategy: Strategy, panel: Panel) -> np.ndarray | None:
    """(rows,) what the rate rule watches; None where there is no rule.

    Raises
    ------
    ConfigError
        Where the rule is enabled and the strategy watches no rate.
    """
    if not config.strategy.rate_rule.enabled:
        return None
    if strategy.rate is None:
        raise ConfigError(f"Invalid strategy.rate_rule: {strategy.name} watches no rate. Must not be enabled.")
    return strategy.rate(config, panel.columns)


def _slots_of_wallet(slots: Slots) -> Wallet:
    return Wallet(*(slots.index(f"wallet:BaseToken:{a}") for a in (slots.share_class, QUOTE_ASSET, GAS_ASSET)))


def _places(values: Any) -> np.ndarray:
    return np.array(list(values), dtype=np.int64)


def make_inputs(
    config: Config,
    slots: Slots,
    panel: Panel,
    strategy: Strategy,
    plans: tuple[Plan, ...],
    started: int,
    strategy_places: np.ndarray,
) -> Inputs:
    """Everything that the kernel reads in a run.

    Parameters
    ----------
    plans : of the strategy
    started : int64 ns UTC of row 0 of the run (before the panel's for a resumed one)
    strategy_places : (names,) int64, where the view shows what the strategy names

    Raises
    ------
    InputError
        Where the configuration does not fit the book or the market.
    """
    check_names(strategy, plans)
    instants, terms_index = terms_periods(config, slots, panel)
    flows = schedule_flows(config, panel, started)
    rate = watched_rate(config, strategy, panel)
    signal = strategy.signal(config, panel.columns) if strategy.signal else None
    check_leverage(config, slots, instants)
    thresholds = threshold_lines(config, slots, instants, terms_index)
    made = with_strategy(slots, shared_coefficients(config, slots, panel, thresholds), rate, signal, flows)
    payouts = make_payouts(config, slots, panel, started)
    first_cash = len(slots.cash)
    return Inputs(
        hours=made.hours,
        quotes=made.quotes,
        terms_index=terms_index,
        row_flags=make_row_flags(config, slots, panel, terms_index, flows.rows, payouts, signal),
        terms=make_terms(config, slots, instants),
        plans=plan_records(plans, slots),
        payouts=payouts,
        withdrawals=flows.withdrawals,
        token_venue=_places(slots.venues.index(k.venue) if k.venue in slots.venues else -1 for k in slots.token),
        wallet_token=_places(slots.index(f"wallet:BaseToken:{k.symbol}") - first_cash for k in slots.collateral),
        lent_account=_places(slots.accounts.index(k.venue) for k in (*slots.collateral, *slots.debt)),
        strategy_places=strategy_places,
        wallet=_slots_of_wallet(slots),
        settings=Settings(
            liquidates=int(config.risk.simulate_liquidation),
            next_bar=int(config.fill == "next_bar"),
            final_row=final_row(config, panel),
        ),
    )
