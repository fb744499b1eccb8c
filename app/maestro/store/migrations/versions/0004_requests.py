"""0004 owns the table of what calls to models asked, apart from what became of them, which is written again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "requests",
        sa.Column("call", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("call"),
    )
    op.execute("INSERT INTO requests (call, request) SELECT number, request FROM calls")
    op.drop_column("calls", "request")
