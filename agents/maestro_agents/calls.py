"""calls owns what lies around one request to a model: record, budget, retries, price. An answer is paid once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from maestro_agents.brains.base import Brain, BrainReply, BrainRequest, Usage
from maestro_agents.brains.recording import Recorded, read, request_json, request_key
from maestro_agents.brains.replay import Replay
from maestro_agents.brains.retry import Sleep, asked
from maestro_agents.budget import Budget
from maestro_agents.prices import Prices
from maestro_protocol.errors import BrainError, BudgetExceeded
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages.plan import ModelCalled, Role
from maestro_protocol.ports import Amount, CallLog, Clock

WORST_MS = 600_000
"""The longest that one request with all its retries may take."""
FRAMING = 500
"""Tokens that vendors add around a request."""


@dataclass(frozen=True, slots=True)
class Answered:
    reply: BrainReply
    called: ModelCalled


class Caller(Protocol):
    """A role's line to its model."""

    @property
    def provider(self) -> str: ...

    async def ask(self, campaign: CampaignId, turn: int, request: BrainRequest) -> Answered:
        """Raises :class:`BrainError` when no answer came, :class:`BudgetExceeded` when none may be asked for."""
        ...

    async def refused(self, campaign: CampaignId, request: BrainRequest, reason: str) -> None:
        """Write down that *request* never left, so that a replay knows."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class PaidCaller:
    """Asks a vendor. What was answered before is recalled; all else is reserved, recorded, asked and settled."""

    role: Role
    brain: Brain
    clock: Clock
    log: CallLog
    budget: Budget
    prices: Prices
    sleep: Sleep

    @property
    def provider(self) -> str:
        return self.brain.provider

    async def ask(self, campaign: CampaignId, turn: int, request: BrainRequest) -> Answered:
        line = request_json(self.provider, request)
        key = request_key(line)
        try:
            hold = self.budget.hold(campaign, self.role, self._worst(line, request))
        except BudgetExceeded:  # of an unknown price; what was answered before is told all the same
            known = await self.log.recall(campaign, key)
            if known is None:
                raise
        else:
            known = await self.log.opened(campaign, key, self.role, line, hold)
        recorded = read(known) if isinstance(known, str) else await self._paid(campaign, key, request, known)
        return Answered(recorded.reply, _called(recorded, self.role, turn, key))

    async def refused(self, campaign: CampaignId, request: BrainRequest, reason: str) -> None:
        line = request_json(self.provider, request)
        if isinstance(await self.log.opened(campaign, request_key(line), self.role, line), Amount):
            await self.log.failed(campaign, request_key(line), reason)

    async def close(self) -> None:
        await self.brain.close()

    async def _paid(self, campaign: CampaignId, key: str, request: BrainRequest, granted: Amount) -> Recorded:
        started = self.clock.monotonic()

        def waited() -> int:
            return min(round((self.clock.monotonic() - started) * 1_000), granted.ms)

        try:
            reply, attempts = await self._asked(request, granted.ms / 1_000)
        except BrainError as error:
            await self.log.failed(campaign, key, str(error), Amount(ms=waited()))
            raise
        # Cancelled in flight it stays open: perhaps paid, so all that was set aside counts.
        recorded = self._recorded(request.model, reply, attempts)
        await self.log.answered(campaign, key, recorded.model_dump_json(), _amount(recorded, waited()))
        return recorded

    async def _asked(self, request: BrainRequest, seconds: float) -> tuple[BrainReply, int]:
        try:
            async with asyncio.timeout(seconds):
                return await asked(lambda: self.brain.ask(request), self.sleep)
        except TimeoutError:
            raise BrainError(f"{self.provider}: no answer within {seconds:g} s, retries included") from None

    def _worst(self, line: str, request: BrainRequest) -> Amount:
        """No token is shorter than a byte, so the request's bytes bound its tokens."""
        usage = Usage(input_tokens=len(line.encode()) + FRAMING, output_tokens=request.max_tokens)
        usd = self.prices.cost(self.provider, request.model, usage, self.clock.now_ms())
        if usd is None and self.budget.limits.in_usd():
            raise BudgetExceeded(
                f"{self.role}: nobody knows what {request.model} costs; name its price or take the USD limits off",
                limit="usd",
            )
        return Amount(usd=usd or Decimal(0), tokens=usage.input_tokens + usage.output_tokens, requests=1, ms=WORST_MS)

    def _recorded(self, model: str, reply: BrainReply, attempts: int) -> Recorded:
        at = self.clock.now_ms()
        cost = self.prices.cost(self.provider, model, reply.usage, at)
        return Recorded(provider=self.provider, reply=reply, attempts=attempts, cost_usd=cost, at=at)


@dataclass(frozen=True, slots=True)
class ReplayCaller:
    """Answers from the recordings of a campaign, in the words of the vendor who answered then."""

    role: Role
    provider: str
    replay: Replay
    of: CampaignId | None = None
    """The campaign whose recordings are told; null: the one that asks."""

    async def ask(self, campaign: CampaignId, turn: int, request: BrainRequest) -> Answered:
        recorded, key = await self.replay.recall(self.of or campaign, request)
        told = _called(recorded, self.role, turn, key)
        return Answered(recorded.reply, told.model_copy(update={"recalled": True}))

    async def refused(self, campaign: CampaignId, request: BrainRequest, reason: str) -> None:
        return

    async def close(self) -> None:
        return


def _amount(recorded: Recorded, ms: int) -> Amount:
    usage = recorded.reply.usage
    tokens = usage.input_tokens + usage.output_tokens
    return Amount(usd=recorded.cost_usd or Decimal(0), tokens=tokens, requests=1, ms=ms)


def _called(recorded: Recorded, role: Role, turn: int, key: str) -> ModelCalled:
    """What the journal tells of an answered request: the same words when it is recalled later."""
    usage = recorded.reply.usage
    return ModelCalled(
        role=role,
        turn=turn,
        brain=recorded.provider,
        model=recorded.reply.model,
        request_key=key,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cost_usd=recorded.cost_usd,
        stop_reason=recorded.reply.stop_reason,
        attempts=recorded.attempts,
        at=recorded.at,
    )
