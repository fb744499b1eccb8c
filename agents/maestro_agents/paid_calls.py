"""paid_calls owns what lies around one request to a model: record, budget, retries, price. An answer is paid once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from maestro_agents.brains.base import UNPAID, Brain, BrainReply, BrainRequest, FailedAttempt, Usage
from maestro_agents.brains.recording import Recorded, read, request_json, request_key
from maestro_agents.brains.replay import Replay
from maestro_agents.brains.retry import Sleep, asked
from maestro_agents.budget import Budget
from maestro_agents.prices import Prices
from maestro_protocol.errors import BrainError, BudgetExceeded
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages.plan import ModelCalled, RoleName
from maestro_protocol.ports import Amount, CallLog, Clock
from maestro_protocol.sanitize import printable

WORST_MS = 600_000
"""The longest that one question with all its attempts may take."""
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

    role: RoleName
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
        call = _Call(self, campaign, request)
        recorded, _ = await asked(call.attempt, call.pause)
        return Answered(recorded.reply, _called(recorded, self.role, turn, call.key))

    async def refused(self, campaign: CampaignId, request: BrainRequest, reason: str) -> None:
        line = request_json(self.provider, request)
        if isinstance(await self.log.opened(campaign, request_key(line), self.role, line), Amount):
            await self.log.failed(campaign, request_key(line), reason)

    async def close(self) -> None:
        await self.brain.close()


class _Call:
    """One question to a vendor, in as many attempts as it takes: each is set aside, recorded and settled by itself.

    An attempt is an HTTP request that may be paid, so the limits are asked before each of them.
    """

    def __init__(self, caller: PaidCaller, campaign: CampaignId, request: BrainRequest) -> None:
        self._caller = caller
        self._campaign = campaign
        self._request = request
        self._line = request_json(caller.provider, request)
        self.key = request_key(self._line)
        self._most = Usage(input_tokens=len(self._line.encode()) + FRAMING, output_tokens=request.max_tokens)
        """No token is shorter than a byte, so the request's bytes bound its tokens."""
        self._began = self._since = caller.clock.monotonic()
        self._granted_ms = WORST_MS
        self._attempts = 0
        self._last: BrainError | None = None

    async def attempt(self) -> Recorded:
        """The answer, asked for once more. Raises :class:`BrainError`, :class:`BudgetExceeded`."""
        ms = WORST_MS - self._ms(self._began)
        if ms <= 0 and self._last is not None:
            raise self._last
        granted = await self._opened(self._worst(ms))
        if isinstance(granted, str):
            return read(granted)
        self._attempts += 1
        self._granted_ms = granted.ms
        try:
            reply = await self._answered(granted.ms)
        except BrainError as error:
            self._last = error
            usage = error.usage if isinstance(error, FailedAttempt) else UNPAID
            took = self._took(usage, granted)
            await self._caller.log.failed(self._campaign, self.key, str(error), took)
            self._since = self._caller.clock.monotonic()
            self._granted_ms -= took.ms
            raise
        # Cancelled in flight it stays open: perhaps paid, so all that was set aside counts.
        recorded = self._recorded(reply)
        took = self._took(reply.usage, granted)
        await self._caller.log.answered(self._campaign, self.key, recorded.model_dump_json(), took)
        return recorded

    async def pause(self, seconds: float) -> None:
        """Wait for the next attempt, and no longer than the time that was granted lasts."""
        await self._caller.sleep(min(seconds, self._granted_ms / 1_000))

    async def _opened(self, worst: Amount | None) -> Amount | str:
        """What is granted of *worst*, or the answer that is known."""
        caller, log = self._caller, self._caller.log
        if worst is not None:
            hold = caller.budget.hold(self._campaign, caller.role, worst)
            return await log.opened(self._campaign, self.key, caller.role, self._line, hold)
        known = await log.recall(self._campaign, self.key)
        if known is None:
            raise BudgetExceeded(
                f"{caller.role}: nobody knows what {self._request.model} costs; name its price or take the USD "
                "limits off",
                limit="usd",
            )
        return known

    async def _answered(self, granted_ms: int) -> BrainReply:
        caller = self._caller
        seconds = max(granted_ms - self._ms(self._since), 0) / 1_000
        try:
            async with asyncio.timeout(seconds):
                return await caller.brain.ask(self._request)
        except TimeoutError:
            raise FailedAttempt(
                f"{caller.provider}: no answer within {granted_ms / 1_000:g} s, retries included"
            ) from None
        except BrainError:
            raise
        except Exception as error:  # a brain of anybody's own must not end a campaign: its turn says why
            words = printable(f"{type(error).__name__}: {error}")[:500]
            raise FailedAttempt(f"{caller.provider}: the brain failed: {words}") from error

    def _ms(self, since: float) -> int:
        return round((self._caller.clock.monotonic() - since) * 1_000)

    def _worst(self, ms: int) -> Amount | None:
        """The most that one attempt may take; null where nobody knows its price and a limit is in USD."""
        usd = self._cost(self._most)
        if usd is None and self._caller.budget.limits.in_usd():
            return None
        return Amount(usd=usd or Decimal(0), tokens=_tokens(self._most), requests=1, ms=ms)

    def _took(self, usage: Usage, granted: Amount) -> Amount:
        """What an attempt counts for: as its vendor counted, and what was set aside where it did not."""
        counted = usage.at_most(self._most)
        ms = min(self._ms(self._since), granted.ms)
        return Amount(usd=self._cost(counted) or Decimal(0), tokens=_tokens(counted), requests=1, ms=ms)

    def _cost(self, usage: Usage) -> Decimal | None:
        caller = self._caller
        return caller.prices.cost(caller.provider, self._request.model, usage, caller.clock.now_ms())

    def _recorded(self, reply: BrainReply) -> Recorded:
        return Recorded(
            provider=self._caller.provider,
            reply=reply,
            attempts=self._attempts,
            cost_usd=self._cost(reply.usage),
            at=self._caller.clock.now_ms(),
        )


@dataclass(frozen=True, slots=True)
class ReplayCaller:
    """Answers from the recordings of a campaign, in the words of the vendor who answered then."""

    role: RoleName
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


def _tokens(usage: Usage) -> int:
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


def _called(recorded: Recorded, role: RoleName, turn: int, key: str) -> ModelCalled:
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
