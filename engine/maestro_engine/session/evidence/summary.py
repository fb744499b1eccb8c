"""summary owns summary.html: one page that needs nothing but itself, what the session made first, then why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import jinja2

from maestro_engine.feeds.sources import SOURCES
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.evidence.charts import NARROW, WIDE, amount, equity_chart, price_chart
from maestro_engine.session.evidence.report import FinalReport
from maestro_engine.session.evidence.story import Story, StoryTrade
from maestro_protocol.sanitize import printable

MOST_TRADES = 500
ZERO = Decimal(0)
FILES = (
    ("final_report.json", "every figure of this page, exact"),
    ("trades.jsonl", "each trade, as agents read it"),
    ("report.json", "metrics and episodes, as agents read them"),
    ("events.jsonl", "the trail: everything that happened, numbered"),
    ("metrics.csv", "price, position and equity each minute"),
    ("session.log", "what the program noticed of itself"),
)


@dataclass(frozen=True, slots=True)
class SummaryTable:
    """*columns* are names with a kind each (``text``, ``num``, ``code``); rows fit them."""

    name: str
    title: str
    columns: tuple[tuple[str, str], ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """One chart in two widths, with what it shows."""

    title: str
    caption: str
    wide: str
    narrow: str
    legend: tuple[tuple[str, str, str], ...] = ()


def summary_page(report: FinalReport, config: SessionConfig, story: Story, warnings: Sequence[str] = ()) -> str:
    """The page of a session that ended with *report*, whose trail tells *story*.

    *warnings* are said above everything else. All text is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    net = report.net_pnl
    if story.points:
        story.beat(max(story.ended_ms, story.points[-1][0]), report.ending_equity, last=True)
    page = environment.get_template("summary.html").render(
        report=report,
        word=f"{money(net, sign=True)} USD" if report.exit_code == 0 else f"Failed: {money(net, sign=True)} USD",
        tone="bad" if report.exit_code or net < 0 else "good" if net > 0 else "even",
        sentence=_sentence(report, config, story),
        meaning=_meaning(config),
        simulated=config.source == "sim",
        warnings=[*warnings, *_warnings(report)],
        tiles=_tiles(report, story),
        pictures=_pictures(report, config, story),
        limits=_limits(report),
        halves=(_money(report, story), _exits(story), _orders(report, story), _machine(report, story)),
        trades=_trades(story),
        settings=_settings(config),
        files=FILES,
    )
    return printable(page)


def money(value: Decimal, *, sign: bool = False) -> str:
    """*value* to the cent, or with two digits that count where it is less."""
    digits = 2 if not value or abs(value) >= Decimal("0.1") else min(12, 1 - value.adjusted())
    said = amount(float(value), digits)
    return f"+{said}" if sign and value > 0 else said


def price_text(value: Decimal | None) -> str:
    """A price with seven digits that count, at least two of them decimals."""
    if value is None:
        return "–"
    return amount(float(value), min(12, max(2, 6 - value.adjusted())))


def lasting(seconds: float) -> str:
    """A duration in its two largest units."""
    whole = round(seconds)
    parts = [(whole // 86_400, "d"), (whole // 3_600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    told = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(told[:2]) or "0 s"


def at(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def counted(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _sentence(report: FinalReport, config: SessionConfig, story: Story) -> str:
    won = sum(trade.pnl > 0 for trade in story.trades)
    trades = f"{counted(len(story.trades), 'trade')}, {won} won" if story.trades else "no trade"
    return (
        f"{config.symbol} {config.interval} by {' + '.join(config.methods)}: {trades} in"
        f" {lasting(report.duration_seconds)}. Equity {money(report.starting_equity)} at the start,"
        f" {money(report.ending_equity)} at the end{_ended(report.reason)}."
    )


def _ended(reason: str) -> str:
    """Why it ended, where that was not its planned end."""
    kind, _, what = reason.partition(":")
    known = {
        "duration": "",
        "data_ended": ", which came with the end of its data",
        "stop": ", which its owner asked for",
        "signal": f", which came with {what}",
        "breaker": f", which came when the breaker {what} tripped",
        "kill_switch": f", which came when the kill switch went on by {what}",
    }
    return known.get(kind, f", which came by {reason}")


def _meaning(config: SessionConfig) -> str:
    prices = SOURCES.get(config.source).prices if config.source in SOURCES else f"Prices came from {config.source}"
    return (
        f"{prices}; orders were filled on paper by a model of the exchange, and no money was moved. What paper earns"
        " is a reason to look closer, not a promise."
    )


def _warnings(report: FinalReport) -> list[str]:
    told: list[str] = []
    if report.position:
        told.append(f"{report.position:f} is still held: it could not be closed, and waits for the next start.")
    told += [f"{name} is tripped: no entry is made while it is." for name in report.breakers]
    if report.duration_seconds < report.planned_seconds * 0.999:
        told.append(
            f"It ran {lasting(report.duration_seconds)} of {lasting(report.planned_seconds)}: {report.reason}."
        )
    return told


def _tiles(report: FinalReport, story: Story) -> list[tuple[str, str, str]]:
    won, lost = (sum(sign * trade.pnl > 0 for trade in story.trades) for sign in (1, -1))
    share = 100 * float(report.net_pnl / report.starting_equity) if report.starting_equity else 0.0
    return [
        ("Equity at the start", money(report.starting_equity), at(story.points[0][0]) if story.points else ""),
        ("Equity at the end", money(report.ending_equity), f"after {lasting(report.duration_seconds)}"),
        ("Net", money(report.net_pnl, sign=True), f"{amount(share, 3)} % of the start"),
        ("Costs", money(report.fees_total - report.funding_total), "fees, and funding paid"),
        ("Deepest fall", money(-story.deepest), "of the equity below its highest"),
        ("Trades", f"{len(story.trades):,}", f"{won} won, {lost} lost"),
    ]


def _pictures(report: FinalReport, config: SessionConfig, story: Story) -> list[Picture]:
    pictures: list[Picture] = []
    if story.candles:
        legend = (
            ("muted", "▲", "long entry"),
            ("muted", "▼", "short entry"),
            ("muted", "●", "exit"),
            ("good", "━", "won"),
            ("bad", "━", "lost"),
            ("muted", "┄", "stop and target"),
        )
        caption = (
            f"Lows and highs of {counted(len(story.candles), 'candle')} of {config.interval}; each trade from its"
            " entry to its exit, with its stop and its target while it was held."
        )
        charts = [price_chart(story, config.step_ms, width) for width in (WIDE, NARROW)]
        pictures.append(Picture("Entries and exits on the price", caption, charts[0], charts[1], legend))
    if story.points:
        start = float(report.starting_equity)
        caption = (
            f"From {money(report.starting_equity)} (dashed) to {money(report.ending_equity)}, after fees and funding;"
            " open positions are valued at the price of the moment."
        )
        wide, narrow = (equity_chart(story.points, start, width) for width in (WIDE, NARROW))
        pictures.append(Picture("Equity", caption, wide, narrow))
    return pictures


def _limits(report: FinalReport) -> SummaryTable:
    rows = tuple(
        (each.name, f"{each.most:,.4f}", f"{each.allowed:,.4f}", _share(each.most, each.allowed))
        for each in report.limits
    )
    columns = (("Limit", "text"), ("Most taken", "num"), ("Allowed", "num"), ("Used", "num"))
    note = "The most of each hard limit that was taken at any second. At 100 % nothing more is entered."
    return SummaryTable("limits", "Limits", columns, rows, note if rows else "This report does not tell.")


def _share(most: Decimal, allowed: Decimal) -> str:
    return f"{float(100 * most / allowed):.1f} %" if allowed else "–"


def _money(report: FinalReport, story: Story) -> SummaryTable:
    gross = report.net_pnl + report.fees_total - report.funding_total
    rows = (
        ("moves of the price, before costs", money(gross, sign=True)),
        ("fees", money(-report.fees_total)),
        ("funding", money(report.funding_total, sign=True)),
        ("net", money(report.net_pnl, sign=True)),
    )
    return SummaryTable("money", "What became of the money", (("Part", "text"), ("Amount", "num")), rows)


def _exits(story: Story) -> SummaryTable:
    kinds = dict.fromkeys(trade.reason or "closed" for trade in story.trades)
    groups = [(name, [t for t in story.trades if (t.reason or "closed") == name]) for name in sorted(kinds)]
    groups += [(name, [t for t in story.trades if t.side == side]) for name, side in (("long", 1), ("short", -1))]
    rows = tuple(
        (
            name,
            f"{len(found):,}",
            f"{sum(t.pnl > 0 for t in found):,}",
            money(sum((t.pnl for t in found), ZERO), sign=True),
        )
        for name, found in groups
        if found
    )
    columns = (("Ended by, and side", "text"), ("Trades", "num"), ("Won", "num"), ("Net", "num"))
    return SummaryTable("exits", "Reasons of exit", columns, rows, "" if rows else "There was no trade.")


def _orders(report: FinalReport, story: Story) -> SummaryTable:
    refused = tuple((f"refused: {reason}", f"{count:,}") for reason, count in sorted(story.refused.items()))
    rows = (("sent", f"{report.orders:,}"), ("filled, fills", f"{report.fills:,}"), *refused)
    return SummaryTable("orders", "Orders", (("What", "text"), ("Count", "num")), rows)


def _machine(report: FinalReport, story: Story) -> SummaryTable:
    latency = report.frame_to_decision.p99_ms
    rows = (
        ("from frame to decision, 99 of 100", "–" if latency is None else f"{latency:.3f} ms"),
        ("peak memory", f"{report.rss_mb_peak:g} MB"),
        ("errors", f"{report.error_count:,}"),
        ("connections lost", f"{report.disconnects:,}"),
        ("interruptions", f"{report.restarts:,}"),
        ("candles missing when due", f"{story.gaps:,}"),
    )
    return SummaryTable("machine", "How it ran", (("What", "text"), ("Figure", "num")), rows)


def _trades(story: Story) -> SummaryTable:
    names = ("Entered", "Side", "Quantity", "Entry", "Stop", "Target", "Exit", "Held", "Ended by", "Fees", "Funding")
    kinds = ("code", "text", *["num"] * 6, "text", "num", "num")
    columns = (*zip(names, kinds, strict=True), ("Net", "num"))
    trades = [*story.trades, *([story.open] if story.open else [])]
    shown = trades[-MOST_TRADES:]
    told = (
        f"The last {MOST_TRADES} of {len(trades):,}; all of them are in trades.jsonl. "
        if len(trades) > MOST_TRADES
        else ""
    )
    note = f"{told}Fees and funding count as paid." if trades else "There was no trade."
    return SummaryTable("trades", "Trades", columns, tuple(_trade_row(story, trade) for trade in shown), note)


def _trade_row(story: Story, trade: StoryTrade) -> tuple[str, ...]:
    stop, target = story.bracket(trade)
    left = trade.left / trade.sold if trade.sold else None
    is_open = trade is story.open
    return (
        at(trade.entered_ms),
        "long" if trade.side > 0 else "short",
        f"{trade.bought.normalize():f}",
        price_text(trade.entered / trade.bought),
        price_text(stop),
        price_text(target),
        price_text(left),
        "–" if is_open else lasting((trade.left_ms - trade.entered_ms) / 1_000),
        "still held" if is_open else trade.reason or "closed",
        money(trade.fees),
        money(trade.funding),
        "–" if is_open else money(trade.pnl, sign=True),
    )


def _settings(config: SessionConfig) -> SummaryTable:
    values = ", ".join(f"{name} {value}" for name, value in config.values().items())
    rows = (
        ("market", f"{config.symbol}, candles of {config.interval}, {config.source}"),
        ("size of a position", f"{config.quantity:f}"),
        ("methods", ", ".join(config.methods)),
        ("parameters", values),
        ("amounts are stated for", "this size" if config.declared_for is None else f"{config.declared_for:,f} USD"),
        ("costs", f"taker {config.costs.taker_bps} bps, maker {config.costs.maker_bps} bps"),
        ("fills", "against quotes and trades" if config.fills == "ticks" else "against closed candles"),
        ("seed", str(config.seed)),
        ("configuration", config.digest),
    )
    return SummaryTable("settings", "Settings", (("What", "text"), ("Value", "text")), rows)
