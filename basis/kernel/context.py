"""What a run works on: its inputs, its state by name, and its scratch memory, handed to every function as ``run``.

By value its arrays would be hundreds of words in every call. So they are packed into a handle, one array of words, and
compiled code reads them by the same names (`numba.struct_view`). In plain Python the context is its own view.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype, types

from .layout import codes, records
from .layout.declare import Layout
from .layout.inputs import HOUR, MARKET
from .layout.shape import COUNTS, Shape, hour_views, market_views, pnl_views, policy_views, seen_views, state_views
from .layout.state import PNL, POLICY, STATE, VIEW
from .numba.jit import called_by_address
from .numba.struct_view import StructView, make_records


class Terms(NamedTuple):
    """Dated terms of the venues, as records (`layout.records`); the first axis is the terms index."""

    venue: Any  # (terms, venues)
    gas: Any  # (terms,)
    tier: Any  # (terms, perps, tiers)
    spot_slippage: Any  # (terms, tokens, buckets)
    perp_slippage: Any  # (terms, perps, buckets)
    stake: Any  # (terms, tokens)
    collateral: Any  # (terms, collaterals)
    account: Any  # (terms, accounts)
    lot: Any  # (terms, tokens and perps); none of a book without limited markets


class Wallet(NamedTuple):
    """Slots of the wallet's tokens, -1 where absent."""

    share_class: int
    usdt: int
    ether: int


class Settings(NamedTuple):
    """How a run is simulated."""

    liquidates: int  # whether liquidations are simulated
    next_bar: int  # whether orders fill in the row after the decision
    final_row: int  # the last row in which an exit can still fill
    events_per_row: int  # no row and lane writes more, see `events.most_events_of_row`


class Inputs(NamedTuple):
    """Everything that a run reads and never writes."""

    hours: Any  # (rows, hour width) coefficients, see `layout.inputs.HOUR`
    quotes: Any  # (rows, market width) market, see `layout.inputs.MARKET`
    terms_index: Any  # (rows,) int64
    row_flags: Any  # (rows,) uint8, see `layout.codes`
    terms: Terms
    plans: Any  # (plans,) records
    payouts: Any  # (payouts,) records, in order of their rows
    withdrawals: Any  # (withdrawals,) amounts the investor asks for, in order, share class
    token_venue: Any  # (tokens,) int64 venue of a token slot, -1 for the wallet
    wallet_token: Any  # (collaterals,) int64 place of the same token in the wallet, -1 where there is none
    lent_account: Any  # (collaterals + debts,) int64 lending account
    strategy_places: Any  # (names,) int64 where the view shows what the strategy names, see `strategies.typed_view`
    watched: Any  # (rows, columns) what the strategy watches beside its book, at most WATCHED columns
    wallet: Wallet
    settings: Settings


class Scratch(NamedTuple):
    """Working memory; what belongs to a lane has the lane as its first axis."""

    seen: Any  # (lanes, view width) what the strategy sees
    policy: Any  # (lanes, policies) a copy of the lane's policy, for the strategy to read
    decision: Any  # (lanes, DECISION_NOTES) what `strategies.compiled` notes of a decision
    actions: Any  # (lanes, ACTIONS) records
    orders: Any  # (lanes, orders) records
    fills: Any  # (lanes,) records: what a venue made of the last order
    missing: Any  # (lanes, venues) margin that a venue lacks
    spare: Any  # (lanes, venues) cash that a venue can give
    events: Any  # (events + 1,) records; the last is a spare place
    event_words: Any  # the same as words
    count: Any  # (1,) int64 events written
    lost: Any  # (1,) int64 events, orders and transfers for which there was no room; a run ends where there is one


class Memory(NamedTuple):
    """Everything that a run writes."""

    block: Any  # (rows, lanes) float64, the state
    coefficients: Any  # (hour end,) float64, those of the row; what never changes is filled in
    record: Any  # (rows of the run, recorded) float64, filled for lane 0; (0, recorded) records nothing
    scratch: Scratch


class RunContext(NamedTuple):
    """A run: its shape, its inputs, its state and what is called by address."""

    shape: Shape
    block: Any  # (rows, lanes) the state
    record: Any  # (rows of the run, recorded); (0, recorded) records nothing
    coefficients: Any  # (hour end,) those of the row, what never changes included
    hours: Any
    quotes: Any
    pnl: Any  # views of the block
    state: Any
    policy: Any
    hour: Any  # views of the coefficients
    market: Any  # views of the quotes
    seen: Any  # views of what the strategy sees
    terms_index: Any
    row_flags: Any
    terms: Terms
    plans: Any
    payouts: Any
    withdrawals: Any
    token_venue: Any
    wallet_token: Any
    lent_account: Any
    strategy_places: Any
    watched: Any
    wallet: Wallet
    settings: Settings
    scratch: Scratch
    advance: Any  # `loop.advance` for this shape
    run_step: Any  # `step.run_step`
    check_stops_and_liquidations: Any
    route_action: Any
    decide: Any  # the strategy; called where `caller_handles` is NOTHING
    caller_handles: int  # NOTHING, or what the caller does: OWN_DECISION, OWN_ROW


_F = types.float64
#: decide(seen, policy, actions, decision, places) → number of actions written; below 0 stops the run. See `Scratch`
#: and `Inputs`.
DECIDE = types.int64(_F[::1], _F[::1], from_dtype(records.ACTION)[::1], _F[::1], types.int64[::1])
#: Decorator of a decide function.
strategy: Any = called_by_address(DECIDE)
#: run_step(handle, t, lane, step, place, number), and of the same form `check_stops_and_liquidations`, `route_action`.
STEP = types.int64(types.int64[::1], *[types.int64] * 5)
#: advance(handle, start, stop, given) → (row, reason)
ADVANCE = types.UniTuple(types.int64, 2)(types.int64[::1], types.int64, types.int64, types.int64)


def _parts(layout: Layout, group: str, whole: str, lanes: str = "") -> dict[str, str]:
    """Declaration of the items of a layout as parts of an array."""
    found = {}
    for item in layout.items:
        axis = item.count if item.count in COUNTS else "k"
        axes = lanes if (lanes and item.count == "") else f"{axis} {lanes}"
        found[item.name] = f"f8 {axes} of {whole} at {group}.{item.name}"
    return found


def _columns(layout: Layout, width: str, rows: str) -> dict[str, str]:
    """Declaration of the items of a layout as columns of a table."""
    return {
        item.name: f"f8 {rows} {item.count if item.count in COUNTS else 'k'} in {width}"
        if item.count
        else f"f8 {rows} in {width}"
        for item in layout.items
    }


_STRUCT = StructView(
    "run",
    {
        "shape": {
            **dict.fromkeys(COUNTS, "count"),
            **{
                group: {item.name: "count" for item in layout.items}
                for group, layout in (("pnl", PNL), ("state", STATE), ("policy", POLICY), ("hour", HOUR))
            },
        },
        "block": "f8 rows lanes",
        "record": "f8 kept recorded",
        "coefficients": "f8 hour_end",
        "hours": "f8 instants hour_width",
        "quotes": "f8 instants market_width",
        "pnl": _parts(PNL, "pnl", "block", "lanes"),
        "state": _parts(STATE, "state", "block", "lanes"),
        "policy": _parts(POLICY, "policy", "block", "lanes"),
        "hour": _parts(HOUR, "hour", "coefficients"),
        "market": _columns(MARKET, "market_width", "instants"),
        "seen": _columns(VIEW, "view_width", "lanes"),
        "terms_index": "i8 instants",
        "row_flags": "u1 instants",
        "terms": {
            "venue": (records.VENUE_TERMS, "periods venues"),
            "gas": (records.GAS_TERMS, "periods"),
            "tier": (records.TIER, "periods perps tiers"),
            "spot_slippage": (records.BUCKET, "periods tokens spot_buckets"),
            "perp_slippage": (records.BUCKET, "periods perps perp_buckets"),
            "stake": (records.STAKE_TERMS, "periods tokens"),
            "collateral": (records.COLLATERAL_TERMS, "periods collaterals"),
            "account": (records.ACCOUNT_TERMS, "periods accounts"),
            "lot": (records.LOT, "periods limited"),
        },
        "plans": records.PLAN,
        "payouts": records.PAYOUT,
        "withdrawals": "f8 withdrawals",
        "token_venue": "i8 tokens",
        "wallet_token": "i8 collaterals",
        "lent_account": "i8 lent",
        "strategy_places": "i8 names",
        "watched": "f8 watched_rows watched",
        "wallet": dict.fromkeys(Wallet._fields, "int"),
        "settings": dict.fromkeys(Settings._fields, "int"),
        "scratch": {
            "seen": "f8 lanes view_width",
            "policy": "f8 lanes policies",
            "decision": f"f8 lanes {codes.DECISION_NOTES}",
            "actions": (records.ACTION, f"lanes {codes.ACTIONS}"),
            "orders": (records.ORDER, "lanes orders"),
            "fills": (records.FILL, "lanes"),
            "missing": "f8 lanes venues",
            "spare": "f8 lanes venues",
            "events": (records.EVENT, "room"),
            "event_words": f"i8 room {len(records.EVENT.names)}",
            "count": "i8 1",
            "lost": "i8 1",
        },
        "advance": ADVANCE,
        "run_step": STEP,
        "check_stops_and_liquidations": STEP,
        "route_action": STEP,
        "decide": DECIDE,
        "caller_handles": "int",
    },
)

#: view(handle) → the run with its names, in compiled code; the caller keeps the arrays alive.
view: Any = _STRUCT.view
#: The same for kernels whose counts are left open (`numba.jit.open_kernel`).
open_view: Any = _STRUCT.open_view


def counts_of(shape: Shape) -> dict[str, int]:
    """Counts and places of a shape as `numba.jit.bind_sizes` takes them."""
    return _STRUCT.size_constants("shape", shape)


def pack(run: RunContext) -> Any:
    """The handle of a run, for compiled code; the caller keeps the run alive as long as it is used.

    Raises
    ------
    ValueError
        Where an array has another type or size than compiled code relies on; names it.
    """
    return _STRUCT.pack(run)


def make_scratch(shape: Shape, events: int) -> Scratch:
    """Working memory for a shape; `events` is the room for events, 0 keeps none."""
    lanes = shape.lanes
    kept = make_records(records.EVENT, events + 1)
    return Scratch(
        seen=np.zeros((lanes, shape.view_width)),
        policy=np.zeros((lanes, shape.policies)),
        decision=np.zeros((lanes, codes.DECISION_NOTES)),
        actions=make_records(records.ACTION, (lanes, codes.ACTIONS)),
        orders=make_records(records.ORDER, (lanes, shape.orders)),
        fills=make_records(records.FILL, lanes),
        missing=np.zeros((lanes, shape.venues)),
        spare=np.zeros((lanes, shape.venues)),
        events=kept,
        event_words=words_of(kept),
        count=np.zeros(1, dtype=np.int64),
        lost=np.zeros(1, dtype=np.int64),
    )


def words_of(events: np.recarray) -> np.ndarray:
    """(events, words) int64, the same memory as the records."""
    return events.view(np.ndarray).view(np.int64).reshape(len(events), -1)


def copied(scratch: Scratch) -> Scratch:
    """A copy of working memory, its events included."""
    events = scratch.events.copy()
    copies = {name: array.copy() for name, array in scratch._asdict().items()}
    return Scratch(**{**copies, "events": events, "event_words": words_of(events)})


def with_more_room(scratch: Scratch) -> Scratch:
    """The scratch memory with twice the room for events, those written kept."""
    events = make_records(records.EVENT, 2 * len(scratch.events))
    written = int(scratch.count[0])
    events[:written] = scratch.events[:written]
    return scratch._replace(events=events, event_words=words_of(events))


def make_run(shape: Shape, inputs: Inputs, memory: Memory, **called: Any) -> RunContext:
    """A run of its parts.

    Parameters
    ----------
    inputs, memory : what it reads, and what it writes
    called : advance, run_step, check_stops_and_liquidations, route_action, decide, caller_handles
    """
    rest = {name: value for name, value in inputs._asdict().items() if name not in ("hours", "quotes")}
    return RunContext(
        shape=shape,
        **memory._asdict(),
        hours=inputs.hours,
        quotes=inputs.quotes,
        pnl=pnl_views(shape, memory.block),
        state=state_views(shape, memory.block),
        policy=policy_views(shape, memory.block[shape.rows - shape.policies :]),
        hour=hour_views(shape, memory.coefficients),
        market=market_views(shape, inputs.quotes),
        seen=seen_views(shape, memory.scratch.seen),
        **rest,
        **called,
    )
