"""ExecutionInterfaceFactory: one client per venue, chosen by mode and environment."""

import os
from collections.abc import Mapping
from typing import Any

from ..config import Config
from ..config.layers import propose
from ..errors import InputError
from .interface import VenueInterface
from .simulation import ExchangeSimulation, ProtocolSimulation, WalletSimulation

ENVIRONMENTS = ("dev", "staging", "production")
#: (flavour, kind of venue) → class of its client. A live client is one more entry.
CLIENTS: dict[tuple[str, str], type[VenueInterface]] = {
    ("simulation", "exchange"): ExchangeSimulation,
    ("simulation", "protocol"): ProtocolSimulation,
    ("simulation", "dex"): ProtocolSimulation,
    ("simulation", "wallet"): WalletSimulation,
}


def checked_environment() -> str:
    """The environment that ``BASIS_ENVIRONMENT`` names.

    Raises
    ------
    InputError
        For one that does not exist.
    """
    environment = os.environ.get("BASIS_ENVIRONMENT") or "dev"
    if environment not in ENVIRONMENTS:
        raise InputError(f"BASIS_ENVIRONMENT is {environment!r}; it must be one of {', '.join(ENVIRONMENTS)}.")
    return environment


def flavour(execution_mode: str) -> str:
    """``simulation`` for backtests; live is ``live`` in production and ``testnet`` elsewhere (``BASIS_ENVIRONMENT``).

    Raises
    ------
    InputError
        For a mode or environment that does not exist.
    """
    environment = checked_environment()
    if execution_mode == "backtest":
        return "simulation"
    if execution_mode != "live":
        raise InputError(f"execution_mode {execution_mode!r}; it must be 'backtest' or 'live'.")
    return "live" if environment == "production" else "testnet"


class ExecutionInterfaceFactory:
    """Makes and wires the clients of the venues."""

    @staticmethod
    def create_all_interfaces(
        execution_mode: str, config: Config, classes: Mapping[str, type[VenueInterface]] | None = None
    ) -> dict[str, VenueInterface]:
        """A client for every venue of the configuration.

        Parameters
        ----------
        execution_mode : ``backtest`` or ``live``
        classes : venue → class of its client, instead of the built-in one

        Raises
        ------
        InputError
            Where a venue has no client of the kind, or `classes` names an unknown venue.
        """
        kind = flavour(execution_mode)
        chosen = dict(classes or {})
        for name, given in chosen.items():
            if not (isinstance(given, type) and issubclass(given, VenueInterface)):
                raise InputError(f"interfaces: {name} is {given!r}; it must be a subclass of VenueInterface.")
        unknown = [name for name in chosen if name not in config.venues]
        if unknown:
            raise InputError(f"interfaces: no venue {unknown[0]!r} in this run.{propose(unknown[0], config.venues)}")
        made = {}
        for name, venue in config.venues.items():
            client = chosen.get(name) or CLIENTS.get((kind, venue.kind))
            if client is None:
                raise InputError(f"execution_mode {execution_mode!r}: there is no {kind} client of {name} yet.")
            made[name] = client(name, config)
        return made

    @staticmethod
    def set_interface_dependencies(
        interfaces: Mapping[str, VenueInterface], position_monitor: Any, event_logger: Any, data_provider: Any
    ) -> None:
        """Give every client what it may look at."""
        for client in interfaces.values():
            client.position_monitor = position_monitor
            client.event_logger = event_logger
            client.data_provider = data_provider
