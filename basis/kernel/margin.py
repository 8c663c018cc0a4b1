"""Margin at a venue for a single lane: balance, notional, maintenance and initial margin, withdrawable cash (§6)."""

from .numba.jit import stage


@stage
def tier_of(tiers, notional):
    """Place of the tier that a notional falls into; tiers are sorted by their largest notional."""
    j = 0
    while (j < tiers.shape[0] - 1) & (notional > tiers[j].max_notional):
        j += 1
    return j


@stage
def maintenance_margin(tiers, notional):
    """Maintenance margin in quote units: notional * rate - amount of its tier."""
    tier = tiers[tier_of(tiers, notional)]
    return notional * tier.rate - tier.amount


@stage
def initial_margin(tiers, notional):
    """Initial margin in quote units: notional over the largest leverage of its tier."""
    return notional / tiers[tier_of(tiers, notional)].leverage


@stage
def margin_at(run, t, lane, venue):
    """Margin balance of a venue, cash and unrealised P&L, at the marks of row t; quote units."""
    shape = run.shape
    state = run.state
    margin = state.quantity[venue, lane]
    for k in range(shape.markets):
        i = venue * shape.markets + k
        margin += state.quantity[shape.first_perp + i, lane] * run.market.mark[t, i] - state.cost[i, lane]
    return margin


@stage
def margin_incl_transit(run, t, lane, venue):
    """Margin balance of a venue, what is on its way to it included; quote units."""
    return margin_at(run, t, lane, venue) + run.state.transit[venue, lane]


@stage
def notional_at(run, t, lane, venue):
    """Sum of |q| * mark over a venue's perps at the marks of row t; quote units."""
    shape = run.shape
    notional = 0.0
    for k in range(shape.markets):
        i = venue * shape.markets + k
        notional += abs(run.state.quantity[shape.first_perp + i, lane]) * run.market.mark[t, i]
    return notional


@stage
def maintenance_at(run, t, lane, venue):
    """Maintenance margin of a venue at the marks and under the tiers of row t; quote units."""
    shape = run.shape
    needed = 0.0
    for k in range(shape.markets):
        i = venue * shape.markets + k
        size = abs(run.state.quantity[shape.first_perp + i, lane])
        needed += maintenance_margin(run.terms.tier[run.terms_index[t], i], size * run.market.mark[t, i])
    return needed


@stage
def maintenance_ratio(run, t, lane, venue):
    """Maintenance margin over notional of a venue in row t; 0 where nothing is open."""
    notional = notional_at(run, t, lane, venue)
    needed = maintenance_at(run, t, lane, venue)
    return needed / notional if notional > 0.0 else 0.0


@stage
def withdrawable(run, t, lane, venue):
    """Cash that a venue lets go: max(0, min(cash, margin - initial margin)); unrealised profit stays."""
    shape = run.shape
    needed = 0.0
    for k in range(shape.markets):
        i = venue * shape.markets + k
        size = abs(run.state.quantity[shape.first_perp + i, lane])
        needed += initial_margin(run.terms.tier[run.terms_index[t], i], size * run.market.mark[t, i])
    free = min(margin_at(run, t, lane, venue) - needed, run.state.quantity[venue, lane])
    return free if free > 0.0 else 0.0
