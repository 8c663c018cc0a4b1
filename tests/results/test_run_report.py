"""The report: one file with the run's numbers, whole or not there, and quiet in a browser without a network."""

import base64
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from headless import chromium, open_page

import basis
from basis.errors import InputError, RunStoppedWarning
from basis.plots import theme
from basis.reports import Result, open_run, run_report
from basis.results.folder import REPORT

#: Figures of every report; of those that not every book has, the names.
ALWAYS = (
    "equity", "drawdown", "monthly_returns", "area", "waterfall", "monthly", "share", "exposure", "positions", "risk",
)  # fmt: skip
SOME = ("funding", "liquidation_distance", "liquidation_map", "liquidation_map_loan")


class Reader(HTMLParser):
    """Texts of a report by section, its tables, its scripts and what it refers to."""

    def __init__(self, page):
        super().__init__()
        self.text, self.tables, self.scripts, self.refers, self.tags, self.ids = "", [], {}, [], [], []
        self.heights = [int(pixels) for pixels in re.findall(r'class="plot"[^>]*height:(\d+)px', page)]
        self._script, self._cell = None, False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.refers += [attrs[name] for name in ("src", "href") if attrs.get(name)]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag == "script":
            self._script = attrs.get("data-figure") or attrs.get("id") or f"script {len(self.scripts)}"
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._cell = True

    def handle_endtag(self, tag):
        if tag == "script":
            self._script = None
        elif tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data):
        if self._script:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
            return
        self.text += data
        if self._cell:
            self.tables[-1][-1][-1] += data.strip()

    def table(self, head):
        """Rows of the table whose first cell is `head`."""
        return next(table for table in self.tables if table and table[0][0] == head)

    def figure(self, name):
        """A figure with its numbers as arrays, and its stamps."""
        content = json.loads(self.scripts[f"plot-{name}"])
        since = np.frombuffer(base64.b64decode(content["stamps"]["since"]), np.uint32).astype(np.int64)
        stamps = (since + content["stamps"]["first"]).astype("M8[s]")
        for trace in content["data"]:
            for axis in ("x", "y", "z"):
                if isinstance(trace.get(axis), dict):
                    packed = trace[axis]
                    values = np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"])
                    trace[axis] = values.reshape([int(n) for n in packed.get("shape", str(len(values))).split(",")])
        return content, stamps


@pytest.fixture(scope="session")
def two_years(sample_data, tmp_path_factory):
    """Folder of two years of hours, for reading only."""
    out = tmp_path_factory.mktemp("report") / "two"
    basis.backtest(basis.load_config("btc_basis", environ={}), sample_data, out=out)
    return out


@pytest.fixture(scope="session")
def pages(results):
    return {name: Reader(run_report.make_report(result)) for name, result in results.items()}


@pytest.fixture(scope="session")
def page(case, pages):
    return pages[case]


def number(text):
    return float(text.replace(",", "").replace("−", "-"))


def test_it_is_one_file_that_refers_to_nothing_else(two_years):
    text = (two_years / REPORT).read_text(encoding="utf-8")
    page = Reader(text)
    assert all(target.startswith("#") for target in page.refers)
    assert {target[1:] for target in page.refers} <= set(page.ids)
    assert "@import" not in text.split("</style>")[0]
    assert "url(" not in text.split("</style>")[0]
    assert text.count("* plotly.js v") == 1
    assert os.path.getsize(two_years / REPORT) < 8_000_000


def test_its_parts_are_there_in_order(page):
    headings = "Headline figures|Equity|Drawdown|Attribution|Risk|Events|Liquidations|Critical alerts|Rejected orders"
    places = [page.text.find(name) for name in f"{headings}|Data|Fallbacks|Configuration and manifest".split("|")]
    assert -1 not in places
    assert page.tags.count("h1") == 1
    assert {"main", "header", "nav", "section", "figure", "figcaption", "details", "caption"} <= set(page.tags)
    assert {f"plot-{name}" for name in ALWAYS} <= set(page.scripts)
    assert page.text.count("Liquidation map") == sum("liquidation_map" in name for name in page.scripts)


def test_headline_figures_are_the_stats(page, result):
    shown = result.stats(formatted=True)
    for label in ("return", "CAGR", "Sharpe", "max drawdown", "equity at end", "P&L", "costs, of the capital"):
        assert label in page.text
        assert shown[label] in page.text
    metrics = dict(page.table("equity at start"))
    assert metrics == dict(shown)


def test_the_attribution_table_sums_to_the_profit(page, result):
    rows = {row[0]: row[1:] for row in page.table("cause")[1:]}
    summary, decimals = result.summary, theme.decimals(result.summary["share_class"])
    within = 1e-9 * max(1.0, summary["initial_equity"])
    columns = {row[0]: number(row[1]) for name, row in rows.items() if row[0] and "|" not in row[0]}
    for column, total in columns.items():
        assert total == pytest.approx(summary["attribution"][column], abs=within)
    profit = summary["final_equity"] - summary["initial_equity"] - summary["net_flows"]
    assert number(rows["sum of the columns"][1]) == pytest.approx(profit, abs=within)
    assert number(rows["balance-based P&L"][1]) == pytest.approx(profit, abs=within)
    # as printed, digit by digit
    assert sum(columns.values()) == pytest.approx(profit, abs=within)
    assert len(rows["sum of the columns"][1].rpartition(".")[2]) >= decimals
    assert abs(number(rows["difference"][1])) <= 1e-9 * summary["initial_equity"]
    shares = [number(row[2].rstrip("%")) for row in rows.values() if row[0] and "|" not in row[0]]
    assert sum(shares) == pytest.approx(100.0, abs=0.01 * (len(shares) + 1))
    listed = {theme.COLUMNS[column].name for column in columns}
    empty = set(re.search(r"Zero: (.*?)\.", page.text)[1].split(", "))
    assert listed | empty == {words.name for words in theme.COLUMNS.values()}
    assert not listed & empty


def test_its_figures_hold_the_run_s_numbers(page, result):
    content, stamps = page.figure("equity")
    rows = np.searchsorted(result.equity.index.tz_localize(None).to_numpy(), stamps)
    [line] = [trace for trace in content["data"] if trace["meta"]["key"] == "equity"]
    assert line["x"] == "stamps"
    assert line["y"].tobytes() == result.equity.equity.to_numpy()[rows].tobytes()
    content, stamps = page.figure("area")
    for trace in content["data"]:
        if trace["meta"]["key"] in result.attribution and trace["meta"]["side"] == "above":
            whole = np.maximum(np.cumsum(result.attribution[trace["meta"]["key"]].to_numpy()), 0.0)
            assert (trace["y"] == whole[rows]).all()


def test_long_runs_are_thinned_and_keep_their_extremes(two_years):
    result, page = open_run(two_years), Reader((two_years / REPORT).read_text(encoding="utf-8"))
    content, stamps = page.figure("equity")
    assert 1_000 < len(stamps) <= 4_000
    values = next(trace["y"] for trace in content["data"] if trace["meta"]["key"] == "equity")
    assert (values.min(), values.max()) == (result.equity.equity.min(), result.equity.equity.max())
    assert (stamps[0], stamps[-1]) == tuple(np.array(result.equity.index[[0, -1]].tz_localize(None), "M8[s]"))
    content, _ = page.figure("risk")
    for trace in content["data"]:
        column = result.risk.get(trace["meta"]["key"])
        if column is not None:
            finite = column[np.isfinite(column)]
            assert np.nanmin(trace["y"]) == finite.min()
            assert np.nanmax(trace["y"]) == finite.max()
    assert "of the 17,545 rows" in page.text


def test_events_are_counted(page, result):
    events = result.events
    if events.empty:
        return
    table = page.table("kind")
    venues = table[0][1:-1]
    for kind, *numbers, total in table[1:]:
        own = events[events.kind == kind]
        assert number(total) == len(own)
        assert [number(text or "0") for text in numbers] == [int((own.venue == venue).sum()) for venue in venues]
    assert {row[0] for row in table[1:]} == set(events.kind)


def test_liquidations_and_alerts_are_listed(pages, results):
    page, events = pages["struck"], results["struck"].events
    struck = events[events.kind == "liquidation"]
    rows = page.table("time, UTC")[1:]
    assert [row[1] for row in rows] == list(struck.venue)
    assert [number(row[4]) for row in rows] == [round(price, 2) for price in struck.price]
    assert [row[6] for row in rows] == [f"{fee:,.2f} USDT" for fee in struck.fee]
    critical = events[(events.kind == "alert") & (events.level == "critical")]
    alerts = {row[0]: row for row in page.table("measure")[1:] if len(row) == 6} or {
        row[0]: row for table in page.tables for row in table[1:] if table[0][:2] == ["measure", "times"]
    }
    assert sum(number(row[1]) for row in alerts.values()) == len(critical)
    worst = critical[critical.instrument == "margin_ratio|okx"].amount.min()
    assert alerts["margin ratio at okx"][4] == f"{worst:.2%}"
    assert "3 liquidations." in page.text


def test_a_lending_liquidation_is_one_and_in_share_class(sample_data):
    days = {"start": "2024-02-01", "end": "2024-02-14", "strategy.rebalance": False}
    loan = {"aave_v3:aToken:WETH": 60.0, "aave_v3:debtToken:USDT": 118_000.0}
    result = basis.backtest("pure_lending", sample_data, overrides=days, positions=loan)
    page, events = Reader(run_report.make_report(result)), result.events
    struck = events[events.kind == "liquidation"]
    assert len(struck) >= 2
    assert result.summary["liquidations"] == struck.timestamp.nunique()
    rows = page.table("time, UTC")[1:]
    assert {row[4] for row in rows} == {"–"}
    assert [row[5] for row in rows] == [f"{worth:,.2f} USDT" for worth in struck.notional]
    told = f"{result.summary['liquidations']} liquidation"
    assert told in page.text


def test_rejects_are_counted_by_reason(sample_data):
    flows = [{"timestamp": f"2024-02-0{day}T00:00:00Z", "amount": -500_000} for day in (2, 3)]
    config = basis.load_config("btc_basis", {"start": "2024-02-01", "end": "2024-02-04", "flows": flows}, environ={})
    rows = Reader(run_report.make_report(basis.backtest(config, sample_data))).table("reason")[1:]
    assert rows == [["withdrawal exceeds equity", "wallet", "2"]]


def test_data_configuration_and_manifest_are_there(two_years):
    result, page = open_run(two_years), Reader((two_years / REPORT).read_text(encoding="utf-8"))
    coverage = {row[0]: row[1:] for row in page.table("series")[1:]}
    assert set(coverage) == set(result.manifest["coverage"])
    assert coverage["funding/okx_btcusdt"] == ["99.954%", "100%"]
    assert coverage["gas/ethereum"] == ["100%", "100%"]
    for note in result.manifest["notes"]:
        assert note in page.text
    assert (two_years / "config.yaml").read_text() in page.text
    # the hashes of the tables are only known once these are written
    assert json.dumps(result.manifest, indent=2, ensure_ascii=False) in page.text
    assert result.manifest["tables"]["equity.parquet"] in page.text


def test_texts_cannot_break_the_page(results, monkeypatch):
    result = Result.from_recording(results["lending"]._recording)
    monkeypatch.setitem(result.manifest, "notes", ["</script><script>alert(1)</script> & <b>"])
    text = run_report.make_report(result)
    assert "<script>alert" not in text
    assert not re.search(r"<!--", "".join(Reader(text).scripts[name] for name in ("plot-equity", "plot-risk")))
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in text


# --- where it is written


def test_every_saved_run_has_one(saved, two_years):
    assert (saved / REPORT).is_file()
    assert (two_years / REPORT).is_file()


def test_a_run_can_be_saved_without_one_and_opened(results, tmp_path):
    folder = results["lending"].save(tmp_path / "bare", report=False)
    assert not (folder / REPORT).exists()
    opened = open_run(folder)
    assert opened.summary == results["lending"].summary
    # a copy of it has one
    assert (opened.save(tmp_path / "copy") / REPORT).is_file()


def test_a_folder_s_report_is_copied_as_it_is(saved, tmp_path):
    copied = open_run(saved).save(tmp_path / "copy")
    assert (copied / REPORT).read_bytes() == (saved / REPORT).read_bytes()


def test_a_report_that_fails_leaves_no_half_folder(results, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(run_report, "make_report", fail)
    with pytest.raises(InputError, match="disk full"):
        results["lending"].save(tmp_path / "run")
    assert os.listdir(tmp_path) == []


def test_report_goes_where_it_is_asked_for(results, saved, tmp_path):
    target = results["lending"].report(tmp_path / "new" / "report.html")
    assert target == tmp_path / "new" / "report.html"
    assert os.listdir(tmp_path / "new") == ["report.html"]
    with pytest.raises(InputError, match="only in memory"):
        results["lending"].report()
    with pytest.raises(InputError, match="Cannot write"):
        results["lending"].report(tmp_path / "new" / "report.html" / "below")
    folder = open_run(saved).save(tmp_path / "run", report=False)
    assert open_run(folder).report() == folder / REPORT


def test_a_failed_report_leaves_the_one_before(results, tmp_path, monkeypatch):
    target = tmp_path / "report.html"
    target.write_text("before")

    def fail(*_):
        raise OSError("no")

    monkeypatch.setattr("basis.results.folder.os.replace", fail)
    with pytest.raises(InputError, match="Cannot write"):
        results["lending"].report(target)
    assert target.read_text() == "before"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_report_needs_no_frames_and_no_figures(saved):
    """What saving a run from the command line imports."""
    code = f"""
import sys
from basis.reports import open_run
open_run({str(saved)!r}).report({str(saved.parent / "again.html")!r})
print([name for name in ("pandas", "plotly.graph_objects", "matplotlib", "numba") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- in a browser


@pytest.mark.parametrize("dark", [False, True])
def test_two_years_open_without_a_network_and_without_a_complaint(two_years, tmp_path, dark):
    page = open_page(two_years / REPORT, tmp_path / "profile", dark=dark)
    assert page.console == []
    # btc_basis has perps, and no loan
    assert 'data-drawn="13"' in page.dom
    assert page.dom.count('class="main-svg"') >= 26
    ground = theme.DARK if dark else theme.LIGHT
    red, green, blue = (int(ground.paper[at : at + 2], 16) for at in (1, 3, 5))
    assert f"background: rgb({red}, {green}, {blue})" in page.dom


def test_a_complaint_would_be_noticed(tmp_path):
    path = tmp_path / "broken.html"
    path.write_text("<script src='https://example.org/lib.js'></script><script>nothing.here()</script>")
    console = "\n".join(open_page(path, tmp_path / "profile").console)
    assert "nothing is not defined" in console


def figures_of(path):
    """How many figures a page has, by its source."""
    names = {name for name in Reader(path.read_text(encoding="utf-8")).scripts if name.startswith("plot-")}
    assert {f"plot-{name}" for name in ALWAYS} <= names <= {f"plot-{name}" for name in (*ALWAYS, *SOME)}
    return len(names)


@pytest.mark.parametrize("case", ["struck", "lending", "eth"])
def test_other_runs_open_without_a_complaint(results, case, tmp_path):
    path = results[case].report(tmp_path / "report.html")
    page = open_page(path, tmp_path / "profile")
    assert page.console == []
    assert f'data-drawn="{figures_of(path)}"' in page.dom


def test_runs_at_the_edge_open_without_a_complaint(sample_data, tmp_path):
    """One row; no trades, hence no events; one that stopped itself; one that was resumed."""
    from dataclasses import replace

    from basis.market.panel import Stop

    window = {"start": "2024-02-01", "end": "2024-02-04"}
    never = {"strategy.rate_rule": {"enabled": True, "enter": 90.0, "leave": 80.0, "window": "24h"}}
    whole = basis.load_config("btc_basis", window, environ={})
    panel = basis.DataProvider(sample_data, whole).panel()
    panel = replace(panel, stop=Stop(30, "perp/okx_btcusdt", int(panel.timestamps[30]), 4 * 3600.0))
    with pytest.warns(RunStoppedWarning):
        stopped = basis.backtest(whole, panel)
    first = basis.backtest(whole, sample_data)
    made = {
        "one": basis.backtest(basis.load_config("btc_basis", {**window, "end": "2024-02-01"}, environ={}), sample_data),
        "none": basis.backtest(basis.load_config("btc_basis", {**window, **never}, environ={}), sample_data),
        "stopped": stopped,
        "resumed": basis.backtest(whole, sample_data, resume=first.checkpoint("2024-02-03")),
    }
    for name, result in made.items():
        path = result.report(tmp_path / f"{name}.html")
        page = open_page(path, tmp_path / "profile")
        assert page.console == [], name
        assert f'data-drawn="{figures_of(path)}"' in page.dom
    assert "The run stopped itself" in (tmp_path / "stopped.html").read_text()
    assert "No events." in (tmp_path / "none.html").read_text()


# --- on paper


def pages_of(pdf):
    """Width and height of each page in points."""
    sizes = re.findall(rb"/MediaBox\s*\[\s*0\s+0\s+([\d.]+)\s+([\d.]+)\s*\]", pdf.read_bytes())
    return [(float(width), float(height)) for width, height in sizes]


def test_it_is_printed_on_a4(results, tmp_path):
    chromium()
    target = results["flows"].report(tmp_path / "new" / "report.pdf", pdf=True)
    assert os.listdir(tmp_path / "new") == ["report.pdf"]
    sizes = pages_of(target)
    assert 5 < len(sizes) < 40
    for width, height in sizes:
        assert (width, height) == (pytest.approx(595.3, abs=1.0), pytest.approx(841.9, abs=1.0))


def test_no_figure_is_higher_than_a_page(pages):
    paper = (297 - 2 * 14) / 25.4 * 96
    for page in pages.values():
        assert max(page.heights) < paper - 60


def test_printing_says_what_it_needs_and_leaves_nothing_half_written(results, tmp_path, monkeypatch):
    target = tmp_path / "report.pdf"
    target.write_text("before")
    with pytest.raises(InputError, match=r"ends in \.pdf"):
        results["lending"].report(tmp_path / "report.html", pdf=True)
    monkeypatch.setattr("basis.reports.pdf.shutil.which", lambda _: None)
    with pytest.raises(InputError, match=r"none of chromium, .* is on PATH. Install Chromium"):
        results["lending"].report(target, pdf=True)
    # a browser that dies, and one that prints something else
    for name, script in (("dies", "echo no display >&2; exit 3"), ("lies", f"echo no > {tmp_path}/x")):
        browser = tmp_path / name
        browser.write_text(f"#!/bin/sh\n{script}\n")
        browser.chmod(0o755)
        monkeypatch.setattr("basis.reports.pdf.shutil.which", lambda _, path=browser: str(path))
        with pytest.raises(InputError, match="made no PDF"):
            results["lending"].report(target, pdf=True)
    assert target.read_text() == "before"
    assert sorted(os.listdir(tmp_path)) == ["dies", "lies", "report.pdf", "x"]


# --- the card


def test_the_card_is_small_and_takes_any_ground(result):
    card = result._repr_html_()
    assert len(card) < 20_000
    for text in ("<script", "background", "#fff", "white", "<style"):
        assert text not in card
    assert "<svg" in card
    for warning in result.warnings:
        assert warning.split("'")[0] in card


def test_the_sparkline_spans_the_equity(results):
    card = results["struck"]._repr_html_()
    points = np.array([pair.split(",") for pair in re.search("points='(.*?)'", card)[1].split()], float)
    assert len(points) <= 250
    assert (np.diff(points[:, 0]) > 0.0).all()
    assert (points[:, 1].min(), points[:, 1].max()) == (5.0, 59.0)
    # the highest equity is the topmost point
    equity = results["struck"].equity.equity.to_numpy()
    share = equity.argmax() / (len(equity) - 1)
    assert points[points[:, 1].argmin(), 0] == pytest.approx(5.0 + share * 310.0, abs=0.1)
    assert card.count("<circle") == 1
