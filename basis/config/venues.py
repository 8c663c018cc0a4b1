"""Venues: fees, slippage, margin tiers, gas and latencies, each number dated and with its source.

May import pydantic, `basis.kernel.close_rules` and this package's leaf modules only.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, TypeVar, get_args

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from basis.config.durations import EPOCH, parse_instant
from basis.config.fields import (
    Duration,
    FileName,
    Fraction,
    FrozenDict,
    Instant,
    Model,
    Name,
    NonNegative,
    Number,
    OneOf,
    refuse,
)
from basis.kernel.close_rules import CLOSE_RULES

#: Source of a number that an override gave.
OVERRIDE = "override"
#: On-chain operations that a wallet or protocol may state gas units for.
GAS_OPERATIONS = (
    "transfer",
    "approve",
    "supply",
    "withdraw",
    "borrow",
    "repay",
    "set_emode",
    "swap",
    "stake",
    "redeem",
    "lever",
    "delever",
)


class Entry(Model):
    """One row of a dated table."""

    #: The field that a value without keys stands for; None where only a mapping will do.
    bare: ClassVar[str | None] = None

    since: Instant = Field(alias="from", description="Instant (UTC) from which the entry is in force.")
    source: Name = Field(description="Where the figures come from: a citation, or the word `assumption`.")


E = TypeVar("E", bound=Entry)


class Dated(tuple[E, ...]):
    """Entries of a table in the order of their dates; the first also serves the time before it."""

    def at(self, instant: object) -> E:
        """Return the entry in force at ``instant`` (datetime, date or ISO text; naive means UTC)."""
        when = parse_instant(instant)
        return next((entry for entry in reversed(self) if entry.since <= when), self[0])

    def changes(self) -> tuple[datetime, ...]:
        """Return the instants (UTC) from which the entries are in force."""
        return tuple(entry.since for entry in self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        (entry,) = get_args(source)
        inner = handler.generate_schema(tuple[entry, ...])
        ordered = core_schema.no_info_after_validator_function(cls._ordered, inner)
        return core_schema.no_info_before_validator_function(lambda value: _promote(entry, value), ordered)

    @classmethod
    def _ordered(cls, entries: tuple[E, ...]) -> "Dated[E]":
        if not entries:
            raise ValueError("must hold at least one entry {from, ..., source}")
        out = cls(sorted(entries, key=lambda entry: entry.since))
        if len(set(out.changes())) < len(out):
            raise ValueError("must not hold two entries of the same date")
        return out


def _promote(entry: type[Entry], value: Any) -> Any:
    """Make of a bare value or one undated mapping a table with a single entry that is always in force."""
    if isinstance(value, Mapping):
        return [{"from": EPOCH, "source": OVERRIDE, **value}]
    table = isinstance(value, (list, tuple)) and all(isinstance(row, (Mapping, Entry)) for row in value)
    if table or value is None:
        return value
    if entry.bare is None:
        keys = (field.alias or name for name, field in entry.model_fields.items())
        raise ValueError("must be a mapping, or a list of mappings, with the keys " + ", ".join(keys))
    return [{"from": EPOCH, "source": OVERRIDE, entry.bare: value}]


def _limit(value: Any) -> Any:
    return math.inf if value is None or value == math.inf else value


def _flat_buckets(value: Any) -> Any:
    # One number means: the same for every size.
    return value if isinstance(value, (list, tuple)) else [[None, value]]


#: Upper edge of a bucket (USDT); null means no edge.
Limit = Annotated[float, BeforeValidator(_limit), Field(gt=0)]


class Bucket(NamedTuple):
    """Slippage up to a notional."""

    max_notional: Limit  # USDT, inf in the last
    bps: NonNegative  # of the notional, one way


class Bracket(NamedTuple):
    """Margin tier up to a notional: MM = notional * rate - amount; initial margin = 1 / max_leverage."""

    max_notional: Limit  # USDT
    rate: Fraction  # maintenance margin rate
    amount: NonNegative  # USDT
    max_leverage: Annotated[Number, Field(ge=1)]


class Fee(Entry):
    """Trading fees."""

    taker: Annotated[Number, Field(gt=-1, lt=1)] = Field(description="Taker fee, fraction of the notional.")
    maker: Annotated[Number, Field(gt=-1, lt=1)] = Field(description="Maker fee, fraction of notional; < 0 a rebate.")


class Slippage(Entry):
    """Slippage as a step function of an order's notional."""

    bare = "buckets"
    buckets: Annotated[tuple[Bucket, ...], BeforeValidator(_flat_buckets)] = Field(
        description="[max notional in USDT, bps of the notional] by size; the last has no upper edge (null)."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        edges = [bucket.max_notional for bucket in self.buckets]
        if not edges or edges[-1] != math.inf or any(a >= b for a, b in pairwise(edges)):
            refuse(
                "buckets",
                [list(bucket) for bucket in self.buckets],
                "must rise in max notional and end with null (no upper edge)",
            )
        return self


class Value(Entry):
    """One number."""

    bare = "value"
    value: NonNegative = Field(description="The number, in the unit of the key that holds it.")


class Lot(Entry):
    """What a venue takes as an order."""

    step: NonNegative = Field(description="Step of the quantity, units of the base.")
    min_notional: NonNegative = Field(description="Smallest order, USDT.")


class Tiers(Entry):
    """Margin tiers of one symbol."""

    bare = "brackets"
    brackets: tuple[Bracket, ...] = Field(
        description="[max notional (USDT), maintenance margin rate (fraction), amount (USDT), max leverage] by size."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        rows = self.brackets
        pairs = list(pairwise(rows))
        if not rows or any(a.max_notional >= b.max_notional or a.rate > b.rate for a, b in pairs):
            refuse(
                "brackets",
                [list(row) for row in rows],
                "must hold at least one tier and rise in max notional and in rate",
            )
        return self


class Reserve(Entry):
    """Risk parameters of an asset at a lending protocol, outside e-mode."""

    ltv: Fraction = Field(description="Highest loan to value when borrowing, fraction of the collateral.")
    liquidation_threshold: Fraction = Field(description="Loan to value at which liquidation starts, fraction.")
    liquidation_bonus: Fraction = Field(description="What a liquidator gets on top of the debt repaid, fraction.")
    supply_cap: NonNegative | None = Field(default=None, description="Most that may be supplied, units; None: no cap.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ltv > self.liquidation_threshold:
            refuse("ltv", self.ltv, f"must be <= liquidation_threshold ({self.liquidation_threshold})")
        return self


class EMode(Entry):
    """Risk parameters of correlated assets: they hold while every debt is of the category."""

    collateral: tuple[Name, ...] = Field(description="Collateral that gets these parameters.")
    debt: tuple[Name, ...] = Field(description="Assets that may be owed.")
    ltv: Fraction = Field(description="Highest loan to value when borrowing, fraction of the collateral.")
    liquidation_threshold: Fraction = Field(description="Loan to value at which liquidation starts, fraction.")
    liquidation_bonus: Fraction = Field(description="What a liquidator gets on top of the debt repaid, fraction.")


class CloseRule(Entry):
    """How much of a debt a liquidator may repay at once."""

    bare = "rule"
    rule: Annotated[str, OneOf(lambda: CLOSE_RULES)] = Field(description="Name of the rule that is in force.")


class Distribution(Model):
    """A token that holders of another are paid, by a table in `rewards/` of a data set."""

    on: Name = Field(description="Token whose holders are paid, in the wallet or as collateral.")
    table: FileName = Field(description="File below rewards/ without its ending.")
    rate: Name = Field(description="Column with the tokens paid per unit of the protocol's own token (eETH of weETH).")
    payout: Name = Field(description="Column with the day of the payout, or with the last day of the period.")
    lag: Duration = Field(description="Duration from 00:00 UTC of that day to the payout.")
    source: Name = Field(default=OVERRIDE, description="Citation, or the word `assumption`.")


class Latency(Model):
    """How long transfers take."""

    deposit: Duration = Field(description="Duration from the wallet to the venue.")
    withdrawal: Duration = Field(description="Duration from the venue to the wallet; venue to venue is the sum.")
    source: Name = Field(default=OVERRIDE, description="Citation, or the word `assumption`.")


def _by_symbol(value: Any) -> Any:
    return value if isinstance(value, Mapping) else {"default": value}


SlippageTables = Annotated[FrozenDict[str, Dated[Slippage]], BeforeValidator(_by_symbol)]


class Venue(Model):
    """An exchange, a protocol on chain, an exchange on chain (`dex`) or the wallet.

    A number that does not apply to the kind stays unset.
    """

    name: Name = Field(description="Name of the venue, the first part of its instrument keys.")
    kind: Literal["exchange", "protocol", "dex", "wallet"] = Field(description="What the venue is.")
    fee_asset: Literal["USDT"] = Field(default="USDT", description="Asset in which trading fees are paid.")
    spot_fee: Dated[Fee] | None = Field(default=None, description="Spot fees, fraction of the notional.")
    perp_fee: Dated[Fee] | None = Field(default=None, description="Perp fees, fraction of the notional.")
    spot_slippage: SlippageTables = Field(
        default=FrozenDict(),
        description="Spot slippage in bps by symbol (BTCUSDT) or `default`, by size of the order in USDT.",
    )
    perp_slippage: SlippageTables = Field(
        default=FrozenDict(),
        description="Perp slippage in bps by symbol (BTCUSDT) or `default`, by size of the order in USDT.",
    )
    spot_lots: FrozenDict[str, Dated[Lot]] = Field(
        default=FrozenDict(), description="Smallest spot orders and steps by symbol (BTCUSDT)."
    )
    perp_lots: FrozenDict[str, Dated[Lot]] = Field(
        default=FrozenDict(), description="Smallest perp orders and steps by symbol."
    )
    liquidation_fee: Dated[Value] | None = Field(
        default=None, description="Fee of a liquidation, fraction of the notional."
    )
    tiers: FrozenDict[str, Dated[Tiers]] = Field(default=FrozenDict(), description="Margin tiers by perp symbol.")
    withdrawal_fee: FrozenDict[str, Dated[Value]] = Field(
        default=FrozenDict(), description="Fee of a withdrawal by asset, units of that asset."
    )
    latency: Latency | None = Field(default=None, description="How long transfers to and from the venue take.")
    funding_interval: Duration | None = Field(default=None, description="Usual time between two funding payments.")
    funding_cap: Dated[Value] | None = Field(
        default=None,
        description="Largest funding rate of the venue, fraction per interval; a rate beyond it is refused.",
    )
    gas_units: FrozenDict[str, Dated[Value]] = Field(
        default=FrozenDict(), description="Gas of an operation, gas units."
    )
    reserves: FrozenDict[str, Dated[Reserve]] = Field(default=FrozenDict(), description="Lending parameters by asset.")
    emodes: FrozenDict[str, Dated[EMode]] = Field(
        default=FrozenDict(), description="E-mode categories; of several that fit, the one with the highest threshold."
    )
    close_rule: Dated[CloseRule] | None = Field(default=None, description="Rule of the close factor.")
    flash_fee: Dated[Value] | None = Field(default=None, description="Fee of a flash loan, fraction.")
    rewards: FrozenDict[str, Distribution] = Field(
        default=FrozenDict(), description="Tokens that holders are paid, by symbol."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for operation in self.gas_units:
            if operation not in GAS_OPERATIONS:
                must = "operation must be one of " + ", ".join(GAS_OPERATIONS)
                refuse("gas_units", operation, must, GAS_OPERATIONS)
        return self

    def __repr__(self) -> str:
        held = ", ".join(
            name for name in type(self).model_fields if getattr(self, name) and name not in ("name", "kind")
        )
        return f"<Venue {self.name} ({self.kind}): {held}>"

    def slippage(self, market: Literal["spot", "perp"], symbol: str) -> Dated[Slippage]:
        """Return the slippage table of ``symbol`` (as ``BTCUSDT``), else the default one.

        Raises
        ------
        KeyError
            Where the venue has neither.
        """
        tables = self.spot_slippage if market == "spot" else self.perp_slippage
        return tables[symbol] if symbol in tables else tables["default"]
