"""One book counted in USDT and in ether: what has to be the same, and what differs by the price of ETH alone."""

import numpy as np

COSTS = {"gas", "flash_fees", "slippage"}
#: Columns of an event that are worth something in share class.
WORTHS = ("notional", "fee", "slippage", "gas", "flash_fee", "peg_conversion")


def assert_same_but_for_the_numeraire(usdt, ether_, exact=1e-12):
    """The same book, orders and ratios; equity, worths and costs differ by the price of ETH and by it alone."""
    assert usdt.status == ether_.status
    spot = usdt.panel["spot|ETH"]
    worths = [name for name in ether_.exposure if name.startswith("value|")]
    scale = ether_.exposure[worths].abs().sum(axis=1).max()
    np.testing.assert_allclose(
        usdt.equity["equity"] / spot, ether_.equity["equity"], rtol=0.0, atol=exact * scale, err_msg="equity"
    )
    for name in ether_.positions:
        if name in usdt.positions:
            one, other = usdt.positions[name], ether_.positions[name]
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=exact * max(1.0, other.abs().max()), err_msg=name)
    for name in worths:
        np.testing.assert_allclose(
            usdt.exposure[name] / spot, ether_.exposure[name], rtol=1e-10, atol=exact * scale, err_msg=name
        )
    for name in ("ltv", "health_factor", "ltv|before", "health_factor|before", "health_factor|worst"):
        np.testing.assert_allclose(usdt.risk[name], ether_.risk[name], rtol=1e-9, atol=1e-11, err_msg=name)
    # costs and rewards are jumps at one price; yields are drifts, counted at the price that the hour began with
    for name in ("reward_pnl", *COSTS, "liquidation_loss"):
        np.testing.assert_allclose(
            usdt.attribution[name] / spot, ether_.attribution[name], rtol=1e-8, atol=exact * scale, err_msg=name
        )
    for name in ("supply_yield", "borrow_cost", "staking_yield"):
        np.testing.assert_allclose(
            (usdt.attribution[name] / spot.shift(1)).iloc[1:], ether_.attribution[name].iloc[1:],
            rtol=1e-8, atol=exact * scale, err_msg=name,
        )  # fmt: skip
    one, other = usdt.events, ether_.events
    # what an alert or an error says, and why something was decided, holds numbers
    worded = one["kind"].isin(["alert", "error", "decision"])
    same = ["timestamp", "kind", "action", "instrument"]
    assert one[same].equals(other[same])
    assert one["detail"][~worded].equals(other["detail"][~worded])
    price = spot.reindex(one["timestamp"]).to_numpy()
    for name in WORTHS:
        np.testing.assert_allclose(one[name] / price, other[name], rtol=1e-8, atol=exact * scale, err_msg=name)
    np.testing.assert_allclose(one["quantity"], other["quantity"], rtol=1e-9, atol=exact * scale)
