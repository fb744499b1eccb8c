"""envelope owns how a message travels: who said it, when, where to, and because of what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from maestro_protocol.base import Frozen, UtcMs
from maestro_protocol.ids import CampaignId, Id, MessageId
from maestro_protocol.messages import Message

Topic = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]


class Envelope(Frozen):
    """One message with its address. ``time`` is the only wall-clock field: a rerun differs in nothing else."""

    version: Literal[1] = 1
    id: MessageId
    seq: Annotated[int, Field(ge=0)]
    """Place in the campaign's journal, from 1; 0 for a message that is not journalled (a reply on its way)."""
    time: UtcMs
    campaign: CampaignId
    sender: Id
    topic: Topic
    causation: MessageId | None = None
    """The message this one answers or follows from."""
    body: Message


ENVELOPE: TypeAdapter[Envelope] = TypeAdapter(Envelope)
MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)
