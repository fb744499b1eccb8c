"""openings owns the moment at which sealed bars are opened: counted, paid for, asked for by policy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from maestro.control import gatekeeping
from maestro.control.durable_run import Steps
from maestro_protocol.config import RunConfig
from maestro_protocol.errors import LooksOvertaken
from maestro_protocol.messages.campaign import CampaignConfig, HoldoutOpened, LooksCounted
from maestro_protocol.messages.gate import GateDecided, GateRequest
from maestro_protocol.messages.rules import OpeningPolicy
from maestro_protocol.messages.sealed import Looks, SealedBars
from maestro_protocol.ports import Judge, OpeningsRegistry
from maestro_protocol.schema import canonical


@dataclass(frozen=True)
class SealedPart:
    """The sealed part of one campaign's data on its way to being opened for *finalists*."""

    steps: Steps
    openings: OpeningsRegistry
    policy: OpeningPolicy
    judge: Judge
    finalists: Sequence[RunConfig]
    look: str
    """Names what is looked for: the same look taken again is not counted again."""
    opening: int = 1
    """Of this campaign."""

    async def open(self, asking: CampaignConfig | None) -> tuple[LooksCounted, GateDecided | None]:
        """Count the looks, ask the people of *asking* where the policy says so, and journal the opening, in order.

        Gives what was counted, and the gate's answer where that was a no: then nothing is opened. Where somebody else
        looks at the same bars meanwhile, it is counted, and asked, again. *asking* null: somebody was asked already.
        """
        await self.steps.flush()
        while True:
            counted = await self._count()
            if asking is not None and counted.earlier + 1 >= self.policy.ask_from:
                decided = await self.steps.gate(self._request(asking, counted))
                if decided.answer != "approved":
                    return counted, decided
            if await self._open(counted):
                return counted, None

    async def _count(self) -> LooksCounted:
        async def count() -> LooksCounted:
            bars = self.judge.sealed_bars()
            return counted_looks(bars, await self.openings.looks(bars, self.look), self.policy)

        return await self.steps.resolve(LooksCounted, count)

    async def _open(self, counted: LooksCounted) -> bool:
        """Whether the bars are open; not where they were looked at by somebody else since they were counted."""
        if isinstance(self.steps.coming, LooksCounted):
            return False  # so it was, when the journal was written
        opened = uncounted(self.judge, self.finalists, self.opening)
        self.steps.say(opened.model_copy(update={"earlier": counted.earlier, "alpha": counted.alpha}))
        try:
            claim = self.openings.claim(self.judge.sealed_bars(), self.look, counted.earlier)
            await self.steps.flush(opened=claim)
        except LooksOvertaken:
            self.steps.withdraw()
            return False
        return True

    def _request(self, config: CampaignConfig, counted: LooksCounted) -> GateRequest:
        bound = b"".join([canonical(counted), *(canonical(run) for run in self.finalists)])
        look = counted.earlier + 1
        return gatekeeping.request(
            gatekeeping.gate_id(config.campaign, f"holdout{look}.{gatekeeping.short(bound)}"),
            f"look number {look} at the sealed data of {counted.market or 'this market'}"[:300],
            f"Over all campaigns of this workspace, {counted.in_words()}. Every look makes them less sealed: "
            f"of the error that all looks share, {counted.alpha:g} is left to this one. On a no they stay closed.",
            bound,
            config.gates.holdout_again,
            config.gates,
            self.steps.now_ms(),
        )


def uncounted(judge: Judge, finalists: Sequence[RunConfig], opening: int = 1) -> HoldoutOpened:
    """The message that says an opening, without what was counted before it."""
    first, bars = judge.sealed
    names = tuple(run.run_id for run in finalists)
    return HoldoutOpened(finalists=names, opening=opening, first_bar=first, bars=bars)


def counted_looks(bars: SealedBars, looks: Looks, policy: OpeningPolicy) -> LooksCounted:
    """What *policy* makes of the earlier *looks* at *bars*."""
    return LooksCounted(
        market=None if bars.market is None else bars.market[:300],
        first_ms=bars.first_ms,
        end_ms=bars.end_ms,
        days=len(bars.days),
        seen=looks.seen,
        earlier=looks.earlier,
        alpha=policy.alpha_of(looks.earlier + 1),
    )


def look_of(config: CampaignConfig, finalists: Sequence[RunConfig]) -> str:
    """What names a campaign's look: all that was asked for, and what it looks for.

    The name of the campaign, where its file lay and what it ran on are no part of it, so a campaign that is asked for
    again takes the same look; unless its models answered otherwise and its finalists are others.
    """
    data = config.data.model_copy(update={"source": "", "repaired": ()})
    asked = config.model_copy(update={"campaign": "any", "versions": (), "data": data})
    digest = hashlib.sha256(canonical(asked))
    for run in finalists:
        digest.update(json.dumps([run.methods, run.values()], sort_keys=True).encode())
    return digest.hexdigest()
