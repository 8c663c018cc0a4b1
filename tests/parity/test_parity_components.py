"""Components and clients of one's own: everything goes through them, and what they change takes effect."""

import pytest

import basis
from basis import Action, Decision
from basis.config import load_config
from basis.engine.event_driven import COMPONENTS
from basis.errors import InputError
from basis.execution.simulation import ExchangeSimulation, ProtocolSimulation, WalletSimulation
from support import event_values
from support.call_log import Log, logging_parts, logging_provider
from support.kernel_stages import plan_of_action, set_alert_level
from support.kernel_view import count_of_events, quantities_of_checkpoint
from support.same_run import AskedInPython, assert_same_but_for_the_run_id, assert_same_run

DAYS = {"start": "2024-02-01", "end": "2024-02-15"}
FLOWS = [
    {"timestamp": "2024-02-05T03:00:00Z", "amount": 20_000},
    {"timestamp": "2024-02-10T03:30:00Z", "amount": -30_000},
]
#: mode, overrides; between them every component and client has something to do
CASES = {
    "hedged": ("btc_basis", {**DAYS, "flows": FLOWS}),
    "lending": ("pure_lending", {**DAYS, "flows": FLOWS}),
    "struck": (
        "btc_basis", {"start": "2025-02-13", "end": "2025-02-16", "strategy.margin_ratio_target": 0.05}
    ),
    "next bar": ("btc_basis", {**DAYS, "flows": FLOWS, "fill": "next_bar"}),
}  # fmt: skip
VENUES = ("binance", "bybit", "okx")


@pytest.fixture(scope="module")
def watched(sample_data):
    """Case → (compiled result, result of an engine without a built-in part, log of its calls)."""
    made = {}

    def make(case):
        if case not in made:
            mode, overrides = CASES[case]
            config, log = load_config(mode, overrides, environ={}), Log()
            compiled = basis.backtest(config, sample_data)
            provider = logging_provider(sample_data, config, log)
            stepped = basis.backtest(config, provider, driver="event", **logging_parts(config, log))
            made[case] = compiled, stepped, log
        return made[case]

    return make


def kinds(result):
    """Number of events by kind."""
    return result.events.kind.value_counts().to_dict()


# --- nothing goes past them ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_an_engine_whose_parts_log_their_calls_gives_the_same_bits(case, watched):
    compiled, stepped, _ = watched(case)
    assert_same_but_for_the_run_id(compiled, stepped)


def test_everybody_is_asked(watched):
    logs = {case: watched(case)[2] for case in CASES}
    for name in COMPONENTS:
        idle = {"cex_execution_manager": ["lending"], "onchain_execution_manager": ["hedged", "struck", "next bar"]}
        for case, log in logs.items():
            assert (log.count(name) > 0) != (case in idle.get(name, [])), (name, case)
    for venue in (*VENUES, "wallet"):
        assert logs["hedged"].count(venue, "execute") > 0, venue
    assert logs["lending"].count("aave_v3", "execute") > 0
    assert all(log.count("data_provider", "get_market_data") > 0 for log in logs.values())


@pytest.mark.parametrize("case", CASES)
def test_the_hour_goes_through_the_monitors_in_every_row(case, watched):
    compiled, _, log = watched(case)
    rows = len(compiled.equity)
    assert log.count("exposure_monitor", "calculate_exposure") >= rows
    for name, method in (
        ("risk_monitor", "needs_attention"),
        ("pnl_calculator", "close_row"),
    ):
        assert log.count(name, method) == rows
    # row 0 has no hour before it
    for name, method in (("risk_monitor", "test_extremes"), ("pnl_calculator", "attribute_hour")):
        assert log.count(name, method) == rows - 1
    assert log.triggers()["settlement"] == rows


@pytest.mark.parametrize("case", CASES)
def test_every_order_goes_to_its_venue_and_every_fill_into_the_book(case, watched):
    _, compiled, log = watched(case)
    orders = count_of_events(compiled._recording, "order")
    fills = count_of_events(compiled._recording, "fill", "transfer")
    sent = [call for call in log if call.method == "execute"]
    assert 0 < fills <= orders
    assert len(sent) == orders
    assert sum(log.count(name, "execute_order") for name in COMPONENTS) == orders
    assert log.triggers()["fill"] == log.triggers("handle_position_update")["fill"] == fills
    for venue in compiled.config.venues:
        own = [call.given[0] for call in log.of(venue, "execute")]
        assert all(order.venue == venue for order in own)
    table = compiled.events[compiled.events.kind == "order"]
    assert [call.given[0].instrument for call in sent] == table.instrument.tolist()
    assert [call.given[0].quantity for call in sent] == table.quantity.tolist()
    assert [call.given[0].action for call in sent] == table.action.tolist()
    ids = [call.given[0].client_order_id for call in sent]
    assert len(set(ids)) == len(ids)
    assert [i.rpartition("-")[0] for i in ids] == table.correlation_id.tolist()


@pytest.mark.parametrize("case", CASES)
def test_what_follows_an_update_follows_it_at_once(case, watched):
    """Position, exposure, risk, P&L, in this order, once for every update that changed something."""
    _, _, log = watched(case)
    loop = ("get_snapshot", "calculate_exposure", "assess_risk", "calculate_pnl")
    steps = [call.method for call in log if call.method in loop]
    assert steps == list(loop) * (len(steps) // 4)
    updates, handled = log.triggers(), log.triggers("handle_position_update")
    struck = updates.pop("liquidation", 0)
    assert updates == handled
    assert (struck > 0) == (case != "lending")
    assert updates["fill"] + updates["settlement"] <= len(steps) // 4 <= handled.total()


@pytest.mark.parametrize("case", CASES)
def test_the_strategy_is_asked_where_the_compiled_loop_asks(case, watched, sample_data):
    """In the rows, and about the data of the rows, in which the compiled loop stops for a strategy in Python."""
    compiled, _, log = watched(case)
    asked = []

    class Counted(AskedInPython):
        async def make_decision(self, timestamp=None, market_data=None):
            asked.append(timestamp)
            return await super().make_decision(timestamp, market_data)

    basis.backtest(compiled.config, sample_data, strategy=Counted)
    decided = [call.given[0] for call in log.of("strategy_manager", "make_decision")]
    assert decided == asked
    assert [call.given[0] for call in log.of("data_provider", "get_market_data")] == asked
    rows = compiled.events.query("kind == 'decision'").effective_at
    assert {stamp.as_unit("ns").value for stamp in rows} <= set(asked)
    assert case == "struck" or len(asked) < len(compiled.equity) / 2


@pytest.mark.parametrize("case", CASES)
def test_the_logger_gets_the_events_of_the_table_in_order(case, watched):
    _, compiled, log = watched(case)
    logged = [event for call in log.of("event_logger", "log") for event in call.given[1]]
    assert event_values.of_records(logged) == event_values.of_table(compiled)
    # once for a row that has any
    rows = [call.given[0] for call in log.of("event_logger", "log")]
    stamps = compiled.events.timestamp.drop_duplicates()
    assert rows == [stamp.as_unit("ns").value for stamp in stamps]


# --- what they change takes effect -----------------------------------------------------------------------------------

HEDGED = ("btc_basis", {**DAYS, "strategy.margin_ratio_target": 0.5})


@pytest.fixture(scope="module")
def hedged(market_of):
    """Configuration, panel and compiled result of a short run."""
    config, panel = market_of(*HEDGED)
    return config, panel, basis.backtest(config, panel)


class Dear(ExchangeSimulation):
    """An exchange at which every trade costs another 10 bps."""

    async def execute(self, order):
        fill = await super().execute(order)
        if not fill or order.kind not in ("spot", "perp"):
            return fill
        return fill.replace(price=fill.price * (1.001 if fill.quantity > 0.0 else 0.999))


@pytest.mark.parametrize("driver", ["kernel", "event"])
def test_worse_prices_cost_what_they_are_worse(driver, hedged):
    config, panel, usual = hedged
    made = basis.backtest(config, panel, driver=driver, interfaces=dict.fromkeys(VENUES, Dear))
    lost = usual.attribution.slippage.sum() - made.attribution.slippage.sum()
    traded = made.events.query("kind == 'fill'").notional.sum()
    assert lost == pytest.approx(0.001 * traded, rel=0.02)
    assert made.summary["final_equity"] < usual.summary["final_equity"]
    assert made.summary["max_abs_residual"] < 1e-6
    assert made.status == "complete"


def test_worse_prices_are_the_same_in_both_drivers(hedged):
    config, panel, _ = hedged
    made = [
        basis.backtest(config, panel, driver=driver, interfaces=dict.fromkeys(VENUES, Dear))
        for driver in ("kernel", "event")
    ]
    assert_same_run(*made)


class Closed(ExchangeSimulation):
    """An exchange that takes no orders."""

    async def execute(self, order):
        from basis.components.orders import Fill

        return Fill.rejected(order, "not enough margin")


@pytest.mark.parametrize("driver", ["kernel", "event"])
def test_a_venue_that_refuses_fills_nothing(driver, hedged):
    config, panel, _ = hedged
    made = basis.backtest(config, panel, driver=driver, interfaces={"okx": Closed})
    table = made.events[made.events.venue == "okx"]
    assert set(table.kind) == {"order", "reject", "arrival"}
    assert set(table.query("kind == 'reject'").detail) == {"not enough margin"}
    assert (made.positions["okx:Perp:BTCUSDT"] == 0.0).all()
    assert (made.positions["bybit:Perp:BTCUSDT"] < 0.0).any()


class Hesitant(basis.StrategyManager):
    """Decides on nothing."""

    def make_decision(self, timestamp=None, market_data=None):
        return None


@pytest.mark.parametrize("driver", ["kernel", "event"])
@pytest.mark.parametrize("nothing", [None, Decision(), (), []])
def test_a_strategy_that_refuses_to_trade_gives_no_fills(driver, nothing, hedged):
    config, panel, _ = hedged
    strategy = type("Hesitant", (Hesitant,), {"make_decision": lambda self, timestamp, data: nothing})
    made = basis.backtest(config, panel, driver=driver, strategy=strategy)
    assert kinds(made) == {}
    assert (made.equity.equity == 100_000.0).all()


def test_a_risk_monitor_that_reports_critical_lets_nothing_open(hedged):
    class Alarmed(COMPONENTS["risk_monitor"]):
        def report_alerts(self):
            super().report_alerts()
            set_alert_level(self.run.state, 2.0)
            return self.alert_level

    config, panel, _ = hedged
    made = basis.backtest(config, panel, driver="event", components={"risk_monitor": Alarmed})
    assert "fill" not in kinds(made)
    assert "transfer" not in kinds(made) or (made.positions.filter(like=":Perp:") == 0.0).all().all()


def test_a_risk_monitor_that_never_sees_anything_keeps_the_strategy_from_being_asked(hedged):
    class Asleep(COMPONENTS["risk_monitor"]):
        def needs_attention(self):
            return False

    config, panel, _ = hedged
    made = basis.backtest(config, panel, driver="event", components={"risk_monitor": Asleep})
    assert kinds(made) == {}


def test_a_pnl_calculator_that_calls_it_a_day_stops_the_run(hedged):
    class Strict(COMPONENTS["pnl_calculator"]):
        def close_row(self):
            verdict = super().close_row()
            return 1 if self.run.state.row == 9 else verdict

    config, panel, usual = hedged
    with pytest.warns(basis.errors.RunStoppedWarning, match="insolvent in row 9"):
        made = basis.backtest(config, panel, driver="event", components={"pnl_calculator": Strict})
    assert len(made.equity) == 10
    assert made.equity.equity.tolist() == usual.equity.equity.tolist()[:10]


def test_an_execution_manager_that_skips_an_action_does_so_in_both_drivers(hedged):
    class Unhedged(COMPONENTS["cex_execution_manager"]):
        async def execute_action(self, place, timestamp=None, market_data=None):
            if plan_of_action(self.run.state, place) == 0:
                return 0
            return await super().execute_action(place, timestamp, market_data)

    config, panel, _ = hedged
    made = [
        basis.backtest(config, panel, driver=driver, components={"cex_execution_manager": Unhedged})
        for driver in ("kernel", "event")
    ]
    assert_same_run(*made)
    assert "fill" not in kinds(made[0])
    assert kinds(made[0])["transfer"] == 3


def test_what_a_strategy_is_reported_is_what_the_panel_holds(hedged, sample_data):
    """And what the strategy's data are is the run's own table."""
    table = {}

    class Curious(AskedInPython):
        async def make_decision(self, timestamp=None, market_data=None):
            table[timestamp] = dict(market_data)
            return await super().make_decision(timestamp, market_data)

    config, panel, _ = hedged
    for data in (panel, sample_data):
        for driver in ("kernel", "event"):
            table.clear()
            made = basis.backtest(config, data, driver=driver, strategy=Curious)
            assert len(table) > 3
            for stamp, seen in table.items():
                row = panel.row_at(stamp)
                # row 0 of a data set has an hour before it, which that of a run has not
                for name in ("spot|BTC", "mark|okx:Perp:BTCUSDT", "gas_price_gwei"):
                    assert seen[name] == made.panel[name].iloc[row], (name, row)


@pytest.mark.parametrize("driver", ["kernel", "event"])
@pytest.mark.parametrize("window", [{}, {"end": "2024-02-03"}], ids=["as it is", "another window"])
def test_a_provider_of_ones_own_is_asked_for_every_decision(window, driver, sample_data):
    config, log = load_config("btc_basis", {"start": "2024-02-01", "end": "2024-02-05"}, environ={}), Log()
    provider = logging_provider(sample_data, config, log)
    asked = []

    class Counted(AskedInPython):
        async def make_decision(self, timestamp=None, market_data=None):
            asked.append(timestamp)
            return await super().make_decision(timestamp, market_data)

    basis.backtest(config, provider, driver=driver, strategy=Counted, **window)
    assert [call.given[0] for call in log.of("data_provider", "get_market_data")] == asked
    assert len(asked) >= 2


def test_a_strategy_is_table_instruments_that_came_with_the_starting_book(sample_data):
    table = {}

    class Listens(basis.StrategyManager):
        def make_decision(self, timestamp=None, market_data=None):
            table.update({name: value for name, value in market_data.items() if "ETHUSDT" in name})

    start = {
        "binance:BaseToken:USDT": 100_000.0,
        "binance:Perp:ETHUSDT": -1.0,
        "binance:Perp:ETHUSDT|cost": -2_300.0,
    }
    days = {"start": "2024-02-01", "end": "2024-02-02", "strategy.rebalance": False}
    days["strategy.hedge_allocation"] = {"binance": 0.5, "bybit": 0.5}
    made = basis.backtest("btc_basis", sample_data, overrides=days, positions=start, strategy=Listens)
    assert table.get("mark|binance:Perp:ETHUSDT") in made.panel["mark|binance:Perp:ETHUSDT"].tolist()


class Looks(basis.StrategyManager):
    """Sends what the hour's range says in row 0."""

    def make_decision(self, timestamp=None, market_data=None):
        if not self.view.first:
            return None
        spread = market_data["high|okx:Perp:BTCUSDT"] - market_data["low|okx:Perp:BTCUSDT"]
        return [Action("entry_full", "USDT", 1_000.0 + spread)]


@pytest.mark.parametrize("driver", ["kernel", "event"])
def test_a_checkpoint_of_a_strategy_that_looks_at_the_market_is_of_its_run(driver, sample_data):
    """The run is made once more up to the row; the strategy has to be told the same again."""
    days = {"start": "2024-02-01", "end": "2024-02-03"}
    made = basis.backtest("btc_basis", sample_data, overrides=days, driver=driver, strategy=Looks)
    kept = made.checkpoint("2024-02-02")
    for key, quantity in quantities_of_checkpoint(kept, made._recording.slots).items():
        assert quantity == made.positions[key].loc["2024-02-02 00:00"]


# --- what the compiled loop cannot use -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "position_monitor", "event_logger", "exposure_monitor", "risk_monitor", "pnl_calculator",
        "position_update_handler",
    ],
)  # fmt: skip
def test_the_kernel_driver_refuses_a_component_it_would_pass_by(name, hedged):
    config, panel, _ = hedged
    own = type("Homemade", (COMPONENTS[name],), {})
    with pytest.raises(InputError) as caught:
        basis.backtest(config, panel, components={name: own})
    for part in (name, "Homemade", "driver='event'"):
        assert part in str(caught.value)
    assert basis.backtest(config, panel, driver="event", components={name: own}).status == "complete"


def test_built_in_classes_by_name_are_no_reason_to_stop(hedged):
    """Components that are named but built in leave the compiled loop alone."""
    config, panel, usual = hedged
    clients = {"wallet": WalletSimulation, **dict.fromkeys(VENUES, ExchangeSimulation)}
    assert_same_but_for_the_run_id(usual, basis.backtest(config, panel, components=COMPONENTS, interfaces=clients))


def test_a_client_serves_any_venue_it_is_named_for(hedged):
    """What a client does is the kernel's, by the order; its class is only a name."""
    config, panel, usual = hedged
    assert_same_but_for_the_run_id(usual, basis.backtest(config, panel, interfaces={"okx": ProtocolSimulation}))


# --- one action, by hand ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", ["kernel", "event"])
def test_a_list_of_actions_is_a_decision(driver, hedged):
    class Once(basis.StrategyManager):
        def make_decision(self, timestamp=None, market_data=None):
            return [Action("entry_full", "USDT", 1_000.0)] if self.view.first else None

    config, panel, _ = hedged
    made = basis.backtest(config, panel, driver=driver, strategy=Once)
    assert kinds(made) == {"decision": 1, "order": 3, "transfer": 3, "arrival": 3}
