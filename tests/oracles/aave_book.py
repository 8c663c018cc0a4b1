"""What the package makes of the same: a market of the contracts' prices and indices, a script of actions, a run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import basis
from basis.execution.managers import OnChainExecutionManager
from basis.inputs.plans import Plan, Strategy
from basis.market.panel import Panel
from basis.strategies.manager import Action, Decision, StrategyManager
from support.kernel_stages import planned_action, write_order
from support.kernel_view import asked_in_every_row

RAY = 10**27
DECIMALS = {"WETH": 18, "weETH": 18, "USDT": 6}
#: Token of the wallet that is supplied and borrowed as each reserve.
TOKENS = {"WETH": "ETH", "weETH": "weETH", "USDT": "USDT"}
#: Books: three collaterals and two debts, or a staking token against ether, where e-mode is on.
MANY = ("WETH", "weETH", "USDT"), ("WETH", "USDT")
PAIR = ("weETH",), ("WETH",)
#: 2024-06-01, in which the contracts' clock starts.
START_NS = 1_717_200_000_000_000_000

Book = tuple[tuple[str, ...], tuple[str, ...]]


def supplied(symbol: str) -> str:
    return f"aave_v3:aToken:{symbol}"


def owed(symbol: str) -> str:
    return f"aave_v3:debtToken:{symbol}"


def wallet(symbol: str) -> str:
    return f"wallet:BaseToken:{TOKENS[symbol]}"


def holdings(book: Book, user: Mapping[str, Any] | None = None) -> dict[str, float]:
    """Scaled balances of an account of the contracts, and a wallet that is never short."""
    user = user or {"supplied": {}, "owed": {}}
    collateral, debt = book
    out = {wallet(s): 1e7 for s in ("WETH", *collateral)}
    out |= {supplied(s): user["supplied"].get(s, 0) / 10 ** DECIMALS[s] for s in collateral}
    return out | {owed(s): user["owed"].get(s, 0) / 10 ** DECIMALS[s] for s in debt}


def panel(rows: Sequence[Mapping[str, Mapping[str, int]]], first: int, step: int) -> Panel:
    """A market of the reserves as the contracts show them, `first` seconds after their start and every `step`."""
    columns: dict[str, Any] = {"gas_price_gwei": 1.0}
    price = {s: np.array([row[s]["price"] / 10**8 for row in rows]) for s in DECIMALS}
    columns["spot|ETH"] = price["WETH"] / price["USDT"]
    columns["usd|USDT"] = price["USDT"]
    columns["oracle_rate|weETH"] = price["weETH"] / price["WETH"]
    columns["market_rate|weETH"] = 0.999 * columns["oracle_rate|weETH"]
    for s in DECIMALS:
        columns[f"liquidity_index|aave_v3:{s}"] = np.array([row[s]["income"] / RAY for row in rows])
        columns[f"borrow_index|aave_v3:{s}"] = np.array([row[s]["debt"] / RAY for row in rows])
    stamps = START_NS + (first + step * np.arange(len(rows), dtype=np.int64)) * 1_000_000_000
    return Panel.from_columns(stamps, step, columns)


def _terms(reserves: Mapping[str, Any], emode: Mapping[str, Any] | None) -> dict[str, Any]:
    """The market's terms as the configuration holds them."""

    def fractions(terms: Mapping[str, Any]) -> dict[str, float]:
        names = {"ltv": "ltv", "threshold": "liquidation_threshold", "bonus": "liquidation_bonus"}
        return {ours: terms[theirs] / 10_000 for theirs, ours in names.items()}

    out: dict[str, Any] = {"venues.aave_v3.close_rule": "aave_v3.0"}
    for symbol, terms in reserves.items():
        cap = {"supply_cap": terms["supply_cap"]} if terms.get("supply_cap") else {}
        out[f"venues.aave_v3.reserves.{symbol}"] = fractions(terms) | cap
    members = ["WETH", "weETH"] if emode else []
    shares = {"collateral": members, "debt": members}
    nothing = {"ltv": 0, "threshold": 0, "bonus": 0}
    out["venues.aave_v3.emodes.lst_main"] = fractions(emode or nothing) | shares
    return out


def _decider(script: Mapping[int, Sequence[tuple[str, str, float]]], book: Book) -> type[StrategyManager]:
    """A strategy that does in each row what the script says: (action, symbol, amount; inf is all of it)."""
    collateral, debt = book
    plans = (
        *(Plan("lend", f"supply {s}", wallet(s), supplied(s)) for s in collateral),
        *(Plan("lend", f"owe {s}", wallet(s), debt=owed(s)) for s in debt),
    )
    names = {"supply": ("entry", "supply"), "withdraw": ("exit", "supply"), "borrow": ("entry", "owe")}
    names |= {"repay": ("exit", "owe")}

    class Scripted(StrategyManager):
        @classmethod
        def definition(cls, strategy: Strategy) -> Strategy:
            return asked_in_every_row(strategy, name="scripted", plans=lambda config: plans)

        async def make_decision(self, timestamp: Any = None, market_data: Any = None) -> Decision:
            actions = []
            for do, symbol, amount in script.get(self.run.state.row_of(), ()):
                way, what = names[do]
                whole = amount == np.inf
                size = 1e15 if whole else amount
                actions.append(Action(f"{way}_{'full' if whole else 'partial'}", f"{what} {symbol}", size))
            return Decision(tuple(actions))

    return Scripted


class _BorrowsPlainAmounts(OnChainExecutionManager):
    """Borrows and repays plain amounts of what a plan owes."""

    async def execute_action(self, place: int, timestamp: Any = None, market_data: Any = None) -> int:
        run = self.run.state
        action = planned_action(run, place)
        if action.debt < 0:
            return await super().execute_action(place, timestamp, market_data)
        if action.enters:
            write_order(run, "borrow", action.debt, action.token, action)
        else:
            write_order(run, "repay", action.token, action.debt, action)
        return int(await self.execute_order(self._order(0)))


def run(
    market: Panel,
    reserves: Mapping[str, Any],
    positions: Mapping[str, float],
    book: Book = MANY,
    script: Mapping[int, Sequence[tuple[str, str, float]]] | None = None,
    emode: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> Any:
    """Run a script over a market, without costs."""
    mode = "eth_leveraged" if book is PAIR else "pure_lending"
    settings = {
        "share_class": "ETH",
        "asset": "ETH",
        "valuation": "oracle",
        "risk.limits": {},
        "bar_interval": f"{market.step_s}s",
        "costs.enabled": False,
        "transfers.instant": True,
        # rates of a test go where no market does
        "data.checks": "off",
    }
    return basis.backtest(
        mode,
        data=market,
        positions=positions,
        strategy=_decider(script or {}, book),
        components={"onchain_execution_manager": _BorrowsPlainAmounts},
        overrides=settings | _terms(reserves, emode) | overrides,
    )
