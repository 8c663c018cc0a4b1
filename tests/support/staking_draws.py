"""What the property tests of the modes in ether draw: markets of a staking token, and configurations for them."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from .runs import settings
from .small_markets import flows
from .staking_markets import ether, grown

MODES = ("pure_lending", "eth_staking_only", "eth_leveraged")
CAPITAL = 100.0


class Made(NamedTuple):
    """How a panel is made: a few numbers, so that a failing example is short."""

    rows: int
    seed: int
    lst: str
    staking: float
    borrow: float
    depeg: float
    slash: tuple[int, float]
    spike: tuple[int, float]
    gwei: float

    def panel(self):
        rng = np.random.default_rng(self.seed)
        some = np.abs(rng.standard_normal((4, self.rows)))
        rate = grown(self.rows, self.staking * some[0], 1.05)
        rate[self.slash[0] :] *= 1.0 + self.slash[1]
        owed = grown(self.rows, self.borrow * some[1], 1.06)
        owed[self.spike[0] :] *= 1.0 + self.spike[1]
        return ether(
            self.rows,
            lst=self.lst,
            supply=0.002 * some[2],
            pool=0.03 * some[3],
            mean=0.03 + 0.02 * rng.standard_normal(self.rows),
            peg=1.0 - self.depeg * rng.standard_normal(self.rows).cumsum() / np.sqrt(self.rows),
            eth=3_000.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(self.rows))),
            gwei=self.gwei * np.exp(0.5 * rng.standard_normal(self.rows)),
            borrow_index__WETH=owed,
            **{f"oracle_rate__{self.lst}": rate},
        )


def markets(rows=60):
    """Rates grow unevenly and may jump; the market strays from the protocol; gas is rough."""
    return st.builds(
        Made,
        rows=st.just(rows),
        seed=st.integers(0, 999),
        lst=st.sampled_from(("weETH", "wstETH")),
        staking=st.sampled_from((0.0, 0.03, 3.0)),
        borrow=st.sampled_from((0.0, 0.03, 3.0, 8.0)),
        depeg=st.sampled_from((0.0, 0.002, 0.03)),
        slash=st.tuples(st.integers(1, rows - 1), st.sampled_from((0.0, 0.0, -0.02, -0.12, -0.4, 0.05))),
        spike=st.tuples(st.integers(1, rows - 1), st.sampled_from((0.0, 0.0, 0.01, 0.1))),
        gwei=st.sampled_from((0.0, 20.0, 400.0)),
    )


@st.composite
def policies(draw, rows=60):
    """A mode and overrides of its configuration; flows as (row, share of the capital)."""
    mode = draw(st.sampled_from((*MODES, "eth_leveraged")))
    out = {
        "costs.enabled": draw(st.booleans()),
        "transfers.instant": draw(st.booleans()),
        "valuation": draw(st.sampled_from(("market", "oracle"))),
        "risk.simulate_liquidation": draw(st.sampled_from((True, True, False))),
        "strategy.position_deviation_threshold": draw(st.sampled_from((0.003, 0.02, 0.1))),
        "strategy.rebalance": draw(st.sampled_from((True, True, True, False))),
        "close_at_end": draw(st.booleans()),
        "fill": draw(st.sampled_from(("same_bar", "same_bar", "next_bar"))),
        "risk.limits": draw(st.sampled_from(({}, {"drawdown": {"warning": 0.005, "critical": 0.05}}))),
    }
    if mode == "pure_lending":
        out |= {"asset": "ETH", "share_class": "ETH"}
        if draw(st.booleans()):
            out["strategy.rate_rule"] = {"enabled": True, "enter": 0.035, "leave": 0.02, "window": "24h"}
    else:
        out["strategy.stake_route"] = draw(st.sampled_from(("protocol", "market")))
        out["venues.etherfi.latency.withdrawal"] = out["venues.lido.latency.withdrawal"] = draw(
            st.sampled_from(("0m", "90m", "17h"))
        )
        out["venues.etherfi.latency.deposit"] = out["venues.lido.latency.deposit"] = draw(st.sampled_from(("0m", "3h")))
    if mode == "eth_leveraged":
        target, band, floor = draw(
            st.sampled_from(((0.85, 0.02, 1.03), (0.93, 0.01, 1.005), (0.5, 0.05, 1.2), (0.7, 0.001, 1.1)))
        )
        out |= {"strategy.target_ltv": target, "strategy.ltv_band": band, "strategy.min_health_factor": floor}
        out["strategy.loop_steps"] = draw(st.sampled_from((0, 0, 0, 3)))
        if out["strategy.loop_steps"] and out["strategy.stake_route"] == "protocol":
            # by hand the next step needs the tokens of the last
            out["venues.etherfi.latency.deposit"] = out["venues.lido.latency.deposit"] = "0m"
    pairs = draw(
        st.lists(st.tuples(st.integers(0, rows - 1), st.sampled_from((-2.0, -0.5, -0.1, 0.05, 0.7))), max_size=4)
    )
    return mode, out, [(row, share * CAPITAL) for row, share in sorted(pairs)]


def config_of(made, panel, policy, **more):
    """The configuration of a drawn policy for a panel."""
    mode, overrides, pairs = policy
    # rates are drawn where no market goes
    overrides = {"data.checks": "off", **overrides, **more}
    if mode != "pure_lending":
        overrides["strategy.lst"] = made.lst
    return settings(mode, {**overrides, **({"flows": flows(panel, *pairs)} if pairs else {})})
