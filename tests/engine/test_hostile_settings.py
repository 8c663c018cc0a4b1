"""Settings from elsewhere: whatever a configuration says, there is a run whose accounts close, or one clear error."""

import copy
import json
import math

import numpy as np
import pytest

import basis
from basis.config import list_modes, load_config
from basis.errors import BasisError, InputError
from support.damage import STRANGERS, trials

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::basis.errors.RunStoppedWarning")]

WINDOW = {"start": "2024-02-01", "end": "2024-02-03"}
NUMBERS = (0.0, 1.0, -1.0, 0.5, 2.0, 1e-12, 1e12, 1e300, -1e300, math.inf, -math.inf, math.nan, 5e-324, 2**63, 10**400)
WORDS = (
    "1h", "0h", "-1h", "1ms", "5m", "90m", "9999d", "next_bar", "same_bar", "binance", "okx", "nowhere", "USDT", "ETH",
    "binance:Perp:BTCUSDT", "wallet:BaseToken:ETH", "aave_v3:aToken:USDT", "bybit:Perp:XXXUSDT", "::", "2024-02-02",
    "strict", "off", "🦀", "\u202e", "a.b", "true", ".nan",
)  # fmt: skip


def places(node):
    """Every (parent, key) of a configuration, lists among them."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(value, dict | list):
            yield from places(value)


def changed(raw, chance):
    """A configuration in which a few values are others; says which."""
    raw, said = copy.deepcopy(raw), []
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        spots = [spot for spot in places(raw) if spot[1] not in ("start", "end")]
        # a place of the strategy, of the costs and so on as often as one of the many of the venues
        if chance.random() < 0.7:
            own = {part: value for part, value in raw.items() if part not in ("venues", "start", "end")}
            spots = [(raw, part) for part in own]
            spots += [spot for value in own.values() if isinstance(value, dict | list) for spot in places(value)]
        parent, key = chance.choice(spots)
        old, kind = parent[key], chance.randrange(6)
        if isinstance(old, int | float) and not isinstance(old, bool) and kind < 3:
            near = (-old, old * 10.0, old / 10.0, old * 1.1, old * 1e6, old / 1e6, old + 1, old - 1)
            parent[key] = chance.choice(near if kind else NUMBERS)
        elif kind == 3 and isinstance(parent, dict):
            del parent[key]
        elif kind == 4:
            parent[key] = chance.choice(chance.choice((NUMBERS, WORDS)))
        elif kind == 5 and isinstance(old, list) and old:
            parent[key] = chance.choice((old[:1], old[::-1], old * 2, [], old[:-1]))
        else:
            parent[key] = copy.deepcopy(chance.choice(STRANGERS))
        new = parent.get(key, "left out") if isinstance(parent, dict) else parent[key]
        said.append(f"{key}: {old!r:.60} → {new!r:.60}")
    return raw, said


def starting_book(config, chance):
    """Quantities of some instruments, some of them odd."""
    keys = [*config.instruments, *WORDS[13:18], "binance:Perp:BTCUSDT|cost"]
    return {key: chance.choice((1.0, 10.0, 5_000.0, *NUMBERS)) for key in chance.sample(keys, min(len(keys), 4))}


def bits(result):
    tables = [result.table(name) for name in ("equity", "attribution", "positions")]
    return [(table.name, column, table[column].tobytes()) for table in tables for column in table.columns]


def assert_sound(result):
    """A run that says it is complete has numbers, and its summary is JSON."""
    json.dumps(result.summary, allow_nan=False)
    assert result.status in ("complete", "stopped")
    if result.status == "stopped":
        assert result.summary["cause"]
        return
    equity = result.equity
    for column in ("equity", "pnl_balance", "pnl_attributed", "residual"):
        assert np.isfinite(equity[column]).all(), column


def test_any_settings_are_a_sound_run_or_one_error(sample_data):
    raws = {mode: load_config(mode, WINDOW, environ={}).to_dict() for mode in list_modes()}
    ran = refused = 0
    for chance in trials(60):
        mode = chance.choice(("btc_basis", "btc_basis", *raws))
        raw, said = changed(raws[mode], chance)
        try:
            try:
                config = load_config(raw, environ={})
                book = starting_book(config, chance) if chance.random() < 0.3 else None
                result = basis.backtest(config, sample_data, positions=book)
                assert_sound(result)
                ran += 1
                if chance.random() < 0.2:
                    again = basis.backtest(config, sample_data, positions=book, driver="event")
                    assert again.status == result.status
                    assert bits(again) == bits(result)
            except BasisError:
                refused += 1
        except BaseException as error:
            error.add_note(f"{mode} with {said}")
            raise
    assert refused


@pytest.mark.parametrize("mode", list_modes())
def test_a_book_without_what_its_plan_names_is_refused(mode, sample_data):
    """A debt or a token that the book lacks was another's place: other results, or the end of the process."""
    raw, refused = load_config(mode, WINDOW, environ={}).to_dict(), 0
    whole = raw["instrument_templates"]
    for place, left_out in enumerate(whole):
        config = load_config({**raw, "instrument_templates": whole[:place] + whole[place + 1 :]}, environ={})
        try:
            basis.backtest(config, sample_data)
        except InputError as error:
            refused += any(text in str(error) for text in ("Add what is missing", "start_venue", "no instrument"))
        else:
            # cash of the venues of perps is always there
            assert left_out.endswith(":BaseToken:USDT")
    assert refused
