"""What the property tests draw: synthetic markets, and configurations of `btc_basis` for them."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from .runs import settings
from .small_markets import VENUES, flows, market

WEIGHTS = ((0.4, 0.3, 0.3), (0.1, 0.1, 0.8), (0.6, 0.25, 0.15), (1 / 3, 1 / 3, 1 - 2 / 3))


class Made(NamedTuple):
    """How a panel is made: a few numbers, so that a failing example is short."""

    rows: int
    seed: int
    volatility: float
    jump: tuple[int, float]
    first: float
    spread: float
    wick: float
    funding: float
    every: int

    def panel(self):
        rng = np.random.default_rng(self.seed)
        steps = self.volatility * rng.standard_normal(self.rows)
        steps[self.jump[0]] += self.jump[1]
        steps[0] = 0.0
        return market(
            self.first * np.exp(np.cumsum(steps)),
            basis={venue: self.spread * rng.standard_normal(self.rows) for venue in VENUES},
            wick=self.wick * rng.random(self.rows),
            rate={venue: self.funding * rng.standard_normal(self.rows) for venue in VENUES},
            every=self.every,
            apr=0.1 * rng.standard_normal(self.rows),
            gwei=20.0 * np.exp(0.3 * rng.standard_normal(self.rows)),
        )


def markets(rows=60):
    """Spot walks and may jump; marks, extremes and funding of the venues differ."""
    return st.builds(
        Made,
        rows=st.just(rows),
        seed=st.integers(0, 999),
        volatility=st.sampled_from((0.0, 0.003, 0.01, 0.03)),
        jump=st.tuples(st.integers(1, rows - 1), st.sampled_from((0.0, 0.0, -0.4, -0.15, 0.15, 0.5))),
        first=st.sampled_from((60_000.0, 0.37)),
        spread=st.sampled_from((0.0, 5e-4, 3e-3)),
        wick=st.sampled_from((0.0, 0.003, 0.05)),
        funding=st.sampled_from((0.0, 1e-4, 3e-3)),
        every=st.sampled_from((8, 4, 1)),
    )


@st.composite
def policies(draw, rows=60, capital=100_000.0, moving=True):
    """Overrides of the configuration; flows as (row, share of the capital)."""
    target = draw(st.sampled_from((0.1, 0.25, 0.5, 1.0)))
    out = {
        "strategy.margin_ratio_target": target,
        "strategy.hedge_allocation": dict(zip(VENUES, draw(st.sampled_from(WEIGHTS)), strict=True)),
        "strategy.position_deviation_threshold": draw(st.sampled_from((0.003, 0.02, 0.1))),
        "costs.enabled": draw(st.booleans()),
        "transfers.instant": draw(st.booleans()),
        "risk.simulate_liquidation": draw(st.booleans()),
        "risk.limits": draw(
            st.sampled_from(
                (
                    {},
                    {
                        "margin_ratio": {"warning": 0.8 * target, "critical": 0.5 * target},
                        "drawdown": {"warning": 0.01, "critical": 0.3},
                    },
                )
            )
        ),
    }
    for venue in VENUES:
        out[f"venues.{venue}.latency.deposit"] = f"{draw(st.sampled_from((0, 20, 60, 200)))}m"
        out[f"venues.{venue}.latency.withdrawal"] = f"{draw(st.sampled_from((0, 40, 150)))}m"
        out[f"venues.{venue}.perp_fee.taker"] = draw(st.sampled_from((0.0, 5e-4, 3e-3)))
    if moving:
        out["strategy.rebalance"] = draw(st.sampled_from((True, True, True, False)))
        out["close_at_end"] = draw(st.booleans())
        out["fill"] = draw(st.sampled_from(("same_bar", "same_bar", "next_bar")))
        if draw(st.booleans()):
            out["strategy.rate_rule"] = {"enabled": True, "enter": 0.05, "leave": -0.05, "window": "24h"}
    pairs = draw(
        st.lists(st.tuples(st.integers(0, rows - 1), st.sampled_from((-2.0, -0.5, -0.1, 0.05, 0.7))), max_size=4)
    )
    return out, [(row, share * capital) for row, share in sorted(pairs)]


def config_of(panel, policy):
    """The configuration of a drawn policy for a panel."""
    overrides, pairs = policy
    flowing = {"flows": flows(panel, *pairs)} if pairs else {}
    # what is drawn, and what a test puts in the place of later rows, goes where no market does
    return settings("btc_basis", {"data.checks": "off", **overrides, **flowing})
