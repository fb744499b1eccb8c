CREATE VIEW trades AS
SELECT r.campaign, r.run_id, line.key AS n,
    json_extract(line.value, '$.ts') AS ts,
    json_extract(line.value, '$.episode_id') AS episode_id,
    json_extract(line.value, '$.tf') AS tf,
    json_extract(line.value, '$.phase') AS phase,
    json_extract(line.value, '$.side') AS side,
    json_extract(line.value, '$.reason') AS reason,
    json_extract(line.value, '$.entered_ts') AS entered_ts,
    json_extract(line.value, '$.entry') AS entry,
    json_extract(line.value, '$.exit') AS exit,
    json_extract(line.value, '$.qty') AS qty,
    CAST(round(json_extract(line.value, '$.pnl') * 1000000) AS INTEGER) AS pnl_micros,
    CAST(round(json_extract(line.value, '$.fees') * 1000000) AS INTEGER) AS fees_micros,
    CAST(round(json_extract(line.value, '$.mae') * 1000000) AS INTEGER) AS mae_micros,
    CAST(round(json_extract(line.value, '$.mfe') * 1000000) AS INTEGER) AS mfe_micros,
    json_extract(line.value, '$.gates.cvd') AS cvd,
    json_extract(line.value, '$.gates.imb') AS imb,
    json_extract(line.value, '$.gates.atrz') AS atrz,
    json_extract(line.value, '$.gates.vhf') AS vhf,
    json_extract(line.value, '$.bars_held') AS bars_held,
    json_extract(line.value, '$.exit_reason') AS exit_reason,
    json_extract(line.value, '$.blunder') AS blunder
FROM results AS r,
    json_each('[' || replace(rtrim(CAST(r.trade_lines AS TEXT), char(10)), char(10), ',') || ']') AS line;

CREATE VIEW scores AS
SELECT r.campaign, r.run_id, line.key AS n,
    json_extract(line.value, '$.episode_id') AS episode_id,
    json_extract(line.value, '$.phase') AS phase,
    json_extract(line.value, '$.bars') AS bars,
    json_extract(line.value, '$.n_trades') AS n_trades,
    json_extract(line.value, '$.hit') AS hit,
    json_extract(line.value, '$.payoff') AS payoff,
    CAST(round(json_extract(line.value, '$.total_pnl') * 1000000) AS INTEGER) AS total_pnl_micros,
    CAST(round(json_extract(line.value, '$.maxdd') * 1000000) AS INTEGER) AS maxdd_micros,
    json_extract(line.value, '$.blunders') AS blunders,
    json_extract(line.value, '$.score') AS score,
    json_extract(line.value, '$.vol_regime') AS vol_regime
FROM results AS r,
    json_each('[' || replace(rtrim(CAST(r.score_lines AS TEXT), char(10)), char(10), ',') || ']') AS line;

CREATE VIEW trials AS
SELECT campaign, seq, time_ms,
    json_extract(json_text, '$.body.run_id') AS run_id,
    json_extract(json_text, '$.body.segment') AS segment,
    json_extract(json_text, '$.body.proposed_by') AS proposed_by,
    json_extract(json_text, '$.body.fate') AS fate
FROM journal WHERE type = 'TrialRecorded';
