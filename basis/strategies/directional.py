"""One perp, long, short or none, as a signal series says, with stop and take-profit inside the bar (`directional`).

A signal that is new is traded where its confidence reaches the threshold: a position of E / m, m the margin ratio aimed
at. 0 is flat, whatever its confidence. A signal that repeats holds: what was stopped out stays out until the signal has
been another. Plan 0 is the long side, plan 1 the short side, plan 2 the margin.
"""

import numpy as np

from ..errors import ConfigError, DataError
from ..kernel import layout as at
from ..kernel.jit import strategy
from .base import Plan, Strategy

LONG, SHORT, MARGIN = 0, 1, 2
#: Own parameters: where the view shows the asset, the wallet, the first cash and how many there are; the signal's
#: place in the hour; whether margin arrives in the row in which it is sent.
ASSET, WALLET, CASH, VENUES, SIGNAL, AT_ONCE = range(at.OWN, at.OWN + 6)


def _plans(config):
    asset = config.asset
    return (
        Plan("long", f"{asset} long", market=f"{asset}USDT"),
        Plan("short", f"{asset} short", market=f"{asset}USDT"),
        Plan("margin", "USDT"),
    )


def _policy(config, slots):
    first = at.HEAD + at.SEEN * len(slots.assets)
    waits = any(config.venues[name].latency.deposit for name in slots.venues)
    return {
        AT_ONCE: float(config.transfers.instant or not waits),
        ASSET: at.HEAD + at.SEEN * slots.assets.index(config.asset),
        WALLET: first + slots.index(f"wallet:BaseToken:{config.share_class}"),
        CASH: first,
        VENUES: len(slots.cash),
        SIGNAL: at.hour_at(slots.shape()).signal,
        # what is held is meant to be naked, and profit may stay where it is
        at.MAX_DRIFT: at.NO_LIMIT,
        at.BAND_HIGH: at.NO_LIMIT,
    }


def _signal(config, columns):
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


@strategy
def decide(view, hour, params, actions):
    """Follow the signal, keep the margin in its band; see `basis.kernel.jit.strategy` for the arguments."""
    asset = int(params[ASSET])
    place = int(params[SIGNAL])
    price = view[asset + at.PRICE]
    q = -view[asset + at.SHORT]
    held = q if q >= 0.0 else -q
    side = 1.0 if q > 0.0 else (-1.0 if q < 0.0 else 0.0)
    equity = view[at.EQUITY]
    pending = view[at.PENDING]
    deploy = equity - pending
    target = deploy / params[at.TARGET_MARGIN] / price
    signal = hour[place + at.SIGNAL]
    trusted = hour[place + at.TRUSTED] > 0.0
    critical = view[at.ALERT] >= 2.0 and params[at.REBALANCE] > 0.0
    first = view[at.FIRST] > 0.0
    arrived = view[at.ARRIVED] > 0.0
    own = LONG if side > 0.0 else SHORT
    # memory 0: the signal that was traded, until it is another; what is held has been
    if view[at.MEMORY] != signal:
        view[at.MEMORY] = signal if side == signal else 0.0
    n = 0
    if view[at.LAST] > 0.0 and params[at.CLOSE_AT_END] > 0.0:
        if held > 0.0:
            actions[n, 0] = at.EXIT_FULL
            actions[n, 1] = own
            n += 1
        return n
    if params[at.REBALANCE] == 0.0 and (held > 0.0 or not (first or arrived)):
        return 0
    wanted = side
    if signal == 0.0 or deploy <= 0.0:
        wanted = 0.0
    elif trusted and view[at.MEMORY] != signal:
        wanted = signal
    if held > 0.0 and wanted != side:
        actions[n, 0] = at.EXIT_FULL
        actions[n, 1] = own
        n += 1
    elif held > 0.0:
        thin = view[at.MARGIN_LOW] < params[at.BAND_LOW]
        if (thin or critical or pending > 0.0) and held > target * (1.0 + 1e-9):
            actions[n, 0] = at.EXIT_PARTIAL
            actions[n, 1] = own
            actions[n, 2] = held - target
            n += 1
    free = view[int(params[WALLET])] - pending
    sends = deploy > 0.0 and (first or free > params[at.DEVIATION] * equity)
    if sends:
        actions[n, 0] = at.ENTRY_FULL if first else at.ENTRY_PARTIAL
        actions[n, 1] = MARGIN
        actions[n, 2] = deploy / view[at.QUOTE_PRICE]
        n += 1
    arrived = arrived or (sends and params[AT_ONCE] > 0.0)
    ready = arrived or held > 0.0
    for v in range(int(params[VENUES])):
        ready = ready or view[int(params[CASH]) + v] > 0.0
    opens = wanted != side and wanted != 0.0 and ready
    grows = wanted == side and signal == side and trusted and arrived and held > 0.0
    grows = grows and (target - held) * price > params[at.DEVIATION] * equity
    if (opens or grows) and not critical:
        actions[n, 0] = at.ENTRY_FULL if opens else at.ENTRY_PARTIAL
        actions[n, 1] = LONG if wanted > 0.0 else SHORT
        actions[n, 2] = target if opens else target - held
        actions[n, 4] = hour[place + at.STOP_AT]
        actions[n, 5] = hour[place + at.TAKE_AT]
        view[at.MEMORY] = wanted
        n += 1
    if pending > 0.0:
        actions[n, 0] = at.EXIT_FULL if deploy <= 0.0 else at.EXIT_PARTIAL
        actions[n, 1] = MARGIN
        actions[n, 2] = pending / view[at.QUOTE_PRICE]
        n += 1
    return n


STRATEGY = Strategy("directional", decide, _plans, _policy, signal=_signal)
