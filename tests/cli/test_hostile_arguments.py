"""Command lines of any kind: whatever the arguments are, there is a result or one clean message, and no other harm."""

import os
import shutil
import time
import tomllib
import warnings
from pathlib import Path

import pytest
from small_market import WINDOW

from basis.config import list_modes
from basis.processes import temporary_beside
from support.damage import trials

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs links and pipes")]

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus.toml"
#: A command that takes longer hangs.
MOST_SECONDS = 30.0
TEXTS = (
    "", " ", "-", "--", "---", "-x", "--unknown", "--help", "-h", "x" * 256, "x" * 5_000, "y/" * 2_100 + "y",
    "\x1b[2J\x1b]0;mine\x07", "\u202egnp.exe", "\udc80", "a\0b", "..", ".", "~", "y/" * 1_980, "$(touch mine)",
    "a\nb", "%s%n",
    "{0.__class__}", "NaN", "-inf", "-0", "1e999", "9" * 5_000, "-1", "0x10", "1_000", "٣", "null", "true", "[", "{a: ",
    "*a", "!!python/object/apply:os.system [id]", "🦀", "2024-13-45", "0001-01-01", "9999-12-31T23:59:59Z",
    "2024-05-04T00:00:00+99:00", "2024-05-05", "2024-05-04 12:30", "1e18", "now", "T", "=", "a.b=c", "..=1",
)  # fmt: skip
#: Every kind of thing that a path may lead to; `world` makes them.
PLACES = (
    "data", "run", "other", "run/equity.parquet", "run/manifest.json", "run/x", "mine.yaml", "file", "file/x", "empty",
    "pipe", "link", "loop", "loop/x", "to_run", "to_data", "new", "new/a/b", "../run", "odd", "data/spot", "log.jsonl",
    "sur\udc80", "/dev/full", "/dev/null/x", "/proc/self/mem", "/proc/self/fd/99",
)  # fmt: skip
KEYS = (
    "initial_capital", "start", "end", "mode", "asset", "share_class", "strategy", "strategy.margin_ratio_target",
    "strategy.margin_ratio_band", "strategy.hedge_allocation", "strategy.hedge_allocation.binance",
    "strategy.rebalance", "data.sources", "data.checks", "data.sources.spot/btcusdt", "flows", "instruments", "venues",
    "venues.binance", "venues.binance.tiers", "venues.binance.perp_fee", "venues.bybit.latency.deposit", "risk.limits",
    "fill", "costs.enabled", "bar_interval", "close_at_end", "execution.impact", "transfers.instant", "execution", "x",
)  # fmt: skip
VALUES = (
    "[]", "{}", "[1, 2]", "{a: 1}", "0", "-1", "1", "0.5", "2", "1e-300", "1e300", ".inf", "-.inf", ".nan", "true", "x",
    "1h", "0h", "-1h", "7m", "99999999999d", "[[1, 2], [3, 4]]", "[{timestamp: 2024-05-05, amount: -1e18}]",
    "{binance: 1}", "{binance: -1, bybit: 2}", "{nowhere: 1}", "[binance:Perp:BTCUSDT]", "next_bar", "strict", "off",
    "[{timestamp: 2024-05-05 01:30, amount: 1e4}, {timestamp: 2024-05-05 01:30, amount: -1e3}]", "{source: x}",
)  # fmt: skip
OPTIONS = {
    "backtest": (
        "--data", "--start", "--end", "--set", "--set", "--set", "--driver", "--out", "--out", "--log", "--force", "-q",
    ),
    "replay": ("--data",),
    "report": ("--out",),
    "explain": (),
    "compare": ("--out",),
    "modes": (),
    "data list": (),
    "data check": ("--mode", "--start", "--end"),
    "data sample": ("--seed", "--force"),
    "data": (),
    "": ("--version",),
}  # fmt: skip
FLAGS = ("--force", "-q", "--version")
#: What the environment may hold: name, values.
ENVIRONMENT = (
    ("COLUMNS", ("0", "-1", "x", "1", "99999")), ("BASIS_ENVIRONMENT", ("dev", "x", "\x1b[2J", "..")),
    ("BASIS__STRATEGY__REBALANCE", VALUES), ("BASIS__X", ("1",)), ("BASIS__", ("1",)), ("BASIS____A", ("1",)),
    ("BASIS__DATA__SOURCES", VALUES), ("BASIS_DATA_DIR", PLACES), ("BASIS_DEBUG", ("0", "")),
)  # fmt: skip
#: How often a command is drawn; the sample is two years of market, which take long to write.
WEIGHTS = (12, 2, 3, 4, 4, 1, 3, 4, 0.1, 1, 1)


@pytest.fixture
def world(saved_run, small_data, tmp_path, monkeypatch):
    """A folder with one of everything, deep enough that `..` does not lead out of what the test owns."""
    made = tmp_path / "owned" / "a" / "b" / "here"
    made.mkdir(parents=True)
    (made.parent / "sentinel").write_text("as it was")
    monkeypatch.chdir(made)
    monkeypatch.setenv("BASIS_DATA_DIR", str(small_data))
    monkeypatch.setenv("COLUMNS", "100")
    furnish(made, saved_run, small_data)
    return made


@pytest.fixture(scope="module")
def saved_run(small_data, tmp_path_factory):
    from basis.cli import main

    folder = tmp_path_factory.mktemp("run") / "run"
    assert main(["backtest", "btc_basis", *WINDOW, "--data", str(small_data), "--out", str(folder), "-q"]) == 0
    return folder


def furnish(here, saved_run, small_data):
    """Put into a folder, once more where it was changed, what `PLACES` lead to."""
    for path in here.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name in ("run", "other"):
        shutil.copytree(saved_run, here / name)
    shutil.copytree(small_data, here / "data")
    (here / "odd").mkdir()
    (here / "odd" / "x.parquet").write_bytes(b"PAR1")
    (here / "odd" / "spot").symlink_to(here / "odd")
    (here / "empty").mkdir()
    (here / "file").write_text("all of it")
    (here / "log.jsonl").write_text('{"seq": 1}\n')
    (here / "mine.yaml").write_text("mode: btc_basis\ninitial_capital: 50000\n")
    os.mkfifo(here / "pipe")
    for name, target in {
        "link": "nowhere",
        "loop": "loop",
        "to_run": "run",
        "to_data": "data",
        "sur\udc80": "data",
    }.items():
        (here / name).symlink_to(target)


def word(chance):
    return chance.choice(TEXTS if chance.random() < 0.6 else PLACES)


def value_of(option, chance):
    """What an option is given: often of its kind, else anything."""
    if chance.random() < 0.15:
        return word(chance)
    if option == "--set":
        return f"{chance.choice(KEYS)}={chance.choice(VALUES if chance.random() < 0.8 else TEXTS)}"
    if option == "--driver":
        return chance.choice(("kernel", "event", "event", "x"))
    if option in ("--start", "--end"):
        return chance.choice(("2024-05-04", "2024-05-06", "2024-05-05T01:00:00Z", *TEXTS))
    if option == "--mode":
        return chance.choice(("btc_basis", "pure_lending", "mine.yaml"))
    if option == "--seed":
        return chance.choice(("-1", "x", "1e3", "9" * 40))
    return chance.choice(PLACES if option != "--data" or chance.random() < 0.4 else ("data", "to_data", "sur\udc80"))


def drawn(chance):
    """A command line."""
    command = chance.choices(tuple(OPTIONS), WEIGHTS)[0]
    first = {
        "backtest": ("btc_basis", "btc_basis", "pure_lending", "mine.yaml", chance.choice(tuple(list_modes()))),
        "replay": ("run", "other"), "report": ("run",), "explain": ("run",), "compare": ("run", "other"),
        "data list": ("data", "odd"), "data check": ("data", "odd"), "data sample": ("new", "file", "data"),
    }.get(command, ())  # fmt: skip
    words = [chance.choice(first)] if first and chance.random() < 0.8 else [word(chance)] * chance.randrange(2)
    if command == "explain":
        words += chance.choices(("2024-05-05 02:00", "2024-05-06", *TEXTS), k=chance.randrange(3))
    if command == "compare":
        words += [chance.choice(("other", "run", word(chance)))]
    for option in chance.sample(OPTIONS[command], chance.randrange(min(len(OPTIONS[command]), 3) + 1)):
        words += [option] if option in FLAGS else [option, value_of(option, chance)]
    if command == "backtest" and chance.random() < 0.8:
        words += WINDOW
    if chance.random() < 0.1:
        words.insert(chance.randrange(len(words) + 1), word(chance))
    return [*command.split(), *words]


def assert_clean(basis, arguments, here):
    """Exit 0, or 1 with findings, or one message with 2 or 3; nothing half-written, nothing outside touched."""
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        done = basis(*arguments)
    assert time.monotonic() - began < MOST_SECONDS
    assert done.code in (0, 1, 2, 3)
    assert "Traceback" not in done.out + done.err
    for text in (done.out, done.err):
        assert all(c.isprintable() or c in "\n\t" for c in text)
        assert len(text) < 200_000
    if done.code in (2, 3):
        lines = [line for line in done.err.splitlines() if line.startswith(("Error: ", "Usage: "))]
        assert len(lines) == 1, done
    if done.code == 1:
        assert arguments[:2] == ["data", "check"] or arguments[0] == "replay"
    ending = temporary_beside(here).name.partition(".")[2].split(".")[1]
    assert [path for path in here.parent.rglob(f".*{ending.rpartition('-')[0]}*")] == []
    assert (here.parent / "sentinel").read_text() == "as it was"
    assert (here / "file").read_text() == "all of it"
    assert (here / "pipe").is_fifo()
    assert sorted(path.name for path in here.parent.parent.parent.iterdir()) == ["a"]
    return done


def test_any_command_line_is_a_result_or_a_message(basis, world, saved_run, small_data, monkeypatch):
    counts = dict.fromkeys((0, 1, 2, 3), 0)
    for chance in trials(40):
        arguments = drawn(chance)
        name, values = chance.choice(ENVIRONMENT)
        given = {name: chance.choice(values)} if chance.random() < 0.15 else {}
        try:
            with monkeypatch.context() as environment:
                for name, value in given.items():
                    environment.setenv(name, value)
                counts[assert_clean(basis, arguments, world).code] += 1
        except BaseException as error:
            error.add_note(f"the command line: {arguments} {given}")
            raise
        if arguments[:1] not in (["explain"], ["modes"], ["compare"]):
            furnish(world, saved_run, small_data)
    assert counts[2]


@pytest.mark.parametrize(
    "found", tomllib.loads(CORPUS.read_text())["command_line"], ids=lambda found: " ".join(found["arguments"])[:40]
)
def test_command_lines_that_did_harm_once(found, basis, world):
    done = assert_clean(basis, found["arguments"], world)
    assert done.code == found["code"]
    assert found["message"] in done.err
