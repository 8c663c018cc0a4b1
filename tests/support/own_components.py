"""Strategies and exchanges in plain Python: those of `btc_basis` a second time, and some for tests alone."""

from datetime import UTC, datetime

import basis
from basis import Action, Decision
from basis.components.orders import Fill

from .kernel_view import asked_in_every_row


class PlainBasis(basis.StrategyManager):
    """What `basis.strategies.spot_perp` decides, from the view in plain Python."""

    async def make_decision(self, timestamp=None, market_data=None):
        view, policy, coin = self.view, self.config.strategy, self.config.asset
        price, long, short = view.price(coin), view.long(coin), view.short(coin)
        target_margin = policy.margin_ratio_target
        last = view.last and self.config.close_at_end
        entering = (view.first and short == 0.0) or view.arrived
        if not policy.rebalance and not last and not entering:
            return None
        wanted, rule = view.memory[0], policy.rate_rule
        if not rule.enabled or view.rate > rule.enter:
            wanted = 1.0
        elif view.rate < rule.leave:
            wanted = 0.0
        target = (view.equity - view.pending) / (1.0 + target_margin) / price
        if target < 0.0 or wanted == 0.0 or last:
            target = 0.0
        more, less = max(long, short), max(min(long, short), 0.0)
        critical = view.alert >= 2.0 and policy.rebalance
        actions = []
        if not policy.rebalance:
            if last:
                return Decision((Action("exit_full", coin),), (wanted,))
        else:
            low, high = (factor * target_margin for factor in policy.margin_ratio_band)
            off = abs((target - more) * price)
            adrift = (more - less) * price > policy.max_delta_drift * view.equity
            outside = view.margin_low < low or (view.margin_high > high and more > 0.0)
            moved = off > policy.position_deviation_threshold * view.equity or adrift
            moved = moved or view.pending > 0.0 or critical
            if not (moved or outside or target == 0.0 or view.first or view.arrived):
                return Decision((), (wanted,))
            if more > 0.0 and more > target * (1.0 + 1e-9) and (moved or target == 0.0):
                kind = "exit_full" if target == 0.0 else "exit_partial"
                actions.append(Action(kind, coin, more - (min(target, less) if adrift else target)))
            elif adrift:
                actions.append(Action("exit_partial", coin, more - less))
        if target > 0.0:
            goal = less if critical and less < target else target
            kind = "entry_full" if view.first else "entry_partial"
            actions.append(Action(kind, "USDT", goal * price * target_margin / view.quote_price))
        if target > less and not critical:
            grows = (target - less) * price > policy.position_deviation_threshold * view.equity
            if grows or view.first or view.arrived:
                actions.append(Action("entry_full" if less == 0.0 else "entry_partial", coin, target - less))
        if view.pending > 0.0:
            kind = "exit_full" if target == 0.0 else "exit_partial"
            actions.append(Action(kind, "USDT", view.pending / view.quote_price))
        return Decision(tuple(actions), (wanted,))


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
