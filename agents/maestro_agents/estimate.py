"""estimate owns what thinking is likely to take before it begins: from one good answer a turn to the most."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from maestro_agents.agent import REPAIRS
from maestro_agents.brains.base import Usage
from maestro_agents.prices import Prices
from maestro_protocol.messages.campaign import BrainChoice
from maestro_protocol.messages.plan import RoleName

BYTES_A_TOKEN = 4
"""Of English and JSON, about; no token is shorter than one byte."""
QUESTION_BYTES = (8_000, 48_000)
"""A role's question with the built-in prompts: without history, and with all of it and a repair's words."""
ANSWER_TOKENS = 500
"""A role's answer, at least."""


class Turns(NamedTuple):
    """How many questions one role is asked in a campaign: at least, and at most."""

    least: int
    most: int


class CostEstimate(NamedTuple):
    """What the models of a campaign may take, each as the least and the most that is likely."""

    requests: tuple[int, int]
    tokens: tuple[int, int]
    usd: tuple[Decimal, Decimal] | None
    """Null where nobody knows the price of one of the models."""


def estimated(
    asked: Mapping[RoleName, Turns], models: Mapping[RoleName, tuple[BrainChoice, str]], prices: Prices, at_ms: int
) -> CostEstimate:
    """What *asked*, turns by role, takes of *models*, a role's choice and model.

    The least is one request a turn with a short answer; the most has every repair, each as long as it may be.
    Attempts after a vendor's failure are not in it.
    """
    requests, tokens = [0, 0], [0, 0]
    usd: list[Decimal | None] = [Decimal(0), Decimal(0)]
    for role, (choice, model) in models.items():
        turns = asked[role]
        least = Usage(input_tokens=QUESTION_BYTES[0] // BYTES_A_TOKEN, output_tokens=ANSWER_TOKENS)
        most = Usage(input_tokens=QUESTION_BYTES[1] // BYTES_A_TOKEN, output_tokens=choice.max_tokens)
        for end, (count, usage) in enumerate(((turns.least, least), (turns.most * (REPAIRS + 1), most))):
            requests[end] += count
            tokens[end] += count * ((usage.input_tokens or 0) + (usage.output_tokens or 0))
            cost, sofar = prices.cost(choice.brain, model, usage, at_ms), usd[end]
            usd[end] = None if cost is None or sofar is None else sofar + count * cost
    low, high = usd
    return CostEstimate(
        (requests[0], requests[1]), (tokens[0], tokens[1]), None if low is None or high is None else (low, high)
    )
