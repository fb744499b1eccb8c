"""ports owns the doors between rooms of the first floor: small Protocols, one conformance suite each in tests/ports.

What crosses a port is a protocol type, or a plain tuple of numbers where there are tens of thousands of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol

from pydantic import ValidationError

from maestro_protocol.config import DataRef, Phase, RunConfig, WindowRef
from maestro_protocol.envelope import ENVELOPE, Envelope
from maestro_protocol.errors import StoreError, UnknownVersion
from maestro_protocol.ids import CampaignId, MessageId, RunId
from maestro_protocol.messages.campaign import Exhibits, LooksCounted, Verdict
from maestro_protocol.messages.gate import GateDecided, GateRequest
from maestro_protocol.messages.report import Metrics, TestReport
from maestro_protocol.messages.sealed import Claim, Looks, SealedBars
from maestro_protocol.messages.versions import unknown_word, written_elsewhere
from maestro_protocol.space import ParameterSpace


class Clock(Protocol):
    """Time, injected. A test hands in one that it moves itself."""

    def now_ms(self) -> int:
        """UTC, whole milliseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary zero."""
        ...


class Subscription(Protocol):
    """One reader of one topic. An envelope counts as handled when the next one is asked for.

    A reader that dies before that leaves it to its group: where the bus outlives the process it is delivered again.
    """

    def __aiter__(self) -> AsyncIterator[Envelope]: ...

    async def __anext__(self) -> Envelope: ...

    async def close(self) -> None:
        """Stop reading; an envelope that was not handled goes to another reader of the group."""
        ...


class Bus(Protocol):
    """Carries envelopes by topic. Each group of readers gets every envelope once (by id) and in order.

    ``publish`` waits while a group is more than the bus's capacity behind (backpressure). After ``close`` readers
    end once they have read what was published, and publishing raises :class:`BusClosed`.
    """

    async def publish(self, envelope: Envelope) -> None:
        """Carry *envelope* to every group of its topic. Raises :class:`BusClosed`, :class:`BusError`."""
        ...

    async def subscribe(self, topic: str, group: str) -> Subscription:
        """A reader of *topic* for *group*; what is published from now on reaches it."""
        ...

    async def close(self) -> None:
        """Take nothing more; readers end once they have read what was published."""
        ...


class EpisodeScore(NamedTuple):
    """What the analyzer reads of one episode. PnL in micro-USD, drawdown in USD."""

    episode: int
    start_ms: int
    end_ms: int
    phase: Phase
    n_trades: int
    wins: int
    losses: int
    gross_win: int
    """Sum of the winning trades, micro-USD; ``gross_loss`` of the losing ones, <= 0."""
    gross_loss: int
    total_pnl: int
    maxdd: float
    blunders: int
    high_vol: bool | None


class TestOutcome(NamedTuple):
    """Everything one finished test leaves: its report, its episodes for the analyzer, its lines for the record."""

    __test__ = False  # not a pytest class

    report: TestReport
    episodes: Sequence[EpisodeScore]
    n_trades: int
    trades_jsonl: bytes
    """TradeEvents, one JSON line each."""
    scores_jsonl: bytes
    """ScoreEvents, one JSON line each."""


class Runner(Protocol):
    """Runs backtests on the open part of the data: what is sealed is not in it.

    Results do not depend on the number of threads, the batch or the order. Calls block; they release the
    interpreter's lock while they compute.
    """

    @property
    def data(self) -> DataRef:
        """The bars it runs on, as a config names them."""
        ...

    @property
    def windows(self) -> Sequence[WindowRef]:
        """The rolling windows of the open part, oldest first."""
        ...

    def methods(self) -> Sequence[str]:
        """Names of all methods, sorted."""
        ...

    def space(self, methods: Sequence[str]) -> ParameterSpace:
        """The parameters that *methods* share and declare. Raises :class:`UnknownKey` for an unknown method."""
        ...

    def check(self, config: RunConfig) -> None:
        """Raise :class:`ParameterError` or :class:`DataError` where *config* cannot run on the data."""
        ...

    def run(self, configs: Sequence[RunConfig]) -> Sequence[TestOutcome]:
        """One outcome for each config, in order."""
        ...

    def compare(self, configs: Sequence[RunConfig]) -> Sequence[TestReport]:
        """As ``run``, for comparisons that leave no record of their own."""
        ...

    def pool(self, parts: Sequence[Metrics]) -> Metrics:
        """The metrics of several tests together: sums are summed, ratios recomputed, the rest averaged."""
        ...


class Look(NamedTuple):
    """What a sequential test says after its latest value."""

    n: int
    mean: float
    bound: float
    """The anytime-valid bound on the true mean, on the side that is tested."""
    rejects: bool


class Sequential(Protocol):
    """An anytime-valid test of "the mean is on target": looking often does not raise its error rate."""

    def update(self, value: float) -> Look:
        """Add one observation; what the test says after it."""
        ...


class Statistics(Protocol):
    """The statistics that control decides by, each with a declared error rate."""

    def sequential(self, target: float, *, below: bool, alpha: float, min_n: int) -> Sequential:
        """A test that rejects when the mean is below (or above) *target*."""
        ...

    def sign_flip(self, differences: Sequence[float], groups: Sequence[int], seed: int) -> float | None:
        """One-sided p-value of "the mean difference is not positive"; a group's differences share one sign."""
        ...


class Evidence(NamedTuple):
    """What the open part says of the finalists; what the judge keeps for the last step travels with it."""

    trials: int
    finalists: Sequence[RunConfig]
    kept: object


class OpeningsRegistry(Protocol):
    """Knows which sealed bars were opened, over all campaigns of a workspace."""

    async def looks(self, bars: SealedBars, look: str) -> Looks:
        """Earlier looks at *bars*; those before it was first taken, where *look* was taken already."""
        ...

    def claim(self, bars: SealedBars, look: str, earlier: int | None) -> Claim | None:
        """What to commit with the opening; null where it is not counted. Raises :class:`LooksOvertaken`."""
        ...


FINALISTS = 5
"""Variants that meet the sealed data at most: each more makes the proof of every one harder."""


class Judge(Protocol):
    """Says whether anything survived. The only holder of the sealed part of the data."""

    def assess(
        self, trials: Sequence[RunConfig], finalists: Sequence[RunConfig], counted: int, most: int = FINALISTS
    ) -> Evidence:
        """Evidence from the open part: *trials* are all distinct variants that ran, *counted* all ever proposed.

        Of *finalists*, best first, those that make the same trades count once; at most *most* are kept, and those
        that earned on the open part before those that did not.
        """
        ...

    @property
    def sealed(self) -> tuple[int, int]:
        """First bar and number of bars of the sealed part."""
        ...

    def sealed_bars(self) -> SealedBars:
        """Which bars the sealed part is made of. Raises :class:`UsageError` where nothing is sealed."""
        ...

    def open_and_rule(
        self, evidence: Evidence, opening: int, looks: LooksCounted | None = None
    ) -> tuple[Verdict, Exhibits]:
        """Open the sealed part for the finalists and rule. Journal the opening first.

        *looks* are what was counted before: it gives the level to judge at, and is said in the sentence. Null where
        nobody counts; this look may then use the whole of the error budget.
        """
        ...

    def rule_unopened(self, evidence: Evidence, looks: LooksCounted | None, reason: str) -> tuple[Verdict, Exhibits]:
        """Not enough evidence: the sealed part stays closed, for *reason*; *looks* null where nobody counted any."""
        ...


class Record(NamedTuple):
    """One row of a journal, not yet validated: a journal of 100,000 is read in a fraction of a second this way."""

    seq: int
    id: MessageId
    type: str
    time: int
    """UTC milliseconds."""
    json: str
    """The envelope exactly as it was journalled."""

    def envelope(self) -> Envelope:
        """What the row says. Raises :class:`StoreError` where it is no message, or not the one it is filed as.

        Raises :class:`UnknownVersion` where another Maestro wrote it, in words that are not known here.
        """
        try:
            said = ENVELOPE.validate_json(self.json)
        except ValidationError as error:
            word = unknown_word(error)
            if word is not None:
                raise UnknownVersion(f"the journal's row {self.seq} {written_elsewhere(None, word)}") from error
            raise StoreError(
                f"the journal's row {self.seq} cannot be read ({error.error_count()} problems); it was changed: "
                "restore a copy"
            ) from error
        if (said.seq, said.id, said.body.type, said.time) != self[:4]:
            raise StoreError(f"the journal's row {self.seq} is filed as another message: restore a copy")
        return said


class Stored(NamedTuple):
    """A finished test as the store gives it back."""

    run_id: RunId
    config: RunConfig
    outcome: TestOutcome


class Store(Protocol):
    """Keeps journals and results. ``commit`` is one transaction: all of it is durable when it returns, or none is."""

    async def commit(
        self,
        campaign: CampaignId,
        entries: Sequence[Envelope],
        results: Sequence[Stored] = (),
        runs: Sequence[RunConfig] = (),
        opened: Claim | None = None,
    ) -> None:
        """Append *entries* (their ``seq`` must follow the journal's last) with the *results* they speak of.

        A result brings its own run config; *runs* are those that no test is, but tests descend from. They may be
        stored already. *opened* is the look at sealed bars that they speak of. Raises :class:`StoreError` when a
        sequence number is taken or skipped (another process writes this campaign), and :class:`LooksOvertaken` when
        somebody else has looked at the same bars since they were counted.
        """
        ...

    async def records(self, campaign: CampaignId, after: int = 0, types: Sequence[str] = ()) -> Sequence[Record]:
        """The campaign's journal after ``seq`` *after*, in order; only messages of *types* when any are named."""
        ...

    async def results(self, campaign: CampaignId, runs: Sequence[RunId]) -> Sequence[Stored]:
        """The stored results of *runs*, in their order. Raises :class:`StoreError` where one is missing."""
        ...

    async def campaigns(self) -> Sequence[CampaignId]:
        """All campaigns, oldest first."""
        ...

    async def close(self) -> None:
        """Let the database go; nothing is committed by it."""
        ...


class ModelCallRecord(NamedTuple):
    """One request to a model and what came of it, scrubbed of keys."""

    key: str
    """SHA-256 over provider, model, messages, schema and settings."""
    role: str
    request: str
    """JSON."""
    reply: str | None
    """JSON; null while it is in flight, or when it failed or was lost."""
    state: Literal["open", "answered", "failed", "unknown"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Amount:
    """What calls to models take: USD to a millionth, tokens in and out, requests, milliseconds of waiting."""

    usd: Decimal = Decimal(0)
    tokens: int = 0
    requests: int = 0
    ms: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.usd + other.usd, self.tokens + other.tokens, self.requests + other.requests, self.ms + other.ms
        )


class Taken(NamedTuple):
    """What counts already where one more call would: of its campaign, its role there, its UTC day everywhere.

    What is in flight counts with what was set aside for it; so does, but for the waiting, what was lost in flight.
    """

    campaign: Amount
    role: Amount
    day: Amount


class Hold(NamedTuple):
    """What must be set aside before a call may leave."""

    day: int
    """The UTC day it counts in, since the epoch."""
    grant: Callable[[Taken], Amount]
    """The amount to set aside, or :class:`BudgetExceeded`. Nobody else is granted anything while it thinks."""


class CallLog(Protocol):
    """Remembers every request to a model, so that an answer is paid once, told again for free, and counted."""

    async def opened(
        self, campaign: CampaignId, key: str, role: str, request: str, hold: Hold | None = None
    ) -> Amount | str:
        """Durable before the request leaves, with what *hold* grants it; nothing is counted without one.

        Gives what was granted, or its reply where it is answered: then nobody is asked for a grant and nothing is
        opened. Raises what the grant raises, and then nothing was kept.
        """
        ...

    async def answered(self, campaign: CampaignId, key: str, reply: str, took: Amount | None = None) -> None:
        """It took *took* of what was set aside; all of it where nobody says."""
        ...

    async def failed(self, campaign: CampaignId, key: str, reason: str, took: Amount | None = None) -> None:
        """It came to nothing and took *took*; nothing where nobody says."""
        ...

    async def recall(self, campaign: CampaignId, key: str) -> str | None:
        """The reply of an answered request, or null."""
        ...

    async def exchanges(self, campaign: CampaignId) -> Sequence[ModelCallRecord]:
        """All of the campaign's, in the order they were opened."""
        ...


class Gate(Protocol):
    """Asks people. Returns when the gate is decided; silence is a no."""

    async def ask(self, request: GateRequest) -> GateDecided:
        """Put *request* before people and wait; the decision, also where it was made before."""
        ...
