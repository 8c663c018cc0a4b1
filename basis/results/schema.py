"""What the files of a run folder must hold. Anybody may have written them, so nothing in them is trusted to be there.

A file may hold more than is named here: a later version writes more. Imports pydantic.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from basis.files import Unreadable, is_name
from basis.kernel.layout.codes import COLUMN_NAMES

#: Columns that a table must have; it may have more, by instrument and venue.
COLUMNS = {
    "equity": ("equity", "net_flow", "withdrawal_pending", "pnl_balance", "pnl_attributed", "residual"),
    "attribution": COLUMN_NAMES,
    "exposure": ("gross",),
    "risk": ("ltv", "health_factor"),
}
#: What is wrong with a file is told of so many places at most.
_MOST_PLACES = 3
_STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?Z"


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("must be a name, not a path")
    return text


def _data_file(text: str) -> str:
    """A file of a data set: a folder and a name."""
    folder, _, file = text.partition("/")
    if not (is_name(folder) and is_name(file) and file.endswith(".parquet")):
        raise ValueError("must be a parquet file of a data set, such as spot/binance_btcusdt.parquet")
    return text


def _folder(text: str) -> str:
    if text.startswith(("//", "\\\\")) or "\0" in text:
        raise ValueError("must be a folder of this machine")
    return text


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=0)]
Name = Annotated[str, AfterValidator(_name)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Stamp = Annotated[str, Field(pattern=f"^{_STAMP}$")]
Share = Annotated[Number, Field(ge=0.0, le=1.0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)


class Coverage(_Part):
    """Share of the rows that a series' own source, and all its sources, cover."""

    own: Share
    resolved: Share


class _Package(_Part):
    name: str
    version: str
    sha256: Hash


class _Kernel(_Part):
    sha256: Hash


class _Config(_Part):
    file: Literal["config.yaml"]
    sha256: Hash


class _Window(_Part):
    start: Stamp
    end: Stamp


class _Resumed(_Part):
    timestamp: Stamp
    file: Literal["checkpoint.npz"]


class Manifest(_Part):
    """`manifest.json`."""

    run_id: Name
    created: str
    package: _Package
    kernel: _Kernel
    versions: dict[str, str]
    config: _Config
    window: _Window
    strategy: str | None
    own_code: dict[str, str] = {}
    positions: dict[str, Number] | None
    resumed: _Resumed | None
    data_dir: Annotated[str, AfterValidator(_folder)] | None
    data: dict[Annotated[str, AfterValidator(_data_file)], Hash]
    coverage: dict[str, Coverage]
    notes: list[str]
    warnings: list[str] = []
    tables: dict[Name, Hash]
    files: dict[Name, Hash] = {}
    sha256: Hash | None = None


class _Alerts(_Part):
    warning: Count
    critical: Count


class Summary(_Part):
    """`summary.json`."""

    run_id: Name
    status: Literal["complete", "stopped"]
    cause: str | None
    mode: str
    share_class: Literal["USDT", "ETH"]
    start: Stamp
    end: Stamp
    rows: Count
    initial_equity: Number
    final_equity: Number
    net_flows: Number
    total_return: Number | None
    cagr_365: Number | None
    volatility_365: Number | None
    sharpe_365: Number | None
    sortino_365: Number | None
    max_drawdown: Number | None
    calmar: Number | None
    attribution: dict[str, Number]
    fills: Count
    turnover: Number | None
    liquidations: Count
    alerts: _Alerts
    min_health_factor: Number | None
    min_margin_ratio: dict[str, Number | None]
    funding_coverage: dict[str, Coverage] = {}


def check(kind: type[_Part], content: Any) -> dict[str, Any]:
    """The content of a JSON file, held against what it must hold.

    Raises
    ------
    Unreadable
        Names the places that are wrong and what they must be.
    """
    try:
        kind.model_validate(content)
    except (ValidationError, RecursionError) as error:
        raise Unreadable(_complaint(error)) from error
    if kind is Summary and (missing := [name for name in COLUMN_NAMES if name not in content["attribution"]]):
        raise Unreadable(f"attribution has no {', '.join(missing[:_MOST_PLACES])}")
    return content


def _complaint(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "it is nested too deeply"
    found = [
        f"{'.'.join(map(str, each['loc'])) or 'it'}: {re.sub('^(Input|Value error,) ', '', each['msg'])}"
        for each in error.errors(include_url=False, include_input=False)[:_MOST_PLACES]
    ]
    more = error.error_count() - len(found)
    return "; ".join(found) + (f"; and {more} more" if more else "")
