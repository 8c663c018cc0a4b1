"""The report of a comparison: one page that needs no network. Imports numpy; jinja2, pandas and plotly on use."""

from basis.plots import theme
from basis.plots.figures import comparison as figures
from basis.reports import comparison_tables as tables
from basis.reports import html_page
from basis.reports.plot_data import run_data
from basis.results.comparison import RunComparison

_CAPTIONS = {
    "overview": "Time-weighted; flows do not count. A run has no line outside its window.",
    "attribution": "Total of each cause, as a fraction of the equity at the start of the run.",
}
#: Heights of the figures in pixels.
_HEIGHTS = {"overview": 360, "attribution": 420}


def make_report(comparison: RunComparison) -> str:
    """The report as HTML."""
    runs = {name: run_data(run) for name, run in comparison.results.items()}
    names = list(runs)
    return html_page.render(
        "comparison_report.html.jinja", title=f"Comparison: {', '.join(names)}", names=names,
        colours=theme.colours_in_order(names, theme.RUNS), runs=tables.run_rows(comparison),
        stats=tables.stats_rows(comparison), attribution=tables.attribution_rows(comparison),
        differences=tables.config_rows(comparison), notes=tables.notes(comparison),
        figures={
            picture.name: html_page.page_figure(picture, _CAPTIONS[picture.name], _HEIGHTS[picture.name])
            for picture in (figures.overview(runs), figures.attribution(runs))
        },
    )  # fmt: skip
