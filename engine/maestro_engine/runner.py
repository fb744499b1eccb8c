"""runner owns the port by which control runs backtests: run configs in, reports and lines out."""

from __future__ import annotations

from collections.abc import Sequence

from maestro_engine import methods as registry
from maestro_engine.backtest import BarWindow, BatchResult, FillCosts, TestSpec, TradeSize, simulate_batch
from maestro_engine.data.bars import Bars
from maestro_engine.data.timeframes import DAY_MS
from maestro_engine.metrics.calculator import MetricsCalculator
from maestro_engine.metrics.event_lines import PHASES, REGIMES, ScoreLine, score_lines, trade_lines, usd
from maestro_engine.metrics.slippage import slippage
from maestro_protocol.base import money
from maestro_protocol.config import DataRef, Phase, RunConfig, WindowRef
from maestro_protocol.errors import DataError, ParameterError
from maestro_protocol.ids import episode_id
from maestro_protocol.messages.campaign import DEFAULT_METHODS
from maestro_protocol.messages.report import Metrics, TestReport
from maestro_protocol.ports import EpisodeScore, TestOutcome
from maestro_protocol.space import ParameterSpace
from maestro_protocol.values import NamedValue

TAKER = "taker_volume"
MICROS = 1e6


class BacktestRunner:
    """Backtests on the open part of one data set."""

    def __init__(
        self,
        bars: Bars,
        data: DataRef,
        windows: Sequence[WindowRef],
        figures: MetricsCalculator,
        jobs: int = 1,
        methods: Sequence[str] = DEFAULT_METHODS,
    ) -> None:
        self._bars = bars
        self._data = data
        self._windows = tuple(windows)
        self._figures = figures
        self._jobs = jobs
        self._methods = tuple(methods)
        self._params: dict[tuple[NamedValue, ...], tuple[NamedValue, ...]] = {}

    @property
    def data(self) -> DataRef:
        return self._data

    @property
    def windows(self) -> Sequence[WindowRef]:
        return self._windows

    def methods(self) -> Sequence[str]:
        return self._methods

    def pin(self, methods: Sequence[str]) -> None:
        """Search among *methods* and no others."""
        self._methods = tuple(methods)

    def space(self, methods: Sequence[str]) -> ParameterSpace:
        return registry.space_for(tuple(methods))

    def check(self, config: RunConfig) -> None:
        values = registry.check(config.methods, config.values())
        if self._bars.taker_buy_volume is not None:
            return
        for spec in self.space(config.methods).specs:
            if spec.kind == "bool" and spec.needs == TAKER and values[spec.name]:
                raise ParameterError(f"{spec.name}: needs taker volume, which {self._data.source} does not have")

    def run(self, configs: Sequence[RunConfig]) -> Sequence[TestOutcome]:
        result = self.simulate(configs, keep_trades=True)
        return [self._outcome(config, result, place) for place, config in enumerate(configs)]

    def compare(self, configs: Sequence[RunConfig]) -> Sequence[TestReport]:
        result = self.simulate(configs, keep_trades=self._figures.needs_trades)
        return [self._report(config, result, place) for place, config in enumerate(configs)]

    def pool(self, parts: Sequence[Metrics]) -> Metrics:
        return self._figures.pool(parts)

    def simulate(self, configs: Sequence[RunConfig], keep_trades: bool) -> BatchResult:
        """The kernel's own result. All configs of a campaign share costs, size and episode length."""
        first = configs[0]
        shared = {(config.costs, config.sizing, config.episode_bars) for config in configs}
        if len(shared) > 1:
            raise ParameterError("a batch has one set of costs, one size and one episode length")
        return simulate_batch(
            self._bars,
            [_spec(config) for config in configs],
            costs_of(first),
            sizing_of(first),
            episode_bars=first.episode_bars,
            jobs=self._jobs,
            keep_trades=keep_trades,
        )

    def _report(self, config: RunConfig, result: BatchResult, place: int) -> TestReport:
        assert config.window is not None
        train, validation, whole = self._figures.phase_metrics(result, place)
        total = result.totals[place]
        fees = int(total["fees_micros"])
        slipped = round(float(slippage(total["fees_micros"], total["n_trades"], costs_of(config), _unit_of(config))))
        return TestReport(
            test_id=config.run_id,
            parent_run=config.parent_run,
            window=config.window.index,
            methods=config.methods,
            params=config.params,
            train=train,
            validation=validation,
            whole=whole,
            costs=money(fees + slipped + int(total["funding_micros"])),
            fees=money(fees),
            days=int(total["bars"]) * self._bars.step_ms / DAY_MS,
        )

    def _outcome(self, config: RunConfig, result: BatchResult, place: int) -> TestOutcome:
        rows = result.episodes(place)
        names = [episode_id(config.run_id, number + 1) for number in rows["episode"].tolist()]
        figures = self._figures.episode_ratios(rows)
        starts = self._bars.open_time[rows["first"]]
        phases: list[Phase] = [PHASES[phase] for phase in rows["phase"].tolist()]
        regimes = [REGIMES[regime] for regime in rows["regime"].tolist()]
        counts = [rows[name].tolist() for name in ("bars", "n_trades", "wins", "losses", "blunders")]
        micros = [rows[name].tolist() for name in ("win_micros", "loss_micros", "pnl_micros")]
        drawdowns = usd(rows["maxdd_micros"])
        bars, n_trades, wins, losses, blunders = counts
        episodes = list(
            map(
                EpisodeScore,
                (rows["episode"] + 1).tolist(),
                starts.tolist(),
                (starts + rows["bars"] * self._bars.step_ms).tolist(),
                phases,
                n_trades,
                wins,
                losses,
                *micros,
                drawdowns,
                blunders,
                [None if regime is None else regime == "high" for regime in regimes],
            )
        )
        lines = list(
            map(
                ScoreLine,
                [config.run_id] * len(rows),
                names,
                phases,
                bars,
                n_trades,
                figures.hit,
                figures.payoff,
                usd(rows["pnl_micros"]),
                drawdowns,
                blunders,
                figures.score,
                regimes,
            )
        )
        trades = result.trades(place)
        return TestOutcome(
            report=self._report(config, result, place),
            episodes=episodes,
            n_trades=len(trades),
            trades_jsonl=trade_lines(trades, self._bars, config.run_id, self._data.timeframe, config.methods, names),
            scores_jsonl=score_lines(lines),
        )


def costs_of(config: RunConfig) -> FillCosts:
    """The kernel's costs of a run."""
    return FillCosts(config.costs.taker_bps, config.costs.maker_bps, config.costs.slippage_bps)


def _unit_of(config: RunConfig) -> float | None:
    """Notional of every position in millionths of a USD; null where it is a quantity."""
    return None if config.sizing.quantity is not None else float(config.sizing.notional_usd) * MICROS


def sizing_of(config: RunConfig) -> TradeSize:
    """The kernel's sizing of a run."""
    if config.sizing.quantity is not None:
        return TradeSize.fixed(float(config.sizing.quantity))
    return TradeSize(notional_usd=float(config.sizing.notional_usd))


def _spec(config: RunConfig) -> TestSpec:
    if config.window is None:
        raise DataError(f"{config.run_id}: has no window to run on")
    w = config.window
    window = BarWindow(w.start, w.first, w.train_end, w.val_start, w.end)
    return TestSpec(config.run_id, window, config.methods, config.values(), scaled=config.sizing.factors())
