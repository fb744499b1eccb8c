"""candidate owns one variation on its way through a segment: its config, what was said of it, its draft."""

from __future__ import annotations

from dataclasses import dataclass

from maestro.control import patcher
from maestro_protocol.config import RunConfig
from maestro_protocol.errors import UsageError
from maestro_protocol.ids import MessageId
from maestro_protocol.messages.plan import Critique, Jitter, Proposal, RunConfigDraft
from maestro_protocol.ports import Runner
from maestro_protocol.space import ParameterSpace
from maestro_protocol.values import as_mapping


@dataclass
class Candidate:
    """One variation that holds: every parameter known and inside its bounds."""

    name: str
    config: RunConfig
    proposal: Proposal
    critique: Critique | None = None
    jitter: tuple[Jitter, ...] = ()
    drafted: MessageId | None = None
    """The implementer's draft, which let tests stray."""

    def adopt(self, draft: RunConfigDraft, because: MessageId, space: ParameterSpace, runner: Runner) -> None:
        """Take the implementer's parameters and jitter. Raises ParameterError where they do not hold."""
        if set(draft.methods) != set(self.config.methods):
            raise UsageError(
                f"the draft trades {'+'.join(draft.methods)}, chosen was {'+'.join(self.config.methods)}"
            )
        values = self.config.values() | as_mapping(draft.params)
        drafted = patcher.restated(self.config, values, space, because)
        runner.check(drafted)
        for item in draft.jitter:
            _ = space[item.parameter]
        self.config = drafted
        self.jitter = draft.jitter
        self.drafted = because
