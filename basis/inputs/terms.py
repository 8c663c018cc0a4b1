"""Dated terms of the venues as the kernel reads them: fees, tiers, slippage, gas, latencies, lots, lending."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Literal

import numpy as np

from ..config import Config
from ..config.instruments import conversion_of
from ..errors import ConfigError
from ..kernel.close_rules import CLOSE_RULES
from ..kernel.context import Terms
from ..kernel.keys import GAS_ASSET, QUOTE_ASSET, Key
from ..kernel.layout import records
from ..kernel.numba.struct_view import make_records
from .lending_terms import collateral_terms
from .slots import Slots

_NS = 1_000_000_000
_BASIS_POINT = 1e-4
#: A slippage table without slippage, and the tier of a perp that is not traded.
_NO_SLIPPAGE = [(np.inf, 0.0)]
_NO_TIER = [(np.inf, 1.0, 0.0, 1.0)]
#: Operations on chain by their names in a venue's `gas_units`; the kernel's names are the same but for one.
_KERNEL_NAME_OF_GAS = {"redeem": "unstake"}
_OPERATIONS = ("transfer", "supply", "withdraw", "swap", "stake", "redeem", "borrow", "repay", "lever", "delever")


def _dated_tables(config: Config, slots: Slots) -> Iterator[Any]:
    """Every dated table that the book's venues have."""
    converting = (name for k in slots.token for name in conversion_of(config, k.symbol).venues if name in config.venues)
    for name in dict.fromkeys((*(k.venue for k in slots.keys), *converting)):
        venue = config.venues[name]
        single = (venue.spot_fee, venue.perp_fee, venue.liquidation_fee, venue.close_rule, venue.flash_fee)
        yield from (table for table in single if table is not None)
        for group in (
            venue.spot_slippage,
            venue.perp_slippage,
            venue.spot_lots,
            venue.perp_lots,
            venue.tiers,
            venue.withdrawal_fee,
            venue.gas_units,
            venue.reserves,
            venue.emodes,
        ):
            yield from group.values()


def terms_periods(config: Config, slots: Slots, timestamps: np.ndarray) -> tuple[list[datetime], np.ndarray]:
    """Instants at which terms change inside a market (the first is its start), and the terms index of every row.

    Parameters
    ----------
    timestamps : (rows,) int64 ns UTC
    """
    first, last = (int(timestamps[i]) for i in (0, -1))
    changes = chain.from_iterable(table.changes() for table in _dated_tables(config, slots))
    stamps = {int(t.timestamp()) * _NS for t in changes}
    starts = np.array([first, *sorted(s for s in stamps if first < s <= last)], dtype=np.int64)
    rows = np.searchsorted(starts, timestamps, side="right") - 1
    return [datetime.fromtimestamp(int(s) // _NS, UTC) for s in starts], rows.astype(np.int64)


def _padded(dtype: np.dtype, tables: list[list[tuple]], shape: tuple[int, ...]) -> np.recarray:
    """Tables of different lengths as records of `shape` and a last axis; the last row of each is repeated."""
    longest = max((len(table) for table in tables), default=1)
    made = make_records(dtype, (len(tables), longest))
    for row, table in zip(made, tables, strict=True):
        row[: len(table)] = table
        row[len(table) :] = table[-1]
    return made.reshape((*shape, longest)).view(np.recarray)


class VenueTerms:
    """Reads the terms of a configuration's venues at one instant.

    Parameters
    ----------
    config : resolved configuration
    slots : of the book
    when : the instant
    """

    def __init__(self, config: Config, slots: Slots, when: datetime) -> None:
        self.config, self.slots, self.when = config, slots, when
        self.charged = 1.0 if config.costs.enabled else 0.0
        self.travels = 0.0 if config.transfers.instant else 1.0

    def need(self, table: Any, venue: str, what: str) -> Any:
        """What a table says now.

        Raises
        ------
        ConfigError
            Where the venue has no such table.
        """
        if table is None:
            raise ConfigError(
                f"venues.{venue}.{what} is missing; the book trades there. Add it with `from` and `source`."
            )
        return table.at(self.when)

    def latencies(self, name: str) -> tuple[float, float]:
        """Seconds into a venue and out of it."""
        latency = self.config.venues[name].latency
        if latency is None:
            return self.need(None, name, "latency")
        return self.travels * latency.deposit.total_seconds(), self.travels * latency.withdrawal.total_seconds()

    def slippage(self, name: str, market: Literal["spot", "perp"], symbol: str) -> list[tuple]:
        """Buckets of slippage: largest notional, fraction."""
        if not self.charged:
            return _NO_SLIPPAGE
        try:
            buckets = self.config.venues[name].slippage(market, symbol).at(self.when).buckets
        except KeyError:
            self.need(None, name, f"{market}_slippage.{symbol}")
        return [(b.max_notional, b.bps * _BASIS_POINT) for b in buckets]

    def lot(self, name: str, market: Literal["spot", "perp"], symbol: str) -> tuple[float, float]:
        """Smallest step of a quantity and smallest notional; none where a run trades no whole lots."""
        if not self.config.execution.lots:
            return 0.0, 0.0
        tables = getattr(self.config.venues[name], f"{market}_lots")
        rule = self.need(tables.get(symbol), name, f"{market}_lots.{symbol}")
        return rule.step, rule.min_notional

    def fill_venue(self, out: Any, name: str) -> None:
        """Fees and latencies of an exchange."""
        terms, on = self.config.venues[name], self.charged
        spot, perp = self.need(terms.spot_fee, name, "spot_fee"), self.need(terms.perp_fee, name, "perp_fee")
        out.spot_taker, out.spot_maker = on * spot.taker, on * spot.maker
        out.perp_taker, out.perp_maker = on * perp.taker, on * perp.maker
        out.liquidation_fee = self.need(terms.liquidation_fee, name, "liquidation_fee").value
        fee = self.need(terms.withdrawal_fee.get(QUOTE_ASSET), name, f"withdrawal_fee.{QUOTE_ASSET}")
        out.withdrawal_fee = on * fee.value
        out.deposit_latency, out.withdrawal_latency = self.latencies(name)

    def fill_account(self, out: Any, name: str) -> None:
        """Close rule and fee of flash loans of a lending account."""
        terms = self.config.venues[name]
        if terms.close_rule is not None:
            out.close_rule = CLOSE_RULES[terms.close_rule.at(self.when).rule]
        if terms.flash_fee is not None:
            out.flash_fee = self.charged * terms.flash_fee.at(self.when).value

    def fill_gas(self, out: Any, protocols: set[str]) -> None:
        """Units of gas by operation, of the wallet and the protocols."""
        for name in ("wallet", *sorted(protocols)):
            units = self.config.venues[name].gas_units
            for operation in _OPERATIONS:
                if operation in units:
                    field = _KERNEL_NAME_OF_GAS.get(operation, operation)
                    out[field] = self.charged * units[operation].at(self.when).value

    def fill_stake(self, out: Any, key: Key) -> list[tuple]:
        """Fee and latencies of a token that is changed on chain; returns its slippage there."""
        conversion = conversion_of(self.config, key.symbol)
        # a staking token that came with the starting book has no venue at which it can be converted
        market = conversion.market if conversion.market in self.config.venues else None
        if market is None:
            return _NO_SLIPPAGE
        fee = self.need(self.config.venues[market].spot_fee, market, "spot_fee")
        out.swap_fee = self.charged * fee.taker
        if conversion.protocol in self.config.venues:
            out.stake_latency, out.unstake_latency = self.latencies(conversion.protocol)
        return self.slippage(market, "spot", f"{key.symbol}{GAS_ASSET}")

    def tiers(self, key: Key) -> list[tuple]:
        """Margin tiers of a perp."""
        table = self.config.venues[key.venue].tiers.get(key.symbol)
        return [tuple(bracket) for bracket in self.need(table, key.venue, f"tiers.{key.symbol}").brackets]


def protocols_of(config: Config, slots: Slots) -> set[str]:
    """Venues on chain that a run uses: lending protocols, and where its tokens are changed."""
    used = {key.venue for key in (*slots.collateral, *slots.debt)}
    for key in slots.token:
        used.update(name for name in conversion_of(config, key.symbol).venues if name in config.venues)
    return used


def make_terms(config: Config, slots: Slots, instants: list[datetime]) -> Terms:
    """Terms of the venues, one period after the other.

    Raises
    ------
    ConfigError
        Where a venue of the book lacks a table that it needs.
    """
    shape, periods = slots.shape(), len(instants)
    venue = make_records(records.VENUE_TERMS, (periods, shape.venues))
    gas = make_records(records.GAS_TERMS, periods)
    stake = make_records(records.STAKE_TERMS, (periods, shape.tokens))
    collateral = make_records(records.COLLATERAL_TERMS, (periods, shape.collaterals))
    account = make_records(records.ACCOUNT_TERMS, (periods, shape.accounts))
    lot = make_records(records.LOT, (periods, shape.limited))
    tiers: list[list[tuple]] = []
    spot: list[list[tuple]] = []
    perp: list[list[tuple]] = []
    for i, when in enumerate(instants):
        terms = VenueTerms(config, slots, when)
        for j, name in enumerate(slots.venues):
            terms.fill_venue(venue[i, j], name)
        for j, key in enumerate(slots.perp):
            held = key in slots.held
            if slots.limited and held:
                lot[i, shape.tokens + j] = terms.lot(key.venue, "perp", key.symbol)
            tiers.append(terms.tiers(key) if held else _NO_TIER)
            perp.append(terms.slippage(key.venue, "perp", key.symbol) if held else _NO_SLIPPAGE)
        for j, key in enumerate(slots.collateral):
            found = collateral_terms(config, slots, key, when)
            collateral[i, j] = found.ltv, found.bonus, found.cap
        for j, name in enumerate(slots.accounts):
            terms.fill_account(account[i, j], name)
        for j, key in enumerate(slots.token):
            symbol = f"{key.symbol}{QUOTE_ASSET}"
            trades = key.venue in slots.venues
            if trades and slots.limited:
                lot[i, j] = terms.lot(key.venue, "spot", symbol)
            spot.append(terms.slippage(key.venue, "spot", symbol) if trades else terms.fill_stake(stake[i, j], key))
        terms.fill_gas(gas[i], protocols_of(config, slots))
    return Terms(
        venue=venue,
        gas=gas,
        tier=_padded(records.TIER, tiers, (periods, shape.perps)),
        spot_slippage=_padded(records.BUCKET, spot, (periods, shape.tokens)),
        perp_slippage=_padded(records.BUCKET, perp, (periods, shape.perps)),
        stake=stake,
        collateral=collateral,
        account=account,
        lot=lot,
    )
