"""Facts about assets, from `configs/assets.yaml`: wrappers, liquid staking tokens, where they are staked, traded, lent.

Leaf module: it may import `basis.config_files`, `basis.errors` and `basis.kernel.keys` only. The kernel takes what it
needs of these facts as an argument.
"""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from basis.config_files import config_file, read_yaml
from basis.errors import ConfigError
from basis.kernel.keys import GAS_ASSET, QUOTE_ASSET

FILE = "assets.yaml"
#: Number of versions of the file that are kept: the one that ships, and a test's own.
_KEPT = 4


@dataclass(frozen=True, slots=True)
class StakingToken:
    """A liquid staking token.

    Attributes
    ----------
    symbol : name of the token
    underlying : asset in which its protocol keeps its worth
    staked_at : venue of the protocol, which changes the underlying into the token and back
    traded_at : venue of the market, which does so at once and at its price
    """

    symbol: str
    underlying: str
    staked_at: str
    traded_at: str


@dataclass(frozen=True, slots=True)
class LendingProtocol:
    """A venue that lends.

    Attributes
    ----------
    name : name of the venue
    folder : folder of a data set that holds the series of its reserves
    """

    name: str
    folder: str


@dataclass(frozen=True, eq=False)
class Assets:
    """Everything that `configs/assets.yaml` says; an asset that it does not name is priced by a series of its own.

    Attributes
    ----------
    wrappers : token that stands for an asset one for one → that asset
    staking_tokens : liquid staking tokens by symbol
    lending_protocols : lending venues by name
    swap_venue : venue at which the wallet changes USDT and reward tokens for ether
    """

    wrappers: Mapping[str, str]
    staking_tokens: Mapping[str, StakingToken]
    lending_protocols: Mapping[str, LendingProtocol]
    swap_venue: str

    def underlying_of(self, symbol: str) -> str:
        """The asset whose price moves a token: ``ETH`` of weETH, WETH and ETH."""
        if symbol in self.staking_tokens:
            return self.staking_tokens[symbol].underlying
        return self.wrappers.get(symbol, symbol)

    def is_staking_token(self, symbol: str) -> bool:
        """Whether a token is worth its underlying times a rate of its protocol."""
        return symbol in self.staking_tokens

    def wrapper_of(self, asset: str) -> str | None:
        """The token that stands for an asset on chain: ``WETH`` of ETH; None where there is none."""
        return next((token for token, wrapped in self.wrappers.items() if wrapped == asset), None)

    def reserve_of(self, asset: str) -> str:
        """The name under which a lending protocol holds an asset: ``WETH`` of ETH, ``USDT`` of USDT."""
        return self.wrapper_of(asset) or asset

    def lending_folders(self) -> tuple[str, ...]:
        """Folders of a data set that hold reserves of lending protocols, each once."""
        return tuple(dict.fromkeys(protocol.folder for protocol in self.lending_protocols.values()))

    def symbol_of_file(self, stem: str) -> str:
        """The token that a file of a data set is of: ``weETH`` of ``weeth``."""
        known = (QUOTE_ASSET, GAS_ASSET, *self.wrappers, *self.staking_tokens)
        return next((symbol for symbol in known if symbol.lower() == stem), stem.upper())


def load_assets() -> Assets:
    """The facts as they ship. The file is read on first use, and again only when it has changed.

    Raises
    ------
    ConfigError
        Where the file lacks a key or holds an unknown one; the message names it.
    """
    path = config_file(FILE)
    try:
        stat = path.stat()
    except OSError as error:
        raise ConfigError(f"Cannot read configuration file {path}: {error}") from error
    return _load(path, stat.st_mtime_ns, stat.st_size)


def facts_hash() -> str:
    """sha256 of `configs/assets.yaml`: what a run depends on beside its configuration and its data."""
    return hashlib.sha256(config_file(FILE).read_bytes()).hexdigest()


@functools.lru_cache(maxsize=_KEPT)
def _load(path: Path, _modified: int, _size: int) -> Assets:
    raw = read_yaml(path)
    _check_keys(raw, ("wrappers", "liquid_staking_tokens", "swap_venue", "lending_protocols"), FILE)
    return Assets(
        wrappers=dict(_section(raw, "wrappers")),
        staking_tokens=_records(raw, "liquid_staking_tokens", StakingToken, "symbol"),
        lending_protocols=_records(raw, "lending_protocols", LendingProtocol, "name"),
        swap_venue=raw["swap_venue"],
    )


def _section(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = raw[name]
    if not isinstance(section, Mapping):
        raise ConfigError(f"Invalid {FILE}: {name} is {section!r}. It must be a mapping.")
    return section


def _records(raw: Mapping[str, Any], name: str, kind: Any, identity: str) -> dict[str, Any]:
    """The entries of a section as records; the key of an entry is the field `identity`."""
    wanted = tuple(field for field in kind.__dataclass_fields__ if field != identity)
    made = {}
    for key, entry in _section(raw, name).items():
        _check_keys(entry, wanted, f"{FILE}: {name}.{key}")
        made[key] = kind(key, **entry)
    return made


def _check_keys(given: Any, wanted: tuple[str, ...], where: str) -> None:
    """Refuse what does not have exactly the keys that are wanted."""
    keys = set(given) if isinstance(given, Mapping) else {repr(given)}
    if keys != set(wanted):
        wrong = ", ".join(sorted(map(str, keys ^ set(wanted))))
        raise ConfigError(f"Invalid {where}: missing or unknown {wrong}. The keys are {', '.join(wanted)}.")
