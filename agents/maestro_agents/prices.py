"""prices owns what tokens cost: the prices its user named, then an offline table. Unknown stays unknown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from maestro_agents.brains.base import Usage
from maestro_protocol.base import Frozen

MILLION = Decimal(1_000_000)
MICRO_USD = Decimal("0.000001")


class Price(Frozen):
    """USD per million tokens."""

    input: Annotated[Decimal, Field(ge=0)]
    output: Annotated[Decimal, Field(ge=0)]


FREE = {"scripted", "replay"}


class Prices:
    """What a model's tokens cost. *named* prices win over the table (a local server's model is named 0)."""

    def __init__(self, named: Mapping[str, Price] | None = None) -> None:
        self._named = dict(named or {})

    def cost(self, provider: str, model: str, usage: Usage, at_ms: int) -> Decimal | None:
        """USD for *usage*, to a millionth; null when nobody knows the model's price, or the tokens."""
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        if model in self._named:
            price = self._named[model]
            return ((usage.input_tokens * price.input + usage.output_tokens * price.output) / MILLION).quantize(
                MICRO_USD
            )
        if provider in FREE:
            return Decimal(0)
        from genai_prices import Usage as Counted
        from genai_prices import calc_price

        counted = Counted(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        )
        at = datetime.fromtimestamp(at_ms / 1_000, UTC)
        try:
            price = calc_price(counted, model, provider_id=provider, genai_request_timestamp=at)
        except LookupError:
            return None
        return price.total_price.quantize(MICRO_USD)

    def known(self, provider: str, model: str, at_ms: int) -> bool:
        return self.cost(provider, model, Usage(input_tokens=1, output_tokens=1), at_ms) is not None
