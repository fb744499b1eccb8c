"""tables owns the shape of the database: SQLModel tables, from which ``schema_*.sql`` is written.

Money is whole micro-USD in BIGINT: neither SQLite (which would make a REAL of a DECIMAL) nor PostgreSQL rounds it.
Times are UTC milliseconds. JSON is text, kept to the byte. A change here needs a migration, and the schema written
again (``MAESTRO_WRITE_GOLDEN=1 pytest tests/store/test_migrations.py``); a test compares all three.

The trades and scores of a test stay the JSON lines they were said in, one blob per test. As rows through core
inserts a campaign of 500 tests took 0.55 s, as lines 0.08 s; the views ``trades`` and ``scores`` read them in SQL.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, LargeBinary, MetaData, Text, UniqueConstraint
from sqlmodel import Field, SQLModel


class TableRow(SQLModel):
    """Base of all tables, with a catalogue of its own."""

    metadata = MetaData()


class Campaigns(TableRow, table=True):
    """One row per campaign; ``last_seq`` is the lock on which two writers of one journal meet."""

    number: int | None = Field(default=None, primary_key=True)
    campaign: str = Field(sa_type=Text, unique=True)
    started_ms: int = Field(sa_type=BigInteger)
    last_seq: int


class Journal(TableRow, table=True):
    """Every envelope, in order, as it was said."""

    __table_args__ = (UniqueConstraint("campaign", "id"),)

    campaign: str = Field(sa_type=Text, primary_key=True)
    seq: int = Field(primary_key=True)
    id: str = Field(sa_type=Text)
    type: str = Field(sa_type=Text)
    time_ms: int = Field(sa_type=BigInteger)
    json_text: str = Field(sa_type=Text)


class Runs(TableRow, table=True):
    """Every run config that was made, with its lineage."""

    campaign: str = Field(sa_type=Text, primary_key=True)
    run_id: str = Field(sa_type=Text, primary_key=True)
    parent_run: str | None = Field(sa_type=Text)
    because: str | None = Field(sa_type=Text)
    engine: str = Field(sa_type=Text)
    config: str = Field(sa_type=Text)


class Results(TableRow, table=True):
    """What a finished test left. ``seq`` is the journal's last message when it was kept."""

    campaign: str = Field(sa_type=Text, primary_key=True)
    run_id: str = Field(sa_type=Text, primary_key=True)
    seq: int
    n_trades: int
    total_pnl_micros: int = Field(sa_type=BigInteger)
    report: str = Field(sa_type=Text)
    episodes: str = Field(sa_type=Text)
    score_lines: bytes = Field(sa_type=LargeBinary)
    trade_lines: bytes = Field(sa_type=LargeBinary)


class Openings(TableRow, table=True):
    """Every look at sealed bars: which ones, by market and time and by prints of their hours and days (int64 each).

    ``look`` names what was looked for; null, and no prints, for those of before they were counted.
    """

    number: int | None = Field(default=None, primary_key=True)
    campaign: str = Field(sa_type=Text)
    seq: int
    opened_ms: int = Field(sa_type=BigInteger)
    market: str | None = Field(sa_type=Text)
    first_ms: int = Field(sa_type=BigInteger)
    end_ms: int = Field(sa_type=BigInteger)
    look: str | None = Field(sa_type=Text, unique=True)
    prints: bytes = Field(sa_type=LargeBinary)


class Calls(TableRow, table=True):
    """Every request to a model, one row per attempt; what it cost is filled in when the journal says so."""

    __table_args__ = (Index("ix_calls_campaign_key", "campaign", "key"),)

    number: int | None = Field(default=None, primary_key=True)
    campaign: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    model: str | None = Field(sa_type=Text)
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cost_micros: int | None = Field(sa_type=BigInteger)
    reason: str = Field(sa_type=Text)
    reply: str | None = Field(sa_type=Text)


class Requests(TableRow, table=True):
    """What each call asked. By itself, since SQLite writes a whole row where a word of it changes: this is 18 KB."""

    call: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    request: str = Field(sa_type=Text)


class Spending(TableRow, table=True):
    """What each call counts for in budgets: what was set aside while it is in flight, then what it took."""

    call: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    campaign: str = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    day: int
    usd_micros: int = Field(sa_type=BigInteger)
    tokens: int = Field(sa_type=BigInteger)
    requests: int
    ms: int = Field(sa_type=BigInteger)


class Budgets(TableRow, table=True):
    """The sums of ``spending`` by campaign, role in it and day: kept with it, in the same transactions."""

    scope: str = Field(sa_type=Text, primary_key=True)
    usd_micros: int = Field(sa_type=BigInteger)
    tokens: int = Field(sa_type=BigInteger)
    requests: int
    ms: int = Field(sa_type=BigInteger)


class Gates(TableRow, table=True):
    """Every question to a human: pending, then approved, rejected, expired or void, once and for good."""

    gate_id: str = Field(sa_type=Text, primary_key=True)
    campaign: str | None = Field(sa_type=Text)
    state: str = Field(sa_type=Text, index=True)
    bound_to: str = Field(sa_type=Text)
    expires_ms: int = Field(sa_type=BigInteger)
    request: str = Field(sa_type=Text)
    decided: str | None = Field(sa_type=Text)


class Votes(TableRow, table=True):
    """Every attempt to answer a gate; ``refused`` says why it did not count, null when it did."""

    number: int | None = Field(default=None, primary_key=True)
    gate_id: str = Field(sa_type=Text, index=True)
    who: str = Field(sa_type=Text)
    approve: bool
    at_ms: int = Field(sa_type=BigInteger)
    vote: str = Field(sa_type=Text)
    refused: str | None = Field(sa_type=Text)
