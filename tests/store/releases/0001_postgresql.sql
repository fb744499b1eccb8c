-- A database as revision 0001 left it, with a small campaign. Never changed again once released.
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.calls (
    number integer NOT NULL,
    campaign text NOT NULL,
    key text NOT NULL,
    role text NOT NULL,
    state text NOT NULL,
    model text,
    input_tokens integer,
    output_tokens integer,
    cache_read_tokens integer,
    cache_write_tokens integer,
    cost_micros bigint,
    reason text NOT NULL,
    request text NOT NULL,
    reply text
);
CREATE SEQUENCE public.calls_number_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.calls_number_seq OWNED BY public.calls.number;
CREATE TABLE public.campaigns (
    number integer NOT NULL,
    campaign text NOT NULL,
    started_ms bigint NOT NULL,
    last_seq integer NOT NULL
);
CREATE SEQUENCE public.campaigns_number_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.campaigns_number_seq OWNED BY public.campaigns.number;
CREATE TABLE public.gates (
    gate_id text NOT NULL,
    campaign text,
    state text NOT NULL,
    bound_to text NOT NULL,
    expires_ms bigint NOT NULL,
    request text NOT NULL,
    decided text
);
CREATE TABLE public.journal (
    campaign text NOT NULL,
    seq integer NOT NULL,
    id text NOT NULL,
    type text NOT NULL,
    time_ms bigint NOT NULL,
    json_text text NOT NULL
);
CREATE TABLE public.results (
    campaign text NOT NULL,
    run_id text NOT NULL,
    seq integer NOT NULL,
    n_trades integer NOT NULL,
    total_pnl_micros bigint NOT NULL,
    report text NOT NULL,
    episodes text NOT NULL,
    score_lines bytea NOT NULL,
    trade_lines bytea NOT NULL
);
ALTER TABLE ONLY public.results ALTER COLUMN score_lines SET STORAGE EXTERNAL;
ALTER TABLE ONLY public.results ALTER COLUMN trade_lines SET STORAGE EXTERNAL;
CREATE TABLE public.runs (
    campaign text NOT NULL,
    run_id text NOT NULL,
    parent_run text,
    because text,
    engine text NOT NULL,
    config text NOT NULL
);
CREATE VIEW public.scores AS
 SELECT r.campaign,
    r.run_id,
    (line.n - 1) AS n,
    (t.t ->> 'episode_id'::text) AS episode_id,
    (t.t ->> 'phase'::text) AS phase,
    ((t.t ->> 'bars'::text))::integer AS bars,
    ((t.t ->> 'n_trades'::text))::integer AS n_trades,
    ((t.t ->> 'hit'::text))::double precision AS hit,
    ((t.t ->> 'payoff'::text))::double precision AS payoff,
    (round((((t.t ->> 'total_pnl'::text))::numeric * (1000000)::numeric)))::bigint AS total_pnl_micros,
    (round((((t.t ->> 'maxdd'::text))::numeric * (1000000)::numeric)))::bigint AS maxdd_micros,
    ((t.t ->> 'blunders'::text))::integer AS blunders,
    ((t.t ->> 'score'::text))::double precision AS score,
    (t.t ->> 'vol_regime'::text) AS vol_regime
   FROM public.results r,
    LATERAL unnest(string_to_array(rtrim(convert_from(r.score_lines, 'UTF8'::name), '
'::text), '
'::text)) WITH ORDINALITY line(text, n),
    LATERAL CAST((line.text)::json AS json) t(t);
CREATE VIEW public.trades AS
 SELECT r.campaign,
    r.run_id,
    (line.n - 1) AS n,
    ((t.t ->> 'ts'::text))::bigint AS ts,
    (t.t ->> 'episode_id'::text) AS episode_id,
    (t.t ->> 'tf'::text) AS tf,
    (t.t ->> 'phase'::text) AS phase,
    (t.t ->> 'side'::text) AS side,
    (t.t ->> 'reason'::text) AS reason,
    ((t.t ->> 'entered_ts'::text))::bigint AS entered_ts,
    ((t.t ->> 'entry'::text))::double precision AS entry,
    ((t.t ->> 'exit'::text))::double precision AS exit,
    ((t.t ->> 'qty'::text))::double precision AS qty,
    (round((((t.t ->> 'pnl'::text))::numeric * (1000000)::numeric)))::bigint AS pnl_micros,
    (round((((t.t ->> 'fees'::text))::numeric * (1000000)::numeric)))::bigint AS fees_micros,
    (round((((t.t ->> 'mae'::text))::numeric * (1000000)::numeric)))::bigint AS mae_micros,
    (round((((t.t ->> 'mfe'::text))::numeric * (1000000)::numeric)))::bigint AS mfe_micros,
    ((t.t #>> '{gates,cvd}'::text[]))::double precision AS cvd,
    ((t.t #>> '{gates,imb}'::text[]))::double precision AS imb,
    ((t.t #>> '{gates,atrz}'::text[]))::double precision AS atrz,
    ((t.t #>> '{gates,vhf}'::text[]))::double precision AS vhf,
    ((t.t ->> 'bars_held'::text))::integer AS bars_held,
    (t.t ->> 'exit_reason'::text) AS exit_reason,
    ((t.t ->> 'blunder'::text))::boolean AS blunder
   FROM public.results r,
    LATERAL unnest(string_to_array(rtrim(convert_from(r.trade_lines, 'UTF8'::name), '
'::text), '
'::text)) WITH ORDINALITY line(text, n),
    LATERAL CAST((line.text)::json AS json) t(t);
CREATE VIEW public.trials AS
 SELECT journal.campaign,
    journal.seq,
    journal.time_ms,
    ((journal.json_text)::json #>> '{body,run_id}'::text[]) AS run_id,
    (((journal.json_text)::json #>> '{body,segment}'::text[]))::integer AS segment,
    ((journal.json_text)::json #>> '{body,proposed_by}'::text[]) AS proposed_by,
    ((journal.json_text)::json #>> '{body,fate}'::text[]) AS fate
   FROM public.journal
  WHERE (journal.type = 'TrialRecorded'::text);
CREATE TABLE public.votes (
    number integer NOT NULL,
    gate_id text NOT NULL,
    who text NOT NULL,
    approve boolean NOT NULL,
    at_ms bigint NOT NULL,
    vote text NOT NULL,
    refused text
);
CREATE SEQUENCE public.votes_number_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.votes_number_seq OWNED BY public.votes.number;
ALTER TABLE ONLY public.calls ALTER COLUMN number SET DEFAULT nextval('public.calls_number_seq'::regclass);
ALTER TABLE ONLY public.campaigns ALTER COLUMN number SET DEFAULT nextval('public.campaigns_number_seq'::regclass);
ALTER TABLE ONLY public.votes ALTER COLUMN number SET DEFAULT nextval('public.votes_number_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0001');
INSERT INTO public.calls VALUES (1, 'c1', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'critic', 'answered', NULL, NULL, NULL, NULL, NULL, NULL, '', '{"q": 1}', '{"a": 1}');
INSERT INTO public.calls VALUES (2, 'c1', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 'critic', 'open', NULL, NULL, NULL, NULL, NULL, NULL, '', '{"q": 2}', NULL);
INSERT INTO public.campaigns VALUES (1, 'c1', 1700000000000, 4);
INSERT INTO public.gates VALUES ('g1', 'c1', 'pending', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 5000, '{"type":"GateRequest","gate_id":"g1","action":"raise the budget","summary":"by 5 USD","risk":"high","bound_to":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","run":null,"needs":1,"may_decide":[],"asked_at":1000,"expires_at":5000}', NULL);
INSERT INTO public.journal VALUES ('c1', 1, 'm000001', 'TrialRecorded', 1700000000000, '{"version":1,"id":"m000001","seq":1,"time":1700000000000,"campaign":"c1","sender":"control","topic":"trials","causation":null,"body":{"type":"TrialRecorded","run_id":"seg1_test001","segment":1,"proposed_by":"strategist","methods":["macd_trend"],"params":{"atr_stop_mult":1.5},"fate":"run","reason":"because"}}');
INSERT INTO public.journal VALUES ('c1', 2, 'm000002', 'TrialRecorded', 1700000000000, '{"version":1,"id":"m000002","seq":2,"time":1700000000000,"campaign":"c1","sender":"control","topic":"trials","causation":null,"body":{"type":"TrialRecorded","run_id":"seg1_test002","segment":1,"proposed_by":"strategist","methods":["macd_trend"],"params":{"atr_stop_mult":1.5},"fate":"run","reason":"because"}}');
INSERT INTO public.journal VALUES ('c1', 3, 'm000003', 'TrialRecorded', 1700000000000, '{"version":1,"id":"m000003","seq":3,"time":1700000000000,"campaign":"c1","sender":"control","topic":"trials","causation":null,"body":{"type":"TrialRecorded","run_id":"seg1_test003","segment":1,"proposed_by":"strategist","methods":["macd_trend"],"params":{"atr_stop_mult":1.5},"fate":"run","reason":"because"}}');
INSERT INTO public.journal VALUES ('c1', 4, 'm000004', 'TrialRecorded', 1700000000000, '{"version":1,"id":"m000004","seq":4,"time":1700000000000,"campaign":"c1","sender":"control","topic":"trials","causation":null,"body":{"type":"TrialRecorded","run_id":"seg1_test004","segment":1,"proposed_by":"strategist","methods":["macd_trend"],"params":{"atr_stop_mult":1.5},"fate":"run","reason":"açúcar ☃ ''x''"}}');
INSERT INTO public.results VALUES ('c1', 'seg1_test001', 3, 3, -100000, '{"test_id":"seg1_test001","parent_run":"seg1","window":0,"methods":["macd_trend"],"params":{"atr_stop_mult":1.5},"train":{"n_trades":3,"wins":0,"losses":0,"hit":0.3333333333333333,"payoff":null,"total_pnl":-0.1,"gross_win":0.0,"gross_loss":0.0,"maxdd":-12.345678,"blunders":0,"blunders_per_100":0.0,"high_vol_share":0.0,"sharpe":0.30000000000000004,"profit_factor":0.0,"expectancy":0.0,"exposure":0.0,"score":0.0},"validation":{"n_trades":3,"wins":0,"losses":0,"hit":0.3333333333333333,"payoff":null,"total_pnl":-0.1,"gross_win":0.0,"gross_loss":0.0,"maxdd":-12.345678,"blunders":0,"blunders_per_100":0.0,"high_vol_share":0.0,"sharpe":0.30000000000000004,"profit_factor":0.0,"expectancy":0.0,"exposure":0.0,"score":0.0},"whole":{"n_trades":3,"wins":0,"losses":0,"hit":0.3333333333333333,"payoff":null,"total_pnl":-0.1,"gross_win":0.0,"gross_loss":0.0,"maxdd":-12.345678,"blunders":0,"blunders_per_100":0.0,"high_vol_share":0.0,"sharpe":0.30000000000000004,"profit_factor":0.0,"expectancy":0.0,"exposure":0.0,"score":0.0}}', '{"columns":["episode","start_ms","end_ms","phase","n_trades","wins","losses","gross_win","gross_loss","total_pnl","maxdd","blunders","high_vol"],"rows":[[0,0,0,"train",0,0,0,0,0,-100000,-12.345678,0,null]]}', '\x7b2274797065223a2253636f72654576656e74222c22657069736f64655f6964223a226531222c227068617365223a22747261696e222c2262617273223a3132302c226e5f747261646573223a332c22686974223a6e756c6c2c227061796f6666223a312e352c22746f74616c5f706e6c223a2d302e332c226d61786464223a2d302e332c22626c756e64657273223a302c2273636f7265223a6e756c6c2c22766f6c5f726567696d65223a226d6964227d0a', '\x7b2274797065223a2254726164654576656e74222c227473223a302c22657069736f64655f6964223a226531222c227466223a22356d222c227068617365223a22747261696e222c2273696465223a226c6f6e67222c22726561736f6e223a226dc3a9222c22656e74657265645f7473223a312c22656e747279223a312e352c2265786974223a312e32352c22717479223a322e302c22706e6c223a2d302e312c2266656573223a302e3030303030312c226d6165223a2d312e312c226d6665223a302e332c226761746573223a7b22637664223a6e756c6c2c22696d62223a302e352c226174727a223a2d312e302c22766866223a6e756c6c7d2c22626172735f68656c64223a332c22657869745f726561736f6e223a2273746f70222c22626c756e646572223a747275657d0a7b2274797065223a2254726164654576656e74222c227473223a312c22657069736f64655f6964223a226531222c227466223a22356d222c227068617365223a22747261696e222c2273696465223a226c6f6e67222c22726561736f6e223a226dc3a9222c22656e74657265645f7473223a312c22656e747279223a312e352c2265786974223a312e32352c22717479223a322e302c22706e6c223a2d302e312c2266656573223a302e3030303030312c226d6165223a2d312e312c226d6665223a302e332c226761746573223a7b22637664223a6e756c6c2c22696d62223a302e352c226174727a223a2d312e302c22766866223a6e756c6c7d2c22626172735f68656c64223a332c22657869745f726561736f6e223a2273746f70222c22626c756e646572223a747275657d0a7b2274797065223a2254726164654576656e74222c227473223a322c22657069736f64655f6964223a226531222c227466223a22356d222c227068617365223a22747261696e222c2273696465223a226c6f6e67222c22726561736f6e223a226dc3a9222c22656e74657265645f7473223a312c22656e747279223a312e352c2265786974223a312e32352c22717479223a322e302c22706e6c223a2d302e312c2266656573223a302e3030303030312c226d6165223a2d312e312c226d6665223a302e332c226761746573223a7b22637664223a6e756c6c2c22696d62223a302e352c226174727a223a2d312e302c22766866223a6e756c6c7d2c22626172735f68656c64223a332c22657869745f726561736f6e223a2273746f70222c22626c756e646572223a747275657d0a');
INSERT INTO public.results VALUES ('c1', 'seg1_test002', 3, 3, 123456789000001, '{"test_id":"seg1_test002","parent_run":"seg1","window":0,"methods":["macd_trend"],"params":{"atr_stop_mult":1.5},"train":{"n_trades":3,"wins":0,"losses":0,"hit":0.3333333333333333,"payoff":null,"total_pnl":123456789.000001,"gross_win":0.0,"gross_loss":0.0,"maxdd":-12.345678,"blunders":0,"blunders_per_100":0.0,"high_vol_share":0.0,"sharpe":0.30000000000000004,"profit_factor":0.0,"expectancy":0.0,"exposure":0.0,"score":0.0},"validation":{"n_trades":3,"wins":0,"losses":0,"hit":0.3333333333333333,"payoff":null,"total_pnl":123456789.000001,"gross_win":0.0,"gross_loss":0.0,"maxdd":-12.345678,"blunders":0,"blunders_per_100":0.0,"high_vol_share":0.0,"sharpe":0.30000000000000004,"profit_factor":0.0,"expectancy":0.0,"exposure":0.0,"score":0.0},"whole":{"n_trades":3,"wins":0,"losses":0,"hit":0.3333333333333333,"payoff":null,"total_pnl":123456789.000001,"gross_win":0.0,"gross_loss":0.0,"maxdd":-12.345678,"blunders":0,"blunders_per_100":0.0,"high_vol_share":0.0,"sharpe":0.30000000000000004,"profit_factor":0.0,"expectancy":0.0,"exposure":0.0,"score":0.0}}', '{"columns":["episode","start_ms","end_ms","phase","n_trades","wins","losses","gross_win","gross_loss","total_pnl","maxdd","blunders","high_vol"],"rows":[[0,0,0,"train",0,0,0,0,0,-100000,-12.345678,0,null]]}', '\x7b2274797065223a2253636f72654576656e74222c22657069736f64655f6964223a226531222c227068617365223a22747261696e222c2262617273223a3132302c226e5f747261646573223a332c22686974223a6e756c6c2c227061796f6666223a312e352c22746f74616c5f706e6c223a2d302e332c226d61786464223a2d302e332c22626c756e64657273223a302c2273636f7265223a6e756c6c2c22766f6c5f726567696d65223a226d6964227d0a', '\x7b2274797065223a2254726164654576656e74222c227473223a302c22657069736f64655f6964223a226531222c227466223a22356d222c227068617365223a22747261696e222c2273696465223a226c6f6e67222c22726561736f6e223a226dc3a9222c22656e74657265645f7473223a312c22656e747279223a312e352c2265786974223a312e32352c22717479223a322e302c22706e6c223a2d302e312c2266656573223a302e3030303030312c226d6165223a2d312e312c226d6665223a302e332c226761746573223a7b22637664223a6e756c6c2c22696d62223a302e352c226174727a223a2d312e302c22766866223a6e756c6c7d2c22626172735f68656c64223a332c22657869745f726561736f6e223a2273746f70222c22626c756e646572223a747275657d0a7b2274797065223a2254726164654576656e74222c227473223a312c22657069736f64655f6964223a226531222c227466223a22356d222c227068617365223a22747261696e222c2273696465223a226c6f6e67222c22726561736f6e223a226dc3a9222c22656e74657265645f7473223a312c22656e747279223a312e352c2265786974223a312e32352c22717479223a322e302c22706e6c223a2d302e312c2266656573223a302e3030303030312c226d6165223a2d312e312c226d6665223a302e332c226761746573223a7b22637664223a6e756c6c2c22696d62223a302e352c226174727a223a2d312e302c22766866223a6e756c6c7d2c22626172735f68656c64223a332c22657869745f726561736f6e223a2273746f70222c22626c756e646572223a747275657d0a7b2274797065223a2254726164654576656e74222c227473223a322c22657069736f64655f6964223a226531222c227466223a22356d222c227068617365223a22747261696e222c2273696465223a226c6f6e67222c22726561736f6e223a226dc3a9222c22656e74657265645f7473223a312c22656e747279223a312e352c2265786974223a312e32352c22717479223a322e302c22706e6c223a2d302e312c2266656573223a302e3030303030312c226d6165223a2d312e312c226d6665223a302e332c226761746573223a7b22637664223a6e756c6c2c22696d62223a302e352c226174727a223a2d312e302c22766866223a6e756c6c7d2c22626172735f68656c64223a332c22657869745f726561736f6e223a2273746f70222c22626c756e646572223a747275657d0a');
INSERT INTO public.runs VALUES ('c1', 'seg1', NULL, NULL, 'backtest', '{"version":1,"run_id":"seg1","campaign":"c1","engine":"backtest","parent_run":null,"changes_from_parent":[],"because":null,"seed":7,"data":{"source":"bars.csv","symbol":"BTCUSDT","timeframe":"5m","bars":100,"digest":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","first_ms":0,"last_ms":1,"simulated":false,"has_taker_volume":true},"window":null,"methods":["macd_trend"],"params":{"atr_stop_mult":0.30000000000000004},"costs":{"maker_bps":2.0,"taker_bps":5.0,"slippage_bps":1.0},"sizing":{"notional_usd":"100000","quantity":null},"episode_bars":120}');
INSERT INTO public.runs VALUES ('c1', 'seg1_test001', 'seg1', NULL, 'backtest', '{"version":1,"run_id":"seg1_test001","campaign":"c1","engine":"backtest","parent_run":"seg1","changes_from_parent":[],"because":null,"seed":7,"data":{"source":"bars.csv","symbol":"BTCUSDT","timeframe":"5m","bars":100,"digest":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","first_ms":0,"last_ms":1,"simulated":false,"has_taker_volume":true},"window":null,"methods":["macd_trend"],"params":{"atr_stop_mult":0.30000000000000004},"costs":{"maker_bps":2.0,"taker_bps":5.0,"slippage_bps":1.0},"sizing":{"notional_usd":"100000","quantity":null},"episode_bars":120}');
INSERT INTO public.runs VALUES ('c1', 'seg1_test002', 'seg1', NULL, 'backtest', '{"version":1,"run_id":"seg1_test002","campaign":"c1","engine":"backtest","parent_run":"seg1","changes_from_parent":[],"because":null,"seed":7,"data":{"source":"bars.csv","symbol":"BTCUSDT","timeframe":"5m","bars":100,"digest":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","first_ms":0,"last_ms":1,"simulated":false,"has_taker_volume":true},"window":null,"methods":["macd_trend"],"params":{"atr_stop_mult":0.30000000000000004},"costs":{"maker_bps":2.0,"taker_bps":5.0,"slippage_bps":1.0},"sizing":{"notional_usd":"100000","quantity":null},"episode_bars":120}');
SELECT pg_catalog.setval('public.calls_number_seq', 2, true);
SELECT pg_catalog.setval('public.campaigns_number_seq', 1, true);
SELECT pg_catalog.setval('public.votes_number_seq', 1, false);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.calls
    ADD CONSTRAINT calls_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.campaigns
    ADD CONSTRAINT campaigns_campaign_key UNIQUE (campaign);
ALTER TABLE ONLY public.campaigns
    ADD CONSTRAINT campaigns_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.gates
    ADD CONSTRAINT gates_pkey PRIMARY KEY (gate_id);
ALTER TABLE ONLY public.journal
    ADD CONSTRAINT journal_campaign_id_key UNIQUE (campaign, id);
ALTER TABLE ONLY public.journal
    ADD CONSTRAINT journal_pkey PRIMARY KEY (campaign, seq);
ALTER TABLE ONLY public.results
    ADD CONSTRAINT results_pkey PRIMARY KEY (campaign, run_id);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (campaign, run_id);
ALTER TABLE ONLY public.votes
    ADD CONSTRAINT votes_pkey PRIMARY KEY (number);
CREATE INDEX ix_calls_campaign_key ON public.calls USING btree (campaign, key);
CREATE INDEX ix_gates_state ON public.gates USING btree (state);
CREATE INDEX ix_votes_gate_id ON public.votes USING btree (gate_id);
