"""YAML out: a writer whose text is deterministic. `basis.config_files` reads YAML.

May import PyYAML and this package's leaf modules only.
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import yaml

from basis.config.durations import format_duration, format_instant

#: Length of a line, characters.
_LINE_WIDTH = 120


class _Dumper(yaml.SafeDumper):
    """Safe dumper without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def plain(value: Any) -> Any:
    """Reduce a dumped model to what YAML knows; durations and instants as configuration writes them."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, datetime):
        return format_instant(value)
    return None if isinstance(value, float) and math.isinf(value) else value


def dump_yaml(value: Any) -> str:
    """Write YAML in the order of the keys."""
    return yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_LINE_WIDTH, default_flow_style=None
    )
