"""Configurations from elsewhere: no text takes all memory, the stack or minutes, and damage is one message."""

import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from basis.config import load_config
from basis.config_files import config_files, parse_yaml
from basis.errors import ConfigError
from support.damage import damaged, trials

CORPUS = tomllib.loads((Path(__file__).parents[1] / "fuzz" / "corpus.toml").read_text())
LAUGHS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LAUGHS, "stands for more than 100,000 values"),
        ("a: &a {" + ", ".join(f"k{i}: x" for i in range(500)) + "}\nb:\n" + "  - <<: *a\n" * 500, "stands for more"),
        ("a: &a [*a]", "stands inside what it stands for"),
        ("[" * 100_000, "nested more than 50 levels"),
        ("{a: " * 100_000, "nested more than 50 levels"),
        ("- " * 100_000 + "x", "nested more than 50 levels"),
        ("x: " + "y" * 2_000_000, "characters, and at most"),
        ("x: !!python/object/apply:os.system [id]", "the tag"),
        ("x: !!int ''", "the tag"),
        ("x: !!bool maybe", "the tag"),
        ("x: !!timestamp maybe", "no YAML"),
        ("x: " + "9" * 10_000, "no YAML"),
        ("? [a]\n: b", "no YAML"),
        ("x: \x00", "no YAML"),
    ],
    ids=lambda value: value[:20],
)  # fmt: skip
def test_a_text_that_would_harm_is_refused_at_once(text, why):
    began = time.perf_counter()
    with pytest.raises(ConfigError, match=why):
        parse_yaml(text, "text")
    assert time.perf_counter() - began < 5.0


@pytest.mark.parametrize("text", ["1" * 300_000 + "x", "1_" * 300_000 + "x", "." + "1" * 300_000 + "."])
def test_no_number_takes_long_to_read(text):
    began = time.perf_counter()
    assert parse_yaml(f"x: {text}", "text") == {"x": text}
    assert time.perf_counter() - began < 2.0


def test_a_few_aliases_are_fine():
    text = "a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\nc: [*a, *a]"
    assert parse_yaml(text, "text") == {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": [{"x": 1}, {"x": 1}]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1_000.5", 1000.5),
        ("-2.5E+3", -2500.0),
        ("1.5.", "1.5."),
    ],
)
def test_numbers_are_read_as_before(text, value):
    assert parse_yaml(text, "text") == value


def test_a_deep_file_does_not_end_the_process(tmp_path):
    """The loader in C overflowed its stack."""
    (tmp_path / "deep.yaml").write_text("mode: " + "[" * 200_000)
    code = "import sys; from basis.cli import main; sys.exit(main(['backtest', 'deep.yaml']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "nested more than 50 levels" in done.stderr


def test_a_large_file_and_a_pipe_are_not_read(tmp_path):
    (tmp_path / "large.yaml").write_bytes(b"#" * 2**21)
    with pytest.raises(ConfigError, match="at most"):
        load_config(tmp_path / "large.yaml")


def test_damaged_configurations_are_one_error():
    folders = ("modes", "venues", "share_classes")
    texts = [path.read_bytes() for folder in folders for path in config_files(folder).values()]
    for chance in trials(60):
        content = damaged(chance.choice(texts), chance).decode("utf-8", errors="replace")
        try:
            raw = parse_yaml(content, "text")
            load_config(raw if isinstance(raw, dict) else {}, environ={})
        except ConfigError:
            pass


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "a/b", "a\\b", "..", ".hidden", "C:x", "x\x1b[2J", "", "x" * 200]
)
@pytest.mark.parametrize("key", ["strategy.signal_file", "mode", "strategy.features", "data.sources"])
def test_names_are_names(key, name):
    value = {"strategy.features": [name], "data.sources": {"spot/btcusdt": [name]}}.get(key, name)
    raw = {**load_config("btc_basis", environ={}).to_dict(), "mode": name} if key == "mode" else "ml_directional"
    with pytest.raises(ConfigError, match=f"{key}.*not a path"):
        load_config(raw, None if key == "mode" else {key: value if key != "strategy.signal_file" else repr(name)})


@pytest.mark.parametrize("found", CORPUS["settings"], ids=lambda found: found["found"][:40])
def test_settings_that_did_harm_once(found):
    given = found["config"] if found["config"][:1] != "{" else parse_yaml(found["config"], "text")
    with pytest.raises(ConfigError) as raised:
        load_config(given, found.get("overrides"), environ={})
    assert found["message"] in str(raised.value)


@pytest.mark.parametrize("change", [{"description": "\ud800"}, {"data": {"sources": {"\ud800": ["binance"]}}}])
def test_halves_of_characters_are_no_text(change):
    """They were a traceback, some of them when the run was saved."""
    with pytest.raises(ConfigError, match="half a character"):
        load_config({"mode": "btc_basis", **change}, environ={})


def test_a_change_of_sources_after_they_were_none():
    """A number in their place, which a later change replaced, was a traceback."""
    sources = {"spot/btcusdt": ["bybit", "binance"]}
    config = load_config("btc_basis", {"data": {"sources": 1}, "data.sources": sources}, environ={})
    assert config.data.sources["spot/btcusdt"] == ("bybit", "binance")
