"""Strategies of a few lines, in the language that users are given; each is asked in every row."""

import math

import basis


@basis.compiled(every_row=True)
def do_nothing(view, act):
    """Hold what is there."""


@basis.compiled(every_row=True)
def add_to_hedge(view, act, amount=1.0):
    """Ask for more of both legs in BTC."""
    act.entry_partial("BTC", amount)


@basis.compiled(every_row=True)
def enter_hedge(view, act, amount=1.0):
    """Ask for both legs in BTC as on an entry."""
    act.entry_full("BTC", amount)


@basis.compiled(every_row=True)
def put_in_usdt(view, act, amount=0.0):
    """Ask for more USDT at work: margin at the venues, or supplied to the pool."""
    act.entry_partial("USDT", amount)


@basis.compiled(every_row=True)
def take_back_usdt(view, act, amount=0.0):
    """Ask for USDT back."""
    act.exit_partial("USDT", amount)


@basis.compiled(every_row=True)
def take_back_all_usdt(view, act, amount=0.0):
    """Ask for USDT back as on an exit."""
    act.exit_full("USDT", amount)


@basis.compiled(every_row=True)
def decide_wrongly_in_row_8(view, act):
    """Nothing for eight rows, then an amount that is no number."""
    view.memory[0] += 1.0
    if view.memory[0] >= 9.0:
        act.entry_full("BTC", math.nan)
