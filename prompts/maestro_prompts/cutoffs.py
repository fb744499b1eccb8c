"""cutoffs owns until when a model may remember the markets: what vendors publish, nothing guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

CUTOFFS: Mapping[str, date] = {
    # platform.claude.com, models overview and model pages, read November 2026; a month counts to its last day
    "claude-fable-5-1": date(2026, 6, 30),
    "claude-opus-5-5": date(2026, 6, 30),
    "claude-sonnet-5-5": date(2026, 6, 30),
    "claude-opus-5": date(2026, 5, 31),
    "claude-sonnet-5": date(2026, 1, 31),
    "claude-fable-5": date(2026, 1, 31),
    # docs.aws.amazon.com, Bedrock model card
    "claude-haiku-5-5": date(2026, 6, 30),
    # docs.oxen.ai model pages, repeating OpenAI's
    "gpt-6-sol": date(2026, 4, 20),
    "gpt-6-luna": date(2026, 5, 18),
}
_SNAPSHOT = re.compile(r"-(?:20\d{6}|20\d\d-\d\d-\d\d)$")


def knowledge_cutoff(model: str) -> date | None:
    """The last day *model* may know about, by its vendor's word; null when nobody published it here.

    Results on data after it cannot come from memory; where it is null, no result is known to be free of memory.
    """
    return CUTOFFS.get(_SNAPSHOT.sub("", model))
