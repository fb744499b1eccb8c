"""variation_queue owns the variations of a round: which hold, which is first, and the variants drafted from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from maestro.control import patcher
from maestro.control.context import Desk
from maestro.control.record.ledger import Fate
from maestro.control.record.observations import VariantRecord
from maestro_protocol.config import RunConfig, WindowRef
from maestro_protocol.errors import UsageError
from maestro_protocol.ids import MessageId, RunId, segment_run
from maestro_protocol.messages.plan import Critique, Proposal, RunConfigDraft, VariantDraft, Variation
from maestro_protocol.space import Value
from maestro_protocol.values import Change, as_mapping


@dataclass
class Candidate:
    """One variation that holds: every parameter known and inside its bounds."""

    variation: Variation
    config: RunConfig
    kept: bool = False
    """Whether its config is among the runs that tests descend from."""


@dataclass
class VariantRun:
    """One variant on its way through a round."""

    parent: RunConfig
    """What it descends from; itself where it ran before."""
    methods: tuple[str, ...]
    values: Mapping[str, Value]
    because: MessageId
    by_lot: bool
    variation: int | None = None
    origin: RunConfig | None = None
    """The run that first tested it, or the patched one that its tests descend from; null before it starts."""
    approved: Mapping[str, Value] = field(default_factory=dict[str, Value])


@dataclass(frozen=True)
class PlannedTest:
    """One test that has not started: a variant on a window."""

    variant: VariantRun
    window: WindowRef


class RoundVariations:
    """The variations of one round of a segment, and what is drafted from them."""

    def __init__(self, desk: Desk, segment: int, first_run: int) -> None:
        """*first_run*: how many variations of the segment have a name already."""
        self._desk = desk
        self._segment = segment
        self.named = first_run
        self._candidates: list[Candidate | None] = []
        self.proposal: Proposal | None = None
        self.critique: Critique | None = None

    def take(self, proposal: Proposal, because: MessageId) -> None:
        """Add a proposal's variations; those that do not hold are counted as refused, with the reason."""
        self.proposal = proposal
        self._candidates = [self._candidate(variation, because) for variation in proposal.variations]

    def _candidate(self, variation: Variation, because: MessageId) -> Candidate | None:
        desk = self._desk
        region = variation.region
        methods = variation.methods if region is None else variation.methods[:1]
        values = as_mapping(variation.params) if region is None else {}
        try:
            space = desk.space(methods)
            config = patcher.derive(desk.root, f"seg{self._segment}", methods, values, space, because)
            desk.runner.check(config)
        except UsageError as error:
            run_id = f"seg{self._segment}-refused"
            record = desk.ledger.refuse(run_id, self._segment, "strategist", methods, values, str(error))
            desk.steps.say(record, because=because)
            return None
        return Candidate(variation, config)

    def choose(self, critique: Critique, changes: Sequence[Change], because: MessageId) -> None:
        """Take the critic's choice, with its changes where they hold."""
        self.critique = critique
        chosen = self._candidates[critique.chosen or 0]
        if chosen is None or chosen.variation.region is not None or not changes:
            return
        space = self._desk.space(chosen.config.methods)
        values = chosen.config.values() | {change.parameter: change.new for change in changes}
        try:
            changed = patcher.restated(chosen.config, values, space, because)
            self._desk.runner.check(changed)
            chosen.config = changed
        except UsageError as error:
            self._desk.notes.append(f"segment {self._segment}: the critic's change was refused: {error}"[:4000])

    def reject(self, critique: Critique) -> None:
        """The critic wants none of them: single variants are counted as rejected."""
        for candidate in self._candidates:
            if candidate is not None and candidate.variation.region is None:
                self._count(candidate, "rejected", critique.next_step)
        self._candidates = []
        self.proposal = self.critique = None

    def leave(self) -> None:
        """The round is over: variants that were proposed and never ran count all the same."""
        for candidate in self._candidates:
            if candidate is None or candidate.variation.region is not None:
                continue
            if not self._desk.ledger.knows(candidate.config.methods, candidate.config.values()):
                self._count(candidate, "untried", "its turn never came")

    def _count(self, candidate: Candidate, fate: Fate, reason: str) -> None:
        record = self._desk.ledger.count(candidate.config, self._segment, "strategist", fate, reason)
        if record is not None:
            self._desk.steps.say(record)

    def planned(self, draft: RunConfigDraft, because: MessageId, most: int, *, by_lot: bool) -> list[PlannedTest]:
        """The tests of *draft* that hold and have not run, *most* at the most; a variant that does not is refused."""
        tests: list[PlannedTest] = []
        windows = {window.index: window for window in self._desk.windows}
        taken: set[tuple[object, int]] = set()
        for drafted in draft.variants:
            variant = self._variant(drafted, because, by_lot)
            if variant is None:
                continue
            known = self._desk.observations.record(variant.methods, variant.values)
            ran = set[int]() if known is None else {report.window for report in known.reports}
            for index in dict.fromkeys(drafted.windows):
                key = (tuple(sorted(variant.methods)), *sorted(variant.values.items())), index
                if index in windows and index not in ran and key not in taken:
                    taken.add(key)
                    tests.append(PlannedTest(variant, windows[index]))
        return tests[:most]

    def known(self, draft: RunConfigDraft) -> list[tuple[VariantRecord, int]]:
        """The variants of *draft* that ran, each with every window it was drafted for and has been on."""
        found: list[tuple[VariantRecord, int]] = []
        for drafted in draft.variants:
            try:
                values = self._desk.space(drafted.methods).resolve(as_mapping(drafted.params))
            except UsageError:
                continue
            record = self._desk.observations.record(drafted.methods, values)
            if record is not None:
                found += [(record, window) for window in drafted.windows if record.report_on(window) is not None]
        return found

    def _variant(self, drafted: VariantDraft, because: MessageId, by_lot: bool) -> VariantRun | None:
        desk = self._desk
        try:
            space = desk.space(drafted.methods)
            values = space.resolve(as_mapping(drafted.params))
            known = desk.observations.record(drafted.methods, values)
            parent = known.origin if known is not None else self._parent(drafted)
            if parent is None:
                return None
            desk.runner.check(patcher.derive(parent, "draft", drafted.methods, values, space, because))
        except UsageError as error:
            refused = as_mapping(drafted.params)
            run_id = f"seg{self._segment}-refused"
            record = desk.ledger.refuse(run_id, self._segment, "implementer", drafted.methods, refused, str(error))
            desk.steps.say(record, because=because)
            return None
        origin = None if known is None else known.origin
        return VariantRun(parent, drafted.methods, values, because, by_lot, drafted.variation, origin, values)

    def _parent(self, drafted: VariantDraft) -> RunConfig | None:
        """The run that a new variant descends from; null where its variation does not hold."""
        desk = self._desk
        if drafted.variation is None or self.proposal is None:
            return self._leader(drafted.parent) or desk.root
        candidate = self._candidates[drafted.variation]
        if candidate is None:
            return None
        region = candidate.variation.region
        if region is not None:
            return self._leader(drafted.parent) or desk.root
        if not candidate.kept:
            self.named += 1
            candidate.kept = True
            name = segment_run(self._segment, self.named)
            candidate.config = candidate.config.model_copy(update={"run_id": name})
            desk.keep(self._segment, candidate.config)
        return candidate.config

    def _leader(self, run_id: RunId | None) -> RunConfig | None:
        known = None if run_id is None else self._desk.observations.of_run(run_id)
        return None if known is None else known.origin
