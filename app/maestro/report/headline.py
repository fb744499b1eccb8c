"""headline owns the first thing a reader sees: the verdict in plain words, and the few numbers beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from maestro.report import formatting
from maestro.report.campaign_data import Facts
from maestro.report.sheets import cost_sentence
from maestro_protocol.messages.campaign import RoleTurns

Tone = Literal["good", "bad", "open"]

_MEANING: dict[str, tuple[Tone, str]] = {
    "SURVIVES": (
        "good",
        "At least one configuration made money after costs on the data that were searched and again on data the "
        "search never saw, by more than luck explains. That is a reason to go on to paper trading, not a promise of "
        "profit.",
    ),
    "DOES NOT SURVIVE": (
        "bad",
        "Of all that was tried, even the best earned too little after costs: the data rule out an edge that would "
        "be worth trading. Nothing here should be traded; what was not tried is not judged.",
    ),
    "NOT ENOUGH EVIDENCE": (
        "open",
        "Neither an edge nor its absence is shown: no proof of skill, and no proof against it. This is not a yes.",
    ),
}


@dataclass(frozen=True, slots=True)
class Tile:
    """One number at the top, what it counts, and what to know about it."""

    name: str
    value: str
    about: str


@dataclass(frozen=True, slots=True)
class Headline:
    """The verdict: its word, its sentence, and what the word means to someone who was not told."""

    word: str
    sentence: str
    costs: str
    """What costs did, where they are most of a loss; else empty."""
    meaning: str
    tone: Tone
    needed: str
    tiles: tuple[Tile, ...]
    thinking: str = ""
    """Whose turns were whose, where roles were given models; else empty."""


def who_thought(thinking: Sequence[RoleTurns]) -> str:
    """How many turns models answered and how many rules took in their place; empty where no role had a model."""
    if not thinking:
        return ""
    models, rules = sum(turns.by_model for turns in thinking), sum(turns.by_rules for turns in thinking)
    each = ", ".join(
        f"{turns.role} ({turns.model}) {turns.by_model} of {turns.by_model + turns.by_rules}" for turns in thinking
    )
    by_rules = f"; rules took the other {rules}, where a model gave no usable answer" if rules else ""
    return f"Models answered {models} of {formatting.plural(models + rules, 'turn')}{by_rules}: {each}."


def headline(facts: Facts) -> Headline:
    verdict = facts.verdict
    thought = who_thought(facts.finished.thinking if facts.finished else ())
    if verdict is None:
        return Headline("NO VERDICT", _why_none(facts), "", _NOTHING_FOLLOWS, "open", "", _tiles(facts), thought)
    tone, meaning = _MEANING[verdict.word]
    if not verdict.finalists:
        meaning = _NOTHING_OPENED
    needed = verdict.sample_needed.strip().rstrip(".")
    needed = f"What it would take to decide: {needed}." if needed else ""
    return Headline(
        verdict.word, verdict.sentence, cost_sentence(facts), meaning, tone, needed, _tiles(facts), thought
    )


_NOTHING_OPENED = (
    "The search ended with nothing to put to the test: what ran was stopped, reverted or never traded, and the "
    "sealed data stayed closed. Nothing here should be traded."
)
_NOTHING_FOLLOWS = (
    "Whether anything found here has an edge was not put to the test. Profits on this page may well be luck."
)


def _why_none(facts: Facts) -> str:
    wanted = formatting.plural(facts.config.tests, "test")
    finished = facts.finished
    if finished is None:
        return f"The campaign stopped before its end: {len(facts.tests):,} of {wanted} are in finished segments."
    reason = f": {finished.reason}" if finished.reason else ""
    if finished.status == "finished":
        ran = formatting.plural(finished.tests, "test")
        return f"The campaign ran all of its {ran}, but no verdict was asked for{reason}."
    what = "was interrupted" if finished.status == "interrupted" else "failed"
    return f"The campaign {what} after {finished.tests:,} of {wanted}{reason}."


def _tiles(facts: Facts) -> tuple[Tile, ...]:
    config, finished, verdict = facts.config, facts.finished, facts.verdict
    data = config.data
    tests = finished.tests if finished else len(facts.tests)
    days = (data.last_ms - data.first_ms) / 86_400_000
    effective = verdict.effective_trials if verdict else None
    chain = data.source.endswith(":session")
    kind = "paper sessions" if chain else "backtests" if config.engine == "backtest" else "sessions over past bars"
    segments = formatting.plural(config.segments, "segment")
    repeats = f"; {facts.repeated:,} repeat an earlier one" if facts.repeated else ""
    alone = "" if config.only_segment is None else f"segment {config.only_segment} alone, "
    return (
        Tile("Tests run", f"{tests:,}", alone + f"of {config.tests:,} asked for, in {segments}{repeats}"),
        Tile(
            "Configurations tried",
            formatting.UNKNOWN if verdict is None else f"{verdict.trials:,}",
            "every idea counts"
            if effective is None
            else f"worth about {formatting.fixed(effective, 0)} independent ones",
        ),
        Tile(
            "Trades",
            formatting.UNKNOWN if finished is None else f"{finished.trades:,}",
            f"in {kind}, after all costs",
        ),
        Tile(
            "Profit and loss, USD" if chain else "All tests added up, USD",
            formatting.usd(finished.total_pnl if finished else None, 0),
            "one session after another" if chain else "their windows overlap: a sum that nobody earned",
        ),
        Tile(
            "Data",
            f"{data.symbol} {data.timeframe}",
            f"{formatting.fixed(days, 0)} days from {formatting.day(data.first_ms)}",
        ),
    )
