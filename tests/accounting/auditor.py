"""An outsider's audit of a run folder: everything recomputed from its tables, its `config.yaml` and the data files.

    audit(folder, data) -> list of Finding; an empty list is a clean run

Nothing of `basis` is imported. What is checked stands in the names of `Audit`'s methods; numbers are held against the
accounting to 1e-9 of the capital or better.
"""

import copy
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml
from audit_book import OutsideBook, split
from audit_market import Files, Terms, utc

COLUMNS = (
    "funding_pnl", "supply_yield", "borrow_cost", "staking_yield", "reward_pnl", "peg_pnl", "delta_pnl", "basis_pnl",
    "dust_pnl", "fees", "slippage", "gas", "transfer_fees", "flash_fees", "liquidation_loss",
)  # fmt: skip
TABLES = ("equity", "attribution", "positions", "exposure", "risk", "events", "panel")


class Finding(NamedTuple):
    """What is wrong: which check, in which row, in words."""

    check: str
    timestamp: pd.Timestamp | None
    text: str


def audit(folder, data):
    """Everything that is wrong with a run.

    Parameters
    ----------
    folder : run folder
    data : data folder it was made from
    """
    return Audit(folder, data).run()


class Audit:
    """The audit of one run folder."""

    def __init__(self, folder, data):
        folder = Path(folder)
        tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
        self.events = tables.pop("events")
        self.stamps = pd.DatetimeIndex(tables["equity"]["timestamp"])
        for name, table in tables.items():
            assert (table["timestamp"].to_numpy() == self.stamps.to_numpy()).all(), f"{name} has other rows"
            setattr(self, name, table.set_index("timestamp"))
        self.config = yaml.safe_load((folder / "config.yaml").read_text())
        self.summary = json.loads((folder / "summary.json").read_text())
        given = json.loads((folder / "manifest.json").read_text())["positions"]
        share = self.config["share_class"]
        self.holdings = given or {f"{self.config['start_venue']}:BaseToken:{share}": self.config["initial_capital"]}
        self.market = {name: self.panel[name].to_numpy() for name in self.panel}
        self.terms = Terms(self.config["venues"])
        self.files = Files(data, self.config, self.stamps)
        self.keys = [name for name in self.positions if "|" not in name]
        self.perps = [key for key in self.keys if split(key)[1] == "Perp"]
        self.price = self._prices(share)
        self.found = []
        self.capital = self._capital(given)

    def run(self):
        self.panel_is_that_of_the_files()
        self.book_follows_from_events()
        self.equity_is_the_worth_of_the_positions()
        self.identity_holds()
        self.flows_are_those_of_the_configuration()
        self.costs_are_those_of_the_events()
        self.drift_follows_from_positions_and_prices()
        self.risk_follows_from_positions_and_prices()
        self.summary_follows_from_the_tables()
        return self.found

    # --- small things --------------------------------------------------------------------------------------------

    def report(self, check, row, text):
        self.found.append(Finding(check, None if row is None else self.stamps[row], text))

    def compare(self, check, got, expected, tolerance):
        """A finding for the first rows in which two lines differ."""
        got, expected = np.asarray(got, dtype=float), np.asarray(expected, dtype=float)
        with np.errstate(invalid="ignore"):
            same = (got == expected) | (np.abs(got - expected) <= tolerance)
        for row in np.flatnonzero(~same)[:3]:
            self.report(check, row, f"{got[row]!r}, expected {expected[row]!r}")

    def _prices(self, share):
        rows = len(self.stamps)
        quoted = {name.partition("|")[2]: v for name, v in self.market.items() if name.startswith("spot|")}
        quoted = {asset: line for asset, line in quoted.items() if "|" not in asset} | {"USDT": np.ones(rows)}
        return {asset: line / quoted[share] for asset, line in quoted.items()}

    def _capital(self, given):
        if given is None:
            return self.config["initial_capital"]
        return sum(self._unit(name, 0) * amount for name, amount in given.items())

    def _unit(self, name, row):
        """Worth of one stored unit (or of one unit of cost) in a row."""
        key, _, measure = name.partition("|")
        _, kind, symbol = split(key)
        quote = self.price["USDT"][row]
        if measure == "cost":
            return -quote
        if kind == "Perp":
            return self.market[f"mark|{key}"][row] * quote
        index = self.market[f"liquidity_index|aave_v3:{symbol}"][row] if kind == "aToken" else 1.0
        return index * self.price[symbol][row]

    def held(self, key):
        """Stored quantity, what is under way included."""
        moving = self.positions.get(f"{key}|in_transit")
        return self.positions[key].to_numpy() + (0.0 if moving is None else moving.to_numpy())

    def changed(self, table, row, column, by):
        """The same audit with one number of one table moved; `row` is a place in the table."""
        other = copy.copy(self)
        frame = getattr(self, table).copy()
        values = frame[column].to_numpy(copy=True)
        values[row] += by
        frame[column] = values
        setattr(other, table, frame)
        other.found = []
        return other

    @property
    def money(self):
        return 1e-10 * self.capital

    # --- checks --------------------------------------------------------------------------------------------------

    def panel_is_that_of_the_files(self):
        seen, files = self.market, self.files
        for name, values in seen.items():
            measure, _, what = name.partition("|")
            if name.endswith(("|source", "|age_s")) or measure in ("volume", "supply_apr", "borrow_apr"):
                continue
            if measure == "spot":
                expected = files.opens(f"spot/{what.lower()}usdt")
            elif measure == "usd":
                expected = files.opens("spot/usdtusd")
            elif measure == "liquidity_index":
                expected = files.supply_index(what.partition(":")[2])
            elif measure == "gas_price_gwei":
                expected = files.gas_price()
            elif measure in ("signal", "confidence", "sd"):
                expected = files.signal(measure)
            elif measure in ("mark", "high", "low", "funding_rate", "funding_cash"):
                venue, _, symbol = split(what)
                series = f"perp/{venue}_{symbol.lower()}"
                mark = files.opens(series, venue)
                high, low = files.extremes(series, venue, mark)
                due = files.settlements(venue, symbol)
                rate, cash = np.zeros((2, len(mark)))
                np.add.at(rate, due["row"], due["rate"])
                np.add.at(cash, due["row"], due["rate"] * due["mark"])
                lines = {"mark": mark, "high": high, "low": low, "funding_rate": rate, "funding_cash": cash}
                expected = lines[measure]
            else:
                self.report("panel", None, f"what is {name}?")
                continue
            self.compare(f"panel {name}", values, expected, 1e-14 * np.abs(expected))

    def book_follows_from_events(self):
        due = [[] for _ in self.stamps]
        for key in self.perps:
            venue, _, symbol = split(key)
            for stamp, rate, mark, row in self.files.settlements(venue, symbol).itertuples():
                due[row].append((key, stamp, rate, mark))
        book = OutsideBook(
            self.holdings, self.perps, self.stamps, self.market, self.price, self.terms, self.config, self.report
        )
        by_row = {}
        for event in self.events.itertuples():
            by_row.setdefault(event.timestamp, []).append(event)
        rebuilt = {name: np.zeros(len(self.stamps)) for name in self.positions}
        levels = {name: np.zeros(len(self.stamps)) for name in self.risk if name.startswith(("stop|", "take_profit|"))}
        pending = np.zeros(len(self.stamps))
        for row, stamp in enumerate(self.stamps):
            book.step(row, by_row.pop(stamp, ()), due[row])
            for name, line in rebuilt.items():
                key, _, measure = name.partition("|")
                line[row] = {"": book.q, "cost": book.cost}[measure][key] if measure != "in_transit" else (
                    book.under_way(key)
                )  # fmt: skip
            for name, line in levels.items():
                how, _, key = name.partition("|")
                stop, take = book.levels.get(key, (None, None)) if book.q[key] != 0.0 else (None, None)
                line[row] = (stop if how == "stop" else take) or 0.0
            pending[row] = sum(book.requests)
        for stamp in by_row:
            self.report("events", None, f"{stamp} is no row of the run")
        for name, line in rebuilt.items():
            # stored units weigh what they are worth
            unit = np.array([self._unit(name.removesuffix("|in_transit"), row) for row in (0, len(line) - 1)])
            self.compare(f"positions {name}", self.positions[name], line, self.money / np.abs(unit).max())
        for name, line in levels.items():
            self.compare(name, self.risk[name], line, 1e-12 * line)
        strangers = [key for key in book.q if key not in rebuilt and book.q[key] != 0.0]
        if strangers:
            self.report("positions", None, f"events name {strangers}")
        self.compare("withdrawal_pending", self.equity["withdrawal_pending"], pending, self.money)
        self.struck, self.before = book.struck, book.before

    def equity_is_the_worth_of_the_positions(self):
        total, quote = np.zeros(len(self.stamps)), self.price["USDT"]
        for key in self.keys:
            _, kind, symbol = split(key)
            if kind == "Perp":
                mark = self.market[f"mark|{key}"]
                worth = (self.positions[key] * mark - self.positions[f"{key}|cost"]).to_numpy() * quote
            else:
                index = self.market[f"liquidity_index|aave_v3:{symbol}"] if kind == "aToken" else 1.0
                worth = self.held(key) * index * self.price[symbol]
            self.compare(f"value|{key}", self.exposure[f"value|{key}"], worth, self.money)
            total += worth
        self.compare("equity", self.equity["equity"], total, 1e-9 * self.capital)
        usd = self.market.get("usd|USDT", 1.0)
        self.compare("share_class_usd", self.equity["share_class_usd"], usd / quote, 1e-12 * usd / quote)

    def identity_holds(self):
        equity = self.equity["equity"].to_numpy()
        flow = self.equity["net_flow"].to_numpy()
        scale = max(1.0, self.capital + np.abs(flow).sum())
        columns = self.attribution[list(COLUMNS)].to_numpy()
        booked = columns.sum(axis=1)
        earned = np.diff(equity, prepend=self.capital) - flow
        self.compare("identity of the row", booked, earned, 1e-9 * scale)
        balance = equity - self.capital - np.cumsum(flow)
        self.compare("identity so far", np.cumsum(booked), balance, 1e-9 * scale)
        self.compare("pnl_balance", self.equity["pnl_balance"], balance, self.money)
        self.compare("pnl_attributed", self.equity["pnl_attributed"], np.cumsum(booked), self.money)
        residual = (self.equity["pnl_balance"] - self.equity["pnl_attributed"]).to_numpy()
        self.compare("residual", self.equity["residual"], residual, 0.0)
        self.compare("residual is small", residual, np.zeros_like(residual), 1e-9 * scale)

    def flows_are_those_of_the_configuration(self):
        booked = np.zeros(len(self.stamps))
        flows = self.events[self.events["kind"] == "flow"]
        reported = {"deposit": [], "withdrawal requested": []}
        for event in flows.itertuples():
            row = self.stamps.get_loc(event.timestamp)
            booked[row] += event.quantity
            if event.detail in reported:
                reported[event.detail].append((row, event.amount))
        self.compare("net_flow", self.equity["net_flow"], booked, self.money)
        wanted = {"deposit": [], "withdrawal requested": []}
        for flow in self.config["flows"]:
            row = int(np.searchsorted(self.stamps, utc(flow["timestamp"]), side="left"))
            if row < len(self.stamps):
                wanted["deposit" if flow["amount"] > 0 else "withdrawal requested"].append((row, flow["amount"]))
        # deposits of one row are one event
        for kind, flows in wanted.items():
            together = pd.DataFrame(flows, columns=["row", "amount"])
            if kind == "deposit":
                together = together.groupby("row", as_index=False).sum()
            seen = pd.DataFrame(reported[kind], columns=["row", "amount"])
            if len(seen) != len(together) or (abs(seen - together) > self.money).any(axis=None):
                self.report("flows", None, f"events tell {reported[kind]}, the configuration {flows}")

    def costs_are_those_of_the_events(self):
        events = self.events
        fill = events["kind"] == "fill"
        for column, cost, rows in (
            ("fees", "fee", fill),
            ("slippage", "slippage", fill),
            ("gas", "gas", events["gas"] != 0.0),
            ("transfer_fees", "fee", events["kind"] == "transfer"),
            ("liquidation_loss", "fee", events["kind"] == "liquidation"),
        ):
            paid = events[rows].groupby("timestamp")[cost].sum().reindex(self.stamps, fill_value=0.0)
            self.compare(column, self.attribution[column], -paid, self.money)
        for column in ("borrow_cost", "staking_yield", "reward_pnl", "peg_pnl", "dust_pnl", "flash_fees"):
            self.compare(column, self.attribution[column], np.zeros(len(self.stamps)), 0.0)
        funding = events[events["kind"] == "funding"]
        total = np.zeros(len(self.stamps))
        for venue in dict.fromkeys(split(key)[0] for key in self.perps):
            paid = funding[funding["venue"] == venue].groupby("timestamp")["amount"].sum()
            line = paid.reindex(self.stamps, fill_value=0.0).to_numpy() * self.price["USDT"]
            self.compare(f"funding_pnl|{venue}", self.attribution[f"funding_pnl|{venue}"], line, self.money)
            total += line
        self.compare("funding_pnl", self.attribution["funding_pnl"], total, self.money)

    def drift_follows_from_positions_and_prices(self):
        """Delta, basis and supply of each hour: the quantities of the row before, accounting §5."""
        delta, basis, supply = np.zeros((3, len(self.stamps)))
        quote = self.price["USDT"]
        for key in self.keys:
            _, kind, symbol = split(key)
            if kind == "Perp":
                asset = symbol.removesuffix("USDT")
                spot, mark = self.market[f"spot|{asset}"], self.market[f"mark|{key}"].copy()
                q, cost = self.positions[key].to_numpy()[:-1], self.positions[f"{key}|cost"].to_numpy()[:-1]
                moved, widened = np.diff(spot), np.diff(mark - spot)
                for row, closed in self.struck.items():
                    if key in closed:
                        # the basis is frozen up to the liquidation, and nothing is left after it
                        moved[row - 1], widened[row - 1] = closed[key][2] - mark[row - 1], 0.0
                delta[1:] += q * moved * quote[1:] + (q * mark[:-1] - cost) * np.diff(quote)
                basis[1:] += q * widened * quote[1:]
                continue
            held, price = self.held(key)[:-1], self.price[symbol]
            index = self.market[f"liquidity_index|aave_v3:{symbol}"] if kind == "aToken" else np.ones(len(price))
            supply[1:] += held * np.diff(index) * price[:-1]
            delta[1:] += held * index[1:] * np.diff(price)
        for name, line in (("delta_pnl", delta), ("basis_pnl", basis), ("supply_yield", supply)):
            self.compare(name, self.attribution[name], line, self.money)

    def risk_follows_from_positions_and_prices(self):
        for asset in (name.partition("|")[2] for name in self.exposure if name.startswith("net_delta|")):
            units = np.zeros(len(self.stamps))
            for key in self.keys:
                _, kind, symbol = split(key)
                index = self.market[f"liquidity_index|aave_v3:{symbol}"] if kind == "aToken" else 1.0
                if symbol.removesuffix("USDT" if kind == "Perp" else "") == asset:
                    units += self.held(key) * index
            worth = units * self.price[asset]
            self.compare(f"net_delta|{asset}", self.exposure[f"net_delta|{asset}"], units, 1e-10 * (1 + np.abs(units)))
            ratio = np.divide(worth, self.equity["equity"], out=np.zeros_like(worth), where=self.equity["equity"] > 0.0)
            self.compare(f"net_delta_ratio|{asset}", self.exposure[f"net_delta_ratio|{asset}"], ratio, 1e-10)
        rows = np.arange(len(self.stamps))
        for venue in dict.fromkeys(split(key)[0] for key in self.perps):
            self._ratios(venue, "", rows, rows, "mark")
            self._ratios(venue, "|worst", rows[:-1], rows[1:], "extreme")
            reported = np.array([self.before.get((row, venue), (np.inf, 0.0)) for row in rows]).T
            for name, line in zip((f"margin_ratio|{venue}|before", f"maintenance_ratio|{venue}|before"), reported):
                self.compare(name, self.risk[name], line, 1e-9 * np.maximum(1.0, np.abs(line)))
        for name in (name for name in self.risk if name.startswith("alert|")):
            if name != "alert|drawdown":
                self.levels_follow_from_limits(name.removeprefix("alert|"))

    def levels_follow_from_limits(self, measure):
        """Alert levels, from the limits and the measure after the row's fills."""
        limits = self.config["risk"]["limits"]
        limit = limits.get(measure) or limits.get(measure.partition("|")[0]) or {}
        if measure == "drawdown":
            growth = self.equity["equity"] - self.equity["net_flow"]
            growth = (growth / self.equity["equity"].shift(fill_value=self.capital)).cumprod()
            value = 1.0 - growth / np.maximum(growth.cummax(), 1.0)
        else:
            value = (self.exposure if measure.startswith("net_delta") else self.risk)[measure]
        sign = -1.0 if measure.startswith(("margin_ratio", "health_factor")) else 1.0
        value = value.abs() if measure.startswith("net_delta") else value
        level = sum((sign * value > sign * edge).to_numpy(float) for edge in limit.values()) + np.zeros(len(value))
        self.compare(f"alert|{measure}", self.risk[f"alert|{measure}"], level, 0.0)

    def _ratios(self, venue, variant, book, row, at):
        """Margin and maintenance ratio of the book of the rows `book` at the prices of the rows `row`."""
        keys = [key for key in self.perps if split(key)[0] == venue]
        margin = self.positions[f"{venue}:BaseToken:USDT"].to_numpy()[book]
        notional, need = np.zeros((2, len(book)))
        for key in keys:
            q, cost = self.positions[key].to_numpy()[book], self.positions[f"{key}|cost"].to_numpy()[book]
            mark = self.market[f"mark|{key}"]
            price = mark[row]
            if at == "extreme":
                high = np.maximum(self.market[f"high|{key}"][row], mark[book])
                price = np.where(q >= 0.0, np.minimum(self.market[f"low|{key}"][row], mark[book]), high)
            size = np.abs(q) * price
            margin = margin + q * price - cost
            notional += size
            symbol = split(key)[2]
            need += [self.terms.maintenance(self.stamps[b], venue, symbol, n) for b, n in zip(book, size)]
        opened = notional > 0.0
        ratio = np.divide(margin, notional, out=np.full(len(book), np.inf), where=opened)
        least = np.divide(need, notional, out=np.zeros(len(book)), where=opened)
        for name, line in ((f"margin_ratio|{venue}{variant}", ratio), (f"maintenance_ratio|{venue}{variant}", least)):
            self.compare(name, self.risk[name].to_numpy()[row], line, 1e-9 * np.maximum(1.0, np.abs(line)))

    def summary_follows_from_the_tables(self):
        equity, flow = self.equity["equity"].to_numpy(), self.equity["net_flow"].to_numpy()
        before = np.concatenate(([self.capital], equity[:-1]))
        kept = before > 1e-9 * self.capital
        growth = np.divide(equity - flow, before, out=np.ones_like(equity), where=kept)
        expected = {
            "total_return": growth.prod() - 1.0,
            "final_equity": equity[-1],
            "initial_equity": self.capital,
            "net_flows": flow.sum(),
            "max_abs_residual": self.equity["residual"].abs().max(),
            "rows": len(equity),
            "fills": (self.events["kind"] == "fill").sum(),
        }
        for name, value in expected.items():
            if not abs(self.summary[name] - value) <= 1e-9 * max(1.0, abs(value)):
                self.report(f"summary {name}", None, f"{self.summary[name]!r}, expected {value!r}")
        for name in COLUMNS:
            if not abs(self.summary["attribution"][name] - self.attribution[name].sum()) <= self.money:
                self.report(f"summary attribution {name}", None, f"{self.summary['attribution'][name]!r}")
