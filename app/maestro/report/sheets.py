"""sheets owns the tables of how finalists' results came about: costs, returns on capital, falls, kinds of trades."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from maestro.report import formatting
from maestro.report.campaign_data import Facts
from maestro.report.tables import Table
from maestro_protocol.messages.campaign import Finalist
from maestro_protocol.messages.tearsheet import Drawdown, HoldResult, TearSheet, TearSheets, TradeGroup

FALLS = 3
"""Drawdowns of each finalist that are shown."""
HOLD = "buy and hold"
DAY_MS = 86_400_000
KINDS = {
    "long": "long",
    "short": "short",
    "stop": "ended by the stop",
    "target": "ended by the target",
    "timeout": "ended by the clock",
    "end": "ended with the data",
    "trailing_stop": "ended by the trailing stop",
    "break_even": "ended at break-even",
}
"""How groups of trades are called, by their name."""


def cost_sentence(facts: Facts) -> str:
    """What costs did to the first finalist, where they are most of its loss; else nothing."""
    if facts.sheets is None or not facts.sheets.sheets:
        return ""
    first = facts.sheets.sheets[0]
    net, gross = sum((c.net for c in first.costs), Decimal(0)), sum((c.gross for c in first.costs), Decimal(0))
    costs = gross - net
    if net >= 0 or costs < -net / 2:
        return ""
    funded = any(cost.funding for cost in first.costs)
    what = "fees, slippage and funding" if funded else "fees and slippage"
    if gross >= 0:
        return (
            f"All of the loss was {what}: before them {first.run_id} had made {formatting.gain(gross)}, "
            f"and they took {formatting.usd(costs, 0)}{formatting.GLUE}USD."
        )
    return (
        f"{formatting.percent(float(costs / -net))} of the loss was {what}: before them {first.run_id} stood at "
        f"{formatting.gain(gross)}, after them at {formatting.gain(net)}."
    )


def costs(facts: Facts) -> Table | None:
    if facts.sheets is None:
        return None
    return Table(
        "costs",
        "Before and after costs",
        (
            ("Run", "code"), ("Part", "text"), ("Trades", "num"), ("Before costs, USD", "num"), ("Fees", "num"),
            ("Slippage", "num"), ("Funding", "num"), ("After costs, USD", "num"), ("Costs a trade", "num"),
        ),
        tuple(
            (
                sheet.run_id,
                cost.part,
                f"{cost.trades:,}",
                formatting.usd(cost.gross, 0),
                formatting.usd(-cost.fees, 0),
                formatting.usd(-cost.slippage, 0), formatting.usd(-cost.funding, 0), formatting.usd(cost.net, 0),
                formatting.usd((cost.net - cost.gross) / cost.trades) if cost.trades else formatting.UNKNOWN,
            )
            for sheet in facts.sheets.sheets
            for cost in sheet.costs
        ),
        "What the entries and exits were worth at the prices aimed at, and what was paid for trading them.",
    )  # fmt: skip


def returns(facts: Facts) -> Table | None:
    """Every finalist beside buying and holding, in % of the capital."""
    told, verdict = facts.sheets, facts.verdict
    if told is None or verdict is None:
        return None
    found = {finalist.run_id: finalist for finalist in verdict.finalists}
    rows = [_return_row(found[sheet.run_id], told) for sheet in told.sheets if sheet.run_id in found]
    held = {result.part: result for result in told.hold.results}
    rows.append((HOLD, *_held(held.get("open"), told), *_held(held.get("sealed"), told), formatting.percent(1.0)))
    capital = formatting.usd(told.capital, 0)
    return Table(
        "returns",
        "Return on the capital, beside buy and hold",
        (
            ("Run", "code"), ("Open: return", "num"), ("deepest fall", "num"), ("Sharpe", "num"),
            ("Sealed: return", "num"), ("deepest fall", "num"), ("Sharpe", "num"), ("Time in the market", "num"),
        ),
        tuple(rows),
        f"The capital is {capital} USD, the notional of one position: nothing is borrowed. Every position has the "
        "same size whatever was won or lost before, so percentages add up and do not compound, and a loss may exceed "
        "100 %. Traded on a tenth of that capital, with leverage of ten, every percentage is ten times as large, the "
        "falls included. Buy and hold puts the same capital into the market at the first bar and sells at the last, "
        "with fees and slippage.",
    )  # fmt: skip


def _return_row(finalist: Finalist, told: TearSheets) -> tuple[str, ...]:
    parts = (finalist.open_part, finalist.holdout)
    cells = [
        cell
        for part in parts
        for cell in (
            (formatting.UNKNOWN,) * 3
            if part is None
            else (share(part.total_pnl, told), share(part.maxdd, told), formatting.fixed(part.sharpe))
        )
    ]
    return (finalist.run_id, *cells, formatting.percent(finalist.open_part.exposure))


def _held(result: HoldResult | None, told: TearSheets) -> tuple[str, str, str]:
    if result is None:
        return formatting.UNKNOWN, formatting.UNKNOWN, formatting.UNKNOWN
    return share(result.net, told), share(result.maxdd, told), formatting.fixed(result.sharpe)


def share(amount: Decimal, told: TearSheets) -> str:
    """*amount* in % of the capital."""
    return formatting.percent(float(amount / told.capital), 1)


def falls(facts: Facts) -> Table | None:
    told = facts.sheets
    if told is None or not any(sheet.drawdowns for sheet in told.sheets):
        return None
    return Table(
        "falls",
        "Deepest falls of equity",
        (
            ("Run", "code"), ("Depth, USD", "num"), ("of the capital", "num"), ("Peak", "name"), ("Trough", "name"),
            ("Peak reached again", "name"), ("Days below", "num"),
        ),
        tuple(_fall(sheet, fall, told) for sheet in told.sheets for fall in sheet.drawdowns[:FALLS]),
        "Of mark-to-market equity at bar closes, from the open part on into the sealed one.",
    )  # fmt: skip


def _fall(sheet: TearSheet, fall: Drawdown, told: TearSheets) -> tuple[str, ...]:
    back = fall.recovered_at
    return (
        sheet.run_id,
        formatting.usd(fall.depth, 0),
        share(fall.depth, told),
        formatting.day(fall.peak_at),
        formatting.day(fall.trough_at),
        "not yet" if back is None else formatting.day(back),
        formatting.UNKNOWN if back is None else formatting.fixed((back - fall.peak_at) / DAY_MS, 1),
    )


def kinds(facts: Facts) -> Table | None:
    """Long and short, and what ended trades."""
    told = facts.sheets
    if told is None or not any(sheet.groups for sheet in told.sheets):
        return None
    return Table(
        "kinds",
        "Long and short, exits, and time held",
        (
            ("Run", "code"), ("Trades", "name"),
            ("Open: trades", "num"), ("winners", "num"), ("PnL, USD", "num"), ("held", "num"),
            ("Sealed: trades", "num"), ("winners", "num"), ("PnL, USD", "num"), ("held", "num"),
        ),
        tuple(row for sheet in told.sheets for row in _kinds_of(sheet)),
        "After costs; held is the median time.",
    )  # fmt: skip


def _kinds_of(sheet: TearSheet) -> Iterable[tuple[str, ...]]:
    by = {(group.part, group.name): group for group in sheet.groups}
    for name, said in KINDS.items():
        opened, sealed = by.get(("open", name)), by.get(("sealed", name))
        if opened is not None or sealed is not None:
            yield (sheet.run_id, said, *_group(opened), *_group(sealed))


def _group(group: TradeGroup | None) -> tuple[str, ...]:
    if group is None:
        return (formatting.UNKNOWN,) * 4
    return (
        f"{group.trades:,}",
        formatting.percent(group.wins / group.trades),
        formatting.usd(group.net, 0),
        formatting.lasting(group.median_held_ms),
    )
