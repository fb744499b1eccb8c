"""0003 owns the sums of what calls count for, by campaign, role and day, so that nobody has to add them up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("usd_micros", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
    )
    for scope in ("'campaign ' || campaign", "'role ' || role || ' of ' || campaign", "'day ' || day"):
        op.execute(
            "INSERT INTO budgets (scope, usd_micros, tokens, requests, ms)"  # noqa: S608 - constants
            f" SELECT {scope}, sum(usd_micros), sum(tokens), sum(requests), sum(ms) FROM spending GROUP BY 1"
        )
    op.drop_index("ix_spending_campaign", "spending")
    op.drop_index("ix_spending_day", "spending")
