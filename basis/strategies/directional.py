"""One perp, long, short or none, as a signal series says, with stop and take-profit inside the bar (`directional`).

A signal that is new is traded where its confidence reaches the threshold: a position of E / m, m the margin ratio aimed
at. 0 is flat, whatever its confidence. A signal that repeats holds: what was stopped out stays out until the signal has
been another.
"""

from collections.abc import Mapping

import numpy as np

from ..config import Config
from ..errors import ConfigError, DataError
from ..inputs.plans import Plan, Strategy, usual_names
from ..inputs.slots import Slots
from ..kernel.layout.codes import NO_LIMIT
from ..kernel.numba.jit import stage
from .base import closes_now
from .compiled import compiled

#: What rounding may hide of a target, relative.
_ROUNDING = 1e-9


def _plans(config: Config) -> tuple[Plan, ...]:
    asset = config.asset
    return (
        Plan("long", f"{asset} long", market=f"{asset}USDT"),
        Plan("short", f"{asset} short", market=f"{asset}USDT"),
        Plan("margin", "USDT"),
    )


def _names(config: Config) -> Mapping[str, str]:
    asset, wallet = config.asset, f"wallet:BaseToken:{config.share_class}"
    return {**usual_names(config), "wallet": wallet, "long_side": f"{asset} long", "short_side": f"{asset} short"}


def _policy(config: Config, slots: Slots) -> Mapping[str, float]:
    # what is held is meant to be unhedged, and profit may stay where it is
    return {"max_drift": NO_LIMIT, "margin_high": NO_LIMIT}


def _signal(config: Config, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    settings = config.strategy
    names = [f"{measure}|{config.asset}" for measure in ("signal", "confidence", "sd")]
    missing = [name for name in names if name not in columns]
    if missing and settings.signal_file is None:
        raise ConfigError(
            "Invalid strategy.signal_file: None. Must name a file below signals/ of the data set with the columns "
            "timestamp (UTC), signal (-1, 0 or 1), confidence (0 to 1) and sd (fraction of the price)."
        )
    if missing:
        raise DataError(f"The market has no column {missing[0]!r}, which {config.mode} needs; it needs {names}.")
    signal, confidence, sd = (columns[name] for name in names)
    if not np.isin(signal, (-1.0, 0.0, 1.0)).all():
        wrong = signal[~np.isin(signal, (-1.0, 0.0, 1.0))][0]
        raise DataError(f"The market's column {names[0]!r} holds {wrong:g}; a signal is -1, 0 or 1.")
    least = settings.sd_floor or 0.0
    sd = np.clip(sd, least, np.inf if settings.sd_cap is None else settings.sd_cap)
    trusted = confidence >= (settings.signal_threshold or 0.0)
    return np.array([signal, trusted, (settings.stop_sd or 0.0) * sd, (settings.take_profit_sd or 0.0) * sd])


@stage
def leave_side(view, act, side):
    """Close what is held."""
    if side > 0.0:
        act.exit_full(view.long_side)
    else:
        act.exit_full(view.short_side)


@stage
def reduce_side(view, act, side, amount):
    """Reduce what is held."""
    if side > 0.0:
        act.exit_partial(view.long_side, amount)
    else:
        act.exit_partial(view.short_side, amount)


@stage
def enter_side(view, act, side, opens, amount):
    """Open a side, or add to it, with the signal's stop and take-profit."""
    stop, take = view.stop_distance, view.take_profit_distance
    if side > 0.0 and opens:
        act.entry_full(view.long_side, amount, stop, take)
    elif side > 0.0:
        act.entry_partial(view.long_side, amount, stop, take)
    elif opens:
        act.entry_full(view.short_side, amount, stop, take)
    else:
        act.entry_partial(view.short_side, amount, stop, take)


@stage
def side_wanted(view, side, deploy):
    """Side that the signal wants; memory 0 keeps the signal that was traded, until it is another."""
    if view.memory[0] != view.signal:
        # what is held has been traded
        view.memory[0] = view.signal if side == view.signal else 0.0
    if view.signal == 0.0 or deploy <= 0.0:
        return 0.0
    return view.signal if view.signal_trusted and view.memory[0] != view.signal else side


@stage
def has_margin(view):
    """Whether there is cash at a venue."""
    for v in range(view.venues()):
        if view.cash(v) > 0.0:
            return True
    return False


@stage
def send_margin(view, act, deploy):
    """Send the wallet's free cash to the venues where that is worth it; whether it is sent."""
    free = view.quantity(view.wallet) - view.pending
    if not (deploy > 0.0 and (view.first or free > view.policy.deviation * view.equity)):
        return False
    if view.first:
        act.entry_full("USDT", deploy / view.quote_price)
    else:
        act.entry_partial("USDT", deploy / view.quote_price)
    return True


@stage
def follow(view, act, side, wanted, target, arrived):
    """Open the side that is wanted, or add to it where margin has arrived."""
    held = abs(view.short(view.asset))
    opens = wanted != side and wanted != 0.0 and (arrived or held > 0.0 or has_margin(view))
    grows = wanted == side and view.signal == side and view.signal_trusted and arrived and held > 0.0
    grows = grows and (target - held) * view.price(view.asset) > view.policy.deviation * view.equity
    critical = view.alert >= 2.0 and view.policy.rebalance > 0.0
    if (opens or grows) and not critical:
        enter_side(view, act, wanted, opens, target if opens else target - held)
        view.memory[0] = wanted


@compiled
def decide(view, act):
    """Follow the signal, and keep the margin in its band."""
    q = -view.short(view.asset)
    held = abs(q)
    side = 1.0 if q > 0.0 else (-1.0 if q < 0.0 else 0.0)
    deploy = view.equity - view.pending
    target = deploy / view.policy.margin_target / view.price(view.asset)
    wanted = side_wanted(view, side, deploy)
    if closes_now(view):
        if held > 0.0:
            leave_side(view, act, side)
        return
    if view.policy.rebalance == 0.0 and (held > 0.0 or not (view.first or view.arrived)):
        return
    if held > 0.0 and wanted != side:
        leave_side(view, act, side)
    elif held == 0.0 and view.unfinished > 0.0 and (view.signal == 0.0 or deploy <= 0.0):
        # an entry that the market has not let begin is not wanted any more
        leave_side(view, act, 1.0)
    elif held > 0.0:
        critical = view.alert >= 2.0 and view.policy.rebalance > 0.0
        asked = view.margin_low < view.policy.margin_low or critical or view.pending > 0.0
        if asked and held > target * (1.0 + _ROUNDING):
            reduce_side(view, act, side, held - target)
    sent = send_margin(view, act, deploy)
    follow(view, act, side, wanted, target, view.arrived or (sent and view.policy.instant_margin > 0.0))
    if view.pending > 0.0 and deploy <= 0.0:
        act.exit_full("USDT", view.pending / view.quote_price)
    elif view.pending > 0.0:
        act.exit_partial("USDT", view.pending / view.quote_price)


STRATEGY = Strategy("directional", decide, _plans, _policy, _names, signal=_signal)
