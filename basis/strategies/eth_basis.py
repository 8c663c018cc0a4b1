"""Spot-perp basis in ETH (mode `eth_basis`)."""

from .base import Strategy
from .spot_perp import decide, plans, policy, rate

STRATEGY = Strategy("eth_basis", decide, plans, policy, rate)
