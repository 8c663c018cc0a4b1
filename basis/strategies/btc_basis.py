"""Spot-perp basis in BTC (mode `btc_basis`)."""

from .base import Strategy
from .spot_perp import decide, plans, policy, rate

STRATEGY = Strategy("btc_basis", decide, plans, policy, rate)
