"""ids owns what things are called: names that are safe in a path, a query and a log, and where new ones come from."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints

_PATTERN = r"[a-z0-9][a-z0-9_.-]{0,95}"

Id = Annotated[str, StringConstraints(pattern=f"^{_PATTERN}$")]
"""Lower-case letters, digits, ``_ . -``: no separator, no space, no leading dot."""

CampaignId = Id
RunId = Id
"""A run inside its campaign: ``root``, ``seg1``, ``seg1-p2`` (after its second patch), ``seg1_test051``."""
MessageId = Id


def is_id(text: str) -> bool:
    """Whether *text* may be the name of anything: for what is made without being validated."""
    return re.fullmatch(_PATTERN, text) is not None


def segment_run(segment: int, variation: int = 1, patches: int = 0) -> RunId:
    """The run a segment's tests descend from: ``seg1``, ``seg1-v2`` (second variation), ``seg1-p1`` (patched)."""
    return f"seg{segment}" + (f"-v{variation}" if variation > 1 else "") + (f"-p{patches}" if patches else "")


def test_run(segment: int, test: int) -> RunId:
    """``seg1_test051``: test numbers are padded to three digits and grow past them when they must."""
    return f"seg{segment}_test{test:03d}"


def test_span(segment: int, first: int, last: int) -> str:
    """The tests that a patch reaches, as ``seg1_test051-100``."""
    return f"seg{segment}_test{first:03d}-{last:03d}"


def episode_id(run: RunId, episode: int) -> str:
    """``seg1_test051_ep07``; episodes count from 1."""
    return f"{run}_ep{episode:02d}"


def message_id(seq: int) -> MessageId:
    """The id of the *seq*-th message of a campaign: the same campaign run again says the same ids."""
    return f"m{seq:06d}"
