"""variation_queue owns the variations of a segment: which hold, in which order they run, what became of each."""

from __future__ import annotations

from collections.abc import Sequence

from maestro.control import patcher
from maestro.control.candidate import Candidate
from maestro.control.context import Desk
from maestro.control.record.ledger import Fate
from maestro_protocol.config import RunConfig
from maestro_protocol.errors import UsageError
from maestro_protocol.ids import MessageId, segment_run
from maestro_protocol.messages.plan import Critique, Proposal, SegmentPlan, Variation
from maestro_protocol.values import Change, as_mapping


class LineUp:
    """The variations of a segment, the chosen one first."""

    def __init__(self, desk: Desk, segment: int, plan: SegmentPlan) -> None:
        self._desk = desk
        self._segment = segment
        self.plan = plan
        self.parent = desk.incumbent()
        self._waiting: list[Candidate] = []
        self._round: list[Candidate | None] = []
        self._started = 0
        self._proposal: Proposal | None = None

    def take(self, proposal: Proposal, because: MessageId) -> None:
        """Add a proposal's variations; those that do not hold are counted as refused, with the reason."""
        self._proposal = proposal
        self._round = [self._candidate(variation, proposal, because) for variation in proposal.variations]

    def _candidate(self, variation: Variation, proposal: Proposal, because: MessageId) -> Candidate | None:
        desk = self._desk
        try:
            space = desk.space(variation.methods)
            values = as_mapping(variation.params)
            config = patcher.derive(self.parent, f"seg{self._segment}", variation.methods, values, space, because)
            desk.runner.check(config)
        except UsageError as error:
            self._refuse(variation, str(error), because)
            return None
        return Candidate(variation.name, config, proposal)

    def _refuse(self, variation: Variation, reason: str, because: MessageId) -> None:
        run_id = f"seg{self._segment}-refused"
        values = as_mapping(variation.params)
        record = self._desk.ledger.refuse(run_id, self._segment, "strategist", variation.methods, values, reason)
        self._desk.steps.say(record, because=because)

    def judge(self, critique: Critique) -> None:
        """Attach the critique: for a variation that was not chosen, as if it had been, without the changes."""
        for place, candidate in enumerate(self._round):
            if candidate is not None:
                other = {"chosen": place, "proposed_change": ()}
                candidate.critique = critique if place == critique.chosen else critique.model_copy(update=other)

    def choose(self, index: int, changes: Sequence[Change], because: MessageId) -> None:
        """Put the chosen variation first, with the critic's changes where they hold; the others wait behind it."""
        chosen = self._round[index]
        if chosen is not None and changes:
            space = self._desk.space(chosen.config.methods)
            values = chosen.config.values() | {change.parameter: change.new for change in changes}
            try:
                changed = patcher.restated(chosen.config, values, space, because)
                self._desk.runner.check(changed)
                chosen.config = changed
            except UsageError as error:
                self._desk.notes.append(f"segment {self._segment}: the critic's change was refused: {error}"[:4000])
        rest = [c for place, c in enumerate(self._round) if place != index and c is not None]
        self._waiting = ([chosen] if chosen is not None else []) + rest + self._waiting
        self._round = []

    def reject(self, critique: Critique, last: bool) -> None:
        """The critic wants none of them; the last round's stay in line, since something has to run."""
        for candidate in self._round:
            if candidate is None:
                continue
            if last:
                self._waiting.append(candidate)
            else:
                self.count(candidate, "rejected", critique.next_step)
        self._round = []

    def settle(self) -> None:
        """With nothing left that holds, the incumbent runs again."""
        if not self._waiting and self._proposal is not None:
            config = self.parent.model_copy(
                update={
                    "run_id": f"seg{self._segment}",
                    "parent_run": self.parent.run_id,
                    "changes_from_parent": (),
                }
            )
            self._waiting.append(Candidate("incumbent", config, self._proposal))
        self._waiting += self._desk.carried
        self._desk.carried.clear()

    def candidates(self) -> list[Candidate]:
        return list(self._waiting)

    def configs(self) -> list[RunConfig]:
        return [candidate.config for candidate in self._waiting]

    def start(self, candidate: Candidate) -> None:
        """Make *candidate* the next to run."""
        self._waiting.remove(candidate)
        self._waiting.insert(0, candidate)

    def next(self) -> Candidate | None:
        """The next variation to run, under its own run id; null when none is left."""
        if not self._waiting:
            return None
        candidate = self._waiting.pop(0)
        self._started += 1
        run_id = segment_run(self._segment, self._started)
        candidate.config = candidate.config.model_copy(update={"run_id": run_id})
        return candidate

    def carry(self) -> None:
        """What was proposed runs in the next segment: this one may not choose from what has seen its windows."""
        self._desk.carried.extend(self._waiting)
        self._waiting = []

    def leave(self) -> None:
        """The segment is over: variations whose turn never came were proposed all the same, and count."""
        for candidate in self._waiting:
            if not self._desk.ledger.knows(candidate.config.methods, candidate.config.values()):
                self.count(candidate, "untried", "its turn never came")

    def count(self, candidate: Candidate, fate: Fate, reason: str = "") -> None:
        record = self._desk.ledger.count(candidate.config, self._segment, "strategist", fate, reason)
        if record is not None:
            self._desk.steps.say(record)
