CREATE TABLE budgets (
    scope TEXT NOT NULL,
    usd_micros BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    requests INTEGER NOT NULL,
    ms BIGINT NOT NULL,
    PRIMARY KEY (scope)
);

CREATE TABLE calls (
    number INTEGER NOT NULL,
    campaign TEXT NOT NULL,
    "key" TEXT NOT NULL,
    role TEXT NOT NULL,
    state TEXT NOT NULL,
    model TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cache_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    cost_micros BIGINT,
    reason TEXT NOT NULL,
    reply TEXT,
    PRIMARY KEY (number)
);

CREATE TABLE campaigns (
    number INTEGER NOT NULL,
    campaign TEXT NOT NULL,
    started_ms BIGINT NOT NULL,
    last_seq INTEGER NOT NULL,
    PRIMARY KEY (number),
    UNIQUE (campaign)
);

CREATE TABLE gates (
    gate_id TEXT NOT NULL,
    campaign TEXT,
    state TEXT NOT NULL,
    bound_to TEXT NOT NULL,
    expires_ms BIGINT NOT NULL,
    request TEXT NOT NULL,
    decided TEXT,
    PRIMARY KEY (gate_id)
);

CREATE TABLE journal (
    campaign TEXT NOT NULL,
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    time_ms BIGINT NOT NULL,
    json_text TEXT NOT NULL,
    PRIMARY KEY (campaign, seq),
    UNIQUE (campaign, id)
);

CREATE TABLE openings (
    number INTEGER NOT NULL,
    campaign TEXT NOT NULL,
    seq INTEGER NOT NULL,
    opened_ms BIGINT NOT NULL,
    market TEXT,
    first_ms BIGINT NOT NULL,
    end_ms BIGINT NOT NULL,
    look TEXT,
    prints BLOB NOT NULL,
    PRIMARY KEY (number),
    UNIQUE (look)
);

CREATE TABLE requests (
    call INTEGER NOT NULL,
    request TEXT NOT NULL,
    PRIMARY KEY (call)
);

CREATE TABLE results (
    campaign TEXT NOT NULL,
    run_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    n_trades INTEGER NOT NULL,
    total_pnl_micros BIGINT NOT NULL,
    report TEXT NOT NULL,
    episodes TEXT NOT NULL,
    score_lines BLOB NOT NULL,
    trade_lines BLOB NOT NULL,
    PRIMARY KEY (campaign, run_id)
);

CREATE TABLE runs (
    campaign TEXT NOT NULL,
    run_id TEXT NOT NULL,
    parent_run TEXT,
    because TEXT,
    engine TEXT NOT NULL,
    config TEXT NOT NULL,
    PRIMARY KEY (campaign, run_id)
);

CREATE TABLE spending (
    call INTEGER NOT NULL,
    campaign TEXT NOT NULL,
    role TEXT NOT NULL,
    day INTEGER NOT NULL,
    usd_micros BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    requests INTEGER NOT NULL,
    ms BIGINT NOT NULL,
    PRIMARY KEY (call)
);

CREATE TABLE votes (
    number INTEGER NOT NULL,
    gate_id TEXT NOT NULL,
    who TEXT NOT NULL,
    approve BOOLEAN NOT NULL,
    at_ms BIGINT NOT NULL,
    vote TEXT NOT NULL,
    refused TEXT,
    PRIMARY KEY (number)
);

CREATE INDEX ix_calls_campaign_key ON calls (campaign, "key");

CREATE INDEX ix_gates_state ON gates (state);

CREATE INDEX ix_votes_gate_id ON votes (gate_id);
