"""Why a strategy was asked: its bands with their values before a decision, and which of them was left.

Recomputed from the tables of a run and the policy of its configuration, so that the kernel has no part in it. Imports
numpy and what the layers below have.
"""

import collections
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from basis.assets import load_assets
from basis.components.checkpoints import Checkpoint
from basis.components.run_state import slots_of
from basis.components.state_tables import positions_of
from basis.config import Config
from basis.inputs.plans import Strategy
from basis.inputs.policy import measure_names
from basis.inputs.slots import Slots
from basis.inputs.switching_cost import share_at_work, switching_cost
from basis.inputs.terms import make_terms, terms_periods
from basis.kernel.keys import Key, parse_key
from basis.kernel.layout.codes import NO_LIMIT
from basis.kernel.layout.shape import state_views
from basis.results.row_prices import RowPrices
from basis.results.table import Table
from basis.strategies.factory import make_strategy

#: Begins the detail of a decision's events.
TRIGGER = "trigger="
#: Reason of a decision of the row of the checkpoint that is carried out in the first row of the run that went on.
_EARLIER = "decided before the run went on"
#: Kinds of events that change what is held before a decision.
_CHANGES = ("fill", "liquidation", "reward")
#: Most digits that tell a value from the edge of its band.
_DIGITS = 9


class Band(NamedTuple):
    """A number that a strategy watches: its value before a decision, where it may be, and what is aimed at."""

    name: str
    value: float
    low: float = -math.inf
    high: float = math.inf
    aim: float = math.nan

    @property
    def is_left(self) -> bool:
        """Whether the value is outside."""
        return self.value < self.low or self.value > self.high

    def left(self) -> str:
        """``margin_ratio|okx 0.349 < 0.35``, with as many digits as tell the two apart."""
        sign, edge = ("<", self.low) if self.value < self.low else (">", self.high)
        for digits in range(3, _DIGITS):
            if f"{self.value:.{digits}g}" != f"{edge:.{digits}g}":
                break
        return f"{self.name} {self.value:.{digits}g} {sign} {edge:.{digits}g}"


class Before(NamedTuple):
    """The row before the first of a run that went on, which is in none of its tables.

    Attributes
    ----------
    checkpoint : the state after the fills of that row
    market : market data of that row by name, as far as it is at hand
    """

    checkpoint: Checkpoint
    market: Mapping[str, float]


class Reasons:
    """What a run's strategy was asked for.

    Parameters
    ----------
    config : of the run
    table : name → table of the run; it needs equity, risk, positions, exposure and panel
    events : the events of the run
    given : starting book, where there was one
    before : gives the row before the first; None where the run did not go on from a checkpoint
    strategy : the strategy that ran; None takes that of the configuration
    """

    def __init__(
        self,
        config: Config,
        table: Callable[[str], Table],
        events: Table,
        given: Mapping[str, float] | None,
        before: Callable[[], Before] | None,
        strategy: Strategy | None = None,
    ) -> None:
        self.config, self.events = config, events
        self._get_before = before
        self.equity, self.risk, self.positions = table("equity"), table("risk"), table("positions")
        self.exposure, panel = table("exposure"), table("panel")
        self.prices = RowPrices(panel.columns, config.share_class, config.valuation == "oracle")  # type: ignore[arg-type]
        self.strategy = strategy if isinstance(strategy, Strategy) else make_strategy(config)
        self._given = given
        self._fields = {name: events[name] for name in ("kind", "instrument", "quantity", "detail", "level", "amount")}
        self._costs = sum(events[name] for name in ("fee", "slippage", "gas", "flash_fee"))
        # events are in the order of their rows
        stamps = self.equity["timestamp"]
        self._first = np.searchsorted(events["timestamp"], stamps, "left")
        self._end = np.searchsorted(events["timestamp"], stamps, "right")

    # --- policy --------------------------------------------------------------------------------------------------

    @functools.cached_property
    def policy(self) -> dict[str, float]:
        """Bands and aims, as the configuration and the strategy set them; infinite where there is none."""
        settings, target = self.config.strategy, self.config.strategy.margin_ratio_target
        low, high = settings.margin_ratio_band
        rule = settings.rate_rule
        found = {
            "margin_target": target,
            "margin_low": low * target,
            "margin_high": high * target,
            "max_drift": settings.max_delta_drift,
            "min_invested": -NO_LIMIT,
            "max_invested": NO_LIMIT,
            "low_ltv": -NO_LIMIT,
            "high_ltv": NO_LIMIT,
            "least_health": -NO_LIMIT,
            "dust_limit": NO_LIMIT if settings.dust_threshold is None else settings.dust_threshold,
            "enter_rate": rule.enter if rule.enabled and rule.enter is not None else NO_LIMIT,
            "leave_rate": rule.leave if rule.enabled and rule.leave is not None else -NO_LIMIT,
        }
        found |= self.strategy.policy(self.config, self._slots)
        return {
            name: math.copysign(math.inf, value) if abs(value) >= NO_LIMIT else value for name, value in found.items()
        }

    @functools.cached_property
    def plan_kinds(self) -> dict[str, str]:
        """Kind of the plan behind the asset of an action."""
        return {plan.asset: plan.kind for plan in self.strategy.plans(self.config)}

    @functools.cached_property
    def _invested_keys(self) -> tuple[str, ...]:
        """Instruments that count as what the strategy holds long."""
        held = dict.fromkeys(plan.holds for plan in self.strategy.plans(self.config))
        return tuple(key for key in held if key is not None and key in self.positions.columns)

    @functools.cached_property
    def _rates(self) -> np.ndarray | None:
        """(rows,) what a rate rule watches, per year; None without one."""
        if not self.config.strategy.rate_rule.enabled or self.strategy.rate is None:
            return None
        try:
            return self.strategy.rate(self.config, self.prices.panel)
        except KeyError:
            return None

    @functools.cached_property
    def _slots(self) -> Slots:
        return slots_of(self.config, self._given or {}, self.strategy.signal is not None)

    @functools.cached_property
    def _invested_aim(self) -> float:
        """What is held long over equity where it is at its target."""
        leverage = 1.0 / (1.0 - (self.config.strategy.target_ltv or 0.0))
        return leverage * share_at_work(self.config, self._slots, self.strategy)

    @functools.cached_property
    def _switching(self) -> np.ndarray | None:
        """(rows,) rate that pays for leaving and entering again, per year; None where that is not asked."""
        slots = self._slots
        instants, index = terms_periods(self.config, slots, self.equity["timestamp"].astype("M8[ns]").astype(np.int64))
        terms = make_terms(self.config, slots, instants)
        return switching_cost(self.config, slots, self.strategy, terms, index, self.prices.panel)

    # --- the row before the first, of a run that went on ---------------------------------------------------------

    @functools.cached_property
    def _before(self) -> Before | None:
        return None if self._get_before is None else self._get_before()

    @functools.cached_property
    def _slots_before(self) -> Slots | None:
        """Slots of the checkpoint; None where there is none, or it is of another book."""
        if self._before is None:
            return None
        kept = self._before.checkpoint
        slots = slots_of(self.config, dict.fromkeys(kept.keys, 0.0), self.strategy.signal is not None)
        fits = kept.keys == tuple(map(str, slots.keys)) and kept.state.shape == (slots.shape().rows,)
        return slots if fits else None

    @functools.cached_property
    def _held_before(self) -> dict[str, float]:
        """What the checkpoint held, by the names of the positions."""
        if self._before is None or self._slots_before is None:
            return {}
        return positions_of(self._slots_before, self._before.checkpoint.state[:, None])

    @functools.cached_property
    def _state_before(self) -> Any:
        """State of the checkpoint by name; None where it is not known."""
        if self._before is None or self._slots_before is None:
            return None
        return state_views(self._slots_before.shape(), self._before.checkpoint.state[:, None])

    def _pending_before(self, row: int) -> float:
        """Withdrawals that waited at the end of the row before."""
        if row:
            return float(self.equity["withdrawal_pending"][row - 1])
        return 0.0 if self._state_before is None else float(self._state_before.withdrawal_pending[0])

    def _alert_before(self, name: str, row: int) -> float:
        """Level of an alert at the end of the row before."""
        if row:
            return float(self.risk[name][row - 1])
        if self._slots_before is None:
            return 0.0
        measures = measure_names(self._slots_before)
        return float(self._state_before.alert[measures.index(name.removeprefix("alert|"))][0])

    def _market_before(self, name: str, row: int) -> float:
        """A column of the market in the row before; NaN where it is not at hand."""
        if row:
            return float(self.prices.panel[name][row - 1])
        return math.nan if self._before is None else float(self._before.market.get(name, math.nan))

    # --- values before the decision ------------------------------------------------------------------------------

    def decision_of(self, row: int) -> int:
        """Place of the first decision of a row among the events; that of the row's end where there is none.

        With `next_bar` what is decided in a row stands in the next one, beside its orders.
        """
        if self.config.fill == "next_bar":
            return int(self._end[row])
        span = slice(self._first[row], self._end[row])
        found = np.flatnonzero(self._fields["kind"][span] == "decision")
        return int(span.start + found[0]) if found.size else int(span.stop)

    def held(self, name: str, row: int) -> float:
        """A stored quantity before the decision of a row, what is under way included; NaN where it is not known."""
        moving = f"{name}|in_transit"
        held = 0.0
        # an order that fills in the next bar changes nothing in the row of its decision
        waits = self.config.fill == "next_bar" and name in self.positions.columns
        if (row or waits) and name in self.positions.columns:
            at = row if waits else row - 1
            held = float(self.positions[name][at])
            held += float(self.positions[moving][at]) if moving in self.positions.columns else 0.0
            if waits:
                return held
        elif self._before is not None:
            held = self._held_before.get(name, math.nan) + self._held_before.get(moving, 0.0)
        elif self._given is not None:
            held = float(self._given.get(name, 0.0))
        for place in range(self._first[row], self.decision_of(row)):
            if self._fields["instrument"][place] == name and self._fields["kind"][place] in _CHANGES:
                held += float(self._fields["quantity"][place])
        return held

    def _equity(self, row: int) -> float:
        """Equity before the decision of a row: that after it, and what it cost and paid out."""
        after = slice(self.decision_of(row), self._end[row])
        paid = self._fields["detail"][after] == "withdrawal paid"
        out = float(np.abs(self._fields["amount"][after][paid]).sum())
        return float(self.equity["equity"][row]) + float(self._costs[after].sum()) + out

    def bands(self, row: int) -> list[Band]:
        """Every number that the strategy watches and that has a value in a row, before its decision."""
        return [band for band in self._bands(row) if math.isfinite(band.value)]

    def _bands(self, row: int) -> Iterator[Band]:
        policy, equity = self.policy, self._equity(row)
        for name in self.risk.columns:
            if name.startswith("margin_ratio|") and name.endswith("|before"):
                venue = name.split("|")[1]
                if any(self.held(key, row) for key in self._perps if parse_key(key).venue == venue):
                    value = float(self.risk[name][row])
                    yield Band(
                        f"margin_ratio|{venue}",
                        value,
                        policy["margin_low"],
                        policy["margin_high"],
                        policy["margin_target"],
                    )
        if equity > 0.0 and self._invested_keys:
            low, high = policy["min_invested"], policy["max_invested"]
            worth = sum(
                self.held(key, row) * self.prices.unit_value(parse_key(key), row) for key in self._invested_keys
            )
            yield Band("invested", worth / equity, low, high, self._invested_aim if math.isfinite(high) else math.nan)
        if equity > 0.0:
            yield from self._drifts(row, equity)
        if float(self.risk["ltv|before"][row]) > 0.0:
            aim = self.config.strategy.target_ltv or math.nan
            yield Band("ltv", float(self.risk["ltv|before"][row]), policy["low_ltv"], policy["high_ltv"], aim)
            yield Band("health_factor", float(self.risk["health_factor|before"][row]), policy["least_health"])
        if self._rates is not None:
            holds = any(self.held(key, row) for key in self._invested_keys or self._perps)
            rate, cost = float(self._rates[row]), 0.0 if self._switching is None else float(self._switching[row])
            leave, enter = policy["leave_rate"] - cost, max(policy["enter_rate"], policy["leave_rate"] + cost)
            yield Band("rate", rate, leave) if holds else Band("rate", rate, high=enter)
        if math.isfinite(policy["dust_limit"]) and self.config.distributions:
            tokens = [key for key in self.positions.columns if key.split(":")[-1] in self.config.distributions]
            worth = sum(self.held(key, row) * self.prices.price(parse_key(key).symbol, row) for key in tokens)
            yield Band("dust", worth, high=policy["dust_limit"])

    @functools.cached_property
    def _perps(self) -> tuple[str, ...]:
        return tuple(key for key in self.positions.columns if ":Perp:" in key and "|" not in key)

    def _drifts(self, row: int, equity: float) -> Iterator[Band]:
        """Net delta by asset, of what is held before the decision at the rates of its row."""
        if not math.isfinite(self.policy["max_drift"]):
            return
        for name in self.exposure.columns:
            measure, _, asset = name.partition("|")
            price = self.prices.price(asset, row) if measure == "net_delta" else 0.0
            if price <= 0.0:
                continue
            delta = 0.0
            for key, units in self._counted[asset]:
                delta += self.held(key, row) * (1.0 if units is None else self.prices.unit_value(units, row) / price)
            yield Band(f"net_delta_ratio|{asset}", abs(delta) * price / equity, high=self.policy["max_drift"], aim=0.0)

    @functools.cached_property
    def _counted(self) -> dict[str, list[tuple[str, Key | None]]]:
        """Instruments that count as an asset; without a key of their own where a unit of one is one of the asset."""
        found: dict[str, list[tuple[str, Key | None]]] = collections.defaultdict(list)
        for name in self.positions.columns:
            if name.count(":") == 2 and "|" not in name:
                key = parse_key(name)
                found[load_assets().underlying_of(key.base)].append((name, None if key.type == "Perp" else key))
        return found

    # --- triggers ------------------------------------------------------------------------------------------------

    def triggers(self, row: int) -> list[str]:
        """What asked for the decision of a row, in words: bands that were left, and what happened in it."""
        found = [*self._occasions(row), *self._alerts(row)]
        return found + [band.left() for band in self.bands(row) if band.is_left] or self._always()

    def _occasions(self, row: int) -> Iterator[str]:
        if row == 0 and self._get_before is None:
            yield "first row"
        if row == len(self.equity) - 1 and self.config.close_at_end:
            yield "last row, close_at_end"
        before = slice(self._first[row], self.decision_of(row))
        kinds, details = self._fields["kind"][before], self._fields["detail"][before]
        amounts = self._fields["amount"][before]
        for what in ("deposit", "withdrawal requested"):
            flows = (kinds == "flow") & (details == what)
            if flows.any():
                yield f"{what} {abs(float(amounts[flows].sum())):,.6g}"
        waiting = self._pending_before(row)
        if waiting > 0.0:
            yield f"withdrawal pending {waiting:,.6g}"
        if (kinds == "arrival").any():
            yield "transfer arrived"
        if (kinds == "reward").any():
            yield "rewards paid"
        for name in self.prices.panel:
            if name.startswith("signal|") and self.strategy.signal is not None:
                was, now = self._market_before(name, row), float(self.prices.panel[name][row])
                if was != now and (row or not math.isnan(was)):
                    yield f"signal {now:g} (was {was:g})"

    def _alerts(self, row: int) -> Iterator[str]:
        before = range(self._first[row], self.decision_of(row))
        reported = [place for place in before if self._fields["kind"][place] == "alert"]
        yield from (f"alert {self._fields['instrument'][p]} {self._fields['level'][p]}" for p in reported)
        new = {self._fields["instrument"][place] for place in reported}
        for name in self.risk.columns:
            measure = name.removeprefix("alert|")
            if measure != name and measure not in new and self._alert_before(name, row) >= 2:
                yield f"alert {measure} critical"

    def _always(self) -> list[str]:
        return ["asked in every row"] if self.policy.get("every_row", 0.0) > 0.0 else []


def with_triggers(events: Table, reasons: Reasons) -> Table:
    """The events, with why each decision was asked for in its detail: ``trigger=margin_ratio|okx 0.349 < 0.35``."""
    decisions = np.flatnonzero(events["kind"] == "decision")
    if not decisions.size:
        return events
    decided, stamps = events["effective_at"][decisions], reasons.equity["timestamp"]
    details: Any = events["detail"].copy()
    # what a run decided in the row of the checkpoint has its reasons in no row of the run that went on
    for place in decisions[decided < stamps[0]]:
        details[place] = TRIGGER + _EARLIER
    decisions, decided = decisions[decided >= stamps[0]], decided[decided >= stamps[0]]
    rows = np.searchsorted(stamps, decided)
    texts = {int(row): "; ".join(reasons.triggers(int(row))) for row in np.unique(rows)}
    for place, row in zip(decisions, rows, strict=True):
        details[place] = TRIGGER + texts[int(row)] if texts[int(row)] else details[place]
    return events.with_texts("detail", details)
