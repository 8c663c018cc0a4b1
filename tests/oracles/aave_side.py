"""A lending market of the real contracts on an in-process chain: a scenario per line of input, its states per line out.

Runs in an environment of its own (`aave.txt`): ``python aave_side.py FOLDER``, the folder holding the compiled
contracts. It knows nothing of the package that is tested. Amounts are integers in the smallest unit of their token,
prices in 1e-8 USD, indices and rates in ray (1e-27), thresholds, bonuses and fees in hundredths of a percent.

A scenario is ``{"reserves": {symbol: {...}}, "emodes": {id: {...}}, "opening": [...], "steps": [...]}``; the opening is
steps of which nothing is shown, kept for scenarios that begin with the same. A step has ``do`` and its arguments,
``at`` (seconds after the start) where the clock moves, and what is to be shown of the state it leaves: ``see``
(reserves; all) and ``watch`` (accounts; the one that acts). Steps of one instant are as transactions of one block. Each
gives ``{"time", "error", "reserves", "users", ...}``; `error` is the code with which the contract reverted.
"""

# pyright: reportMissingImports=false

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague.state import PragueState
from eth.vm.message import Message
from eth_abi import decode, encode
from eth_utils import keccak

#: 2024-06-01 00:00 UTC.
START = 1_717_200_000
#: As an amount: all of it.
ALL = 2**256 - 1
GAS = 10**10
NOBODY = b"\0" * 20
VARIABLE = 2


class Reverted(Exception):
    """A call failed; the message is what the contract gave as reason (its error code)."""


def account(name: str) -> bytes:
    return keccak(text=name)[12:]


def _type(entry: dict[str, Any]) -> str:
    """Type of an argument as the codec writes it; a tuple by its parts."""
    kind = entry["type"]
    if kind.startswith("tuple"):
        return "(" + ",".join(_type(part) for part in entry["components"]) + ")" + kind[5:]
    return kind


def _named(entries: list[dict[str, Any]], values: Any) -> Any:
    """A single value, or the values by name; a tuple likewise."""
    plain = [_named(e["components"], v) if e["type"] == "tuple" else v for e, v in zip(entries, values, strict=True)]
    if len(entries) == 1:
        return plain[0]
    return {e["name"] or str(i): v for i, (e, v) in enumerate(zip(entries, plain, strict=True))}


def largest(within: Callable[[int], bool], least: int, most: int, near: int) -> int:
    """The largest integer within, from `least`, which is, to `most`, which is not; first looked for at `near`."""
    span = 64
    while span < most:
        low, high = max(near - span, least), min(near + span, most)
        if low < high and (low == least or within(low)) and (high == most or not within(high)):
            least, most = low, high
            break
        span *= 4_096
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if within(middle) else (least, middle)
    return least


class Chain:
    """The state of a chain and its clock; calls are carried out one by one, none is signed."""

    def __init__(self) -> None:
        self.state = PragueState(AtomicDB(), self._context(START), BLANK_ROOT_HASH)
        self.logs: list[tuple[bytes, tuple[int, ...], bytes]] = []

    @staticmethod
    def _context(timestamp: int) -> ExecutionContext:
        return ExecutionContext(NOBODY, timestamp, 1, 0, b"\0" * 32, 10**12, (), 1, 0, 0)

    @property
    def time(self) -> int:
        return self.state.execution_context.timestamp - START

    @time.setter
    def time(self, seconds: int) -> None:
        if seconds < self.time:
            raise ValueError(f"the clock stands at {self.time} s; it cannot go back to {seconds} s")
        self.state.execution_context = self._context(START + seconds)

    def run(self, message: Message, sender: bytes) -> Any:
        """Carry a message out as one transaction."""
        kind = self.state.computation_class
        context = self.state.transaction_context_class(gas_price=0, origin=sender)
        apply = kind.apply_create_message if message.is_create else kind.apply_message
        done = apply(self.state, message, context)
        if done.is_error:
            if done.output[:4] == keccak(text="Error(string)")[:4]:
                raise Reverted(decode(["string"], done.output[4:])[0])
            raise Reverted(f"{type(done.error).__name__} 0x{done.output.hex()}")
        self.logs = list(done.get_log_entries())
        return done

    def send(self, sender: bytes, to: bytes, data: bytes) -> bytes:
        return self.run(Message(GAS, to, sender, 0, data, self.state.get_code(to)), sender).output

    def look(self, sender: bytes, to: bytes, data: bytes) -> bytes:
        """What a call would give; nothing changes."""
        before = self.state.snapshot()
        try:
            return self.send(sender, to, data)
        finally:
            self.state.revert(before)

    def create(self, sender: bytes, code: bytes) -> bytes:
        nonce = self.state.get_nonce(sender)
        address = keccak(sender + nonce.to_bytes(8, "big"))[12:]
        self.state.increment_nonce(sender)
        self.run(Message(GAS, b"", sender, 0, b"", code, create_address=address), sender)
        return address


class Contract:
    """A contract by its interface: `tell` sends a transaction, `ask` reads."""

    def __init__(self, chain: Chain, abi: list[dict[str, Any]], address: bytes) -> None:
        self.chain, self.address = chain, address
        # by name and number of arguments: that tells overloaded ones apart
        self.functions = {(e["name"], len(e["inputs"])): e for e in abi if e["type"] == "function"}
        self.events = {entry["name"]: entry for entry in abi if entry["type"] == "event"}

    def _call(self, way: Callable[..., bytes], sender: bytes, name: str, arguments: tuple[Any, ...]) -> Any:
        function = self.functions[name, len(arguments)]
        inputs, outputs = ([_type(e) for e in function[side]] for side in ("inputs", "outputs"))
        data = keccak(text=f"{name}({','.join(inputs)})")[:4] + encode(inputs, arguments)
        found = way(sender, self.address, data)
        return _named(function["outputs"], decode(outputs, found)) if outputs else None

    def tell(self, sender: bytes, name: str, *arguments: Any) -> Any:
        """Send a transaction; what the function returns."""
        return self._call(self.chain.send, sender, name, arguments)

    def would(self, sender: bytes, name: str, *arguments: Any) -> Any:
        """The same on a state that is thrown away."""
        return self._call(self.chain.look, sender, name, arguments)

    def ask(self, name: str, *arguments: Any) -> Any:
        return self.would(NOBODY, name, *arguments)

    def event(self, name: str) -> dict[str, Any] | None:
        """The event of that name of the last transaction, what is indexed left out."""
        entry = self.events[name]
        topic = int.from_bytes(keccak(text=f"{name}({','.join(_type(e) for e in entry['inputs'])})"), "big")
        plain = [e for e in entry["inputs"] if not e["indexed"]]
        for _, topics, data in self.chain.logs:
            if topics and topics[0] == topic:
                return _named(plain, decode([_type(e) for e in plain], data))
        return None


class Artifacts:
    """Compiled contracts of a folder; libraries are deployed when a contract first links them."""

    def __init__(self, folder: Path, chain: Chain, owner: bytes) -> None:
        self.folder, self.chain, self.owner = folder, chain, owner
        self.found = {path.stem: path for path in folder.rglob("*.json") if not path.stem.endswith(".dbg")}
        self.libraries: dict[str, bytes] = {}

    def read(self, name: str) -> dict[str, Any]:
        return json.loads(self.found[name].read_text())

    def library(self, name: str) -> bytes:
        if name not in self.libraries:
            self.libraries[name] = self.deploy(name).address
        return self.libraries[name]

    def deploy(self, name: str, *arguments: Any) -> Contract:
        made = self.read(name)
        code = made["bytecode"].removeprefix("0x")
        for names in made["linkReferences"].values():
            for library, places in names.items():
                address = self.library(library).hex()
                for place in places:
                    start = 2 * place["start"]
                    code = code[:start] + address + code[start + 40 :]
        inputs = [_type(e) for entry in made["abi"] if entry["type"] == "constructor" for e in entry["inputs"]]
        address = self.chain.create(self.owner, bytes.fromhex(code) + encode(inputs, arguments))
        return Contract(self.chain, made["abi"], address)

    def at(self, name: str, address: bytes) -> Contract:
        return Contract(self.chain, self.read(name)["abi"], address)


def _address(value: Any) -> bytes:
    return bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else value


class Market:
    """A market of the contracts: provider, pool, configurator, access list, oracle, and the tokens of each reserve."""

    def __init__(self, folder: Path, reserves: dict[str, Any], emodes: dict[str, Any]) -> None:
        self.chain = chain = Chain()
        self.admin = admin = account("admin")
        self.made = made = Artifacts(folder, chain, admin)
        provider = made.deploy("PoolAddressesProvider", "market", admin)
        tell = provider.tell
        tell(admin, "setPoolImpl", made.deploy("Pool", provider.address).address)
        self.pool = made.at("Pool", _address(provider.ask("getPool")))
        tell(admin, "setACLAdmin", admin)
        access = made.deploy("ACLManager", provider.address)
        tell(admin, "setACLManager", access.address)
        access.tell(admin, "addPoolAdmin", admin)
        tell(admin, "setPoolConfiguratorImpl", made.deploy("PoolConfigurator").address)
        self.configurator = made.at("PoolConfigurator", _address(provider.ask("getPoolConfigurator")))
        self.oracle = made.deploy("PriceOracle")
        tell(admin, "setPriceOracle", self.oracle.address)
        self.provider = provider
        kinds = ("AToken", "StableDebtToken", "VariableDebtToken")
        self.implementations = [made.deploy(kind, self.pool.address).address for kind in kinds]
        self.tokens: dict[str, Contract] = {}
        self.decimals: dict[str, int] = {}
        self.supplied: dict[str, Contract] = {}
        self.owed: dict[str, Contract] = {}
        self.approved: set[tuple[bytes, str]] = set()
        for number, category in emodes.items():
            terms = (category["ltv"], category["threshold"], 10_000 + category["bonus"])
            self.configurator.tell(admin, "setEModeCategory", int(number), *terms, NOBODY, number)
        for symbol, terms in reserves.items():
            self.add(symbol, terms)

    def add(self, symbol: str, terms: dict[str, Any]) -> None:
        """List a reserve."""
        admin, made, tell = self.admin, self.made, self.configurator.tell
        token = made.deploy("MintableERC20", symbol, symbol, terms["decimals"])
        rates = terms["rates"]
        strategy = made.deploy(
            "DefaultReserveInterestRateStrategy",
            self.provider.address,
            *(rates[name] for name in ("optimal", "base", "slope1", "slope2")),
            *(0, 0, 0, 0, 0),
        )
        names = (symbol, symbol, symbol, symbol, symbol, symbol, b"")
        a_token, stable, variable = self.implementations
        tokens = (a_token, stable, variable, terms["decimals"], strategy.address, token.address)
        tell(admin, "initReserves", [(*tokens, account("treasury"), NOBODY, *names)])
        asset = token.address
        limits = (terms["ltv"], terms["threshold"], 10_000 + terms["bonus"])
        tell(admin, "configureReserveAsCollateral", asset, *limits)
        tell(admin, "setReserveBorrowing", asset, True)
        tell(admin, "setReserveFactor", asset, terms["reserve_factor"])
        tell(admin, "setSupplyCap", asset, terms.get("supply_cap", 0))
        if terms.get("emode"):
            tell(admin, "setAssetEModeCategory", asset, terms["emode"])
        self.oracle.tell(admin, "setAssetPrice", asset, terms["price"])
        data = self.pool.ask("getReserveData", asset)
        self.tokens[symbol], self.decimals[symbol] = token, terms["decimals"]
        self.supplied[symbol] = made.at("AToken", _address(data["aTokenAddress"]))
        self.owed[symbol] = made.at("VariableDebtToken", _address(data["variableDebtTokenAddress"]))

    # --- what a step does ------------------------------------------------------------------------------------------

    def provide(self, who: bytes, symbol: str, amount: int) -> None:
        """Tokens for somebody who is about to pay them to the pool."""
        token = self.tokens[symbol]
        token.tell(self.admin, "mint", who, amount)
        if (who, symbol) not in self.approved:
            token.tell(who, "approve", self.pool.address, ALL)
            self.approved.add((who, symbol))

    def call(self, do: str, who: bytes, symbol: str, amount: int) -> tuple[Any, ...]:
        """Function of the pool and its arguments."""
        asset = self.tokens[symbol].address
        return {
            "supply": ("supply", asset, amount, who, 0),
            "withdraw": ("withdraw", asset, amount, who),
            "borrow": ("borrow", asset, amount, VARIABLE, 0, who),
            "repay": ("repay", asset, amount, VARIABLE, who),
        }[do]

    def act(self, step: dict[str, Any]) -> dict[str, Any]:
        """Supply, withdraw, borrow or repay; `amount` "all" is all of it."""
        do, symbol, who = step["do"], step["asset"], account(step["who"])
        amount = ALL if step["amount"] == "all" else step["amount"]
        if do in ("supply", "repay"):
            self.provide(who, symbol, self.owed[symbol].ask("balanceOf", who) if amount == ALL else amount)
        token = self.tokens[symbol]
        before = token.ask("balanceOf", who)
        self.pool.tell(who, *self.call(do, who, symbol, amount))
        return {"received": token.ask("balanceOf", who) - before}

    def price(self, step: dict[str, Any]) -> dict[str, Any]:
        self.oracle.tell(self.admin, "setAssetPrice", self.tokens[step["asset"]].address, step["price"])
        return {}

    def fee(self, step: dict[str, Any]) -> dict[str, Any]:
        """The treasury's share of liquidation bonuses."""
        for token in self.tokens.values():
            self.configurator.tell(self.admin, "setLiquidationProtocolFee", token.address, step["fee"])
        return {}

    def fall(self, step: dict[str, Any]) -> dict[str, Any]:
        """Lower the price of `asset` until the health factor is no more than `health` (1e-18), as it is a unit higher.

        With `above` the price is that unit higher.
        """
        asset, who, target = self.tokens[step["asset"]].address, account(step["who"]), step["health"]

        def health(price: int) -> int:
            self.oracle.tell(self.admin, "setAssetPrice", asset, price)
            return self.pool.ask("getUserAccountData", who)["healthFactor"]

        most = self.oracle.ask("getAssetPrice", asset)
        high, low = health(most), health(most // 2)
        if not health(1) <= target < high:
            raise ValueError(f"no lower price of {step['asset']} brings the health factor to {target}")
        near = most - (high - target) * (most - most // 2) // (high - low)
        price = largest(lambda price: health(price) <= target, 1, most, near)
        self.oracle.tell(self.admin, "setAssetPrice", asset, price + 1 if step.get("above") else price)
        return {}

    def emode(self, step: dict[str, Any]) -> dict[str, Any]:
        self.pool.tell(account(step["who"]), "setUserEMode", step["category"])
        return {}

    def boundary(self, step: dict[str, Any]) -> dict[str, Any]:
        """Largest amount with which `what` would go through, of those up to `most`, and the code of one unit more.

        `unit` is 1 where no other is given.
        """
        what, symbol, who = step["what"], step["asset"], account(step["who"])
        if what == "supply":
            self.provide(who, symbol, step["most"])

        def refused(amount: int) -> str | None:
            try:
                self.pool.would(who, *self.call(what, who, symbol, amount))
            except Reverted as error:
                return str(error)
            return None

        unit, most = step.get("unit", 1), step["most"]
        if refused(unit) is not None or refused(most) is None:
            raise ValueError(f"{what} {symbol}: the boundary is not between {unit} and {most}")
        data = self.pool.ask("getUserAccountData", who)
        worth, debt = data["totalCollateralBase"], data["totalDebtBase"]
        left = data["availableBorrowsBase"]
        if what == "withdraw":
            left = worth - debt * 10_000 // data["currentLiquidationThreshold"]
        near = left * 10 ** self.decimals[symbol] // self.oracle.ask("getAssetPrice", self.tokens[symbol].address)
        found = largest(lambda n: refused(n * unit) is None, 1, most // unit, near // unit)
        return {"largest": found * unit, "refused": refused((found + 1) * unit)}

    def liquidate(self, step: dict[str, Any]) -> dict[str, Any]:
        """One liquidation: of `debt` against `asset`, by `amount` or by as much as the contract lets through.

        `seized` is what the liquidator gets, `fee` what the treasury gets (scaled).
        """
        debtor, debt, taken = account(step["who"]), step["debt"], step["asset"]
        liquidator, treasury = account("liquidator"), account("treasury")
        self.provide(liquidator, debt, self.owed[debt].ask("balanceOf", debtor))
        supplied = self.supplied[taken]
        asset = self.tokens[taken].address, self.tokens[debt].address
        amount = step.get("amount", "all")
        before = [self.user(debtor), supplied.ask("scaledBalanceOf", treasury)]
        self.pool.tell(liquidator, "liquidationCall", *asset, debtor, ALL if amount == "all" else amount, False)
        event = self.pool.event("LiquidationCall")
        assert event is not None
        after = [self.user(debtor), supplied.ask("scaledBalanceOf", treasury)]
        return {
            "asset": taken,
            "debt": debt,
            "repaid": event["debtToCover"],
            "seized": event["liquidatedCollateralAmount"],
            "fee": after[1] - before[1],
            "before": before[0],
            "after": after[0],
        }

    def liquidate_all(self, step: dict[str, Any]) -> dict[str, Any]:
        """Liquidations, each of the largest debt against the largest collateral, while the contract lets them through.

        The clock stands still meanwhile.
        """
        calls: list[dict[str, Any]] = []
        refused = None
        while refused is None and len(calls) < 64:
            worth = self.worth(account(step["who"]))
            asset = max(worth["supplied"], key=worth["supplied"].__getitem__)
            debt = max(worth["owed"], key=worth["owed"].__getitem__)
            try:
                calls.append(self.liquidate({"who": step["who"], "asset": asset, "debt": debt}))
            except Reverted as error:
                refused = str(error)
        return {"calls": calls, "refused": refused}

    # --- what it leaves --------------------------------------------------------------------------------------------

    def worth(self, who: bytes) -> dict[str, dict[str, int]]:
        """What is supplied and owed of each asset, 1e-8 USD in units of 1e-18 tokens: only to compare."""
        out: dict[str, dict[str, int]] = {"supplied": {}, "owed": {}}
        for symbol, token in self.tokens.items():
            unit = self.oracle.ask("getAssetPrice", token.address) * 10 ** (18 - self.decimals[symbol])
            out["supplied"][symbol] = unit * self.supplied[symbol].ask("balanceOf", who)
            out["owed"][symbol] = unit * self.owed[symbol].ask("balanceOf", who)
        return out

    def reserve(self, symbol: str) -> dict[str, int]:
        """Indices as stored and as they stand now, rates, when they were stored, price."""
        asset = self.tokens[symbol].address
        data = self.pool.ask("getReserveData", asset)
        return {
            "liquidity_index": data["liquidityIndex"],
            "borrow_index": data["variableBorrowIndex"],
            "income": self.pool.ask("getReserveNormalizedIncome", asset),
            "debt": self.pool.ask("getReserveNormalizedVariableDebt", asset),
            "supply_rate": data["currentLiquidityRate"],
            "borrow_rate": data["currentVariableBorrowRate"],
            "stored": data["lastUpdateTimestamp"] - START,
            "price": self.oracle.ask("getAssetPrice", asset),
        }

    def user(self, who: bytes) -> dict[str, Any]:
        """Scaled balances, and the account as the pool sees it."""
        data = self.pool.ask("getUserAccountData", who)
        return {
            "supplied": {s: t.ask("scaledBalanceOf", who) for s, t in self.supplied.items()},
            "owed": {s: t.ask("scaledBalanceOf", who) for s, t in self.owed.items()},
            "collateral": data["totalCollateralBase"],
            "debt": data["totalDebtBase"],
            "threshold": data["currentLiquidationThreshold"],
            "ltv": data["ltv"],
            "available": data["availableBorrowsBase"],
            "health_factor": data["healthFactor"],
        }

    def take(self, step: dict[str, Any]) -> dict[str, Any]:
        """Carry a step out."""
        actions: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "price": self.price, "fee": self.fee, "fall": self.fall, "emode": self.emode, "boundary": self.boundary,
            "liquidate": self.liquidate, "liquidate_all": self.liquidate_all, "look": lambda step: {},
        }  # fmt: skip
        if "at" in step:
            self.chain.time = step["at"]
        before = self.chain.state.snapshot()
        out: dict[str, Any] = {"time": self.chain.time, "error": None}
        try:
            out |= actions.get(step["do"], self.act)(step)
        except Reverted as error:
            self.chain.state.revert(before)
            out["error"] = str(error)
        else:
            self.chain.state.commit(before)
        out["reserves"] = {symbol: self.reserve(symbol) for symbol in step.get("see", self.tokens)}
        watched = step.get("watch", [step["who"]] if "who" in step else [])
        out["users"] = {name: self.user(account(name)) for name in watched}
        return out


class Markets:
    """Markets by what they are and how they open; each scenario begins with its market as it was then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: dict[str, tuple[Market, set[tuple[bytes, str]]]] = {}

    def run(self, scenario: dict[str, Any]) -> list[dict[str, Any]]:
        reserves, emodes, opening = (scenario.get(name) or {} for name in ("reserves", "emodes", "opening"))
        key = json.dumps([reserves, emodes, opening])
        if key not in self.kept:
            market = Market(self.folder, reserves, emodes)
            for step in opening:
                if market.take(step | {"see": [], "watch": []})["error"]:
                    raise ValueError(f"refused in the opening: {step}")
            self.kept[key] = market, set(market.approved)
        market, approved = self.kept[key]
        before, context = market.chain.state.snapshot(), market.chain.state.execution_context
        try:
            return [market.take(step) for step in scenario["steps"]]
        finally:
            market.chain.state.revert(before)
            market.chain.state.execution_context = context
            market.approved = set(approved)


def main(folder: Path) -> None:
    markets = Markets(folder)
    for line in sys.stdin:
        try:
            answer: Any = markets.run(json.loads(line))
        except Exception:
            # a scenario that makes no sense
            answer = {"failed": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
