"""tearsheet owns how a finalist's result came about: what costs took, trades, UTC days, falls, beside buy and hold.

Everything is told from the trades of its two runs, over the open part and over the sealed one, and from the bars.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from maestro_engine.backtest import ExitReason, Records
from maestro_engine.data.bars import Bars, Floats, Ints
from maestro_engine.data.timeframes import DAY_MS
from maestro_engine.exits.rules import STOPS
from maestro_engine.inference.evaluation.period import EvaluationPeriod
from maestro_engine.inference.evaluation.verdict_text import all_rounded, rounded
from maestro_engine.inference.statistics.sharpe import annualise, sharpe
from maestro_engine.metrics.event_lines import EXITS
from maestro_protocol import config as run
from maestro_protocol.base import money
from maestro_protocol.messages.tearsheet import (
    BuyAndHold,
    CostSheet,
    Drawdown,
    Excursions,
    Histogram,
    HoldResult,
    Part,
    PriceChart,
    TearSheet,
    TearSheets,
    TradeGroup,
    TradeMark,
)

FALLS = 5
"""Drawdowns that are told, the deepest."""
SAMPLE = 300
"""Most trades that stand for all in a scatter."""
CHARTED, SAMPLES = 24, 240
"""Most trades of a price chart, and most samples of its prices."""
BINS = 40
BPS = 1e-4
CENTS = Decimal("0.01")


@dataclass(frozen=True, eq=False)
class PartRun:
    """One finalist's trades, TRADE rows in order of time, over one stretch."""

    part: Part
    stretch: EvaluationPeriod
    trades: Records


def tear_sheets(finalists: Sequence[tuple[run.RunConfig, Sequence[PartRun]]], per_year: float) -> TearSheets | None:
    """The sheets of all finalists, each with its runs over the same stretches; None where there is no finalist.

    Args:
        finalists: Config and runs, open part first. All have the same costs and size.
        per_year: Periods of a stretch in a year.
    """
    if not finalists:
        return None
    config, runs = finalists[0]
    stretches: list[tuple[Part, EvaluationPeriod]] = [(each.part, each.stretch) for each in runs]
    first, bars = stretches[0][1].first, stretches[-1][1].bars
    capital = _capital(config, bars, first)
    days = bars.open_time // DAY_MS
    return TearSheets(
        capital=_money(capital),
        first_day=int(days[first]) * DAY_MS,
        sealed_day=int(days[stretches[1][1].first]) * DAY_MS if len(stretches) > 1 else None,
        hold=_hold(stretches, bars, config, capital, per_year),
        sheets=tuple(_sheet(each, made, bars, first) for each, made in finalists),
    )


def _capital(config: run.RunConfig, bars: Bars, first: int) -> float:
    """Notional of one position; of a fixed quantity, at the first price."""
    size = config.sizing
    return float(size.notional_usd if size.quantity is None else size.quantity) * (
        1.0 if size.quantity is None else float(bars.open[first])
    )


def _sheet(config: run.RunConfig, runs: Sequence[PartRun], bars: Bars, first: int) -> TearSheet:
    curves = [equity(each, bars, config.costs.taker_bps * BPS) for each in runs]
    joined = _joined(curves)
    return TearSheet(
        run_id=config.run_id,
        costs=tuple(_costs(each, bars, config.costs) for each in runs),
        groups=tuple(group for each in runs for group in _groups(each, bars.step_ms)),
        days=_daily(joined, bars.open_time[first : first + len(joined)]),
        drawdowns=drawdowns(joined, bars.open_time[first : first + len(joined)]),
        sample=_sample(runs),
        net=_net_histogram(np.concatenate([each.trades["pnl"] for each in runs])),
        held=_held_histogram(np.concatenate([each.trades["bars_held"] for each in runs]), bars.step_ms),
        chart=_chart(runs, bars),
    )


def equity(made: PartRun, bars: Bars, taker: float) -> Floats:
    """Mark-to-market equity in USD at the close of each bar of the stretch, 0 before it, as the kernel marks it."""
    trades, first, end = made.trades, made.stretch.first, made.stretch.end
    realised = np.concatenate([[0.0], np.cumsum(trades["pnl_micros"]) / 1e6])
    value = realised[np.searchsorted(trades["exit_bar"], np.arange(first, end), side="right")]
    held = trades["exit_bar"] - trades["entry_bar"]
    each = np.repeat(np.arange(len(trades)), held)
    bar = np.arange(len(each)) - np.repeat(np.cumsum(held) - held, held) + trades["entry_bar"][each]
    qty, entry = trades["qty"][each], trades["entry"][each]
    due = _funding_due(bars)
    paid = due[bar] - due[trades["entry_bar"][each]]
    value[bar - first] += trades["side"][each] * qty * (bars.close[bar] - entry - paid) - taker * qty * entry
    return value


def _funding_due(bars: Bars) -> Floats:
    """What a long of quantity 1 has been charged from the first bar up to each one's open."""
    rate = bars.funding_rate
    return np.zeros(len(bars)) if rate is None else np.cumsum(rate * bars.open)


def _joined(curves: Sequence[Floats]) -> Floats:
    """Equity of one part after the other."""
    ends = np.cumsum([0.0, *(curve[-1] for curve in curves)])
    return np.concatenate([curve + end for curve, end in zip(curves, ends, strict=False)])


def _costs(made: PartRun, bars: Bars, costs: run.Costs) -> CostSheet:
    trades = made.trades
    fees, funding = int(trades["fees_micros"].sum()), int(trades["funding_micros"].sum())
    net = int(trades["pnl_micros"].sum())
    slippage = round(float(_slippage(trades, bars, costs.slippage_bps * BPS).sum()) * 100) * 10_000
    return CostSheet(
        part=made.part,
        trades=len(trades),
        gross=money(net + fees + slippage + funding),
        fees=money(fees),
        slippage=money(slippage),
        funding=money(funding),
        net=money(net),
    )


def _slippage(trades: Records, bars: Bars, share: float) -> Floats:
    """USD that each trade's taker fills lost to the price aimed at: an open, a stop's level, the last close."""
    side, reason, leaves = trades["side"], trades["reason"], trades["exit_bar"]
    entered = side * (trades["entry"] - bars.open[trades["entry_bar"]])
    at_open = bars.open[leaves]
    level = trades["exit"] / (1.0 - side * share)
    aimed = np.select(
        [np.isin(reason, STOPS), reason == ExitReason.TIMEOUT, reason == ExitReason.END],
        [np.where(side > 0, np.minimum(level, at_open), np.maximum(level, at_open)), at_open, bars.close[leaves]],
        trades["exit"],
    )
    return trades["qty"] * (entered + np.maximum(side * (aimed - trades["exit"]), 0.0))


def _groups(made: PartRun, step_ms: int) -> list[TradeGroup]:
    trades = made.trades
    by_side = [("side", name, trades["side"] == sign) for name, sign in (("long", 1), ("short", -1))]
    by_exit = [("exit", name, trades["reason"] == code) for code, name in enumerate(EXITS)]
    return [
        TradeGroup.model_validate(
            {
                "part": made.part,
                "by": by,
                "name": name,
                "trades": int(chosen.sum()),
                "wins": int((trades["pnl_micros"][chosen] > 0).sum()),
                "net": money(int(trades["pnl_micros"][chosen].sum())),
                "median_held_ms": int(np.median(trades["bars_held"][chosen]) * step_ms),
            }
        )
        for by, name, chosen in (*by_side, *by_exit)
        if chosen.any()
    ]


def _daily(curve: Floats, times: Ints) -> tuple[float, ...]:
    """Change of *curve* on each UTC day; a day without a bar changed nothing."""
    day = times // DAY_MS
    ends = np.searchsorted(day, np.arange(int(day[0]), int(day[-1]) + 1), side="right") - 1
    return tuple(np.round(np.diff(curve[ends], prepend=0.0), 2).tolist())


def drawdowns(curve: Floats, times: Ints) -> tuple[Drawdown, ...]:
    """The deepest falls from a peak (0 at the start) to where it is reached again, deepest first."""
    peak = np.maximum(np.maximum.accumulate(curve), 0.0)
    below = np.concatenate([[False], np.round(curve - peak, 2) < 0.0, [False]])
    begins, ends = (
        np.flatnonzero(np.diff(below.astype(np.int8)) == 1),
        np.flatnonzero(np.diff(below.astype(np.int8)) == -1),
    )
    found = [(float(curve[b:e].min() - peak[b]), int(b), int(e)) for b, e in zip(begins, ends, strict=True)]
    return tuple(
        Drawdown(
            peak_at=int(times[max(begin - 1, 0)]),
            trough_at=int(times[begin + int(curve[begin:end].argmin())]),
            recovered_at=int(times[end]) if end < len(curve) else None,
            depth=_money(depth),
        )
        for depth, begin, end in sorted(found)[:FALLS]
    )


def _marks(made: PartRun, chosen: Records, bars: Bars) -> list[TradeMark]:
    return [
        TradeMark(
            part=made.part,
            side="long" if row["side"] > 0 else "short",
            entered_at=int(bars.open_time[row["entry_bar"]]),
            left_at=int(bars.open_time[row["exit_bar"]]),
            entry=float(row["entry"]),
            left=float(row["exit"]),
            net=round(float(row["pnl"]), 2),
        )
        for row in chosen
    ]


def _sample(runs: Sequence[PartRun]) -> Excursions:
    step = max(1, -(-sum(len(each.trades) for each in runs) // SAMPLE))
    chosen = np.concatenate([each.trades[::step] for each in runs])
    net, mae, mfe = (tuple(np.round(chosen[name], 2).tolist()) for name in ("pnl", "mae", "mfe"))
    return Excursions(net=net, mae=mae, mfe=mfe)


def _net_histogram(net: Floats) -> Histogram:
    if not len(net):
        return Histogram(edges=(), counts=())
    low, high = float(np.percentile(net, 1)), float(np.percentile(net, 99))
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    counts, _ = np.histogram(np.clip(net, edges[0], edges[-1]), bins=edges)
    return Histogram(edges=all_rounded(edges.tolist()), counts=tuple(counts.tolist()))


def _held_histogram(bars_held: Ints, step_ms: int) -> Histogram:
    """By time held, every class twice as long as the one before."""
    if not len(bars_held):
        return Histogram(edges=(), counts=())
    edges: Ints = np.array([0, *(2**n for n in range(int(bars_held.max()).bit_length() + 1))])
    counts, _ = np.histogram(bars_held, bins=edges)
    return Histogram(edges=all_rounded((edges * step_ms / 3_600_000).tolist()), counts=tuple(counts.tolist()))


def _chart(runs: Sequence[PartRun], bars: Bars) -> PriceChart | None:
    """The last trades of the last part that has any, and the market around them."""
    made = next((each for each in reversed(runs) if len(each.trades)), None)
    if made is None:
        return None
    chosen = made.trades[-CHARTED:]
    begin, end = int(chosen["entry_bar"][0]), int(chosen["exit_bar"][-1]) + 1
    air = max((end - begin) // 20, 2)
    begin, end = max(begin - air, 0), min(end + air, len(bars))
    firsts = np.arange(begin, end, max(1, -(-(end - begin) // SAMPLES)))
    lasts = np.append(firsts[1:], end) - 1

    def least(column: Floats, reduce: Callable[[Floats, Ints], Floats]) -> tuple[float, ...]:
        return all_rounded(reduce(column[begin:end], firsts - begin).tolist())

    return PriceChart(
        times=tuple(bars.open_time[firsts].tolist()),
        lows=least(bars.low, np.minimum.reduceat),
        highs=least(bars.high, np.maximum.reduceat),
        closes=all_rounded(bars.close[lasts].tolist()),
        trades=tuple(_marks(made, chosen, bars)),
    )


def _hold(
    stretches: Sequence[tuple[Part, EvaluationPeriod]],
    bars: Bars,
    config: run.RunConfig,
    capital: float,
    per_year: float,
) -> BuyAndHold:
    """Bought at the first open, sold at the last close, both as a taker."""
    first, end = stretches[0][1].first, stretches[-1][1].end
    cost = (config.costs.taker_bps + config.costs.slippage_bps) * BPS
    qty = capital / float(bars.open[first])
    due = _funding_due(bars)
    curve = qty * (bars.close[first:end] - bars.open[first] - (due[first:end] - due[first])) - cost * capital
    curve[-1] -= cost * qty * float(bars.close[end - 1])
    results = tuple(
        _hold_result(part, curve[stretch.first - first : stretch.end - first], base, stretch.period_bars, per_year)
        for (part, stretch), base in zip(
            stretches, (0.0, *(float(curve[s.end - first - 1]) for _, s in stretches)), strict=False
        )
    )
    return BuyAndHold(results=results, days=_daily(curve, bars.open_time[first:end]))


def _hold_result(part: Part, curve: Floats, base: float, period_bars: int, per_year: float) -> HoldResult:
    own = np.concatenate([[0.0], curve - base])
    ends = np.minimum(np.arange(1, -(-len(curve) // period_bars) + 1) * period_bars, len(curve))
    return HoldResult(
        part=part,
        net=_money(float(own[-1])),
        maxdd=_money(float((own - np.maximum.accumulate(own)).min())),
        sharpe=rounded(annualise(sharpe(np.diff(own[ends], prepend=0.0)), per_year)),
    )


def _money(value: float) -> Decimal:
    return Decimal(value).quantize(CENTS)
