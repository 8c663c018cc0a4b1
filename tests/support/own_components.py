"""Strategies and exchanges in plain Python: those of `btc_basis` a second time, and some for tests alone."""

from datetime import UTC, datetime

import basis
from basis import Action, Decision
from basis.components.orders import Fill

from .kernel_view import asked_in_every_row


class PlainBasis(basis.StrategyManager):
    """What `basis.strategies.spot_perp` decides, from the view in plain Python."""

    def wanted(self):
        """1 where the rate rule wants to be in, else 0."""
        view, rule = self.view, self.config.strategy.rate_rule
        if not rule.enabled:
            return 1.0
        over = view.rate - rule.leave
        if view.rate > rule.enter and over > view.switching_cost:
            return 1.0
        return 0.0 if over < -view.switching_cost else view.memory[0]

    def band(self):
        """Smallest and largest share of equity in the legs: the deviation, or where the margin leaves its band."""
        policy = self.config.strategy
        share, off = 1.0 / (1.0 + policy.margin_ratio_target), policy.position_deviation_threshold
        low, high = (edge * policy.margin_ratio_target for edge in policy.margin_ratio_band)
        return max(share - off, 1.0 / (1.0 + high)), min(share + off, 1.0 / (1.0 + low))

    def is_paid_in(self, target, less):
        off = (target - less) * self.view.price(self.config.asset)
        return self.view.net_flow > 0.0 and off > min(self.config.strategy.position_deviation_threshold, 0.02) * (
            self.view.equity
        )

    def aim(self, target, more, less):
        view, depth = self.view, self.config.strategy.rebalance_depth
        worth = view.equity / view.price(self.config.asset)
        low, high = (edge * worth for edge in self.band())
        whole = view.first or less == 0.0 or target == 0.0 or view.pending > 0.0 or view.alert >= 2.0
        if whole or self.is_paid_in(target, less):
            return target
        if more > high:
            return high + depth * (target - high)
        return low + depth * (target - low) if less < low else view.memory[2]

    def reductions(self, target, aim, more, less):
        """What brings the legs down, or evens them out; None where nothing has to be done in this row."""
        view, policy, coin = self.view, self.config.strategy, self.config.asset
        price, (smallest, largest) = view.price(coin), self.band()
        low, high = (factor * policy.margin_ratio_target for factor in policy.margin_ratio_band)
        adrift = (more - less) * price > policy.max_delta_drift * view.equity
        outside = view.margin_low < low or (view.margin_high > high and more > 0.0)
        moved = more * price > largest * view.equity or more * price < smallest * view.equity
        moved = moved or adrift or view.pending > 0.0 or view.alert >= 2.0
        comes_in = view.first or view.arrived or self.is_paid_in(target, less)
        if not (moved or outside or target == 0.0 or comes_in):
            return None
        if more > 0.0 and more > aim * (1.0 + 1e-9) and (moved or target == 0.0):
            kind = "exit_full" if target == 0.0 else "exit_partial"
            return [Action(kind, coin, more - (min(less, aim) if adrift else aim))]
        return [Action("exit_partial", coin, more - less)] if adrift else []

    async def make_decision(self, timestamp=None, market_data=None):
        view, policy, coin = self.view, self.config.strategy, self.config.asset
        price, long, short = view.price(coin), view.long(coin), view.short(coin)
        last = view.last and self.config.close_at_end
        entering = (view.first and short == 0.0) or view.arrived
        if not policy.rebalance and not last and not entering:
            return None
        wanted = self.wanted()
        target = (view.equity - view.pending) / (1.0 + policy.margin_ratio_target) / price
        if target < 0.0 or wanted == 0.0 or last:
            target = 0.0
        more, less = max(long, short), max(min(long, short), 0.0)
        if not policy.rebalance and last:
            return Decision((Action("exit_full", coin),), (wanted,))
        aim = self.aim(target, more, less)
        kept = (wanted, view.memory[1], aim)
        actions = self.reductions(target, aim, more, less) if policy.rebalance else []
        if actions is None:
            return Decision((), kept)
        critical = view.alert >= 2.0 and policy.rebalance
        if target > 0.0:
            goal = min(less, target) * price * policy.margin_ratio_target
            margin = goal if critical else view.equity - view.pending - aim * price
            actions.append(Action("entry_full" if view.first else "entry_partial", "USDT", margin / view.quote_price))
        grows = less * price < self.band()[0] * view.equity or view.first or view.arrived
        if aim > less and not critical and (grows or self.is_paid_in(target, less)):
            actions.append(Action("entry_full" if less == 0.0 else "entry_partial", coin, aim - less))
        if view.pending > 0.0:
            kind = "exit_full" if target == 0.0 else "exit_partial"
            actions.append(Action(kind, "USDT", view.pending / view.quote_price))
        return Decision(tuple(actions), kept)


class PlainExchange(basis.SimulationClient):
    """Spot and perps at the row's prices: slippage, fee and margin from the venue's configuration, in plain Python.

    Whatever else is asked of an exchange is left to the kernel. Slippage goes by what the row has traded so far.
    """

    async def execute(self, order):
        if order.kind not in ("spot", "perp"):
            return await super().execute(order)
        traded = self.__dict__.setdefault("traded", {})
        before = traded.get((order.timestamp, order.instrument), 0.0)
        fill = await self.trade(order, before)
        if fill:
            traded[order.timestamp, order.instrument] = before + abs(fill.quantity)
        return fill

    async def trade(self, order, before):
        venue, units = self.config.venues[self.venue], order.quantity
        when = datetime.fromtimestamp(order.timestamp // 1_000_000_000, UTC)
        market = await self.data_provider.get_market_data(order.timestamp)
        held = await self.position_monitor.get_snapshot()
        cash = held[f"{self.venue}:BaseToken:USDT"]
        coin = order.instrument.split(":")[2].removesuffix("USDT")
        spot = order.kind == "spot"
        reference = market[f"spot|{coin}"] if spot else market[f"mark|{order.instrument}"]
        buckets = venue.slippage(order.kind, f"{coin}USDT").at(when).buckets
        notional = (before + abs(units)) * reference
        slip = next(b.bps for b in buckets if notional <= b.max_notional) * 1e-4
        price = reference * (1.0 + slip) if units > 0.0 else reference * (1.0 - slip)
        rate = (venue.spot_fee if spot else venue.perp_fee).at(when).taker
        if spot:
            if units < 0.0 and -units > held[order.instrument]:
                if -units > held[order.instrument] * (1.0 + 1e-12):
                    return Fill.rejected(order, "not enough held")
                units = -held[order.instrument]
            if units > 0.0 and units * price + rate * (units * price) > cash * (1.0 + 1e-12):
                return Fill.rejected(order, "not enough cash")
            return Fill(order, quantity=units, price=price, reference_price=reference, fee_rate=rate)
        open_ = held[order.instrument]
        if abs(open_ + units) > abs(open_):
            margin = cash + (open_ * reference - held[f"{order.instrument}|cost"])
            notional = abs(open_ + units) * reference
            tiers = venue.tiers[f"{coin}USDT"].at(when).brackets
            needed = notional / next(leverage for limit, _, _, leverage in tiers if notional <= limit)
            lost = rate * (abs(units) * price) + units * (price - reference)
            if margin - lost < needed:
                return Fill.rejected(order, "not enough margin")
        return Fill(order, quantity=units, price=price, reference_price=reference, fee_rate=rate)


class MakerExchange(PlainExchange):
    """An exchange that fills at the reference and pays a rebate of a basis point."""

    async def execute(self, order):
        fill = await super().execute(order)
        if not fill or order.kind not in ("spot", "perp"):
            return fill
        return fill.replace(price=fill.reference_price, fee_rate=-1e-4)


class Churn(basis.StrategyManager):
    """Changes its mind in every row: a little less, then a little more; many events."""

    @classmethod
    def definition(cls, strategy):
        return asked_in_every_row(strategy, name="churn")

    async def make_decision(self, timestamp=None, market_data=None):
        if self.view.short("BTC") == 0.0:
            return await super().make_decision(timestamp, market_data)
        less, more = Action("exit_partial", "BTC", 0.01), Action("entry_partial", "BTC", 0.01)
        return [less, more, less, more]
