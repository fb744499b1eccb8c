-- A database as revision 0001 left it, with a small campaign. Never changed again once released.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO "alembic_version" VALUES('0001');
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
	request TEXT NOT NULL, 
	reply TEXT, 
	PRIMARY KEY (number)
);
INSERT INTO "calls" VALUES(1,'c1','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','critic','answered',NULL,NULL,NULL,NULL,NULL,NULL,'','{"q": 1}','{"a": 1}');
INSERT INTO "calls" VALUES(2,'c1','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','critic','open',NULL,NULL,NULL,NULL,NULL,NULL,'','{"q": 2}',NULL);
CREATE TABLE campaigns (
	number INTEGER NOT NULL, 
	campaign TEXT NOT NULL, 
	started_ms BIGINT NOT NULL, 
	last_seq INTEGER NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (campaign)
);
INSERT INTO "campaigns" VALUES(1,'c1',1700000000000,4);
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
INSERT INTO "gates" VALUES('g1','c1','pending','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',5000,'{"type":"GateRequest","gate_id":"g1","action":"raise the budget","summary":"by 5 USD","risk":"high","bound_to":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","run":null,"needs":1,"may_decide":[],"asked_at":1000,"expires_at":5000}',NULL);
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
INSERT INTO "journal" VALUES('c1',1,'m000001','TrialRecorded',1700000000000,'{"version":1,"id":"m000001","seq":1,"time":1700000000000,"campaign":"c1","sender":"control","topic":"trials","causation":null,"body":{"type":"TrialRecorded","run_id":"seg1_test001","segment":1,"proposed_by":"strategist","methods":["macd_trend"],"params":{"atr_stop_mult":1.5},"fate":"run","reason":"because"}}');
INSERT INTO "journal" VALUES('c1',2,'m000002','TrialRecorded',1700000000000,'{"version":1,"id":"m000002","seq":2,"time":1700000000000,"campaign":"c1","sender":"control","topic":"trials","causation":null,"body":{"type":"TrialRecorded","run_id":"seg1_test002","segment":1,"proposed_by":"strategist","methods":["macd_trend"],"params":{"atr_stop_mult":1.5},"fate":"run","reason":"because"}}');
INSERT INTO "journal" VALUES('c1',3,'m000003','TrialRecorded',1700000000000,'{"version":1,"id":"m000003","seq":3,"time":1700000000000,"campaign":"c1","sender":"control","topic":"trials","causation":null,"body":{"type":"TrialRecorded","run_id":"seg1_test003","segment":1,"proposed_by":"strategist","methods":["macd_trend"],"params":{"atr_stop_mult":1.5},"fate":"run","reason":"because"}}');
INSERT INTO "journal" VALUES('c1',4,'m000004','TrialRecorded',1700000000000,'{"version":1,"id":"m000004","seq":4,"time":1700000000000,"campaign":"c1","sender":"control","topic":"trials","causation":null,"body":{"type":"TrialRecorded","run_id":"seg1_test004","segment":1,"proposed_by":"strategist","methods":["macd_trend"],"params":{"atr_stop_mult":1.5},"fate":"run","reason":"açúcar ☃ ''x''"}}');
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
INSERT INTO "results" VALUES('c1','seg1_test001',3,3,-100000,'{"test_id":"seg1_test001","parent_run":"seg1","window":0,"methods":["macd_trend"],"params":{"atr_stop_mult":1.5},"train":{"n_trades":3,"wins":0,"losses":0,"hit":0.3333333333333333,"payoff":null,"total_pnl":-0.1,"gross_win":0.0,"gross_loss":0.0,"maxdd":-12.345678,"blunders":0,"blunders_per_100":0.0,"high_vol_share":0.0,"sharpe":0.30000000000000004,"profit_factor":0.0,"expectancy":0.0,"exposure":0.0,"score":0.0},"validation":{"n_trades":3,"wins":0,"losses":0,"hit":0.3333333333333333,"payoff":null,"total_pnl":-0.1,"gross_win":0.0,"gross_loss":0.0,"maxdd":-12.345678,"blunders":0,"blunders_per_100":0.0,"high_vol_share":0.0,"sharpe":0.30000000000000004,"profit_factor":0.0,"expectancy":0.0,"exposure":0.0,"score":0.0},"whole":{"n_trades":3,"wins":0,"losses":0,"hit":0.3333333333333333,"payoff":null,"total_pnl":-0.1,"gross_win":0.0,"gross_loss":0.0,"maxdd":-12.345678,"blunders":0,"blunders_per_100":0.0,"high_vol_share":0.0,"sharpe":0.30000000000000004,"profit_factor":0.0,"expectancy":0.0,"exposure":0.0,"score":0.0}}','{"columns":["episode","start_ms","end_ms","phase","n_trades","wins","losses","gross_win","gross_loss","total_pnl","maxdd","blunders","high_vol"],"rows":[[0,0,0,"train",0,0,0,0,0,-100000,-12.345678,0,null]]}',X'7B2274797065223A2253636F72654576656E74222C22657069736F64655F6964223A226531222C227068617365223A22747261696E222C2262617273223A3132302C226E5F747261646573223A332C22686974223A6E756C6C2C227061796F6666223A312E352C22746F74616C5F706E6C223A2D302E332C226D61786464223A2D302E332C22626C756E64657273223A302C2273636F7265223A6E756C6C2C22766F6C5F726567696D65223A226D6964227D0A',X'7B2274797065223A2254726164654576656E74222C227473223A302C22657069736F64655F6964223A226531222C227466223A22356D222C227068617365223A22747261696E222C2273696465223A226C6F6E67222C22726561736F6E223A226DC3A9222C22656E74657265645F7473223A312C22656E747279223A312E352C2265786974223A312E32352C22717479223A322E302C22706E6C223A2D302E312C2266656573223A302E3030303030312C226D6165223A2D312E312C226D6665223A302E332C226761746573223A7B22637664223A6E756C6C2C22696D62223A302E352C226174727A223A2D312E302C22766866223A6E756C6C7D2C22626172735F68656C64223A332C22657869745F726561736F6E223A2273746F70222C22626C756E646572223A747275657D0A7B2274797065223A2254726164654576656E74222C227473223A312C22657069736F64655F6964223A226531222C227466223A22356D222C227068617365223A22747261696E222C2273696465223A226C6F6E67222C22726561736F6E223A226DC3A9222C22656E74657265645F7473223A312C22656E747279223A312E352C2265786974223A312E32352C22717479223A322E302C22706E6C223A2D302E312C2266656573223A302E3030303030312C226D6165223A2D312E312C226D6665223A302E332C226761746573223A7B22637664223A6E756C6C2C22696D62223A302E352C226174727A223A2D312E302C22766866223A6E756C6C7D2C22626172735F68656C64223A332C22657869745F726561736F6E223A2273746F70222C22626C756E646572223A747275657D0A7B2274797065223A2254726164654576656E74222C227473223A322C22657069736F64655F6964223A226531222C227466223A22356D222C227068617365223A22747261696E222C2273696465223A226C6F6E67222C22726561736F6E223A226DC3A9222C22656E74657265645F7473223A312C22656E747279223A312E352C2265786974223A312E32352C22717479223A322E302C22706E6C223A2D302E312C2266656573223A302E3030303030312C226D6165223A2D312E312C226D6665223A302E332C226761746573223A7B22637664223A6E756C6C2C22696D62223A302E352C226174727A223A2D312E302C22766866223A6E756C6C7D2C22626172735F68656C64223A332C22657869745F726561736F6E223A2273746F70222C22626C756E646572223A747275657D0A');
INSERT INTO "results" VALUES('c1','seg1_test002',3,3,123456789000001,'{"test_id":"seg1_test002","parent_run":"seg1","window":0,"methods":["macd_trend"],"params":{"atr_stop_mult":1.5},"train":{"n_trades":3,"wins":0,"losses":0,"hit":0.3333333333333333,"payoff":null,"total_pnl":123456789.000001,"gross_win":0.0,"gross_loss":0.0,"maxdd":-12.345678,"blunders":0,"blunders_per_100":0.0,"high_vol_share":0.0,"sharpe":0.30000000000000004,"profit_factor":0.0,"expectancy":0.0,"exposure":0.0,"score":0.0},"validation":{"n_trades":3,"wins":0,"losses":0,"hit":0.3333333333333333,"payoff":null,"total_pnl":123456789.000001,"gross_win":0.0,"gross_loss":0.0,"maxdd":-12.345678,"blunders":0,"blunders_per_100":0.0,"high_vol_share":0.0,"sharpe":0.30000000000000004,"profit_factor":0.0,"expectancy":0.0,"exposure":0.0,"score":0.0},"whole":{"n_trades":3,"wins":0,"losses":0,"hit":0.3333333333333333,"payoff":null,"total_pnl":123456789.000001,"gross_win":0.0,"gross_loss":0.0,"maxdd":-12.345678,"blunders":0,"blunders_per_100":0.0,"high_vol_share":0.0,"sharpe":0.30000000000000004,"profit_factor":0.0,"expectancy":0.0,"exposure":0.0,"score":0.0}}','{"columns":["episode","start_ms","end_ms","phase","n_trades","wins","losses","gross_win","gross_loss","total_pnl","maxdd","blunders","high_vol"],"rows":[[0,0,0,"train",0,0,0,0,0,-100000,-12.345678,0,null]]}',X'7B2274797065223A2253636F72654576656E74222C22657069736F64655F6964223A226531222C227068617365223A22747261696E222C2262617273223A3132302C226E5F747261646573223A332C22686974223A6E756C6C2C227061796F6666223A312E352C22746F74616C5F706E6C223A2D302E332C226D61786464223A2D302E332C22626C756E64657273223A302C2273636F7265223A6E756C6C2C22766F6C5F726567696D65223A226D6964227D0A',X'7B2274797065223A2254726164654576656E74222C227473223A302C22657069736F64655F6964223A226531222C227466223A22356D222C227068617365223A22747261696E222C2273696465223A226C6F6E67222C22726561736F6E223A226DC3A9222C22656E74657265645F7473223A312C22656E747279223A312E352C2265786974223A312E32352C22717479223A322E302C22706E6C223A2D302E312C2266656573223A302E3030303030312C226D6165223A2D312E312C226D6665223A302E332C226761746573223A7B22637664223A6E756C6C2C22696D62223A302E352C226174727A223A2D312E302C22766866223A6E756C6C7D2C22626172735F68656C64223A332C22657869745F726561736F6E223A2273746F70222C22626C756E646572223A747275657D0A7B2274797065223A2254726164654576656E74222C227473223A312C22657069736F64655F6964223A226531222C227466223A22356D222C227068617365223A22747261696E222C2273696465223A226C6F6E67222C22726561736F6E223A226DC3A9222C22656E74657265645F7473223A312C22656E747279223A312E352C2265786974223A312E32352C22717479223A322E302C22706E6C223A2D302E312C2266656573223A302E3030303030312C226D6165223A2D312E312C226D6665223A302E332C226761746573223A7B22637664223A6E756C6C2C22696D62223A302E352C226174727A223A2D312E302C22766866223A6E756C6C7D2C22626172735F68656C64223A332C22657869745F726561736F6E223A2273746F70222C22626C756E646572223A747275657D0A7B2274797065223A2254726164654576656E74222C227473223A322C22657069736F64655F6964223A226531222C227466223A22356D222C227068617365223A22747261696E222C2273696465223A226C6F6E67222C22726561736F6E223A226DC3A9222C22656E74657265645F7473223A312C22656E747279223A312E352C2265786974223A312E32352C22717479223A322E302C22706E6C223A2D302E312C2266656573223A302E3030303030312C226D6165223A2D312E312C226D6665223A302E332C226761746573223A7B22637664223A6E756C6C2C22696D62223A302E352C226174727A223A2D312E302C22766866223A6E756C6C7D2C22626172735F68656C64223A332C22657869745F726561736F6E223A2273746F70222C22626C756E646572223A747275657D0A');
CREATE TABLE runs (
	campaign TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	parent_run TEXT, 
	because TEXT, 
	engine TEXT NOT NULL, 
	config TEXT NOT NULL, 
	PRIMARY KEY (campaign, run_id)
);
INSERT INTO "runs" VALUES('c1','seg1',NULL,NULL,'backtest','{"version":1,"run_id":"seg1","campaign":"c1","engine":"backtest","parent_run":null,"changes_from_parent":[],"because":null,"seed":7,"data":{"source":"bars.csv","symbol":"BTCUSDT","timeframe":"5m","bars":100,"digest":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","first_ms":0,"last_ms":1,"simulated":false,"has_taker_volume":true},"window":null,"methods":["macd_trend"],"params":{"atr_stop_mult":0.30000000000000004},"costs":{"maker_bps":2.0,"taker_bps":5.0,"slippage_bps":1.0},"sizing":{"notional_usd":"100000","quantity":null},"episode_bars":120}');
INSERT INTO "runs" VALUES('c1','seg1_test001','seg1',NULL,'backtest','{"version":1,"run_id":"seg1_test001","campaign":"c1","engine":"backtest","parent_run":"seg1","changes_from_parent":[],"because":null,"seed":7,"data":{"source":"bars.csv","symbol":"BTCUSDT","timeframe":"5m","bars":100,"digest":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","first_ms":0,"last_ms":1,"simulated":false,"has_taker_volume":true},"window":null,"methods":["macd_trend"],"params":{"atr_stop_mult":0.30000000000000004},"costs":{"maker_bps":2.0,"taker_bps":5.0,"slippage_bps":1.0},"sizing":{"notional_usd":"100000","quantity":null},"episode_bars":120}');
INSERT INTO "runs" VALUES('c1','seg1_test002','seg1',NULL,'backtest','{"version":1,"run_id":"seg1_test002","campaign":"c1","engine":"backtest","parent_run":"seg1","changes_from_parent":[],"because":null,"seed":7,"data":{"source":"bars.csv","symbol":"BTCUSDT","timeframe":"5m","bars":100,"digest":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","first_ms":0,"last_ms":1,"simulated":false,"has_taker_volume":true},"window":null,"methods":["macd_trend"],"params":{"atr_stop_mult":0.30000000000000004},"costs":{"maker_bps":2.0,"taker_bps":5.0,"slippage_bps":1.0},"sizing":{"notional_usd":"100000","quantity":null},"episode_bars":120}');
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
COMMIT;
