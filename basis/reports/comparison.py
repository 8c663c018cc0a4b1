"""Runs side by side, as users hold them: tables, figures and a report. pandas and plotly are imported on use."""

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis.config.layers import propose
from basis.errors import InputError, as_path, checked_call
from basis.reports import comparison_tables as tables
from basis.reports.result import Result, open_run
from basis.results.comparison import RunComparison, distinct_names
from basis.results.folder import MANIFEST

if TYPE_CHECKING:
    import pandas as pd

    from basis.plots.accessor import ComparisonPlots

#: Folder in which `basis backtest` saves runs, by their id.
RUNS = Path("runs")


class Comparison(RunComparison):
    """Runs side by side; made by `compare`.

    Attributes
    ----------
    results : dict[str, Result]
        By name, in the order given. Every table has its columns in that order.
    runs : pandas.DataFrame
        One row per run: run_id, mode, share_class, start, end, rows, status, and the user's own strategy, if any.
    stats : pandas.DataFrame
        `Result.stats` of each run; money is in the run's own share class.
    formatted : pandas.DataFrame
        `stats` as texts with units.
    attribution : pandas.DataFrame
        Total of each attribution column, share class of the run. The totals of a run sum to its P&L.
    contribution : pandas.DataFrame
        The totals as a fraction of the equity at the start, so that runs of different capital or share class compare.
    equity : pandas.DataFrame
        Time-weighted growth of 1 by row, before costs of row 0; flows do not count. NaN in rows that a run lacks.
    config : pandas.DataFrame
        Keys of the complete configuration in which the runs differ; ``–`` if a run has no such key.
    notes : list[str]
        What a reader should know before comparing the runs.
    plot : ComparisonPlots
        Figures: ``plot.overview()``, ``.growth()``, ``.drawdown()``, ``.attribution()``, ``.differences()``.
    """

    results: "dict[str, Result]"

    def __init__(self, results: Mapping[str, Result]) -> None:
        super().__init__(results)

    @functools.cached_property
    def formatted(self) -> "pd.DataFrame":
        return tables.formatted_stats(self)

    @property
    def notes(self) -> list[str]:
        return tables.notes(self)

    @functools.cached_property
    def plot(self) -> "ComparisonPlots":
        from basis.plots.accessor import ComparisonPlots
        from basis.reports.plot_data import run_data

        return ComparisonPlots({name: run_data(run) for name, run in self.results.items()}, tables.config_rows(self))

    def report(self, path: "str | Path") -> Path:
        """Write the comparison: one HTML file that needs no network. An existing file is replaced.

        Raises
        ------
        InputError
            If the file cannot be written, or if it exists and is not an HTML file.
        """
        from basis.reports.comparison_report import make_report
        from basis.reports.html_page import write_page

        return write_page(make_report(self), path)

    def __repr__(self) -> str:
        parts = [self.formatted.to_string()]
        if len(self.config):
            differences = self.config.map(tables.short_value).to_string(header=False, index_names=False)
            parts.append("configuration:\n" + differences)
        return "\n\n".join([*parts, *self.notes])

    def _repr_html_(self) -> str:
        return tables.notebook_html(self)


@checked_call
def compare(*runs: "Result | str | os.PathLike[str]", names: "Sequence[str] | None" = None) -> Comparison:
    """Put runs side by side.

    Parameters
    ----------
    runs : Result, str or Path
        Two or more results, run folders, or ids of runs in ``runs/``.
    names : sequence of str, optional
        Names of the runs; by default their modes, with the hash of the run if two have the same mode.

    Returns
    -------
    Comparison
        Its tables are pandas frames: `stats`, `attribution`, `contribution`, `equity`, `config`, `runs`.

    Raises
    ------
    InputError
        If there are fewer than two runs, a folder is not a run folder, or the names are not one distinct text per run.

    Notes
    -----
    Runs of different share classes can be compared, and nothing is converted: returns, growth and money are in the
    share class of each run, which is shown beside them.

    Examples
    --------
    >>> window = {"start": "2024-06-01", "end": "2024-06-30"}
    >>> lean, safe = (basis.backtest(basis.BtcBasis(margin_ratio_target=m, **window)) for m in (0.3, 0.8))
    >>> both = basis.compare(lean, safe, names=["lean", "safe"])
    >>> both.config
                                 lean safe
    key
    strategy.margin_ratio_target  0.3  0.8
    >>> bool(both.stats.loc["pnl", "lean"] == lean.stats()["pnl"])
    True
    """
    if len(runs) < 2:
        raise InputError(f"{len(runs)} run{'' if len(runs) == 1 else 's'} to compare: give two or more.")
    results = [_open(run) for run in runs]
    if names is None:
        return Comparison(dict(zip(distinct_names(results), results, strict=True)))
    given = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    if len(given) != len(results) or not all(isinstance(name, str) for name in given) or len(set(given)) < len(given):
        raise InputError(f"names={given!r}: give {len(results)} different texts, one for each run.")
    return Comparison(dict(zip(given, results, strict=True)))


def _open(run: Any) -> Result:
    """The result given, or the one in a folder or under an id."""
    if isinstance(run, Result):
        return run
    if not isinstance(run, str | os.PathLike):
        raise InputError(f"Cannot compare {run!r}. Give a result, a run folder, or the id of a run in {RUNS}/.")
    folder = as_path(run, "A run")
    if folder.exists() or len(folder.parts) > 1:
        return open_run(folder)
    if (RUNS / folder / MANIFEST).is_file():
        return open_run(RUNS / folder)
    if RUNS.is_dir():
        ids = sorted(path.parent.name for path in RUNS.glob(f"*/{MANIFEST}"))
        hint = propose(str(run), ids) if ids else ""
        raise InputError(f"There is no run {run}: it is neither a folder nor an id in {RUNS}/.{hint}")
    return open_run(folder)
