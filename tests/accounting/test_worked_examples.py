"""The worked examples of the accounting (§9 A and C1) to the printed digits, compiled and as plain Python."""

import pytest
from worked_cases import BTC, CASES, CASH, PERP, numbers


def printed(text):
    """A number as it is printed: what rounds to its digits."""
    digits = text.replace(",", "")
    places = len(digits.partition(".")[2])
    return pytest.approx(float(digits), rel=0.0, abs=0.501 * 10.0**-places)


def exact(value):
    """A number that the example gives without rounding."""
    return pytest.approx(value, rel=1e-13, abs=1e-10)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    return {name: run(folder / str(i)) for i, (name, run) in enumerate(CASES.items())}


@pytest.fixture(scope="module")
def plain(plain_python, tmp_path_factory):
    """Every number of every case from another process, with compilation switched off."""
    return plain_python("worked_cases.py", tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("name", CASES)
def test_plain_python_gives_the_same_bits(name, results, plain):
    compiled = numbers(results[name])
    assert compiled.keys() == plain[name].keys()
    assert {column: values for column, values in compiled.items() if plain[name][column] != values} == {}


def nothing_else(attribution, *named):
    """All other columns are nothing."""
    others = attribution.drop(columns=[c for c in attribution if c.partition("|")[0] in named])
    return (others == 0.0).all(axis=None)


def test_example_a_in_usdt(results):
    result = results["A, USDT"]
    assert list(result.equity["equity"]) == [exact(89_950.0), exact(89_969.66)]
    earned = result.attribution.iloc[1]
    assert earned["funding_pnl"] == result.attribution_by_venue["funding_pnl|binance"].iloc[1] == exact(6.068)
    assert earned["delta_pnl"] == exact(0.0)
    assert earned["basis_pnl"] == exact(70.0)
    assert earned["fees"] == exact(-36.408)
    assert earned["slippage"] == exact(-20.0)
    assert nothing_else(result.attribution, "funding_pnl", "basis_pnl", "fees", "slippage", "delta_pnl")
    assert (result.attribution.iloc[0] == 0.0).all()


def test_example_a_in_eth(results):
    result = results["A, ETH"]
    assert list(result.equity["equity"]) == [printed("29.983333333333"), printed("29.692957095710")]
    earned = result.attribution.iloc[1]
    assert earned["funding_pnl"] == printed(".002002640264")
    assert earned["delta_pnl"] == printed("-.296864686469")
    assert earned["basis_pnl"] == printed(".023102310231")
    assert earned["fees"] == printed("-.012015841584")
    assert earned["slippage"] == printed("-.006600660066")
    assert nothing_else(result.attribution, "funding_pnl", "basis_pnl", "fees", "slippage", "delta_pnl")
    # a dollar of the run is a dollar: the worth of one ETH
    assert list(result.equity["share_class_usd"]) == [exact(3_000.0 * 0.9995), exact(3_030.0 * 1.0002)]


@pytest.mark.parametrize("name", ["A, USDT", "A, ETH"])
def test_the_book_of_example_a_afterwards(name, results):
    result = results[name]
    held = result.positions.iloc[1]
    assert held[CASH] == exact(53_957.66)
    assert held[PERP] == exact(-0.6)
    assert held[f"{PERP}|cost"] == exact(-36_000.0)
    assert held[BTC] == exact(0.6)
    assert result.risk["margin_ratio|binance"].iloc[1] == printed("1.470821248077")
    # before the decision: after the funding, with the whole short
    assert result.risk["margin_ratio|binance|before"].iloc[1] == exact((30_006.068 - 680.0) / 60_680.0)
    # at the extremes of the hour that ended, without what this row paid
    assert result.risk["margin_ratio|binance|worst"].iloc[1] == exact((30_000.0 - 150.0) / 60_150.0)


def test_the_events_of_example_a(results):
    events = results["A, USDT"].events
    assert list(events["kind"]) == ["funding", "decision", "order", "fill", "order", "fill"]
    perp, spot = (row for _, row in events[events["kind"] == "fill"].iterrows())
    assert (perp.instrument, perp.quantity, perp.price) == (PERP, exact(0.4), exact(60_700.0))
    assert (perp.reference_price, perp.fee, perp.slippage) == (60_680.0, exact(12.14), exact(8.0))
    assert (perp.realised_cash, perp.amount) == (exact(-280.0), exact(-292.14))
    assert (spot.instrument, spot.quantity, spot.price) == (BTC, exact(-0.4), exact(60_670.0))
    assert (spot.reference_price, spot.fee, spot.slippage) == (60_700.0, exact(24.268), exact(12.0))
    assert spot.amount == exact(24_268.0 - 24.268)


def liquidation(result):
    struck = result.events[result.events["kind"] == "liquidation"]
    assert len(struck) == 1
    return struck.iloc[0]


def test_example_c1(results):
    result = results["C1"]
    assert liquidation(result).price == printed("65,488.0478087649")
    assert list(result.equity["equity"]) == [exact(131_380.0), printed("128,661.952191235")]
    assert result.attribution["delta_pnl"].iloc[1] == printed("-2,456.0956175299")
    assert result.attribution["liquidation_loss"].iloc[1] == printed("-261.9521912351")
    assert nothing_else(result.attribution, "delta_pnl", "liquidation_loss")
    # what is left of the margin is cash; the coin stays
    assert result.positions[CASH].iloc[1] == printed("261.9521912351")
    assert result.positions["wallet:BaseToken:BTC"].iloc[1] == 2.0


def test_example_c1_with_a_fee_beyond_the_margin_left(results):
    result = results["C1, capped"]
    assert liquidation(result).price == printed("65,488.0478087649")
    assert result.attribution["liquidation_loss"].iloc[1] == printed("-523.9043824701")
    assert result.attribution["delta_pnl"].iloc[1] == printed("-2,456.0956175299")
    assert result.equity["equity"].iloc[1] == exact(128_400.0)
    assert result.positions[CASH].iloc[1] == exact(0.0)


def test_example_c1_with_tiers(results):
    result = results["C1, tiers"]
    price = liquidation(result).price
    assert price == printed("65,452.7363184080")
    # there, and only there, the margin is what the second tier asks for
    assert 57_500.0 - 10.0 * price + 600_000.0 == pytest.approx(10.0 * price * 0.005 - 300.0, abs=1e-8)
    assert result.attribution["liquidation_loss"].iloc[1] == pytest.approx(-0.002 * 10.0 * price, rel=1e-12)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("C1")])
def test_who_is_liquidated_is_not_paid_funding(name, results):
    result = results[name]
    assert (result.events["kind"] != "funding").all()
    assert (result.attribution["funding_pnl"] == 0.0).all()
    assert (result.positions[[PERP, f"{PERP}|cost"]].iloc[1] == 0.0).all()
    assert result.risk["margin_ratio|binance"].iloc[1] == float("inf")


def test_the_identity_holds_to_rounding(results):
    for result in results.values():
        assert result.status == "complete"
        scale = result.equity["equity"].iloc[0]
        assert result.equity["residual"].abs().max() <= 1e-12 * scale
