"""audit_tables owns the tables of how the campaign got there: trials, patches, model calls, data and settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from maestro.report import formatting
from maestro.report.campaign_data import Facts
from maestro.report.journal import PatchStory
from maestro.report.tables import Table
from maestro_protocol.messages.campaign import CampaignConfig, TrialRecorded
from maestro_protocol.messages.plan import MetricChange, ModelCalled
from maestro_protocol.space import Value

Variant = tuple[tuple[str, ...], tuple[tuple[str, Value], ...]]


def trials(facts: Facts) -> Table | None:
    """The ledger by fate: entries as they were journalled, and distinct configurations by their last fate."""
    if facts.told is None or not facts.told.trials:
        return None
    entries = Counter(map(_fate, facts.told.trials))
    last = _last_fates(facts.told.trials)
    distinct = Counter(last.values())
    rows = [
        (formatting.FATES[fate], f"{entries[fate]:,}", f"{distinct[fate]:,}")
        for fate in formatting.FATES
        if fate in entries
    ]
    effective = facts.verdict.effective_trials if facts.verdict else None
    rows.append(("all", f"{sum(entries.values()):,}", f"{len(last):,}"))
    return Table(
        "trials",
        "Trial ledger",
        (("Fate", "text"), ("Entries", "num"), ("Distinct configurations", "num")),
        tuple(rows),
        f"{formatting.plural(len(facts.told.trials), 'entry', 'entries')} in the ledger, "
        f"{formatting.plural(len(last), 'distinct configuration')}, worth about "
        f"{formatting.fixed(effective, 1)} independent trials, as similar configurations trade alike. "
        "The more was tried, the better the best must be.",
    )


def _fate(trial: TrialRecorded) -> str:
    """The trial's fate; journals of before it had a name of its own call what never ran rejected."""
    return "untried" if trial.fate == "rejected" and trial.reason == "its turn never came" else trial.fate


def _last_fates(found: Iterable[TrialRecorded]) -> dict[Variant, str]:
    fates: dict[Variant, str] = {}
    for trial in found:
        key = (tuple(sorted(trial.methods)), tuple(sorted((p.name, p.value) for p in trial.params)))
        if trial.fate != "duplicate":
            fates[key] = _fate(trial)
        else:
            fates.setdefault(key, trial.fate)
    return fates


def patches(facts: Facts) -> Table | None:
    if facts.told is None or not facts.told.stories:
        return None
    stories = facts.told.stories
    count = Counter(story.status for story in stories)
    told = formatting.listed(f"{count[status]} {word}" for status, word in _STATUS.items() if count[status])
    return Table(
        "patches",
        "What was patched, and by whom",
        (
            ("Tests", "code"), ("Asked by", "text"), ("Rule", "name"), ("Change", "text"), ("Why", "text"),
            ("Result", "mark"), ("Measured", "text"),
        ),
        tuple(map(_patch, stories)),
        f"{formatting.plural(len(stories), 'patch', 'patches')}: {told}. Each applied patch is measured on the same "
        "windows with and without it, and taken back when it does not help.",
    )  # fmt: skip


_STATUS = {"kept": "kept", "reverted": "reverted", "applied": "not measured", "refused": "refused"}


def _patch(story: PatchStory) -> tuple[str, ...]:
    return (
        story.applied_to,
        _asked(story),
        story.rule or "own idea",
        "; ".join(f"{s.parameter} {formatting.setting(s.old)} → {formatting.setting(s.new)}" for s in story.steps),
        story.reason,
        _STATUS[story.status],
        effect(story.effect) if story.effect else story.said or formatting.UNKNOWN,
    )


def _asked(story: PatchStory) -> str:
    first, *others = story.asked_by
    return f"{first}; {formatting.listed(others)} agreed" if others else first


def effect(change: MetricChange) -> str:
    """``PnL 12.10 → 48.33 on 25 windows, p = 0.041``."""
    name = formatting.METRICS[change.metric]
    if change.before is None or change.after is None:
        return f"{name}: no window could be compared"
    return (
        f"{name} {formatting.fixed(change.before)} → {formatting.fixed(change.after)} on {change.windows} windows, "
        f"{formatting.chance(change.p_value)}"
    )


def gates(facts: Facts) -> Table | None:
    """What people were asked, and what they said."""
    if facts.told is None or not facts.told.gates:
        return None
    decided = facts.told.decided
    rows = [
        (gate.action, gate.risk, *((d.answer, ", ".join(d.by) or formatting.UNKNOWN, d.reason) if d else _OPEN))
        for gate, d in ((gate, decided.get(gate.gate_id)) for gate in facts.told.gates)
    ]
    return Table(
        "gates",
        "What people were asked",
        (("Question", "text"), ("Risk", "text"), ("Answer", "mark"), ("By", "text"), ("Reason", "text")),
        tuple(rows),
    )


_OPEN = ("waiting", formatting.UNKNOWN, formatting.UNKNOWN)


def calls(facts: Facts) -> Table | None:
    if facts.told is None or not facts.told.calls:
        return None
    grouped: dict[tuple[str, str, str], list[ModelCalled]] = {}
    for call in facts.told.calls:
        grouped.setdefault((call.role, call.brain, call.model), []).append(call)
    total = _cost(facts.told.calls)
    return Table(
        "calls",
        "Model calls and their cost",
        (
            ("Role", "text"), ("Brain", "text"), ("Model", "text"), ("Calls", "num"), ("Recalled", "num"),
            ("Tokens in", "num"), ("Tokens out", "num"), ("Cost, USD", "num"),
        ),
        tuple((*names, *_sums(found)) for names, found in sorted(grouped.items())),
        f"{formatting.plural(len(facts.told.calls), 'call')} for {total} USD. Answers from the record cost nothing.",
    )  # fmt: skip


def _sums(found: list[ModelCalled]) -> tuple[str, ...]:
    return (
        f"{len(found):,}",
        f"{sum(call.recalled for call in found):,}",
        _tokens([call.input_tokens for call in found]),
        _tokens([call.output_tokens for call in found]),
        _cost(found),
    )


def _tokens(counts: list[int | None]) -> str:
    """Their sum; "at least" where a vendor did not count some, and unknown where it counted none."""
    known = [count for count in counts if count is not None]
    if not known:
        return formatting.UNKNOWN
    return f"at least {sum(known):,}" if len(known) < len(counts) else f"{sum(known):,}"


def _cost(found: list[ModelCalled]) -> str:
    """What the calls cost; "at least" where some of it is not known, and unknown where nothing is."""
    paid = [call for call in found if not call.recalled]
    known = [call.cost_usd for call in paid if call.cost_usd is not None]
    if paid and not known:
        return formatting.UNKNOWN
    total = formatting.usd(sum(known, Decimal(0)), 4)
    return f"at least {total}" if len(known) < len(paid) else total


def fallbacks(facts: Facts) -> Table | None:
    if facts.told is None or not facts.told.fallbacks:
        return None
    return Table(
        "fallbacks",
        "Turns that offline rules answered for a model",
        (("Role", "text"), ("Turn", "num"), ("Brain", "text"), ("Repairs tried", "num"), ("Why", "text")),
        tuple((f.role, str(f.turn), f.brain, str(f.repairs), f.reason) for f in facts.told.fallbacks),
    )


def settings(facts: Facts) -> Table:
    return Table(
        "settings",
        "Data and settings",
        (("What", "text"), ("Value", "text")),
        (*_data(facts), *_trading(facts.config), *_thinking(facts.config)),
    )


def _trading(config: CampaignConfig) -> tuple[tuple[str, str], ...]:
    costs, sizing = config.costs, config.sizing
    fees = f"maker {costs.maker_bps:g} bps, taker {costs.taker_bps:g} bps a side"
    position = f"{formatting.usd(sizing.notional_usd)} USD notional"
    if sizing.declared_for is not None:
        position += f"; amounts of money are stated for {formatting.usd(sizing.declared_for)} USD, and scaled"
    targets = (
        f"{formatting.METRICS[t.metric]} {formatting.wanted(t.op)} {formatting.setting(t.value)}"
        for t in config.targets
    )
    return (
        ("Fees and slippage", f"{fees}; slippage {costs.slippage_bps:g} bps on taker fills"),
        ("Searched among", ", ".join(config.methods)),
        *((("Measured by", ", ".join(metric.label for metric in config.metrics)),) if config.metrics else ()),
        ("Position", position if sizing.quantity is None else f"{sizing.quantity} of base currency"),
        ("Targets", "; ".join(targets) or formatting.UNKNOWN),
        ("Rules act on", "a sequential test" if config.policy == "sequential" else "a streak of episodes"),
    )


def _thinking(config: CampaignConfig) -> tuple[tuple[str, str], ...]:
    brains = (f"{b.role}: {b.brain}" + (f" ({b.model})" if b.model else "") for b in config.brains)
    usd = config.budget.usd
    tests = (
        f"{config.tests:,} in {formatting.plural(config.segments, 'segment')}, scores read every {config.batch} tests"
    )
    return (
        ("Brains", ", ".join(brains) or formatting.UNKNOWN),
        ("Prompts", "blinded: no dates, symbols or prices" if config.blind else "not blinded"),
        ("Most that models may cost", "no limit" if usd is None else f"{usd:,} USD"),
        ("Tests", tests + (f"; only segment {config.only_segment} was asked for" if config.only_segment else "")),
        ("Seed", str(config.seed)),
        ("Versions", ", ".join(config.versions) or formatting.UNKNOWN),
    )  # fmt: skip


def _data(facts: Facts) -> tuple[tuple[str, str], ...]:
    data, cut = facts.config.data, facts.config.windows
    gap = cut.window_days - cut.train_days - cut.validation_days
    return (
        ("Source", f"{data.source}{' (simulated market)' if data.simulated else ''}"),
        ("Market", f"{data.symbol}, {data.timeframe} bars, {data.bars:,} of them"
         + ("" if data.has_taker_volume else ", without taker volume")),
        ("Period", f"{formatting.minute(data.first_ms)} to {formatting.minute(data.last_ms)}"),
        ("SHA-256 of the data", data.digest),
        ("Windows", f"{cut.window_days:g} days: {cut.train_days:g} training, {gap:g} gap, "
         f"{cut.validation_days:g} validation; a new one every {cut.step_days:g} days"),
        ("Sealed", f"the last {formatting.percent(cut.holdout_share)} of the data, {_opened(facts)}"),
    )  # fmt: skip


def _opened(facts: Facts) -> str:
    if facts.told is None:
        return "opened or not is not known without the journal"
    openings = facts.told.openings
    times = max((opening.opening for opening in openings), default=0)
    told = ("never opened", "opened once")[times] if times < 2 else f"opened {times} times"
    before = openings[0].earlier if openings else None
    return f"{told}, after {formatting.plural(before, 'look')} at the same bars by others" if before else told
