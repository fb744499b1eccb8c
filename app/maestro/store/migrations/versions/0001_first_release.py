"""0001 owns the first released schema. Frozen: what comes later is a revision of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from maestro.store.schema import extras

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null)


def _whole(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=null)


def _big(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=null)


def upgrade() -> None:
    _campaigns()
    _calls()
    _gates()
    for statement in extras(op.get_bind().dialect.name, revision):
        op.execute(sa.DDL(statement.replace("%", "%%")))


def _campaigns() -> None:
    op.create_table(
        "campaigns",
        _whole("number"),
        _text("campaign"),
        _big("started_ms"),
        _whole("last_seq"),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("campaign"),
    )
    op.create_table(
        "journal",
        _text("campaign"),
        _whole("seq"),
        _text("id"),
        _text("type"),
        _big("time_ms"),
        _text("json_text"),
        sa.PrimaryKeyConstraint("campaign", "seq"),
        sa.UniqueConstraint("campaign", "id"),
    )
    op.create_table(
        "runs",
        _text("campaign"),
        _text("run_id"),
        _text("parent_run", null=True),
        _text("because", null=True),
        _text("engine"),
        _text("config"),
        sa.PrimaryKeyConstraint("campaign", "run_id"),
    )
    op.create_table(
        "results",
        _text("campaign"),
        _text("run_id"),
        _whole("seq"),
        _whole("n_trades"),
        _big("total_pnl_micros"),
        _text("report"),
        _text("episodes"),
        sa.Column("score_lines", sa.LargeBinary(), nullable=False),
        sa.Column("trade_lines", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("campaign", "run_id"),
    )


def _calls() -> None:
    op.create_table(
        "calls",
        _whole("number"),
        _text("campaign"),
        _text("key"),
        _text("role"),
        _text("state"),
        _text("model", null=True),
        _whole("input_tokens", null=True),
        _whole("output_tokens", null=True),
        _whole("cache_read_tokens", null=True),
        _whole("cache_write_tokens", null=True),
        _big("cost_micros", null=True),
        _text("reason"),
        _text("request"),
        _text("reply", null=True),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_calls_campaign_key", "calls", ["campaign", "key"])


def _gates() -> None:
    op.create_table(
        "gates",
        _text("gate_id"),
        _text("campaign", null=True),
        _text("state"),
        _text("bound_to"),
        _big("expires_ms"),
        _text("request"),
        _text("decided", null=True),
        sa.PrimaryKeyConstraint("gate_id"),
    )
    op.create_index("ix_gates_state", "gates", ["state"])
    op.create_table(
        "votes",
        _whole("number"),
        _text("gate_id"),
        _text("who"),
        sa.Column("approve", sa.Boolean(), nullable=False),
        _big("at_ms"),
        _text("vote"),
        _text("refused", null=True),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_votes_gate_id", "votes", ["gate_id"])
