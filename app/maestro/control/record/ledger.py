"""ledger owns the count of trials: every variant that anybody proposed, once, with what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from maestro_protocol.config import RunConfig
from maestro_protocol.ids import RunId
from maestro_protocol.messages.campaign import TrialRecorded, Verdict
from maestro_protocol.messages.plan import Role
from maestro_protocol.space import Value
from maestro_protocol.values import as_params

Fate = Literal[
    "run", "rejected", "crashed", "killed", "duplicate", "quick_test_failed", "reverted", "refused", "untried"
]
NEVER_RAN: tuple[Fate, ...] = ("rejected", "refused", "untried")
Key = tuple[tuple[str, ...], tuple[tuple[str, Value], ...]]


def key_of(methods: Sequence[str], values: Mapping[str, Value]) -> Key:
    """What makes two variants the same: the methods, whatever their order, and every resolved value."""
    return tuple(sorted(methods)), tuple(sorted(values.items()))


class Ledger:
    """All variants so far. The deflated Sharpe ratio is deflated by this count."""

    def __init__(self) -> None:
        self._fates: dict[Key, Fate] = {}
        self._ran: dict[Key, RunConfig] = {}
        self.proposals = 0
        """Everything proposed, the repeated included."""

    @property
    def distinct(self) -> int:
        return len(self._fates)

    def ran(self) -> list[RunConfig]:
        """One run config for each distinct variant that ran, in the order they first did."""
        return list(self._ran.values())

    def methods(self) -> set[str]:
        """Methods that at least one test ran, alone or with others."""
        return {method for config in self._ran.values() for method in config.methods}

    def knows(self, methods: Sequence[str], values: Mapping[str, Value]) -> bool:
        return key_of(methods, values) in self._fates

    def count(
        self,
        config: RunConfig,
        segment: int,
        by: Role,
        fate: Fate,
        reason: str = "",
    ) -> TrialRecorded | None:
        """Count a variant; the record to journal, or null where the same test of the same variant stands already."""
        key = key_of(config.methods, config.values())
        known = key in self._fates
        self.proposals += 1
        if fate == "run":
            self._ran.setdefault(key, config)
            if known and self._fates[key] in ("run", "killed", "reverted"):
                return None
        elif known and fate in NEVER_RAN:
            fate = "duplicate"
        if fate != "duplicate":
            self._fates[key] = fate
        return TrialRecorded(
            run_id=config.run_id,
            segment=segment,
            proposed_by=by,
            methods=config.methods,
            params=as_params(config.values()),
            fate=fate,
            reason=reason[:300],
        )

    def refuse(
        self, run_id: RunId, segment: int, by: Role, methods: Sequence[str], values: Mapping[str, Value], reason: str
    ) -> TrialRecorded:
        """Count a variant that may not run as it was proposed; the record to journal."""
        self.proposals += 1
        fate: Fate = "duplicate" if self.knows(methods, values) else "refused"
        self._fates.setdefault(key_of(methods, values), "refused")
        return TrialRecorded(
            run_id=run_id,
            segment=segment,
            proposed_by=by,
            methods=tuple(methods),
            params=as_params(values),
            fate=fate,
            reason=reason[:300],
        )

    def fates(self) -> dict[str, int]:
        """How many distinct variants met each fate."""
        counts: dict[str, int] = {}
        for fate in self._fates.values():
            counts[fate] = counts.get(fate, 0) + 1
        return dict(sorted(counts.items()))


def distinct(configs: Iterable[RunConfig]) -> list[RunConfig]:
    """The first run config of each distinct variant."""
    seen: dict[Key, RunConfig] = {}
    for config in configs:
        seen.setdefault(key_of(config.methods, config.values()), config)
    return list(seen.values())


def of_what_was_tried(verdict: Verdict, untried: Sequence[str]) -> Verdict:
    """*verdict* that names the methods which no test ran: it says nothing of them."""
    if not untried:
        return verdict
    sentence = f"{verdict.sentence} Not tried, so not judged: {', '.join(untried)}."
    return verdict.model_copy(update={"sentence": sentence[:4000], "untried": tuple(untried)})
