"""Runs side by side: what differs in their configuration, and what came of it. pandas is imported on use."""

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

from basis.config.layers import refuse_arguments
from basis.errors import InputError
from basis.kernel.layout.codes import COLUMN_NAMES
from basis.results import measures, stats
from basis.results.card import day
from basis.results.folder import MANIFEST
from basis.results.result import Result, open_run

if TYPE_CHECKING:
    import pandas as pd

    from basis.plots.accessor import ComparisonPlots

#: Where `basis backtest` puts runs, by their id.
RUNS = Path("runs")
_ABSENT = "–"
#: A contribution below this is the rounding of sums.
_ROUNDING = 1e-9


class Comparison:
    """Runs side by side; made by `compare`.

    Attributes
    ----------
    results : dict[str, Result]
        By name, in the order given; every table has its columns in that order.
    runs : pandas.DataFrame
        A row per run: run_id, mode, share_class, start, end, rows, status, and its own strategy where it has one.
    stats : pandas.DataFrame
        `Result.stats` of each run; money is in the run's own share class.
    attribution : pandas.DataFrame
        Total of each column of the attribution, share class of the run; a column sums to the run's P&L.
    contribution : pandas.DataFrame
        The same as a fraction of the equity at the start, which runs of any capital and share class have in common.
    equity : pandas.DataFrame
        Growth of 1 by row, time-weighted (flows do not count), before costs of row 0; NaN where a run has no row.
    config : pandas.DataFrame
        Keys of the resolved configuration in which the runs differ; ``–`` where a run has no such key.
    plot : ComparisonPlots
        Figures: ``plot.overview()``, ``.growth()``, ``.drawdown()``, ``.attribution()``, ``.differences()``.
    """

    def __init__(self, results: Mapping[str, Result]) -> None:
        self.results = dict(results)

    @functools.cached_property
    def runs(self) -> "pd.DataFrame":
        import pandas as pd

        rows = {}
        for name, result in self.results.items():
            told = {key: result.summary[key] for key in ("mode", "share_class", "start", "end", "rows", "status")}
            rows[name] = {"run_id": result.run_id, **told, "strategy": result.manifest["strategy"]}
            for end in ("start", "end"):
                rows[name][end] = pd.Timestamp(rows[name][end])
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")

    @property
    def share_classes(self) -> dict[str, str]:
        """Share class of each run."""
        return {name: result.summary["share_class"] for name, result in self.results.items()}

    @functools.cached_property
    def stats(self) -> "pd.DataFrame":
        import pandas as pd

        found = pd.DataFrame({name: result.stats() for name, result in self.results.items()})
        return self._in_units(found.rename_axis("stat"))

    @functools.cached_property
    def formatted(self) -> "pd.DataFrame":
        """`stats` as texts with units, by their names in words."""
        import pandas as pd

        return pd.DataFrame({name: result.stats(formatted=True) for name, result in self.results.items()})

    @functools.cached_property
    def attribution(self) -> "pd.DataFrame":
        import pandas as pd

        totals = {
            name: {column: result.summary["attribution"][column] for column in COLUMN_NAMES}
            for name, result in self.results.items()
        }
        return self._in_units(pd.DataFrame(totals, dtype=float).rename_axis("column"))

    @functools.cached_property
    def contribution(self) -> "pd.DataFrame":
        start = {name: result.summary["initial_equity"] for name, result in self.results.items()}
        shares = self.attribution / start
        shares.attrs = {"unit": "fraction of the equity at start"}
        return shares

    @functools.cached_property
    def equity(self) -> "pd.DataFrame":
        import pandas as pd

        grown = {}
        for name, result in self.results.items():
            returns = result.returns()
            grown[name] = pd.Series(measures.wealth(returns.to_numpy()), returns.index)
        frame = pd.DataFrame(grown).rename_axis("timestamp")
        frame.attrs = {"unit": "times the equity at start"}
        return frame

    @functools.cached_property
    def config(self) -> "pd.DataFrame":
        import pandas as pd

        trees = [result.config.to_dict() for result in self.results.values()]
        for tree in trees:
            # these follow from the mode
            del tree["description"], tree["assets"]
        found = {key: values for key, values in _differences(trees)}
        frame = pd.DataFrame(index=pd.Index(list(found), name="key", dtype="str"), columns=list(self.results))
        for key, values in found.items():
            # a value may be a list, of which pandas would make a row
            for name, value in zip(self.results, values, strict=True):
                frame.at[key, name] = value
        return frame

    @functools.cached_property
    def plot(self) -> "ComparisonPlots":
        from basis.plots.accessor import ComparisonPlots
        from basis.results.numbers import run_numbers

        differences = zip(self.config.index, self.config.to_numpy().tolist(), strict=True)
        rows = [(str(key), *map(_short, values)) for key, values in differences]
        return ComparisonPlots({name: run_numbers(result) for name, result in self.results.items()}, rows)

    def report(self, path: "str | Path") -> Path:
        """Write the comparison: one HTML file that needs no network; replaces the file if it is there.

        Raises
        ------
        InputError
            Where it cannot be written, or what is there is no page.
        """
        from basis.results.comparison_page import make_page
        from basis.results.page import write_page

        return write_page(make_page(self), path)

    def _in_units(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        frame.attrs = {"share_class": self.share_classes}
        return frame

    @property
    def notes(self) -> list[str]:
        """What a reader should know before comparing, one sentence each."""
        notes = [f"{name}: {line}" for name, result in self.results.items() for line in _graver(result)]
        if len(set(self.share_classes.values())) > 1:
            told = ", ".join(f"{name} in {share_class}" for name, share_class in self.share_classes.items())
            notes.insert(0, f"Returns and money are each in the run's own share class: {told}.")
        spans = {(result.summary["start"], result.summary["end"]) for result in self.results.values()}
        if len(spans) > 1:
            told = ", ".join(
                f"{name} {day(result.summary['start'])} to {day(result.summary['end'])}"
                for name, result in self.results.items()
            )
            notes.append(f"The runs have different windows: {told}.")
        return notes

    def __repr__(self) -> str:
        parts = [self.formatted.to_string()]
        if len(self.config):
            parts.append("configuration:\n" + self.config.map(_short).to_string(header=False, index_names=False))
        return "\n\n".join([*parts, *self.notes])

    def _repr_html_(self) -> str:
        from html import escape

        shares = self.contribution.map(lambda share: stats.percent(share) if abs(share) >= _ROUNDING else "")
        shares = shares[(shares != "").any(axis=1)]
        tables = {
            "": self.formatted,
            "P&L by cause, of the equity at start": shares,
            "Configuration, where it differs": self.config.map(_short),
        }
        style = "style='display:inline-block;vertical-align:top;margin:0 28px 12px 0'"
        made = "".join(
            f"<div {style}><div style='opacity:0.7;font-size:85%'>{escape(title)}</div>"
            f"{table.rename_axis(None).to_html(border=0)}</div>"
            for title, table in tables.items()
            if len(table)
        )
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return f"<div>{made}" + (f"<ul style='font-size:90%'>{notes}</ul>" if notes else "") + "</div>"


def compare(
    *runs: "Result | str | os.PathLike[str]", names: "Sequence[str] | None" = None, **misspelt: Never
) -> Comparison:
    """Runs side by side.

    Parameters
    ----------
    runs : two or more results, run folders, or ids of runs in ``runs/``
    names : what to call them; None takes their modes, with the hash of the run where two are of one mode

    Returns
    -------
    Comparison
        Tables in pandas: `stats`, `attribution`, `contribution`, `equity`, `config`, `runs`.

    Raises
    ------
    InputError
        For fewer than two runs, a folder that is none of a run, or names that are not one each.

    Notes
    -----
    Runs of both share classes may be compared: nothing is converted. A return in ETH is one in ETH, growth is that of 1
    in the run's own share class, and what each is in is said beside it.

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
    refuse_arguments(compare, misspelt)
    if len(runs) < 2:
        raise InputError(f"{len(runs)} run{'' if len(runs) == 1 else 's'} to compare; give two or more.")
    results = [_opened(run) for run in runs]
    if names is None:
        return Comparison(dict(zip(_names(results), results, strict=True)))
    given = [names] if isinstance(names, str) else list(names)
    if len(given) != len(results) or len(set(given)) < len(given) or not all(isinstance(name, str) for name in given):
        raise InputError(f"names are {given!r}; give {len(results)} different texts, one for each run.")
    return Comparison(dict(zip(given, results, strict=True)))


def _opened(run: Any) -> Result:
    if isinstance(run, Result):
        return run
    if not isinstance(run, str | os.PathLike):
        raise InputError(f"{run!r} is no run; give a result, a run folder or the id of a run in {RUNS}/.")
    folder = Path(run)
    if folder.exists() or len(folder.parts) > 1:
        return open_run(folder)
    if (RUNS / folder / MANIFEST).is_file():
        return open_run(RUNS / folder)
    if RUNS.is_dir():
        from basis.config.layers import propose

        held = sorted(path.parent.name for path in RUNS.glob(f"*/{MANIFEST}"))
        raise InputError(
            f"No run {run}, neither a folder nor an id in {RUNS}/." + (propose(str(run), held) if held else "")
        )
    return open_run(folder)


def _names(results: Sequence[Result]) -> list[str]:
    """Mode of each, with the hash in its id where two are of one mode, and a number where they are the same run."""
    modes = [result.summary["mode"] for result in results]
    names = [
        mode if modes.count(mode) == 1 else f"{mode} {result.run_id.rpartition('-')[2]}"
        for mode, result in zip(modes, results, strict=True)
    ]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    ]


def _differences(trees: Sequence[Any], path: str = "") -> "list[tuple[str, list[Any]]]":
    """Dotted keys in which trees differ, with the value in each; what only some have is told once, at its top."""
    if all(tree == trees[0] for tree in trees[1:]):
        return []
    if not all(isinstance(tree, Mapping) for tree in trees) or path.count(".") > 6:
        return [(path, [_told(tree) for tree in trees])]
    keys = dict.fromkeys(key for tree in trees for key in tree)
    return [
        found
        for key in keys
        for found in _differences([tree.get(key, _ABSENT) for tree in trees], f"{path}.{key}" if path else str(key))
    ]


def _told(value: Any) -> Any:
    """A value of a table: of a whole branch only that it is there."""
    return "set" if isinstance(value, Mapping) and any(isinstance(v, Mapping | list) for v in value.values()) else value


def _short(value: Any) -> str:
    """A value of the configuration in words, as far as a table has room."""
    text = _in_words(value)
    return text if len(text) <= 44 else f"{text[:43]}…"


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_in_words(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value))
    return "none" if value is None else str(value)


def _graver(result: Result) -> list[str]:
    """Warnings of a run but the notes on its data."""
    return result.warnings[: len(result.warnings) - len(result.manifest["notes"])]
