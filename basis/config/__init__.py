"""Configuration: YAML, environment and overrides to one frozen Config. Imports pydantic and PyYAML only."""

from basis.config.loader import list_modes, load_config
from basis.config.models import Config, Flow
from basis.config.venues import Dated, Venue
from basis.config_files import config_dir

__all__ = ["Config", "Dated", "Flow", "Venue", "config_dir", "list_modes", "load_config"]
