"""What a strategy sees of its run in plain Python, and the names that a view has, compiled or not."""

from typing import Any

from ..components.run_state import RunState
from ..config.layers import propose
from ..errors import InputError
from ..inputs.slots import Slots
from ..kernel.layout.shape import Shape, policy_views, seen_views
from ..kernel.layout.state import POLICY, VIEW

#: Flags of a view, which are numbers to the kernel.
FLAGS = ("arrived", "first", "last", "reverted", "signal_trusted")
#: Numbers of a view.
NUMBERS = tuple(item.name for item in VIEW.items if item.count == "" and item.name not in FLAGS)
#: Texts of a view: names of what a mode is about, so that one strategy serves several modes.
TEXTS = ("asset", "wallet", "staking_token", "staking_wallet", "long_side", "short_side")
#: What a view has by asset, instrument or venue.
METHODS = ("long", "short", "price", "quantity", "venues", "weight", "cash", "perp")
#: Numbers of the policy.
POLICY_NUMBERS = tuple(item.name for item in POLICY.items if item.count == "")


class PolicyView:
    """The policy of a run by name, such as ``view.policy.margin_low``; see `basis.kernel.layout.state.POLICY`."""

    def __init__(self, shape: Shape, policy: Any) -> None:
        self._policy = policy_views(shape, policy)

    def __getattr__(self, name: str) -> float:
        if name in POLICY_NUMBERS:
            return float(getattr(self._policy, name)[0])
        raise AttributeError(f"A policy has no {name!r}.{propose(name, POLICY_NUMBERS)}")


class SeenView:
    """A view over numbers that the kernel has written for a strategy.

    Parameters
    ----------
    slots : of the book
    seen : (view width,) what the kernel has written
    policy : (policies,) the policy of the run
    names : texts of the mode
    """

    def __init__(self, slots: Slots, seen: Any, policy: Any, names: dict[str, str]) -> None:
        shape = slots.shape()
        self._slots, self._names = slots, names
        self._seen = seen_views(shape, seen[None, :])
        self._weights = policy_views(shape, policy[:, None]).weight
        self.policy = PolicyView(shape, policy[:, None])

    def __getattr__(self, name: str) -> Any:
        if name in NUMBERS:
            return float(getattr(self._seen, name)[0])
        if name in FLAGS:
            return bool(getattr(self._seen, name)[0] > 0.0)
        if name in TEXTS:
            if name not in self._names:
                raise InputError(f"view.{name}: this mode has none. It has {', '.join(self._names)}.")
            return self._names[name]
        names = (*NUMBERS, *FLAGS, *TEXTS, "memory", "policy", *METHODS)
        raise AttributeError(f"A view has no {name!r}.{propose(name, names)}")

    @property
    def memory(self) -> Any:
        """Numbers that the strategy keeps; they may be written."""
        return self._seen.memory[0]

    def _of_asset(self, asset: str, numbers: Any) -> float:
        assets = self._slots.assets
        if asset not in assets:
            raise InputError(f"No asset {asset!r} in this run.{propose(asset, assets)}")
        return float(numbers[0, assets.index(asset)])

    def long(self, asset: str) -> float:
        """Units held long, spot and on-chain."""
        return self._of_asset(asset, self._seen.long)

    def short(self, asset: str) -> float:
        """Units short in perps."""
        return self._of_asset(asset, self._seen.short)

    def price(self, asset: str) -> float:
        """Share class per unit; 1 for the share class itself."""
        return 1.0 if asset == self._slots.share_class else self._of_asset(asset, self._seen.price)

    def quantity(self, key: str) -> float:
        """Stored quantity of an instrument, 0 where the book has none."""
        slot = self._slots.index(key)
        return 0.0 if slot < 0 else float(self._seen.quantity[0, slot])

    def venues(self) -> int:
        """Number of exchanges."""
        return len(self._slots.venues)

    def weight(self, venue: int) -> float:
        """Share of the hedge of an exchange, by its place."""
        return float(self._weights[venue, 0])

    def cash(self, venue: int) -> float:
        """Cash at an exchange, quote units, by its place."""
        return float(self._seen.quantity[0, venue])

    def perp(self, asset: str, venue: int) -> float:
        """Quantity of an asset's perp at an exchange, by its place."""
        market = self._slots.markets.index(f"{asset}USDT")
        slot = self._slots.shape().first_perp + venue * len(self._slots.markets) + market
        return float(self._seen.quantity[0, slot])


class View(SeenView):
    """What a strategy sees of the run, the same as a compiled one; a copy.

    Attributes
    ----------
    equity, gross, gas_cost : share class
    drift, invested : largest net delta and the long leg, fractions of equity
    ltv, health_factor, margin_low, margin_high : ratios; margin on its way counts in the last two
    pending : what is owed to the investor, share class
    alert : highest level reported (0, 1 warning, 2 critical)
    rate : what a rate rule watches, per year
    quote_price : share class per USDT
    dust : worth of the reward tokens, share class
    arrived, first, last : whether something arrived, first row, last row
    reverted : whether a transaction reverted within the last day
    memory : what the strategy kept
    policy : the policy of the run by name
    asset, wallet : the asset of the mode, the key of its token in the wallet
    """

    def __init__(self, run: RunState) -> None:
        names = dict(run.strategy.names(run.config))
        super().__init__(run.slots, run.scratch.seen[0].copy(), run.policy[:, 0], names)

    @property
    def memory(self) -> tuple[float, ...]:
        """What the strategy kept."""
        return tuple(self._seen.memory[0].tolist())
