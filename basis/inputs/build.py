"""From a configuration and a market to everything that a run reads."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from ..config import Config
from ..errors import ConfigError
from ..kernel.context import Inputs, Settings, Terms, Wallet
from ..kernel.events import most_events_of_row
from ..kernel.keys import GAS_ASSET, QUOTE_ASSET
from ..kernel.layout import codes
from ..kernel.layout.shape import hour_views, market_views
from ..market.panel import Panel
from .coefficients import Coefficients, MarketLimits, MarketPrices, make_coefficients
from .lending_terms import check_leverage, threshold_lines
from .plans import Plan, Strategy, check_plans, plan_records
from .schedule import Flows, final_row, make_payouts, make_row_flags, schedule_flows
from .slots import Slots
from .switching_cost import switching_cost
from .terms import make_terms, terms_periods

#: Nanoseconds of a second.
_NS = 1e9
#: Inputs of each kind that are kept, for the last few configurations and panels.
_KEPT = 4


class _Shared:
    """Inputs that several runs share, by what they were made of; they must not be written."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple, tuple[tuple, Any]] = OrderedDict()

    def get(self, objects: tuple, values: tuple, make: Callable[[], Any]) -> Any:
        """What `make` gives for these objects, told apart by their identity, and for these values."""
        key = (*map(id, objects), *values)
        if key not in self._made:
            # the objects are kept beside it, so that their ids stay their own
            self._made[key] = objects, make()
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return self._made[key][1]


_coefficients, _rows = _Shared(), _Shared()


def market_limits(config: Config) -> MarketLimits:
    """What orders meet under a configuration; without costs neither impact nor the price of a resting order."""
    execution, charged = config.execution, config.costs.enabled
    cap = np.inf if execution.participation is None else execution.participation
    return MarketLimits(execution.impact if charged else 0.0, cap, charged and execution.orders == "maker")


def shared_coefficients(config: Config, slots: Slots, panel: Panel, thresholds: dict[str, np.ndarray]) -> Coefficients:
    """Coefficients of a panel, which runs with other policies share; not to be written."""
    limits = market_limits(config) if slots.limited else None
    lines = tuple((name, line.tobytes()) for name, line in thresholds.items())

    def make() -> Coefficients:
        prices = MarketPrices(panel.columns, len(panel), slots, config.valuation)
        return make_coefficients(prices, panel.timestamps / _NS, thresholds, limits)

    return _coefficients.get((panel,), (slots, config.valuation, limits, lines), make)


class _Rows(NamedTuple):
    """What the rows of a panel hold beside prices."""

    instants: list[datetime]
    terms_index: np.ndarray
    thresholds: dict[str, np.ndarray]
    flows: Flows
    payouts: np.recarray
    rate: np.ndarray | None
    switching: np.ndarray | None
    signal: np.ndarray | None
    terms: Terms

    def window(self, rows: slice) -> "_Rows":
        """What `with_strategy` needs of some rows."""
        flows = self.flows._replace(
            deposit=self.flows.deposit[rows], asked=self.flows.asked[rows], rows=self.flows.rows[rows]
        )
        return self._replace(
            flows=flows,
            rate=None if self.rate is None else self.rate[rows],
            switching=None if self.switching is None else self.switching[rows],
            signal=None if self.signal is None else self.signal[:, rows],
        )


def _read_rows(config: Config, slots: Slots, panel: Panel, strategy: Strategy, started: int) -> _Rows:
    instants, terms_index = terms_periods(config, slots, panel.timestamps)
    check_leverage(config, slots, instants)
    terms = make_terms(config, slots, instants)
    return _Rows(
        instants=instants,
        terms_index=terms_index,
        thresholds=threshold_lines(config, slots, instants, terms_index),
        flows=schedule_flows(config, panel, started),
        payouts=make_payouts(config, slots, panel, started),
        rate=watched_rate(config, strategy, panel),
        switching=switching_cost(config, slots, strategy, terms, terms_index, panel.columns),
        signal=strategy.signal(config, panel.columns) if strategy.signal else None,
        terms=terms,
    )


def _inputs_of_rows(config: Config, slots: Slots, panel: Panel, rows: _Rows) -> dict[str, Any]:
    return {
        "terms_index": rows.terms_index,
        "row_flags": make_row_flags(config, slots, panel, rows.terms_index, rows.flows.rows, rows.payouts, rows.signal),
        "terms": rows.terms,
        "payouts": rows.payouts,
        "withdrawals": rows.flows.withdrawals,
    }


def with_strategy(slots: Slots, made: Coefficients, rows: _Rows) -> Coefficients:
    """The coefficients with what a rate rule watches, the signal and the flows; a copy where there is any of these."""
    rate, signal, flows = rows.rate, rows.signal, rows.flows
    if rate is None and signal is None and not flows.rows.any() and not flows.asked.any():
        return made
    own = Coefficients(made.hours.copy(), made.quotes.copy())
    hour, market = hour_views(slots.shape(), own.hours.T), market_views(slots.shape(), own.quotes)
    hour.watched_rate[0] = 0.0 if rate is None else rate
    if rows.switching is not None:
        hour.switching_cost[0] = rows.switching
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


def _events_per_row(slots: Slots, plans: np.recarray, payouts: np.recarray, withdrawals: np.ndarray) -> int:
    """More events than a row of the run can have."""
    loops = int(max(plans.loops, default=0))
    in_a_row = int(np.unique(payouts.row, return_counts=True)[1].max(initial=0))
    return most_events_of_row(slots.shape(), loops, in_a_row, len(withdrawals))


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
    watched: np.ndarray,
) -> Inputs:
    """Everything that the kernel reads in a run over a panel.

    Parameters
    ----------
    plans : of the strategy
    started : int64 ns UTC of row 0 of the run (before the panel's for a resumed one)
    strategy_places : (names,) int64, where the view shows what the strategy names
    watched : (rows, columns) float64, the columns that the strategy watches

    Raises
    ------
    InputError
        Where the configuration does not fit the book or the market.
    """
    check_plans(strategy, plans, slots)

    def read() -> tuple[_Rows, dict[str, Any]]:
        rows = _read_rows(config, slots, panel, strategy, started)
        return rows, _inputs_of_rows(config, slots, panel, rows)

    rows, of_rows = _rows.get((config, panel, strategy.rate, strategy.signal, strategy.plans), (slots, started), read)
    made = with_strategy(slots, shared_coefficients(config, slots, panel, rows.thresholds), rows)
    first_cash = len(slots.cash)
    known_plans = plan_records(plans, slots)
    return Inputs(
        hours=made.hours,
        quotes=made.quotes,
        **of_rows,
        plans=known_plans,
        token_venue=_places(slots.venues.index(k.venue) if k.venue in slots.venues else -1 for k in slots.token),
        wallet_token=_places(slots.index(f"wallet:BaseToken:{k.symbol}") - first_cash for k in slots.collateral),
        lent_account=_places(slots.accounts.index(k.venue) for k in (*slots.collateral, *slots.debt)),
        strategy_places=strategy_places,
        watched=watched,
        wallet=_slots_of_wallet(slots),
        settings=Settings(
            liquidates=int(config.risk.simulate_liquidation),
            next_bar=int(config.fill == "next_bar"),
            final_row=final_row(config, len(panel)),
            events_per_row=_events_per_row(slots, known_plans, of_rows["payouts"], of_rows["withdrawals"]),
        ),
    )


def with_capacity(inputs: Inputs, config: Config, capacity: int) -> Inputs:
    """Inputs with room for so many rows in all; `extend_inputs` fills them."""
    grown = {}
    for name in ("hours", "quotes", "terms_index", "row_flags", "watched"):
        line = getattr(inputs, name)
        grown[name] = np.zeros((capacity, *line.shape[1:]), dtype=line.dtype)
        grown[name][: len(line)] = line
    final = final_row(config, capacity)
    grown["row_flags"][final_row(config, len(inputs.hours))] &= ~np.uint8(codes.CLOSES)
    grown["row_flags"][final] |= codes.CLOSES * config.close_at_end
    return inputs._replace(**grown, settings=inputs.settings._replace(final_row=final))


def extend_inputs(
    inputs: Inputs, known: int, config: Config, slots: Slots, panel: Panel, strategy: Strategy, started: int
) -> Inputs:
    """Inputs that know the rows of a longer panel.

    Parameters
    ----------
    inputs : with capacity, filled up to the row `known` - 1; its rows are filled in place
    panel : begins with the rows that are known
    started : int64 ns UTC of row 0 of the run
    """
    rows = _read_rows(config, slots, panel, strategy, started)
    new = slice(known, len(panel))
    # the first new row needs the row before it
    window = slice(known - 1, len(panel))
    columns = {name: line[window] for name, line in panel.columns.items()}
    prices = MarketPrices(columns, len(panel) - known + 1, slots, config.valuation)
    thresholds = {name: line[window] for name, line in rows.thresholds.items()}
    limits = market_limits(config) if slots.limited else None
    made = make_coefficients(prices, panel.timestamps[window] / _NS, thresholds, limits)
    made = with_strategy(slots, made, rows.window(window))
    inputs.hours[new], inputs.quotes[new] = made.hours[1:], made.quotes[1:]
    found = _inputs_of_rows(config, slots, panel, rows)
    inputs.terms_index[new] = found.pop("terms_index")[new]
    flags = found.pop("row_flags")
    flags[final_row(config, len(panel))] &= ~np.uint8(codes.CLOSES)
    inputs.row_flags[new] = flags[new] | (inputs.row_flags[new] & codes.CLOSES)
    events = _events_per_row(slots, inputs.plans, found["payouts"], found["withdrawals"])
    return inputs._replace(**found, settings=inputs.settings._replace(events_per_row=events))
