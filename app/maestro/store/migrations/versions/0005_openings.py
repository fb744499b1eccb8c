"""0005 owns the table of looks at sealed bars, filled with those that the journals tell of."""

from __future__ import annotations

import json
import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_OPENED = (
    "SELECT o.campaign, o.seq, o.time_ms, o.json_text, c.json_text FROM journal AS o"
    " JOIN journal AS c ON c.campaign = o.campaign AND c.seq = 1 AND c.type = 'CampaignConfig'"
    " WHERE o.type = 'HoldoutOpened' ORDER BY o.time_ms, o.campaign, o.seq"
)
_KEEP = sa.text(
    "INSERT INTO openings (campaign, seq, opened_ms, market, first_ms, end_ms, look, prints)"
    " VALUES (:campaign, :seq, :opened_ms, :market, :first_ms, :end_ms, NULL, :prints)"
)


def upgrade() -> None:
    op.create_table(
        "openings",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=False),
        sa.Column("market", sa.Text(), nullable=True),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=False),
        sa.Column("look", sa.Text(), nullable=True),
        sa.Column("prints", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("look"),
    )
    connection = op.get_bind()
    for campaign, seq, opened_ms, opened, config in connection.execute(sa.text(_OPENED)).all():
        data, body = json.loads(config)["body"]["data"], json.loads(opened)["body"]
        row = {"campaign": campaign, "seq": seq, "opened_ms": opened_ms, "market": _market(data), "prints": b""}
        connection.execute(_KEEP, row | _range(data, body))


def _range(data: dict[str, Any], opened: dict[str, Any]) -> dict[str, int]:
    """The time that the opened bars span; bars are evenly spaced."""
    step = (data["last_ms"] - data["first_ms"]) // max(data["bars"] - 1, 1)
    first = data["first_ms"] + opened["first_bar"] * step
    return {"first_ms": first, "end_ms": first + opened["bars"] * step}


def _market(data: dict[str, Any]) -> str | None:
    if data["simulated"]:
        return data["source"]
    bare = re.sub(r"[^A-Z0-9]", "", re.sub(r"[-_./ ]?(PERP|SWAP)$|:.*$", "", data["symbol"].upper()))
    return bare if bare and data["symbol"] != "UNKNOWN" else None
