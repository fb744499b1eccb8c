"""0002 owns the table of what calls to models count for in budgets, filled with what was paid before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_AT = {"sqlite": "json_extract(reply, '$.at')", "postgresql": "(reply::json ->> 'at')::bigint"}


def upgrade() -> None:
    op.create_table(
        "spending",
        sa.Column("call", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("usd_micros", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("call"),
    )
    op.create_index("ix_spending_campaign", "spending", ["campaign"])
    op.create_index("ix_spending_day", "spending", ["day"])
    at = _AT[op.get_bind().dialect.name]
    op.execute(
        "INSERT INTO spending (call, campaign, role, day, usd_micros, tokens, requests, ms)"  # noqa: S608 - constants
        f" SELECT number, campaign, role, COALESCE({at}, 0) / 86400000, COALESCE(cost_micros, 0),"
        " COALESCE(input_tokens, 0) + COALESCE(output_tokens, 0), 1, 0"
        " FROM calls WHERE state = 'answered'"
    )
