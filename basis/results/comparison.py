"""Tables of several runs side by side: what differs in their configurations, and in their results.

pandas is imported on use. `basis.reports.comparison.Comparison` adds figures and a report.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from basis.config.display import differences
from basis.kernel.layout.codes import COLUMN_NAMES
from basis.results import measures
from basis.results.periods import returns_by_period
from basis.results.run import Run
from basis.results.stats import make_stats, stats_series

if TYPE_CHECKING:
    import pandas as pd


class RunComparison:
    """Several runs side by side. `basis.reports.comparison.Comparison` documents the tables."""

    def __init__(self, results: Mapping[str, Run]) -> None:
        self.results = dict(results)

    @functools.cached_property
    def runs(self) -> "pd.DataFrame":
        import pandas as pd

        rows = {}
        for name, run in self.results.items():
            headline = {key: run.summary[key] for key in ("mode", "share_class", "start", "end", "rows", "status")}
            rows[name] = {"run_id": run.run_id, **headline, "strategy": run.manifest["strategy"]}
            for end in ("start", "end"):
                rows[name][end] = pd.Timestamp(rows[name][end])
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")

    @property
    def share_classes(self) -> dict[str, str]:
        """Share class of each run."""
        return {name: run.summary["share_class"] for name, run in self.results.items()}

    @functools.cached_property
    def stats(self) -> "pd.DataFrame":
        import pandas as pd

        columns = {
            name: stats_series(make_stats(run.summary, run.table("equity")), run.summary["share_class"], run.run_id)
            for name, run in self.results.items()
        }
        return self._with_share_classes(pd.DataFrame(columns).rename_axis("stat"))

    @functools.cached_property
    def attribution(self) -> "pd.DataFrame":
        import pandas as pd

        totals = {
            name: {column: run.summary["attribution"][column] for column in COLUMN_NAMES}
            for name, run in self.results.items()
        }
        return self._with_share_classes(pd.DataFrame(totals, dtype=float).rename_axis("column"))

    @functools.cached_property
    def contribution(self) -> "pd.DataFrame":
        start = {name: run.summary["initial_equity"] for name, run in self.results.items()}
        fractions = self.attribution / start
        fractions.attrs = {"unit": "fraction of the equity at start"}
        return fractions

    @functools.cached_property
    def equity(self) -> "pd.DataFrame":
        import pandas as pd

        growth = {}
        for name, run in self.results.items():
            returns = returns_by_period(
                run.table("equity")["timestamp"], run.row_returns, None, run.config.bar_interval
            )
            growth[name] = pd.Series(measures.wealth(run.row_returns), returns.index)
        frame = pd.DataFrame(growth).rename_axis("timestamp")
        frame.attrs = {"unit": "times the equity at start"}
        return frame

    @functools.cached_property
    def config(self) -> "pd.DataFrame":
        import pandas as pd

        trees = [run.config.to_dict() for run in self.results.values()]
        for tree in trees:
            # both follow from the mode
            del tree["description"], tree["assets"]
        found = dict(differences(trees))
        frame = pd.DataFrame(index=pd.Index(list(found), name="key", dtype="str"), columns=list(self.results))
        for key, values in found.items():
            # cell by cell, since pandas would turn a value that is a list into a row
            for name, value in zip(self.results, values, strict=True):
                frame.at[key, name] = value
        return frame

    def _with_share_classes(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        frame.attrs = {"share_class": self.share_classes}
        return frame


def distinct_names(runs: Sequence[Run]) -> list[str]:
    """A name for each run: its mode, with the hash of its id if runs share a mode, and a number if those are equal."""
    modes = [run.summary["mode"] for run in runs]
    names = [
        mode if modes.count(mode) == 1 else f"{mode} {run.run_id.rpartition('-')[2]}"
        for mode, run in zip(modes, runs, strict=True)
    ]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    ]
