"""One hour of a run, told and audited: `Result.explain`. pandas is imported on use.

Everything is read from the tables of the run, so that a folder tells the same as the run in memory; the P&L is computed
again from positions, prices and events (accounting §5) and put beside what was booked.
"""

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from basis.assets import load_assets
from basis.errors import InputError
from basis.kernel.keys import QUOTE_ASSET as QUOTE
from basis.kernel.keys import Key, parse_key
from basis.kernel.layout.codes import COLUMN_NAMES

if TYPE_CHECKING:
    import pandas as pd

    from basis.results.result import Result

#: By how much sums may differ, of the capital and the flows (accounting §5).
TOLERANCE = 1e-9
#: Events that settle what was held before the strategy decides.
_SETTLED = ("funding", "reward", "arrival", "liquidation")
CLOSED = ("stop", "take_profit")
#: Columns of the attribution that are booked with an event, and by what of it.
_COSTS = {
    "fees": ("fill", "fee"),
    "slippage": ("fill", "slippage"),
    "gas": (None, "gas"),
    "transfer_fees": ("transfer", "fee"),
    "flash_fees": (None, "flash_fee"),
    "liquidation_loss": ("liquidation", "fee"),
}


class Term(NamedTuple):
    """A part of a column's P&L: what made it, the arithmetic with its numbers, and its amount in share class."""

    column: str
    what: str
    formula: str
    amount: float


class Check(NamedTuple):
    """Whether the columns sum to the change of equity less the flows, in share class."""

    equity_before: float
    equity: float
    net_flow: float
    pnl: float
    columns: float
    difference: float
    allowed: float

    @property
    def closes(self) -> bool:
        return abs(self.difference) <= self.allowed


class Explanation:
    """One row of a run, from what the market did to what was earned; made by `Result.explain`.

    Attributes
    ----------
    timestamp, before : pandas.Timestamp, pandas.Timestamp | None
        The row's instant and that of the row before.
    market : pandas.DataFrame
        By column of the panel: before, now, change, change as a fraction.
    settled : pandas.DataFrame
        Events before the decision: funding, rewards, arrivals, liquidations, stops; ``booked`` and, computed again from
        its numbers, ``recomputed``, both in units of what was paid.
    flows, decision, orders, alerts : pandas.DataFrame
        Events: the investor's flows; what was decided; orders, fills, rejects and transfers that followed; alerts.
    positions : pandas.DataFrame
        What changed of the stored quantities: before, now, change.
    exposure : pandas.DataFrame
        After the row's fills, and after those of the row before.
    risk : pandas.DataFrame
        By measure: after the fills of the row before, at the hour's worst, before the decision, after it; limits.
    pnl : pandas.DataFrame
        By column: booked, recomputed, difference, share class.
    terms : pandas.DataFrame
        What the recomputed P&L is made of: column, what, formula, amount.
    check : Check
        The columns against the change of equity less the flows.
    """

    def __init__(self, result: "Result", row: int) -> None:
        import pandas as pd

        self.result, self.row = result, row
        self.share_class: str = result.summary["share_class"]
        stamps = result.table("equity")["timestamp"]
        self.timestamp = pd.Timestamp(stamps[row], tz="UTC")
        self.before = pd.Timestamp(stamps[row - 1], tz="UTC") if row else None
        self._panel = {name: values for name, values in result.table("panel").columns.items() if name != "timestamp"}

    # --- tables ----------------------------------------------------------------------------------------------------

    @functools.cached_property
    def events(self) -> "pd.DataFrame":
        """All events of the row."""
        events: Any = self.result.events
        return events[events["timestamp"] == self.timestamp]

    def _of(self, *kinds: str) -> Any:
        return self.events[self.events["kind"].isin(kinds)]

    def _each(self) -> Iterable[Any]:
        return self.events.itertuples()

    @functools.cached_property
    def market(self) -> "pd.DataFrame":
        names = [
            name
            for name in self._panel
            if not name.endswith(("|source", "|age_s")) and not name.startswith(("volume|", "funding_cash|"))
        ]
        return self._moved("panel", names)

    @functools.cached_property
    def positions(self) -> "pd.DataFrame":
        names = [name for name in self.result.table("positions").columns if name != "timestamp"]
        moved: Any = self._moved("positions", names)
        return moved[moved["change"] != 0.0].drop(columns="relative")

    @functools.cached_property
    def exposure(self) -> "pd.DataFrame":
        names = [name for name in self.result.table("exposure").columns if name != "timestamp"]
        return self._moved("exposure", names).drop(columns="relative")

    def _moved(self, table: str, names: list[str]) -> "pd.DataFrame":
        import pandas as pd

        held = self.result.table(table)
        now = np.array([held[name][self.row] for name in names], dtype=float)
        before = np.array([held[name][self.row - 1] if self.row else np.nan for name in names], dtype=float)
        change = now - before
        relative = np.divide(change, before, out=np.full(len(names), np.nan), where=before != 0.0)
        columns = {"before": before, "now": now, "change": change, "relative": relative}
        return pd.DataFrame(columns, index=pd.Index(names, name=table, dtype="str"))

    @functools.cached_property
    def risk(self) -> "pd.DataFrame":
        import pandas as pd

        table, limits = self.result.table("risk"), self.result.config.risk.limits
        names = [name.removesuffix("|before") for name in table.columns if name.endswith("|before")]
        rows = {}
        for name in names:
            limit = limits.get(name) or limits.get(name.partition("|")[0])
            rows[name] = {
                "last_row": table[name][self.row - 1] if self.row else np.nan,
                "worst": table[f"{name}|worst"][self.row],
                "before": table[f"{name}|before"][self.row],
                "after": table[name][self.row],
                "warning": np.nan if limit is None else limit.warning,
                "critical": np.nan if limit is None else limit.critical,
            }
        return pd.DataFrame.from_dict(rows, orient="index", dtype=float).rename_axis("measure")

    @functools.cached_property
    def settled(self) -> "pd.DataFrame":
        found: Any = self.events[
            self.events["kind"].isin(_SETTLED) | ((self.events["kind"] == "fill") & self.events["detail"].isin(CLOSED))
        ]
        again = []
        for event in found.itertuples():
            if event.kind == "funding":
                again.append(-event.quantity * event.price * event.rate)
            elif event.kind == "reward":
                again.append(event.rate * self._earning(event))
            elif is_perp(event.instrument):
                # of a stop and an exchange's liquidation: what closing realised, less the fee in the quote
                fee = event.fee / self._price(QUOTE, self.row)
                again.append(-event.quantity * event.price - self._held_before(f"{event.instrument}|cost") - fee)
            else:
                again.append(np.nan)
        keep = ["effective_at", "kind", "venue", "instrument", "quantity", "price", "rate", "detail"]
        return found[keep].assign(booked=found["amount"], recomputed=np.array(again, dtype=float))

    @property
    def flows(self) -> "pd.DataFrame":
        return self._of("flow")

    @property
    def decision(self) -> "pd.DataFrame":
        return self._of("decision")

    @property
    def alerts(self) -> "pd.DataFrame":
        return self._of("alert")

    @property
    def orders(self) -> "pd.DataFrame":
        found = self._of("order", "fill", "reject", "transfer")
        return found[~found["detail"].isin(CLOSED)]

    @functools.cached_property
    def terms(self) -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame(self._terms, columns=list(Term._fields))

    @functools.cached_property
    def pnl(self) -> "pd.DataFrame":
        import pandas as pd

        table = self.result.table("attribution")
        booked = np.array([table[name][self.row] for name in COLUMN_NAMES])
        again: dict[str, float] = dict.fromkeys(COLUMN_NAMES, 0.0)
        for term in self._terms:
            again[term.column] += term.amount
        made = np.array(list(again.values())) if self.is_whole else np.full(len(again), np.nan)
        index = pd.Index(COLUMN_NAMES, name="column", dtype="str")
        return pd.DataFrame({"booked": booked, "recomputed": made, "difference": booked - made}, index=index)

    @functools.cached_property
    def check(self) -> Check:
        table = self.result.table("equity")
        now, flow = float(table["equity"][self.row]), float(table["net_flow"][self.row])
        before = float(table["equity"][self.row - 1]) if self.row else self.result.summary["initial_equity"]
        columns = float(self.pnl["booked"].to_numpy().sum())
        flows = float(np.abs(table["net_flow"][: self.row + 1]).sum())
        allowed = TOLERANCE * max(1.0, self.result.summary["initial_equity"] + flows)
        pnl = now - before - flow
        return Check(before, now, flow, pnl, columns, columns - pnl, allowed)

    # --- the P&L once more ------------------------------------------------------------------------------------------

    @property
    def is_whole(self) -> bool:
        """Whether the tables hold all that the row follows from: not in the first row of a run that went on."""
        return self.row > 0 or self.result.manifest["resumed"] is None

    @functools.cached_property
    def _terms(self) -> list[Term]:
        found = [*self._funding(), *self._paid()]
        if self.row:
            for name in self.result.table("positions").columns:
                if name != "timestamp" and "|" not in name:
                    key = parse_key(name)
                    found += self._perp(key) if key.type == "Perp" else self._holding(key)
        order = {name: place for place, name in enumerate(COLUMN_NAMES)}
        return sorted((term for term in found if term.amount != 0.0), key=lambda term: order[term.column])

    def _at(self, name: str, row: int, default: float = np.nan) -> float:
        values = self._panel.get(name)
        return default if values is None else float(values[row])  # type: ignore[index]

    def _price(self, asset: str, row: int) -> float:
        """Share class per unit; a reward token without a market is worth nothing."""
        if asset == self.share_class:
            return 1.0
        quote = 1.0 if asset == QUOTE else self._at(f"spot|{asset}", row, 0.0)
        return quote / (1.0 if self.share_class == QUOTE else self._at(f"spot|{self.share_class}", row))

    def _rates(self, symbol: str, row: int) -> tuple[float, float]:
        """Protocol rate of a staking token and its peg, 1 and 1 for anything else."""
        oracle = self._at(f"oracle_rate|{symbol}", row, 1.0)
        if f"oracle_rate|{symbol}" not in self._panel or self.result.config.valuation == "oracle":
            return oracle, 1.0
        return oracle, self._at(f"market_rate|{symbol}", row) / oracle

    def _index(self, key: Key, row: int) -> float:
        kind = {"aToken": "liquidity_index", "debtToken": "borrow_index"}.get(key.type)
        return 1.0 if kind is None else self._at(f"{kind}|{key.reserve}", row)

    def _value(self, key: Key, row: int) -> float:
        """Worth of a stored unit of what is no perp, share class."""
        oracle, peg = self._rates(key.symbol, row)
        sign = -1.0 if key.type == "debtToken" else 1.0
        return sign * self._index(key, row) * oracle * peg * self._price(_asset_of(key), row)

    def _held_before(self, name: str) -> float:
        table = self.result.table("positions")
        return float(table[name][self.row - 1]) if self.row and name in table.columns else 0.0

    def _holding(self, key: Key) -> Iterable[Term]:
        """Drift of cash, tokens, supplies and debts: index, staking rate, peg and price, one after the other."""
        t, name = self.row, str(key)
        held = self._held_before(name) + self._held_before(f"{name}|in_transit")
        q = -held if key.type == "debtToken" else held
        asset = _asset_of(key)
        i0, i1 = self._index(key, t - 1), self._index(key, t)
        (r0, k0), (r1, k1) = self._rates(key.symbol, t - 1), self._rates(key.symbol, t)
        p0, p1 = self._price(asset, t - 1), self._price(asset, t)
        if key.symbol in self.result.config.distributions and key.venue == "wallet":
            yield _drift("dust_pnl", name, held, p0, p1)
            return
        lent = "borrow_cost" if key.type == "debtToken" else "supply_yield"
        yield _drift(lent, name, q, i0, i1, r0 * k0 * p0)
        yield _drift("staking_yield", name, q, r0, r1, i1 * k0 * p0)
        yield _drift("peg_pnl", name, q, k0, k1, i1 * r1 * p0)
        yield _drift("delta_pnl", name, q, p0, p1, i1 * r1 * k1)

    def _perp(self, key: Key) -> Iterable[Term]:
        """Drift of a perp: spot, basis, and the quote in which its profit stands; up to where it was closed."""
        t, name = self.row, str(key)
        q, cost = self._held_before(name), self._held_before(f"{name}|cost")
        m0, m1 = self._at(f"mark|{name}", t - 1), self._at(f"mark|{name}", t)
        s0, s1 = self._at(f"spot|{key.base}", t - 1), self._at(f"spot|{key.base}", t)
        u0, u1 = self._price(QUOTE, t - 1), self._price(QUOTE, t)
        closed = self._closed_inside(name, m1)
        if closed is None:
            yield _drift("delta_pnl", name, q, s0, s1, u1)
            yield _drift("basis_pnl", name, q, m0 - s0, m1 - s1, u1)
        else:
            yield _drift("delta_pnl", f"{name}, to where it was closed", q, m0, closed, u1)
        yield _drift("delta_pnl", f"{name}, its profit in {QUOTE}", q * m0 - cost, u0, u1)

    def _closed_inside(self, name: str, mark: float) -> float | None:
        """Price to which a perp moved before a liquidation or stop closed it inside the hour; None where none did."""
        for event in self._each():
            if event.instrument != name:
                continue
            if event.kind == "liquidation" and not event.price == event.reference_price == mark:
                return event.price
            if event.kind == "fill" and event.detail in CLOSED and event.reference_price != mark:
                return event.reference_price
        return None

    def _funding(self) -> Iterable[Term]:
        worth = self._price(QUOTE, self.row)
        for event in self._of("funding").itertuples():
            amount = -event.quantity * event.price * event.rate * worth
            formula = f"−({number(event.quantity)}) × {number(event.price)} × {event.rate:.6%}" + _times(worth)
            yield Term("funding_pnl", f"{event.instrument}, {event.effective_at:%H:%M}", formula, amount)

    def _earning(self, event: Any) -> float:
        """What a distribution is paid on, units of the protocol's own token."""
        key = parse_key(event.detail)
        oracle, _ = self._rates(key.symbol, self.row)
        held = self._held_before(str(key)) + sum(
            other.amount for other in self._of("arrival").itertuples() if other.destination == str(key)
        )
        return held * oracle * self._index(key, self.row)

    def _paid(self) -> Iterable[Term]:
        """What goes with an event: rewards, costs, tokens that change hands beside their value."""
        for event in self._each():
            what = " ".join(filter(None, (event.kind, event.detail))) + f", {event.instrument}"
            if event.kind == "reward":
                worth = self._price(parse_key(event.instrument).symbol, self.row)
                formula = f"{number(event.quantity)} × {number(worth)}"
                yield Term("reward_pnl", event.instrument, formula, event.quantity * worth)
            for column, (kind, cost) in _COSTS.items():
                if getattr(event, cost) != 0.0 and kind in (None, event.kind):
                    yield Term(column, what, *getattr(self, f"_{cost}")(event))
            lends = event.kind == "liquidation" and not is_perp(event.instrument)
            if event.peg_conversion != 0.0:
                yield Term("peg_pnl", what, *self._peg(event, lends))
            if lends and event.price != event.reference_price:
                # the holding drift took all of it to the row's prices; this went at the hour's extreme
                moved, worth = event.price / event.reference_price, self._value(parse_key(event.instrument), self.row)
                formula = f"{number(event.quantity)} × {number(worth)} × (1 − {number(moved)})"
                yield Term("delta_pnl", what, formula, event.quantity * worth * (1.0 - moved))

    # Arithmetic and amount of a cost, from the numbers of its event; where these do not say it, as it was booked.

    def _fee(self, event: Any) -> tuple[str, float]:
        if event.kind == "transfer":
            symbol = parse_key(event.instrument).symbol
            units, worth = -event.quantity - event.amount, self._price(symbol, self.row)
            return f"−{number(units)} {symbol}" + _times(worth), -units * worth
        if event.kind == "liquidation" and not is_perp(event.instrument):
            amount = event.notional * event.rate / (1.0 + event.rate)
            return f"−{number(event.notional)} × {event.rate:.4%} ÷ (1 + {event.rate:.4%})", -amount
        amount = event.notional * event.rate
        if event.kind == "liquidation" and amount > event.fee * (1.0 + 1e-12):
            return f"no more than the margin left, of {number(event.notional)} × {event.rate:.4%}", -event.fee
        return f"−{number(event.notional)} × {event.rate:.4%}", -amount

    def _slippage(self, event: Any) -> tuple[str, float]:
        on_exchange = event.detail in ("spot", "perp", *CLOSED)
        units, worth = self._units(event), self._price(QUOTE if on_exchange else "ETH", self.row)
        formula = f"{number(-units)} × ({number(event.price)} − {number(event.reference_price)})" + _times(worth)
        return formula, -units * (event.price - event.reference_price) * worth

    def _gas(self, event: Any) -> tuple[str, float]:
        gwei, worth = self._at("gas_price_gwei", self.row), self._price("ETH", self.row)
        formula = f"−{event.gas_units:,.0f} gas × {number(gwei)} gwei" + _times(worth)
        return formula, -event.gas_units * gwei * 1e-9 * worth

    def _flash_fee(self, event: Any) -> tuple[str, float]:
        key = parse_key(event.instrument)
        table = self.result.config.venues[key.venue].flash_fee
        if table is None:
            return "", -event.flash_fee
        rate, worth = table.at(self.timestamp.to_pydatetime()).value, self._price(_asset_of(key), self.row)
        units = abs(event.amount)
        return f"−{number(units)} × {rate:.4%}" + _times(worth), -units * rate * worth

    def _peg(self, event: Any, lends: bool) -> tuple[str, float]:
        key = parse_key(event.instrument)
        if lends:
            value, moved = self._value(key, self.row), event.price / event.reference_price
            formula = f"{number(event.quantity)} × ({number(value)} − {number(event.reference_price)})" + _times(moved)
            return formula, event.quantity * (value - event.reference_price) * moved
        (rate, peg), ether = self._rates(key.symbol, self.row), self._price("ETH", self.row)
        # what is changed in the wallet is priced in ether
        value = rate * peg * self._price(_asset_of(key), self.row) / ether
        units = self._units(event)
        formula = f"{number(units)} × ({number(value)} − {number(event.reference_price)})" + _times(ether)
        return formula, units * (value - event.reference_price) * ether

    @staticmethod
    def _units(event: Any) -> float:
        """What changed hands, signed: of a pool's position the token itself, of which scaled units are stored."""
        scaled = parse_key(event.instrument).type in ("aToken", "debtToken")
        return event.amount if scaled else event.quantity

    # --- display -----------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        from basis.results.story import told

        return told(self)

    def _repr_html_(self) -> str:
        from basis.results.story import told_in_html

        return told_in_html(self)


def _drift(column: str, what: str, held: float, before: float, now: float, *scale: float) -> Term:
    """What is held times a change, and what turns it into share class."""
    amount = held * (now - before)
    for factor in scale:
        amount *= factor
    formula = f"{number(held)} × {number(now - before)} ({number(before)} → {number(now)})" + "".join(
        map(_times, scale)
    )
    return Term(column, what, formula, amount)


def _asset_of(key: Key) -> str:
    """The asset whose price moves an instrument."""
    return load_assets().underlying_of(key.base)


def _times(factor: float) -> str:
    return "" if factor == 1.0 else f" × {number(factor)}"


def is_perp(instrument: str) -> bool:
    return ":Perp:" in instrument


def number(value: float) -> str:
    """A number for reading: two places of what is large, eight digits of the rest."""
    if not np.isfinite(value):
        return "–" if np.isnan(value) else "∞"
    text = f"{value:,.2f}" if abs(value) >= 1_000.0 else f"{value:.8g}"
    return signed(text)


def signed(text: str) -> str:
    """A number with the sign for less that is as wide as the one for more."""
    return text.replace("-", "−")


def explain(result: "Result", timestamp: Any) -> Explanation:
    """See `Result.explain`."""
    from basis.market.sources.clock import iso, to_ns

    stamps = result.table("equity")["timestamp"]
    if not len(stamps):
        raise InputError("The run has no rows to explain.")
    at = np.datetime64(to_ns(timestamp) // 1000, "us")
    row = int(np.searchsorted(stamps, at))
    if row == len(stamps) or stamps[row] != at:
        near = [iso(int(stamps[place].astype(np.int64)) * 1000) for place in (row - 1, row) if 0 <= place < len(stamps)]
        nearest = f"nearest {'are' if len(near) > 1 else 'is'} {' and '.join(near)}"
        raise InputError(f"{timestamp} is no row of the run; the {nearest}.")
    return Explanation(result, row)
