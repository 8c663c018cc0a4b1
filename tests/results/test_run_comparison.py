"""Runs beside each other: figures with the numbers of the runs, and a page that needs no network."""

import base64
import json

import numpy as np
import pytest
from test_run_report import Reader

import basis
from basis.errors import InputError
from basis.plots import theme
from basis.reports.comparison_report import make_report
from basis.reports.comparison_tables import attribution_rows, terminal_tables
from support.browser import open_page
from support.kernel_view import PNL_COLUMNS


@pytest.fixture(scope="module")
def three(results):
    return basis.compare(*(results[name] for name in ("plain", "flows", "eth")), names=["plain", "flows", "eth"])


def trace(figure, key):
    [found] = [trace for trace in figure.data if trace.meta["key"] == key]
    return found


def test_growth_and_drawdown_are_those_of_each_run_on_one_axis(three):
    figure = three.plot.overview()
    assert {line.xaxis for line in figure.data} == {"x"}
    for name, result in three.results.items():
        grown, fallen = trace(figure, f"growth|{name}"), trace(figure, f"drawdown|{name}")
        stamps = result.equity.index.tz_localize(None).to_numpy()
        rows = np.searchsorted(np.asarray(grown.x, "M8[us]"), stamps)
        np.testing.assert_allclose(grown.y[rows], three.equity[name].dropna(), rtol=1e-15)
        np.testing.assert_array_equal(fallen.y[rows], result.drawdown)
        # a shorter run has no line after its end
        assert np.isnan(np.delete(grown.y, rows)).all()
    assert len({line.line.color for line in figure.data}) == 3
    for make in (three.plot.growth, three.plot.drawdown, three.plot.attribution, three.plot.differences):
        json.loads(make().to_json())
        make(backend="matplotlib").canvas.draw()


def test_a_run_of_days_holds_its_value_between_its_rows(results):
    both = basis.compare(results["plain"], results["daily"], names=["hours", "days"])
    line = trace(both.plot.growth(), "growth|days")
    daily = both.equity["days"].dropna()
    expected = daily.reindex(both.equity.index, method="ffill")
    np.testing.assert_allclose(line.y, expected, rtol=1e-15)


def test_attribution_stands_side_by_side_and_sums_to_the_profit(three):
    figure = three.plot.attribution()
    assert figure.layout.barmode == "group"
    for name, result in three.results.items():
        bars, summary = trace(figure, name), result.summary
        *shares, total = bars.y
        profit = summary["final_equity"] - summary["initial_equity"] - summary["net_flows"]
        assert total == pytest.approx(profit / summary["initial_equity"], abs=1e-12)
        assert sum(shares) == pytest.approx(total, abs=1e-9)
        by_name = dict(zip(bars.x, bars.y, strict=True))
        for column in PNL_COLUMNS:
            expected = three.contribution.loc[column, name]
            assert by_name.get(theme.COLUMNS[column].name, 0.0) == pytest.approx(expected, abs=1e-9)


def test_differences_are_a_table_of_texts(three, results):
    [table] = three.plot.differences().data
    keys, *columns = table.cells["values"]
    assert list(keys) == list(three.config.index)
    assert [str(value) for value in columns[2]][list(keys).index("share_class")] == "ETH"
    same = basis.compare(results["plain"], results["plain"]).plot.differences()
    assert same.layout.annotations[0].text == "The configurations are the same."


def test_the_page_has_the_numbers_of_the_runs(three):
    page = Reader(make_report(three))
    assert all(target.startswith("#") for target in page.refers)
    assert [row[1:] for row in page.table("metric")[1:]] == three.formatted.to_numpy().tolist()
    *rows, total = page.table("cause")[1:]
    assert rows == [list(row) for row in attribution_rows(three)[:-1]]
    for name, text in zip(three.results, total[1:], strict=True):
        assert three.results[name].stats(formatted=True)["P&L"] in text
    assert {row[0] for row in page.table("key")[1:]} == set(three.config.index)
    content = json.loads(page.scripts["plot-overview"])
    for line in content["data"]:
        values = np.frombuffer(base64.b64decode(line["y"]["bdata"]), "f8")
        assert np.isfinite(values).any()
    assert "in the share class of each run" in page.text


def test_the_page_opens_without_a_complaint(three, tmp_path):
    path = three.report(tmp_path / "new" / "both.html")
    page = open_page(path, tmp_path / "profile")
    assert page.console == []
    assert 'data-drawn="2"' in page.dom
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not an HTML file"):
        three.report(tmp_path / "notes.txt")


def test_tables_for_a_terminal_leave_out_what_is_the_same(three, results):
    assert [head[0] for head, _ in terminal_tables(three)] == ["run", "metric", "P&L by cause", "configuration"]
    assert [head[0] for head, _ in terminal_tables(basis.compare(results["plain"], results["plain"]))][
        -1
    ] == "P&L by cause"
