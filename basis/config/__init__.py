"""Configuration: YAML, environment and overrides to one frozen Config. Imports pydantic and PyYAML only."""

from basis.config.loader import config_dir, list_modes, load_config
from basis.config.models import Config, Flow
from basis.config.venues import Dated, Venue

__all__ = ["Config", "Dated", "Flow", "Venue", "config_dir", "list_modes", "load_config"]
