"use strict";
// Every text of the session comes in through textContent: nothing that was said can become markup.
const token = new URLSearchParams(location.search).get("token") || "";
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const RISING = { RUNNING: "good", COMPLETED: "", SHUTTING_DOWN: "warn" };
const LIMITS = {
  max_position_usd: ["Position", "USD"], max_leverage: ["Leverage", "x"], daily_loss: ["Loss today", "USD"],
  drawdown: ["Drawdown", "USD"], max_loss_per_trade_usd: ["Risk of the open trade", "USD"],
  max_orders_per_minute: ["Orders a minute", ""], losing_streak: ["Losing streak", ""], errors: ["Errors", ""],
};
const CLEARABLE = ["losing_streak", "drawdown"];
let view = null, heardAt = 0, version = 0, gone = false;

function make(tag, text, kind) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}
const number = (value, places = 2) => value === null || value === undefined ? "–"
  : (Number(value) || 0).toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
const signed = (value, places = 2) => value === null || value === undefined ? "–" : (Number(value) > 0 ? "+" : "") + number(value, places);
const plain = (value) => value === null || value === undefined ? "–" : Number(value).toLocaleString("en-US", { maximumFractionDigits: 8 });
const tone = (value) => Number(value) > 0 ? "gain" : Number(value) < 0 ? "loss" : "";
const clock = (ms) => new Date(ms).toISOString().slice(11, 19);
function length(seconds) {
  const s = Math.max(0, Math.round(seconds)), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  return (h ? h + " h " : "") + (h || m ? m + " min " : "") + (h ? "" : (s % 60) + " s");
}
const milliseconds = (ms) => ms === null || ms === undefined ? "–" : ms < 1 ? (ms * 1000).toFixed(0) + " µs" : ms < 1000 ? ms.toFixed(1) + " ms" : (ms / 1000).toFixed(2) + " s";
const readable = (name) => name.replaceAll("_", " ");
const digits = (low, high) => { const span = Math.abs(high - low) || Math.abs(high) || 1; return Math.min(8, Math.max(0, 2 - Math.floor(Math.log10(span)))); };

function tiles(s, p) {
  const net = Number(s.money.equity) - Number(s.money.starting);
  const rows = [
    ["Equity", number(s.money.equity), "from " + number(s.money.starting)],
    ["Net", signed(net), "realised and not", tone(net)],
    ["Unrealised", signed(s.money.unrealised), "at the last price", tone(s.money.unrealised)],
    ["Realised", signed(s.money.realised), "before fees", tone(s.money.realised)],
    ["Fees", number(s.money.fees), "funding " + signed(s.money.funding, 4)],
    ["Drawdown", number(p.drawdown), "deepest " + number(p.deepest)],
    ["Position", plain(s.position), s.entry === null ? "flat" : "at " + plain(Number(s.entry).toFixed(4))],
    ["Trades", String(s.trades), s.wins + " won, " + s.losses + " lost"],
  ];
  $("tiles").replaceChildren(...rows.map(([name, value, about, kind]) => {
    const tile = make("div");
    tile.append(make("dt", name), make("dd", value, kind), make("dd", about, "about"));
    return tile;
  }));
}
function pairs(id, rows) {
  $(id).replaceChildren(...rows.flatMap(([name, value, kind]) => [make("dt", name), make("dd", value, kind)]));
}
function table(id, heads, rows, none) {
  if (!rows.length) { $(id).replaceChildren(make("caption", none, "none")); return; }
  const head = make("tr");
  head.append(...heads.map(([name, kind]) => make("th", name, kind)));
  $(id).replaceChildren(head, ...rows.map((row) => {
    const line = make("tr");
    line.append(...row.map((value, i) => make("td", value, heads[i][1])));
    return line;
  }));
}
function lights(id, rows, none) {
  $(id).replaceChildren(...(rows.length ? rows : [["", none, ""]]).map(([kind, name, detail]) => {
    const light = make("li", name, kind);
    if (detail) light.append(make("span", detail));
    return light;
  }));
}
function limits(s) {
  $("limits").replaceChildren(...s.uses.map((use) => {
    const [name, unit] = LIMITS[use.limit] || [readable(use.limit), ""], line = make("div", null, "use");
    const places = unit ? 2 : 0, bar = make("div", null, "track"), fill = make("i");
    line.classList.toggle("bad", use.share >= 1);
    line.classList.toggle("warn", use.share >= 0.7 && use.share < 1);
    fill.style.width = Math.min(100, 100 * use.share) + "%";
    bar.append(fill);
    line.append(make("b", name), make("span", number(use.used, places) + " of " + number(use.allowed, places) + (unit ? " " + unit : "")), bar);
    return line;
  }));
}
function witnesses(s) {
  const kinds = { live: "good", quiet: "good", stale: "warn" };
  lights("witnesses", s.witnesses.map((w) => {
    const ping = w.ping_s !== null && w.ping_s > 2 ? "ping waits " + number(w.ping_s, 1) + " s" : w.pong_ms !== null ? "pong " + milliseconds(w.pong_ms) : "no pong yet";
    const rest = w.moved === null ? "" : w.moved ? " · REST has moved on" : " · REST agrees";
    const frame = w.frame_age_s === null ? "" : "frame " + number(w.frame_age_s, 1) + " s · ";
    return [kinds[w.verdict] || "bad", w.stream.replace(/^[^@]*@/, "") + ": " + w.verdict, w.verdict === "down" ? "no connection" : frame + ping + rest];
  }), "prices are made on this machine: nobody to watch");
}
function feed(s, beat) {
  const t = s.traffic, rate = (value) => value === null ? "–" : number(value, 1) + " /s";
  const made = t.frames === 0;
  pairs("feed", [
    ["Frames", made ? "none: made here" : rate(t.frames_per_s)], ["Events", rate(t.events_per_s)],
    ["Events in all", number(t.events, 0)], ["Refused", number(t.rejected, 0), t.rejected ? "loss" : ""],
    ["Gaps", number(t.gaps, 0), t.gaps ? "loss" : ""], ["Backfilled", number(t.backfilled, 0)],
    ["Duplicates, late", number(t.duplicates, 0) + ", " + number(t.late, 0)], ["Connections", number(t.connects, 0)],
    ["Heartbeat", beat === null ? "–" : number(beat, 1) + " s ago", beat > 5 ? "loss" : ""], ["Errors", String(s.errors), s.errors ? "loss" : ""],
    ["Memory", number(s.rss_mb, 0) + " MB"], ["Source", t.name],
  ]);
  const row = (name, f) => [name, number(f.count, 0), milliseconds(f.p50_ms), milliseconds(f.p95_ms), milliseconds(f.p99_ms), milliseconds(f.max_ms)];
  table("latency", [["Latency", ""], ["count", "n"], ["p50", "n"], ["p95", "n"], ["p99", "n"], ["max", "n"]],
    [row("frame to decision", s.decision), row("deciding", s.processing), row("order to fill", s.fill)], "");
}
function rounds(made) {
  $("chain").hidden = !made.length;
  table("rounds", [["Round", ""], ["session", ""], ["trades", "n"], ["net", "n"], ["equity", "n"], ["ended by", ""], ["changed before it", ""]],
    made.map((r) => [r.number, r.run, r.trades === null ? "–" : r.trades, signed(r.net_pnl), number(r.equity), r.status === "open" ? "runs" : r.reason, r.changes.join(", ")]), "");
}
function events(p) {
  const kinds = { KillSwitchActivated: "bad", CircuitBreakerTripped: "bad", CircuitBreakerRestored: "bad", CircuitBreakerCleared: "warn", ErrorCounted: "bad", ORDER_BOOK_STALE: "warn", GapDetected: "warn", OrderRejected: "warn", ExecutionFill: "good", ExecutionExit: "good" };
  const list = $("events"), newest = p.events.length ? p.events[p.events.length - 1].seq : 0;
  const seen = view.run + " " + newest;
  if (list.dataset.newest === seen) return;
  list.dataset.newest = seen;
  list.replaceChildren(...p.events.slice().reverse().map((e) => {
    const line = make("li", null, kinds[e.event] || "");
    line.append(make("time", clock(e.ts)), make("b", e.event), make("span", e.text));
    return line;
  }));
}

// charts

function shape(tag, given, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
function steps(low, high, count) {
  const raw = (high - low) / count || 1, unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * unit).find((m) => m >= raw), out = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) out.push(at);
  return out;
}
function chart(id, points, o) {
  const box = $(id), width = box.clientWidth, height = box.clientHeight, right = 74, foot = 20, top = 6;
  if (points.length < 2) { box.replaceChildren(make("p", "Nothing to draw yet.", "none")); return; }
  const path0 = points.map((p) => p[1]), reach = Math.max(Math.max(...path0) - Math.min(...path0), Math.abs(path0[0]) * 1e-3);
  // A level far off would press the path flat: it is named at the edge it lies beyond.
  const near = o.levels.filter((l) => l.at > Math.min(...path0) - reach && l.at < Math.max(...path0) + reach);
  const values = path0.concat(near.map((l) => l.at), o.fills.filter((f) => f.ts >= points[0][0]).map((f) => f.price));
  let low = Math.min(...values, ...(o.zero ? [0] : [])), high = Math.max(...values, ...(o.zero ? [0] : []));
  const room = (high - low) * 0.07 || Math.abs(high) * 1e-4 || 1;
  low -= room; high += o.zero ? 0 : room;
  const from = points[0][0], to = points[points.length - 1][0], span = to - from || 1;
  const x = (ts) => (ts - from) / span * (width - right), y = (v) => top + (high - v) / (high - low) * (height - foot - top);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}` }), places = digits(low, high);
  for (const at of steps(low, high, height > 250 ? 6 : 4)) {
    svg.append(shape("line", { class: "gridline", x1: 0, x2: width - right, y1: y(at), y2: y(at) }), shape("text", { x: width - right + 8, y: y(at) + 4 }, number(at, places)));
  }
  const marks = Math.max(2, Math.round((width - right) / 170));
  for (let i = 0; i <= marks; i++) {
    const ts = from + span * i / marks;
    svg.append(shape("text", { x: x(ts), y: height - 3, "text-anchor": i === 0 ? "start" : i === marks ? "end" : "middle" }, clock(ts)));
  }
  const path = points.map((p, i) => (i ? "L" : "M") + x(p[0]).toFixed(1) + " " + y(p[1]).toFixed(1)).join("");
  const ground = o.zero ? y(0) : height - foot;
  svg.append(shape("path", { class: o.zero ? "under" : "area", d: path + `L${x(to).toFixed(1)} ${ground}L0 ${ground}Z` }));
  o.levels.filter((l) => !near.includes(l)).forEach((l, i) => {
    const above = l.at > high;
    svg.append(shape("text", { x: 4 + 150 * i, y: above ? top + 10 : height - foot - 6 }, `${above ? "↑" : "↓"} ${l.kind} ${plain(l.at)}`));
  });
  for (const level of near) svg.append(shape("line", { class: "level " + level.kind, x1: 0, x2: width - right, y1: y(level.at), y2: y(level.at) }));
  svg.append(shape("path", { class: o.zero ? "line bad" : "line", d: path }));
  for (const fill of o.fills) {
    if (fill.ts < from) continue;
    const up = fill.side === "buy", cx = x(Math.min(fill.ts, to)), cy = y(fill.price), s = up ? 1 : -1;
    const mark = shape("path", { class: up ? "buy" : "sell", d: `M${cx} ${cy + 2 * s}l6.5 ${11 * s}h-13Z` });
    mark.append(shape("title", {}, `${fill.side} ${plain(fill.qty)} at ${plain(fill.price)}` + (fill.pnl === null ? "" : `, ${fill.reason} ${signed(fill.pnl, 4)}`)));
    svg.append(mark);
  }
  const last = points[points.length - 1][1], tag = Math.min(Math.max(y(last), top + 8), height - foot - 8);
  if (!o.zero) svg.append(shape("rect", { class: "tag", x: width - right + 3, y: tag - 9, width: right - 3, height: 18, rx: 4 }), shape("text", { class: "tagged", x: width - right + 8, y: tag + 4 }, number(last, places)));
  box.replaceChildren(svg);
  hover(box, svg, points, x, y, places, width - right, height - foot);
}
const pointers = {};
function hover(box, svg, points, x, y, places, right, foot) {
  const show = (px) => {
    svg.querySelectorAll(".cross, .dot").forEach((old) => old.remove());
    box.querySelectorAll(".tip").forEach((old) => old.remove());
    if (px === null || px === undefined) return;
    const near = points.reduce((a, b) => Math.abs(x(b[0]) - px) < Math.abs(x(a[0]) - px) ? b : a), cx = x(near[0]);
    svg.append(shape("line", { class: "cross", x1: cx, x2: cx, y1: 0, y2: foot }), shape("circle", { class: "dot", cx, cy: y(near[1]), r: 4 }));
    const tip = make("div", clock(near[0]) + "  " + number(near[1], places), "tip");
    tip.style.left = Math.min(Math.max(cx, 70), right - 40) + "px";
    tip.style.top = Math.max(y(near[1]), 34) + "px";
    box.append(tip);
  };
  box.onpointermove = (e) => { pointers[box.id] = e.clientX - box.getBoundingClientRect().left; show(pointers[box.id]); };
  box.onpointerleave = () => { pointers[box.id] = null; show(null); };
  show(pointers[box.id]);
}
function charts(s, p) {
  const prices = p.points.filter((d) => d[1] !== null).map((d) => [d[0], d[1]]);
  const levels = s.orders.filter((o) => o.price !== null && o.reduce_only).map((o) => ({ at: Number(o.price), kind: o.type === "stop_market" ? "stop" : "target" }));
  if (s.entry !== null) levels.push({ at: Number(s.entry), kind: "entry" });
  chart("chart-price", prices, { levels, fills: p.fills, zero: false });
  let peak = -Infinity;
  chart("chart-equity", p.points.map((d) => [d[0], d[2]]), { levels: [], fills: [], zero: false });
  chart("chart-drawdown", p.points.map((d) => { peak = Math.max(peak, d[2]); return [d[0], d[2] - peak]; }), { levels: [], fills: [], zero: true });
  $("price").textContent = plain(s.price);
  $("equity").textContent = number(s.money.equity);
  $("drawdown").textContent = "deepest " + number(p.deepest);
}

// the whole

function head() {
  const p = view.past, s = view.standing, ended = p.state === "COMPLETED" || p.exit_code !== null;
  const pill = $("state");
  pill.textContent = gone && !ended ? "NOT REACHED" : readable(p.state);
  pill.className = "pill " + (gone && !ended ? "bad" : p.exit_code ? "bad" : RISING[p.state] || "");
  $("why").textContent = p.reason;
  document.title = (s ? s.asked.symbol + " · " : "") + readable(p.state).toLowerCase() + " · Maestro";
  const over = ended || gone || p.state === "SHUTTING_DOWN";
  $("stop").disabled = over;
  $("kill").disabled = over && (gone || view.over || !ended);
  const notice = $("notice");
  if (ended && view.rounds.length && !view.over && !gone) tell("This round has ended" + (p.reason ? ": " + p.reason : "") + ". The agents read its report; the next one follows.", "warn");
  else if (ended) tell("This session has ended" + (p.reason ? ": " + p.reason : "") + ". Its evidence is in " + view.folder + "; these figures are its last." , p.exit_code ? "bad" : "good");
  else if (gone) tell("The session is not reached any more: its process has ended, or the way to it is cut. These figures are the last ones.", "bad");
  else if (s && s.kill_switch) tell("The kill switch is on (" + s.kill_switch + "): everything is closed, nothing is opened.", "bad");
  else if (s && !s.entries_allowed && p.state === "RUNNING") tell("No entries now: the data are stale.", "warn");
  else if (notice.dataset.kind !== "command") notice.hidden = true;
}
function tell(text, kind, what = "state") {
  const notice = $("notice");
  notice.textContent = text;
  notice.className = kind;
  notice.dataset.kind = what;
  notice.hidden = false;
}
function draw() {
  if (!view) return;
  head();
  const s = view.standing, p = view.past;
  $("run").textContent = view.run;
  events(p);
  rounds(view.rounds);
  if (!s) return;
  $("symbol").textContent = s.asked.symbol;
  $("env").textContent = s.asked.env + " · " + s.asked.source;
  $("run").textContent = s.asked.run + " · " + s.asked.methods.join(", ") + " · " + s.asked.interval;
  $("progress").style.width = Math.min(100, 100 * s.elapsed_s / s.asked.planned_s) + "%";
  $("elapsed").textContent = length(s.elapsed_s);
  $("remaining").textContent = p.exit_code !== null ? "ended" : length(s.asked.planned_s - s.elapsed_s) + " to go";
  tiles(s, p);
  pairs("position", [
    ["Held", plain(s.position) + " " + s.asked.symbol], ["Entry", plain(s.entry && Number(s.entry).toFixed(6))], ["Price", plain(s.price)],
    ["Unrealised", signed(s.money.unrealised, 4), tone(s.money.unrealised)], ["Margin", number(s.money.margin)],
    ["Available", number(s.money.available)], ["Leverage", s.money.leverage === null ? "–" : number(s.money.leverage) + " x"], ["Liquidation at", number(s.money.liquidation)],
  ]);
  table("lots", [["Lot opened", ""], ["quantity", "n"], ["price", "n"]], s.lots.map((l) => [clock(l.at), plain(l.qty), plain(l.price)]), "");
  limits(s);
  lights("breakers", s.breakers.map((b) => [b.state === "closed" ? "good" : "bad", readable(b.name), b.detail || (b.state === "closed" ? "" : b.state)]).concat([[s.kill_switch ? "bad" : "good", "kill switch", s.kill_switch ? "on by " + s.kill_switch : ""]]));
  for (const name of CLEARABLE) $("clear-" + name).hidden = $("stop").disabled || !s.breakers.some((b) => b.name === name && b.clearable_ms !== null);
  witnesses(s);
  table("orders", [["Order", ""], ["side", ""], ["type", ""], ["quantity", "n"], ["filled", "n"], ["price", "n"], ["status", ""]],
    s.orders.map((o) => [o.id, o.side, readable(o.type), plain(o.qty), plain(o.filled), plain(o.price), readable(o.status)]), "No order is working.");
  feed(s, view.beat_s === null ? null : view.beat_s + (Date.now() - heardAt) / 1000);
  charts(s, p);
}
async function ask(path, options = {}) {
  return fetch(path, { ...options, cache: "no-store", headers: { Authorization: "Bearer " + token } });
}
async function listen() {
  for (;;) {
    try {
      const answer = await ask("/state.json?after=" + version);
      if (answer.status === 403) { tell("This address lacks its token: open the one the session printed.", "bad"); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      const said = await answer.json();
      heardAt = Date.now();
      gone = false;
      version = said.version;
      view = said;
    } catch (error) {
      gone = true;
      await new Promise((done) => setTimeout(done, 1500));
    }
    try { draw(); } catch (error) { console.error(error); }
  }
}
const QUESTIONS = {
  stop: ["Stop this session?", "Orders are taken back, the position is closed at the market, and the report is written.", "Stop", "Go on trading", "Sent: the session ends."],
  kill: ["Kill?", "Everything is closed at once, the session ends, and no other starts until somebody releases the kill switch (maestro session release).", "Kill now", "Go on trading", "Sent: the session ends."],
  clear: ["Clear this breaker?", "The session may enter again. Your name and the reason are kept in its trail; hard limits stay as they are.", "Clear", "Leave it", "Sent: the breaker is cleared in a moment."],
};
function door(id, command, breaker) {
  $(id).addEventListener("click", () => {
    const [title, text, yes, no, sent] = QUESTIONS[command], dialog = $("ask");
    const tripped = breaker ? view.standing.breakers.find((b) => b.name === breaker) : null;
    $("ask-title").textContent = title;
    $("ask-text").textContent = tripped ? readable(breaker) + ": " + tripped.detail + ". " + text : text;
    $("ask-yes").textContent = yes;
    $("ask-no").textContent = no;
    $("ask-reason").hidden = !tripped;
    $("ask-why").value = "";
    $("ask-yes").disabled = Boolean(tripped);
    dialog.returnValue = "no";
    dialog.onclose = async () => {
      if (dialog.returnValue !== "yes") return;
      const body = tripped ? JSON.stringify({ breaker, tripped_ms: tripped.clearable_ms, why: $("ask-why").value }) : undefined;
      try {
        const answer = await ask("/" + command, { method: "POST", body });
        if (answer.ok) tell(sent, "warn", "command");
        else tell("Refused: " + (await answer.text()), "bad", "command");
      } catch (error) { tell("The session was not reached.", "bad", "command"); }
    };
    dialog.showModal();
  });
}
door("stop", "stop");
door("kill", "kill");
for (const breaker of CLEARABLE) door("clear-" + breaker, "clear", breaker);
$("ask-why").addEventListener("input", () => { $("ask-yes").disabled = !$("ask-why").value.trim(); });
addEventListener("resize", draw);
listen();
