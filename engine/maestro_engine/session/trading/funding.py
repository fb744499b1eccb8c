"""funding owns when funding of a perpetual is settled and at what rate: once an interval, and only as can be true.

What the exchange announces with its mark price is held against its own rules before it is believed. Rates are ratios
per interval, times UTC milliseconds of the exchange.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from maestro_engine.feeds.port import FundingTerms
from maestro_engine.session.trail.records import FundingKnown
from maestro_protocol.errors import DataError

HOUR_MS = 3_600_000
SLACK_MS = 60_000
"""An announcement may be so much older or newer than the settlement it speaks of."""


class FundingRules(Struct, frozen=True):
    """What an exchange settles at most: one payment each ``shortest_ms``, none later than ``longest_ms`` from now."""

    shortest_ms: int = HOUR_MS
    longest_ms: int = 8 * HOUR_MS
    cap: float = 0.03
    """Largest rate that longs pay."""
    floor: float | None = None
    """Largest that shorts pay, negative; None: as large as the other."""

    def allows(self, rate: float) -> bool:
        return (-self.cap if self.floor is None else self.floor) <= rate <= self.cap


FUNDING_RULES: Mapping[str, FundingRules] = {
    "": FundingRules(),
    "BTCUSDT": FundingRules(8 * HOUR_MS, 8 * HOUR_MS, 0.003),
}
"""By symbol; the empty one is for all others. Source: Binance, "Introduction to Binance Futures Funding Rates":
every 8 hours, for some contracts every 4 or 1; the cap is 0.75 of the maintenance margin rate of the lowest bracket
(BTCUSDT: 0.4 %), and of no contract more than 3 %."""


HIGHEST = 0.1
"""No exchange settles a tenth of a position at once: who states more has not understood the question."""


def rules_for(symbol: str) -> FundingRules:
    """From the table: for who has not been told, or not what can be true."""
    return FUNDING_RULES.get(symbol, FUNDING_RULES[""])


def rules_in_force(symbol: str, terms: FundingTerms | None, why: str) -> tuple[FundingRules, FundingKnown]:
    """What announcements are held against: *terms*; or the table, because of *why* or as they cannot be true."""
    rules, source = rules_for(symbol), "table"
    if terms is not None:
        try:
            rules, source, why = rules_of(terms), "told", ""
        except DataError as error:
            why = str(error)
    floor = -rules.cap if rules.floor is None else rules.floor
    return rules, FundingKnown(source, rules.shortest_ms, rules.longest_ms, rules.cap, floor, why)


def rules_of(terms: FundingTerms) -> FundingRules:
    """What an exchange states of itself. Raises :class:`DataError` for what cannot be true."""
    hours = terms.interval_ms / HOUR_MS
    if not 1 <= hours <= 24 or not 0 < terms.cap <= HIGHEST or not -HIGHEST <= terms.floor < 0:
        raise DataError(f"funding each {hours:g} h between {terms.floor:g} and {terms.cap:g} cannot be true")
    return FundingRules(terms.interval_ms, terms.interval_ms, terms.cap, terms.floor)


class Funding(Struct):
    """What is believed of funding, and what was settled."""

    rate: float | None = None
    mark: float | None = None
    due_ms: int | None = None
    settled_ms: int = 0
    heard_ms: int = 0
    """Stamp of the newest announcement that was believed."""

    def doubt(self, rules: FundingRules, rate: float | None, due_ms: int | None, time_ms: int) -> str | None:
        """Why an announcement of the moment *time_ms* cannot be true; None where it can.

        What fell due by then is to be settled before this is asked.
        """
        if time_ms < self.heard_ms:
            return f"announced at {time_ms}, before what was heard of {self.heard_ms}"
        if rate is not None and not rules.allows(rate):
            return f"a rate of {rate:g} is beyond the cap of {rules.cap:g}"
        if due_ms is None or due_ms in (self.due_ms, self.settled_ms):
            return None
        if not time_ms - SLACK_MS <= due_ms <= time_ms + rules.longest_ms + SLACK_MS:
            return f"due at {due_ms}, which is not within {rules.longest_ms} ms of {time_ms}"
        earliest = self._settled_before(rules) + rules.shortest_ms
        return f"due at {due_ms}, before the interval ends at {earliest}" if due_ms < earliest else None

    def _settled_before(self, rules: FundingRules) -> int:
        """When funding was settled last, as far as is known: the date ahead is no more than an interval after it."""
        ahead = 0 if self.due_ms is None else self.due_ms - rules.longest_ms
        return max(self.settled_ms, ahead)

    def believe(self, rate: float | None, mark: float, due_ms: int | None, time_ms: int) -> None:
        """Take over an announcement that nothing speaks against."""
        self.rate, self.mark, self.heard_ms = rate, mark, time_ms
        self.due_ms = due_ms or self.due_ms

    def next_due_ms(self) -> int | None:
        """When the next settlement is due; None while nobody has said."""
        return self.due_ms if self.due_ms is not None and self.due_ms > self.settled_ms else None
