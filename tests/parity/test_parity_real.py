"""August 2024 as it was: the fall of 5 August, on real data, in both drivers."""

import pytest

import basis
from basis.config import load_config
from basis.market import DataProvider
from support.same_run import WAYS, assert_same_but_for_the_run_id, assert_same_run

MONTH = {"start": "2024-08-01", "end": "2024-09-01"}
CASES = {
    "hedged": ("btc_basis", MONTH),
    "thin": ("btc_basis", {**MONTH, "strategy.margin_ratio_target": 0.1}),
    "lending": ("pure_lending", {**MONTH, "flows": [{"timestamp": "2024-08-05T12:00:00Z", "amount": -40_000}]}),
}


@pytest.mark.parametrize("case", CASES)
def test_august_2024_has_the_same_bits_in_both_drivers(case, real_data):
    mode, overrides = CASES[case]
    config = load_config(mode, overrides, environ={})
    panel = DataProvider(real_data, config).panel()
    compiled = basis.backtest(config, panel)
    assert compiled.status == "complete"
    assert "fill" in set(compiled.events.kind)
    assert_same_run(compiled, basis.backtest(config, panel, driver="event"))
    assert_same_but_for_the_run_id(compiled, basis.backtest(config, panel, **WAYS["loop that asks for decisions"]))
