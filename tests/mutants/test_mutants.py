"""The checks that `make mutants` relies on: they hold, they notice what once went unnoticed, and survivors are told."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mutants
import pytest

POSITIONS, ROUTES = "basis/kernel/positions", "basis/kernel/routes"
#: What no test had noticed → module, code, and what it is changed into.
PLANTED = {
    "margin on its way to another venue": (
        "basis/kernel/margin.py", "run.state.transit[venue, lane]", "run.state.transit[0, lane]",
    ),
    "the fee in the cash of a spot order": (
        f"{POSITIONS}/exchange.py", "dq * price + rate * (abs(dq) * price)", "dq * price - rate * (abs(dq) * price)",
    ),
    "the slippage in the margin of a perp order": (
        f"{POSITIONS}/exchange.py", "(abs(dq) * price) + dq * (price", "(abs(dq) * price) - dq * (price",
    ),
    "the tiers inside the hour": (
        f"{POSITIONS}/exchange_liquidation.py",
        "tiers = run.terms.tier[run.terms_index[t - 1], i]", "tiers = run.terms.tier[run.terms_index[t], i]",
    ),
    "the fee inside the hour": (
        f"{POSITIONS}/exchange_liquidation.py", "terms_row = t if share < 0.0 else t - 1", "terms_row = t",
    ),
    "tiers that change while nothing is done": (
        "basis/kernel/layout/codes.py",
        "EVERY_LANE = FLOWS_DUE | TERMS_CHANGE | CLOSES", "EVERY_LANE = FLOWS_DUE | CLOSES",
    ),
    "cash that is worth one fee and not two": (
        "basis/kernel/investor.py", "cash <= 2.0 * run.terms", "cash <= 1.0 * run.terms",
    ),
    "the fee of what a venue is sent": (
        f"{ROUTES}/margin.py", "x = min(missing[lane, v] + fee,", "x = min(missing[lane, v],",
    ),
    "the fee of what it still lacks": (
        f"{ROUTES}/margin.py", "missing[lane, v] -= x - fee", "missing[lane, v] -= x",
    ),
    "the weights of a perp on one side": (
        f"{ROUTES}/perp.py", "run.policy.weight[v, lane] * target", "run.policy.weight[0, lane] * target",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    return [mutants.Copy(tmp_path_factory.mktemp("package")) for _ in range(mutants.WORKERS)]


@pytest.mark.slow
def test_the_checks_hold_without_a_change(copies):
    with ThreadPoolExecutor(len(copies)) as pool:
        assert all(pool.map(mutants.seconds_without_change, copies, [mutants.CHECKS[:1], [mutants.RULES]]))


@pytest.mark.slow
def test_what_was_missed_once_is_noticed_by_its_rule(copies):
    """The snapshot of the short runs is left out: a rule says what is right, it only what was."""
    texts = {name: (mutants.ROOT / module).read_text() for name, (module, _, _) in PLANTED.items()}
    assert {name: texts[name].count(code) for name, (_, code, _) in PLANTED.items()} == dict.fromkeys(PLANTED, 1)

    def fates(worker):
        found = {}
        for name in list(PLANTED)[worker :: len(copies)]:
            module, code, other = PLANTED[name]
            changed = texts[name].replace(code, other)
            found[name] = copies[worker].fate(module, changed, [mutants.RULES], mutants.LEAST_SECONDS)
        return found

    with ThreadPoolExecutor(len(copies)) as pool:
        found = {name: fate for part in pool.map(fates, range(len(copies))) for name, fate in part.items()}
    assert found == dict.fromkeys(PLANTED, "killed")


@pytest.mark.slow
def test_a_change_that_changes_nothing_survives_and_one_that_hangs_is_stopped(copies):
    module = "basis/kernel/margin.py"
    text = (mutants.ROOT / module).read_text()
    assert copies[0].fate(module, f"{text}\n# nothing\n", mutants.CHECKS[:1], mutants.LEAST_SECONDS) == "survived"
    assert copies[0].fate(module, f"{text}\nwhile True:\n    pass\n", mutants.CHECKS[:1], 3.0) == "timed out"
    assert (copies[0].folder / module).read_text() == text


def test_a_seed_draws_the_same_mutants_and_another_draws_others():
    chosen = ["basis/kernel/margin.py"]
    drawn = mutants.sample(20, 1, chosen)
    assert drawn == mutants.sample(20, 1, chosen) != mutants.sample(20, 2, chosen)
    for mutant in drawn:
        before, after = mutants.mutated(mutant)
        changed = [n for n, (a, b) in enumerate(zip(before.splitlines(), after.splitlines()), 1) if a != b]
        assert before == (mutants.ROOT / mutant.module).read_text()
        assert changed == [mutant.line]


def test_accepted_survivors_name_lines_that_are_there():
    assert mutants.exemptions()
    for exemption in mutants.exemptions():
        text = (mutants.ROOT / exemption.module).read_text()
        assert len(exemption.reason.split()) > 3
        assert any(mutants._matches(line.strip(), exemption.was) for line in text.splitlines()), exemption
        assert exemption.function == "*" or f"def {exemption.function}(" in text, exemption


def test_the_share_that_died_leaves_out_what_is_accepted(monkeypatch, capsys):
    mutant = mutants.Mutant("basis/kernel/margin.py", "core/NumberReplacer", 0, 1, "tier_of")
    found = [mutants.Outcome(mutant._replace(occurrence=n), "killed", "", "", "") for n in range(19)]
    found += [mutants.Outcome(mutant, "survived", f"j = {n}", "j = 9", f"-j = {n}") for n in range(3)]
    rules = [mutants.Exemption("basis/kernel/margin.py", "a reason of its own", was="j = [0-2]"),
             mutants.Exemption("basis/kernel/margin.py", "a reason of its own", was="j = 1"),
             mutants.Exemption("basis/kernel/risk.py", "a reason of its own", was="j = 2")]  # fmt: skip
    monkeypatch.setattr(mutants, "exemptions", lambda: rules)
    assert mutants.report(found) == 19 / 21
    said = capsys.readouterr().out
    assert "-j = 0" in said
    assert "-j = 2" in said
    assert "1 survivors are accepted, 2 are not" in said


def test_what_compiles_is_not_mutated():
    assert mutants.modules()
    assert all(name.startswith("basis/kernel/") for name in mutants.modules())
    assert not any(name.startswith(mutants.LEFT_OUT) for name in mutants.modules())
    assert Path(mutants.ROOT / mutants.LEFT_OUT).is_dir()
