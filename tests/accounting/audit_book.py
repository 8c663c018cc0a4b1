"""An outsider's book: every stored quantity rebuilt from a run's events, each event held against terms and prices.

It knows the accounting (§2, §4, §6, §8) and nothing of `basis`. What it finds wrong goes to `report`.
"""

from collections import defaultdict

import pandas as pd


def split(key):
    venue, kind, symbol = key.split(":")
    return venue, kind, symbol


class OutsideBook:
    """The book of a run; `step` applies the events of one row.

    Parameters
    ----------
    holdings : quantity by key at the start, `<key>|cost` beside it
    perps : keys of the perps
    market : name → (rows,) prices of the panel
    price : asset → (rows,) share class per unit
    report : called with (check, row, text)
    """

    def __init__(self, holdings, perps, stamps, market, price, terms, config, report):
        self.q, self.cost = defaultdict(float), defaultdict(float)
        for name, amount in holdings.items():
            key, _, measure = name.partition("|")
            (self.cost if measure else self.q)[key] = amount
        self.perps, self.stamps, self.market, self.price, self.terms = perps, stamps, market, price, terms
        self.config, self.report = config, report
        self.share = config["share_class"]
        self.costly = config["costs"]["enabled"]
        self.instant = config["transfers"]["instant"]
        self.strikes = config["risk"]["simulate_liquidation"]
        self.moving = []  # (arrives at, destination, amount)
        self.requests = []  # withdrawals not paid yet, in order
        self.before = {}  # (row, venue) → margin and maintenance ratio before the row's decision
        self.unpaid = 0.0  # what the last withdrawal paid lacks
        self.struck = {}  # perps that were closed inside the hour: row → {key: (quantity, cost, price)}
        self.levels = {}  # stop and take-profit of what is open, by key; None where there is none
        self.scale = max(1.0, config["initial_capital"])

    # --- small things --------------------------------------------------------------------------------------------

    def off(self, got, expected, relative=1e-10):
        return not abs(got - expected) <= relative * max(abs(expected), 1e-3 * self.scale)

    def expect(self, check, row, what, got, expected):
        if self.off(got, expected):
            self.report(check, row, f"{what}: {got!r}, expected {expected!r}")

    def cash(self, venue):
        return f"{venue}:BaseToken:USDT"

    def of_venue(self, venue):
        return [key for key in self.perps if key.split(":")[0] == venue and self.q[key] != 0.0]

    def venues(self):
        return dict.fromkeys(key.split(":")[0] for key in self.perps)

    def margin(self, venue, marks):
        return self.q[self.cash(venue)] + sum(self.q[k] * marks[k] - self.cost[k] for k in self.of_venue(venue))

    def required(self, venue, marks, row, what="maintenance"):
        rule, stamp = getattr(self.terms, what), self.stamps[row]
        return sum(rule(stamp, venue, split(k)[2], abs(self.q[k]) * marks[k]) for k in self.of_venue(venue))

    def marks(self, row):
        return {key: self.market[f"mark|{key}"][row] for key in self.perps}

    # --- a row ---------------------------------------------------------------------------------------------------

    def step(self, row, events, due):
        """Apply a row's events; `due` holds the funding that the files say is due: [(key, instant, rate, mark)]."""
        events = list(events)
        self.traded = {}
        self._inside_the_hour(row, events)
        self._funding(row, events, due)
        self._at_the_mark(row, events)
        seen = False
        ready = [trip for trip in self.moving if trip[0] <= self.stamps[row]]
        for event in events:
            # a decision of the row before (`next_bar`) is carried out before the risk is kept
            if event.kind == "decision" and not seen and event.effective_at == self.stamps[row]:
                seen = True
                self._ratios(row)
            if event.kind == "arrival":
                trip = (event.effective_at, event.instrument, event.amount)
                if trip in ready:
                    ready.remove(trip)
                    self.moving.remove(trip)
                else:
                    self.report("arrival", row, f"{event.instrument}: nothing was due to arrive")
                self.q[event.instrument] += event.amount
            elif event.kind == "transfer":
                self._transfer(row, event)
            elif event.kind == "flow":
                self._flow(row, event)
            elif event.kind == "fill":
                what = event.detail.partition(",")[0]
                {"spot": self._spot, "perp": self._perp}.get(what, self._pool)(row, event)
            elif event.kind == "reject" and event.detail == "withdrawal exceeds equity":
                self._refused(row, event)
            if event.gas or event.gas_units:
                self._gas(row, event)
        if not seen:
            self._ratios(row)
        for trip in ready:
            self.report("arrival", row, f"{trip[1]}: {trip[2]} did not arrive")
        self._owed(row)

    def _ratios(self, row):
        marks = self.marks(row)
        for venue in self.venues():
            notional = sum(abs(self.q[key]) * marks[key] for key in self.of_venue(venue))
            if notional > 0.0:
                need = self.required(venue, marks, row)
                self.before[row, venue] = self.margin(venue, marks) / notional, need / notional

    def under_way(self, key):
        return sum(amount for _, there, amount in self.moving if there == key)

    # --- liquidation and funding ---------------------------------------------------------------------------------

    def _inside_the_hour(self, row, events):
        """Venues whose margin meets maintenance on the way to the hour's adverse extremes, and what is due there."""
        self.struck[row] = {}
        if row == 0 or not (self.strikes or self.levels):
            return
        before = self.marks(row - 1)
        for venue in self.venues():
            keys = self.of_venue(venue)
            if not keys:
                continue
            ends = {}
            for key in keys:
                side = "low" if self.q[key] > 0.0 else "high"
                end = self.market[f"{side}|{key}"][row]
                ends[key] = min(end, before[key]) if side == "low" else max(end, before[key])

            stopped = [
                ((price - before[key]) / (ends[key] - before[key]) if price != before[key] else 0.0, key, price)
                for key in keys
                for price in (self._met(key, 0, before[key], ends[key]),)
                if price is not None
            ]

            def gap(share):
                marks = {key: before[key] + share * (ends[key] - before[key]) for key in keys}
                return self.margin(venue, marks) - self.required(venue, marks, row - 1)

            if not self.strikes or gap(1.0) > 0.0:
                # one perp a venue where there are stops
                for _, key, price in stopped:
                    self._closed(row, key, price, "stop", events)
                self._take_profits(row, [key for key in keys if self.q[key] != 0.0], before, events)
                continue
            low, high = 0.0, 1.0
            for _ in range(200):
                middle = 0.5 * (low + high)
                low, high = (middle, high) if gap(middle) > 0.0 else (low, middle)
            share = high if gap(0.0) > 0.0 else 0.0
            if stopped and stopped[0][0] < share:
                self._closed(row, *stopped[0][1:], "stop", events)
                continue
            at = {key: before[key] + share * (ends[key] - before[key]) for key in keys}
            for key in keys:
                self.struck[row][key] = (self.q[key], self.cost[key], at[key])
            self._liquidation(row, venue, at, events, row - 1)

    def _met(self, key, which, start, end):
        """Where a level is met between two marks, never before the first; None where it is not."""
        level = self.levels.get(key, (None, None))[which]
        if level is None:
            return None
        falls = (self.q[key] > 0.0) == (which == 0)
        if (end > level) if falls else (end < level):
            return None
        return min(level, start) if falls else max(level, start)

    def _take_profits(self, row, keys, before, events):
        for key in keys:
            side = "high" if self.q[key] > 0.0 else "low"
            end = self.market[f"{side}|{key}"][row]
            price = self._met(key, 1, before[key], max(end, before[key]) if side == "high" else min(end, before[key]))
            if price is not None:
                self._closed(row, key, price, "take_profit", events)

    def _closed(self, row, key, price, how, events, inside=True):
        """A stop or take-profit at a price: a taker's fill."""
        mine = [e for e in events if e.kind == "fill" and e.detail == how and e.instrument == key]
        if not mine:
            self.report(how, row, f"{key} should be closed at {price}")
            return
        event = mine[0]
        events.remove(event)
        if inside:
            self.struck[row][key] = (self.q[key], self.cost[key], price)
        fee = self._trade(row, event, "perp", price)
        realised = self.q[key] * event.price - self.cost[key]
        self.expect(how, row, f"{key} quantity", event.quantity, -self.q[key])
        self.expect(how, row, f"{key} realised cash", event.realised_cash, realised)
        self.expect(how, row, f"{key} cash", event.amount, realised - fee)
        self.q[self.cash(event.venue)] += event.amount
        self.q[key] = self.cost[key] = 0.0

    def _set_levels(self, row, event):
        """By the signal of the decision, from the price of the fill that opens."""
        sd = self.market.get(f"sd|{split(event.instrument)[2].removesuffix('USDT')}")
        settings, way = self.config["strategy"], 1.0 if event.quantity > 0.0 else -1.0
        if sd is None:
            return
        sd = min(max(sd[row - (self.config["fill"] == "next_bar")], settings["sd_floor"]), settings["sd_cap"])
        by = (-way * (settings["stop_sd"] or 0.0) * sd, way * (settings["take_profit_sd"] or 0.0) * sd)
        self.levels[event.instrument] = tuple(event.price * (1.0 + x) if x else None for x in by)

    def _at_the_mark(self, row, events):
        marks = self.marks(row)
        for key in [key for key in self.levels if self.q[key] != 0.0 and row > 0]:
            venue = split(key)[0]
            for which, how in enumerate(("stop", "take_profit")):
                if self.q[key] == 0.0 or self._met(key, which, marks[key], marks[key]) is None:
                    continue
                at_stop = {**marks, key: self.levels[key][0] if which == 0 else marks[key]}
                left = self.margin(venue, at_stop) - self.required(venue, at_stop, row)
                if which == 1 or not self.strikes or (left > 0.0 and self.margin(venue, marks) > 0.0):
                    self._closed(row, key, marks[key], how, events, inside=False)
        for event in events:
            if event.kind == "fill" and event.detail in ("stop", "take_profit"):
                self.report(event.detail, row, f"{event.instrument} is closed without need")
        if self.strikes:
            for venue in self.venues():
                if self.of_venue(venue) and self.margin(venue, marks) <= self.required(venue, marks, row):
                    self._liquidation(row, venue, marks, events, row)
        for event in events:
            if event.kind == "liquidation":
                self.report("liquidation", row, f"{event.instrument} is liquidated without need")

    def _liquidation(self, row, venue, at, events, when):
        """Close a venue at `at`; the fee is no more than the margin that is left."""
        keys = self.of_venue(venue)
        worth = self.price["USDT"][row]
        notional = sum(abs(self.q[key]) * at[key] for key in keys)
        rate = self.terms.liquidation_fee(self.stamps[when], venue)
        fee = min(rate * notional, self.margin(venue, at))
        for key in keys:
            mine = [e for e in events if e.kind == "liquidation" and e.instrument == key]
            if not mine:
                self.report("liquidation", row, f"{key} should be liquidated at {at[key]}")
                continue
            event = mine[0]
            events.remove(event)
            q, part = self.q[key], fee * abs(self.q[key]) * at[key] / notional
            realised = q * at[key] - self.cost[key]
            self.expect("liquidation", row, f"{key} quantity", event.quantity, -q)
            if abs(event.price / at[key] - 1.0) > 1e-12:
                self.report("liquidation", row, f"{key} price {event.price!r}, expected {at[key]!r}")
            self.expect("liquidation", row, f"{key} fee", event.fee, part * worth)
            self.expect("liquidation", row, f"{key} rate", event.rate, rate)
            self.expect("liquidation", row, f"{key} notional", event.notional, abs(q) * at[key] * worth)
            self.expect("liquidation", row, f"{key} realised", event.realised_cash, realised)
            self.expect("liquidation", row, f"{key} cash", event.amount, realised - part)
            self.q[self.cash(venue)] += event.amount
        for key in keys:
            self.q[key] = self.cost[key] = 0.0

    def _funding(self, row, events, due):
        paid = {(e.instrument, e.effective_at): e for e in events if e.kind == "funding"}
        if len(paid) != sum(e.kind == "funding" for e in events):
            self.report("funding", row, "a settlement is paid twice")
        for key, stamp, rate, mark in due:
            q, event = self.q[key], paid.pop((key, stamp), None)
            if event is None:
                if q * mark * rate != 0.0:
                    self.report("funding", row, f"{key} is not paid {-q * mark * rate!r} of {stamp}")
                continue
            self.expect("funding", row, f"{key} quantity", event.quantity, q)
            for name, got, expected in (("rate", event.rate, rate), ("mark", event.price, mark)):
                if abs(got - expected) > 1e-12 * abs(expected):
                    self.report("funding", row, f"{key} {name}: {got!r}, the files say {expected!r}")
            self.expect("funding", row, f"{key} amount", event.amount, -q * mark * rate)
            self.expect("funding", row, f"{key} cash", event.realised_cash, event.amount)
            notional = abs(q) * mark * self.price["USDT"][row]
            self.expect("funding", row, f"{key} notional", event.notional, notional)
        for key, stamp in paid:
            self.report("funding", row, f"{key} is paid at {stamp}, when nothing was due")
        for event in events:
            if event.kind == "funding":
                self.q[self.cash(event.venue)] += event.amount

    # --- trades --------------------------------------------------------------------------------------------------

    def _trade(self, row, event, market, reference):
        """Price, fee and slippage of a trade; returns its fee in the quote."""
        stamp, worth = self.stamps[row], self.price["USDT"][row]
        symbol = split(event.instrument)[2] + ("USDT" if market == "spot" else "")
        size, side = abs(event.quantity), 1.0 if event.quantity > 0.0 else -1.0
        # slices of a row pay for their sum so far
        total = self.traded[event.instrument] = self.traded.get(event.instrument, 0.0) + size
        slip = self.terms.slippage(stamp, event.venue, market, symbol, total * reference) if self.costly else 0.0
        rate = self.terms.taker(stamp, event.venue, market) if self.costly else 0.0
        price = reference * (1.0 + side * slip)
        self.expect(market, row, "reference", event.reference_price, reference)
        if abs(event.price / price - 1.0) > 1e-13:
            self.report(market, row, f"price {event.price!r}, expected {price!r}")
        self.expect(market, row, "rate", event.rate, rate)
        self.expect(market, row, "notional", event.notional, size * price * worth)
        self.expect(market, row, "fee", event.fee, rate * size * price * worth)
        self.expect(market, row, "slippage", event.slippage, event.quantity * (price - reference) * worth)
        if event.fee_asset != ("USDT" if rate else ""):
            self.report(market, row, f"the fee is paid in {event.fee_asset!r}")
        return rate * size * price

    def _spot(self, row, event):
        fee = self._trade(row, event, "spot", self.market[f"spot|{split(event.instrument)[2]}"][row])
        cash = -event.quantity * event.price - fee
        self.expect("spot", row, "cash", event.amount, cash)
        self.expect("spot", row, "realised cash", event.realised_cash, cash)
        self.q[event.instrument] += event.quantity
        self.q[self.cash(event.venue)] += event.amount
        for key in (event.instrument, self.cash(event.venue)):
            if event.quantity * (key != event.instrument or -1.0) > 0.0 and self.q[key] < -1e-9 * self.scale:
                self.report("spot", row, f"{key} is overdrawn: {self.q[key]!r}")

    def _perp(self, row, event):
        key, dq = event.instrument, event.quantity
        fee = self._trade(row, event, "perp", self.market[f"mark|{key}"][row])
        q, cost = self.q[key], self.cost[key]
        opens = abs(q + dq) > abs(q)
        realised = 0.0
        if q * dq < 0.0:
            closed = min(abs(dq), abs(q)) / abs(q)
            realised = closed * (q * event.price - cost)
            cost *= 1.0 - closed
            dq += closed * q
            q *= 1.0 - closed
        # a roll keeps the levels it has
        if event.action.startswith("entry") and (q == 0.0 or q * (q + dq) < 0.0):
            self._set_levels(row, event)
        self.q[key], self.cost[key] = q + dq, cost + dq * event.price
        if abs(self.q[key]) < 1e-15:
            self.q[key] = self.cost[key] = 0.0
        self.expect("perp", row, "realised cash", event.realised_cash, realised)
        self.expect("perp", row, "cash", event.amount, realised - fee)
        self.q[self.cash(event.venue)] += event.amount
        if opens:
            marks = self.marks(row)
            lacking = self.required(event.venue, marks, row, "initial") - self.margin(event.venue, marks)
            if lacking > 1e-9 * self.scale:
                self.report("perp", row, f"{key} is opened with {lacking!r} too little initial margin")

    def _pool(self, row, event):
        _, kind, symbol = split(event.instrument)
        index = self.market[f"liquidity_index|aave_v3:{symbol}"][row]
        self.expect("pool", row, "index", event.price, index)
        self.expect("pool", row, "scaled", event.quantity, -event.amount / index)
        self.expect("pool", row, "notional", event.notional, abs(event.amount) * self.price[symbol][row])
        if kind != "aToken" or (event.detail == "supply") != (event.quantity > 0.0):
            self.report("pool", row, f"{event.detail} of {event.instrument}: {event.quantity!r}")
        self.q[event.instrument] += event.quantity
        self.q[f"wallet:BaseToken:{symbol}"] += event.amount

    # --- moves ---------------------------------------------------------------------------------------------------

    def _transfer(self, row, event):
        out, _, asset = split(event.instrument)
        into = split(event.destination)[0]
        stamp, worth = self.stamps[row], self.price[asset][row]
        fee = self.terms.withdrawal_fee(stamp, out, asset) if out != "wallet" and self.costly else 0.0
        wait = pd.Timedelta(0)
        if not self.instant:
            wait += self.terms.latency(out, "withdrawal") if out != "wallet" else wait
            wait += self.terms.latency(into, "deposit") if into != "wallet" else pd.Timedelta(0)
        self.expect("transfer", row, "fee", event.fee, fee * worth)
        self.expect("transfer", row, "amount", event.amount, -event.quantity - fee)
        self.expect("transfer", row, "notional", event.notional, -event.quantity * worth)
        if event.effective_at != stamp + wait:
            self.report("transfer", row, f"arrives {event.effective_at}, expected {stamp + wait}")
        if out != "wallet" and self.of_venue(out):
            marks = self.marks(row)
            free = self.margin(out, marks) - self.required(out, marks, row, "initial")
            if -event.quantity > max(0.0, min(free, self.q[event.instrument])) + 1e-9 * self.scale:
                self.report("transfer", row, f"{-event.quantity!r} leave {out}, which has {free!r} to let go")
        self.q[event.instrument] += event.quantity
        if self.q[event.instrument] < -1e-9 * self.scale:
            self.report("transfer", row, f"{event.instrument} is overdrawn: {self.q[event.instrument]!r}")
        if wait:
            self.moving.append((event.effective_at, event.destination, event.amount))
        else:
            self.q[event.destination] += event.amount

    def _gas(self, row, event):
        if event.kind == "transfer":
            venue, operation = split(event.instrument)[0], "transfer"
        else:
            venue, operation = split(event.instrument)[0], event.detail
        units = self.terms.gas_units(self.stamps[row], venue, operation) if self.costly else 0.0
        eth, price = units * self.market["gas_price_gwei"][row] * 1e-9, self.price["ETH"][row]
        self.expect("gas", row, "units", event.gas_units, units)
        # a small number: held to what rounding may take from a balance that is all spent
        if abs(event.gas - eth * price) > 1e-12 * self.scale:
            self.report("gas", row, f"gas {event.gas!r}, expected {eth * price!r}")
        if self.share != "ETH":
            used = min(max(self.q["wallet:BaseToken:ETH"], 0.0), eth)
            self.q["wallet:BaseToken:ETH"] -= used
            eth -= used
        self.q[f"wallet:BaseToken:{self.share}"] -= eth * price
        if self.q[f"wallet:BaseToken:{self.share}"] < -1e-9 * self.scale:
            self.report("gas", row, "the wallet cannot pay this gas")

    # --- flows ---------------------------------------------------------------------------------------------------

    def _flow(self, row, event):
        if event.detail == "withdrawal requested":
            self.requests.append(-event.amount)
            return
        self.q[event.instrument] += event.quantity
        self.expect("flow", row, "amount", event.amount, event.quantity)
        if event.detail == "withdrawal paid":
            wanted = self.requests.pop(0) if self.requests else 0.0
            self.unpaid = wanted + event.quantity
            if self.unpaid < -1e-9 * self.scale:
                self.report("flow", row, f"{-event.quantity!r} are paid, {wanted!r} were asked for")
            if self.unpaid > 1e-9 * self.scale and self.worth_besides(row) > 1e-9 * self.scale:
                self.report("flow", row, f"{wanted!r} were asked for, {-event.quantity!r} are paid, more is held")
        elif event.detail != "deposit" or event.quantity <= 0.0:
            self.report("flow", row, f"what is {event.detail!r} of {event.quantity!r}?")

    def worth_besides(self, row):
        """What is held beside the wallet's share class."""
        own = f"wallet:BaseToken:{self.share}"
        return sum(abs(amount) for key, amount in self.q.items() if key != own) + sum(abs(m[2]) for m in self.moving)

    def _refused(self, row, event):
        self.expect("flow", row, "refused", event.amount, -self.unpaid)
        self.unpaid = 0.0

    def _owed(self, row):
        """A withdrawal that the wallet covers is paid."""
        held = self.q[f"wallet:BaseToken:{self.share}"]
        if self.requests and held >= self.requests[0] * (1.0 + 1e-12):
            self.report("flow", row, f"{self.requests[0]!r} are owed and {held!r} are there")
        if self.unpaid > 1e-9 * self.scale:
            self.report("flow", row, f"{self.unpaid!r} of a withdrawal are dropped without a word")
            self.unpaid = 0.0
