"""funding owns when funding of a perpetual is settled and at what rate: once an interval, and only as can be true.

What the exchange announces with its mark price is held against its own rules before it is believed. Rates are ratios
per interval, times UTC milliseconds of the exchange.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

HOUR_MS = 3_600_000
SLACK_MS = 60_000
"""An announcement may be so much older or newer than the settlement it speaks of."""


class FundingRules(Struct, frozen=True):
    """What an exchange settles at most: one payment each ``shortest_ms``, none later than ``longest_ms`` from now."""

    shortest_ms: int = HOUR_MS
    longest_ms: int = 8 * HOUR_MS
    cap: float = 0.03
    """Largest rate either way."""


FUNDING_RULES: Mapping[str, FundingRules] = {
    "": FundingRules(),
    "BTCUSDT": FundingRules(8 * HOUR_MS, 8 * HOUR_MS, 0.003),
}
"""By symbol; the empty one is for all others. Source: Binance, "Introduction to Binance Futures Funding Rates":
every 8 hours, for some contracts every 4 or 1; the cap is 0.75 of the maintenance margin rate of the lowest bracket
(BTCUSDT: 0.4 %), and of no contract more than 3 %."""


def rules_for(symbol: str) -> FundingRules:
    return FUNDING_RULES.get(symbol, FUNDING_RULES[""])


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
        if rate is not None and not abs(rate) <= rules.cap:
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
