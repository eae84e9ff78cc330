// One run: how it stands, and its tabs. What is chosen stays chosen on every tab.
import { html } from "htm/preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask, RunData } from "./api.js";
import { file } from "./file.js";
import { ago, count, dollars, duration, money, isOpen, moment, number, short, signed, took, visible } from "./format.js";
import { Calls } from "./calls.js";
import { Individual } from "./individual.js";
import { colour } from "./marks.js";
import { Plot, LINES } from "./plot.js";
import { Table } from "./table.js";
import { Tree } from "./tree.js";

const TABS = { overview: "Overview", tree: "Tree", table: "Individuals", story: "Best path", yields: "Yields", workers: "Timeline", calls: "Calls", failures: "Failures" };
const EVERY = 2_000;

export function useRun(id) {
  const data = useMemo(() => new RunData(id), [id]);
  const [, changed] = useState(0);
  const [error, fail] = useState("");
  useEffect(() => {
    let timer, over = false, idle = 0;
    const look = async () => {
      try {
        if (file || !document.hidden) {
          const news = await data.refresh();
          idle = news ? 0 : idle + 1;
          fail("");
          if (!over) changed(data.version);
        }
      } catch (refused) { fail(refused.message); }
      if (file) return;
      // A run that ended, or a store that is away, is asked less and less.
      const live = data.summary?.status === "running";
      if (!over) timer = setTimeout(look, live ? EVERY : Math.min(30_000, EVERY * (1 + idle)));
    };
    const back = () => { if (!file && !document.hidden) { clearTimeout(timer); look(); } };
    document.addEventListener("visibilitychange", back);
    look();
    return () => { over = true; clearTimeout(timer); document.removeEventListener("visibilitychange", back); };
  }, [id]);
  return [data, error];
}

export function Run({ id, tab, chosen, part, go }) {
  const [data, error] = useRun(id);
  const [search, look] = useState("");
  const current = TABS[tab] ? tab : "overview";
  const choose = (individual) => go({ run: id, tab: current, individual, part });
  if (!data.loaded) return html`<main><p class=${error ? "failed" : "none"}>${error || "Reading …"}</p></main>`;
  const run = data.summary;
  const views = {
    overview: () => html`<${Overview} data=${data} choose=${choose} chosen=${chosen}/>`,
    tree: () => html`<${Tree} data=${data} version=${data.version} chosen=${chosen} choose=${choose} search=${search}/>`,
    table: () => html`<${Individuals} data=${data} chosen=${chosen} choose=${choose} search=${search}/>`,
    story: () => html`<${Story} data=${data} choose=${choose}/>`,
    yields: () => html`<${Yields} data=${data} choose=${choose}/>`,
    workers: () => html`<${Timeline} data=${data} choose=${choose}/>`,
    calls: () => html`<${Calls} run=${id} choose=${choose}/>`,
    failures: () => html`<${Failures} data=${data} choose=${choose}/>`,
  };
  return html`<main class=${chosen ? "two" : "one"}><section class="left">
    ${error ? html`<p class="failed" role="alert">${error}</p>` : ""}
    ${run.error ? html`<p class="failed">${visible(run.error)}</p>` : ""}
    <${Head} run=${run} data=${data}/>
    <nav class="tabs" role="tablist">${Object.entries(TABS).map(([name, title]) => html`<a role="tab" aria-selected=${current === name} href=${go.address({ run: id, tab: name, individual: chosen, part })}>${title}</a>`)}
      ${current === "tree" || current === "table" ? html`<input type="search" placeholder="Search" aria-label="Search individuals" value=${search} onInput=${(event) => look(event.target.value)}/>` : ""}</nav>
    <div class="view">${views[current]()}</div></section>
    ${chosen ? html`<${Individual} data=${data} id=${chosen} part=${part || "changes"} choose=${choose} show=${(next) => go({ run: id, tab: current, individual: chosen, part: next })} close=${() => go({ run: id, tab: current })}/>` : ""}</main>`;
}

function Head({ run, data }) {
  const facts = [
    ["status", html`<span class=${"status " + run.status}>${run.status}</span>`],
    ["best", html`<b>${number(run.best_score) || "–"}</b>${run.direction === "min" ? " (less is better)" : ""}`],
    ["individuals", `${number(run.individuals)}${run.failed_individuals ? `, ${number(run.failed_individuals)} failed` : ""}${run.incorrect_individuals ? `, ${number(run.incorrect_individuals)} incorrect` : ""}`],
    ["generations", number(run.generations)],
    ["since improvement", run.since_improvement === null ? "" : `${count(run.since_improvement, "generation")}`],
    ["cost", money(run.cost, run.unpriced)],
    ["gain per dollar", run.cost > 0 && !run.unpriced ? number(+(run.gained / run.cost).toPrecision(3)) : ""],
    ["calls", `${number(run.llm_calls)}${run.failed_llm_calls ? `, ${number(run.failed_llm_calls)} failed` : ""}`],
    ["took", took(run)],
    ["last sign of life", isOpen(run) ? [`${duration((run.last_seen - run.start_time) / 1000)} after its start`, file ? "" : ago(run.silent_seconds)].filter(Boolean).join(", ") : ""],
  ];
  return html`<header class="head"><h1>${visible(run.task_name)} <small title=${visible(run.run_id)}>${visible(run.run_id)}</small></h1>
    <dl class="facts">${facts.filter(([, value]) => value !== "").map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></header>`;
}

function Overview({ data, choose, chosen }) {
  const [by, order] = useState("place");
  const list = data.list, began = data.summary.start_time;
  const spent = useMemo(() => {
    let sum = 0, at = 0;
    return list.map((one) => {
      while (at < data.calls.length && data.calls[at].timestamp <= one.timestamp) sum += data.calls[at++].cost || 0;
      return sum;
    });
  }, [data.version]);
  const x = by === "place" ? list.map((one) => one.place + 1) : by === "seconds" ? list.map((one) => Math.max(0, one.timestamp - began) / 1000) : spent;
  const series = [
    { label: "score", values: list.map((one) => one.score), color: "#8fb0ea", points: true },
    { label: "best so far", values: list.map((one) => one.best_so_far), color: "#d99a00", steps: true },
  ];
  const bins = useMemo(() => throughput(data), [data.version]);
  return html`<div class="tools"><label>by <select value=${by} onChange=${(event) => order(event.target.value)}><option value="place">individuals</option><option value="seconds">seconds</option><option value="cost">cost of calls</option></select></label></div>
    <${Plot} label="Score of each individual, and the best so far" x=${x} series=${series} xLabel=${{ place: "individuals", seconds: "seconds", cost: "USD" }[by]} yLabel="score" onPick=${(index) => choose(list[index].id)} height=${320}/>
    <h3>Individuals finished, calls under way</h3>
    <${Plot} label="Individuals finished and calls under way over time" x=${bins.x} series=${[{ label: "individuals per interval", values: bins.finished, color: LINES[0], steps: true }, { label: "calls under way", values: bins.busy, color: LINES[1], steps: true }]} xLabel="seconds" yLabel="" height=${180}/>
    <h3>Latency of calls</h3>
    <${Plot} label="Seconds of each call" x=${data.calls.map((call) => Math.max(0, call.timestamp - began) / 1000)} series=${models(data).map((model, at) => ({ label: visible(model), values: data.calls.map((call) => (call.model === model ? call.execution_time : null)), color: LINES[at % LINES.length], points: true }))} xLabel="seconds" yLabel="seconds a call" height=${200}/>`;
}

const models = (data) => [...new Set(data.calls.map((call) => call.model))].slice(0, LINES.length);

function throughput(data) {
  const began = data.summary.start_time, COUNT = 80;
  let end = began + 1;
  for (const one of data.list) end = Math.max(end, one.timestamp);
  for (const call of data.calls) end = Math.max(end, call.timestamp + call.execution_time * 1000);
  const wide = (end - began) / COUNT, finished = new Array(COUNT).fill(0), busy = new Array(COUNT).fill(0);
  const bin = (time) => Math.max(0, Math.min(COUNT - 1, Math.floor((time - began) / wide)));
  for (const one of data.list) finished[bin(one.timestamp)] += 1;
  for (const call of data.calls) {
    const from = call.timestamp, to = from + call.execution_time * 1000;
    for (let at = bin(from); at <= bin(to); at += 1) {
      const low = began + at * wide;
      busy[at] += Math.max(0, Math.min(to, low + wide) - Math.max(from, low)) / wide;
    }
  }
  return { x: finished.map((_, at) => (at * wide) / 1000), finished, busy: busy.map((each) => +each.toFixed(3)) };
}

function Individuals({ data, chosen, choose, search }) {
  const wanted = search.trim().toLowerCase();
  const rows = wanted ? data.list.filter((one) => [one.id, one.mutation_type, one.edit_summary, one.outcome].some((text) => String(text).toLowerCase().includes(wanted))) : data.list;
  const columns = [
    { name: "place", head: "#", show: (one) => one.place + 1, right: true },
    { name: "id", head: "individual", show: (one) => html`<span title=${visible(one.id)}>${short(one.id)}</span>` },
    { name: "generation", head: "generation", right: true },
    { name: "score", head: "score", show: (one) => (one.outcome === "ok" ? number(one.score) : one.outcome), value: (one) => (one.score === null ? null : data.sign * one.score), right: true },
    { name: "mutation_type", head: "made by" },
    { name: "island", head: "island" },
    { name: "code_size", head: "bytes", show: (one) => number(one.code_size), right: true },
    { name: "edit_summary", head: "what changed", show: (one) => html`<span class="cut">${visible(one.edit_summary)}</span>` },
  ];
  return html`<${Table} label="Individuals" rows=${rows} columns=${columns} keyOf=${(one) => one.id} chosen=${chosen} onPick=${(one) => choose(one.id)} sorted=${{ name: "score", down: true }}/>`;
}

function Story({ data, choose }) {
  const path = data.list.filter((one) => data.bestPath?.has(one.id));
  if (!path.length) return html`<p class="none">Nobody has a score yet.</p>`;
  return html`<ol class="story long">${path.map((one) => {
    const parent = data.byId.get(one.parents[0]), gain = parent && one.score !== null && parent.score !== null ? data.sign * (one.score - parent.score) : null;
    return html`<li><button class="link" onClick=${() => choose(one.id)}>${short(one.id)}</button> <b>${number(one.score)}</b> <span class=${gain > 0 ? "up" : gain < 0 ? "failed" : ""}>${signed(gain)}</span>
      <span class="mute">generation ${one.generation} · ${visible(one.mutation_type)}${one.island !== "" ? ` · island ${visible(one.island)}` : ""}</span><p>${visible(one.edit_summary)}</p></li>`;
  })}</ol>`;
}

function useYields(data) {
  const [told, tell] = useState(null);
  useEffect(() => {
    let over = false, timer;
    const look = () => ask("run/yields", { run: data.id }).then((answer) => { if (!over) { tell(answer); if (!file && data.summary.status === "running") timer = setTimeout(look, 10_000); } }, (error) => !over && tell({ error: error.message }));
    look();
    return () => { over = true; clearTimeout(timer); };
  }, [data.id]);
  return told;
}

function Yields({ data, choose }) {
  const told = useYields(data);
  if (!told) return html`<p class="none">Reading …</p>`;
  if (told.error) return html`<p class="failed">${told.error}</p>`;
  const right = true, n = (name) => ({ name, right, show: (row) => number(row[name] === null || row[name] === undefined ? null : +Number(row[name]).toPrecision(6)) });
  const mutations = [{ name: "mutation_type", head: "mutation" }, { ...n("count"), head: "tried" }, { ...n("improvements"), head: "better than the parent" },
    { name: "success_rate", head: "success", right, show: (row) => (row.success_rate === undefined || row.success_rate === null ? "" : Math.round(100 * row.success_rate) + " %") },
    { ...n("avg_gain"), head: "mean gain" }, { ...n("best_fitness"), head: "best" }, { ...n("median_fitness"), head: "median" }, { ...n("failed"), head: "failed" }, { ...n("incorrect"), head: "incorrect" }];
  const models = [{ name: "model", head: "model" }, { ...n("calls"), head: "calls" }, { ...n("failed"), head: "failed" }, { name: "total_cost", head: "cost", right, show: (row) => money(row.total_cost, row.unpriced) },
    { name: "p50", head: "median", right, show: (row) => duration(row.p50) }, { name: "p90", head: "p90", right, show: (row) => duration(row.p90) }, { name: "p99", head: "p99", right, show: (row) => duration(row.p99) }, { ...n("input_tokens"), head: "tokens in" }, { ...n("output_tokens"), head: "tokens out" }];
  const islands = [{ name: "island", head: "island" }, { ...n("individuals"), head: "individuals" }, { ...n("best_score"), head: "best" }, { ...n("avg_score"), head: "mean" }, { ...n("arrived"), head: "arrived" }, { ...n("failed"), head: "failed" }];
  const front = [{ name: "individual_id", head: "individual", show: (row) => short(row.individual_id) }, { ...n("fitness_score"), head: "fitness" }, { ...n("combined_score"), head: "combined" }, { name: "metrics", head: "metrics", show: (row) => html`<span class="cut">${visible(row.metrics)}</span>` }];
  const table = (title, rows, columns, key, onPick) => (rows.length ? html`<h3>${title}</h3><${Table} label=${title} rows=${rows} columns=${columns} keyOf=${(row) => row[key]} onPick=${onPick}/>` : "");
  return html`${table("Mutations", told.mutations, mutations, "mutation_type")}${table("Models", told.models, models, "model")}${table("Islands", told.islands, islands, "island", (row) => row.best_individual && choose(row.best_individual))}
    <${Cells} cells=${told.cells} data=${data} choose=${choose}/>
    ${table("Pareto front", told.front, front, "individual_id", (row) => choose(row.individual_id))}${told.mutations.length + told.models.length + told.islands.length ? "" : html`<p class="none">Nothing to show yet.</p>`}`;
}

// A grid of features: two axes where there are two or more features, the best score of each cell by its colour.
function Cells({ cells, data, choose }) {
  const [axes, turn] = useState([0, 1]);
  if (!cells.length) return "";
  const read = cells.map((cell) => { try { return [cell, JSON.parse(cell.cell)]; } catch { return [cell, {}]; } });
  const features = [...new Set(read.flatMap(([, at]) => Object.keys(at)))];
  const [across, up] = [features[axes[0]] ?? features[0], features[axes[1]] ?? features[1]];
  const grid = new Map();
  let most = [0, 0];
  for (const [cell, at] of read) {
    const place = [Number(at[across] ?? 0), Number(at[up] ?? 0)];
    if (!place.every(Number.isFinite)) continue;
    most = [Math.max(most[0], place[0]), Math.max(most[1], place[1])];
    const known = grid.get(place.join()), better = known && (cell.best_score === null || (known.best_score !== null && data.sign * known.best_score >= data.sign * cell.best_score));
    grid.set(place.join(), { ...(better ? known : cell), place, individuals: (known?.individuals || 0) + cell.individuals });
  }
  const size = Math.max(8, Math.min(26, 560 / (most[0] + 1)));
  const choice = (index) => html`<select value=${axes[index]} onChange=${(event) => turn(index ? [axes[0], +event.target.value] : [+event.target.value, axes[1]])}>${features.map((name, at) => html`<option value=${at}>${visible(name)}</option>`)}</select>`;
  return html`<h3>Cells filled: ${grid.size}</h3><div class="tools"><label>across ${choice(0)}</label>${features.length > 1 ? html`<label>up ${choice(1)}</label>` : ""}</div>
    <svg class="cells" width=${(most[0] + 1) * size + 4} height=${(most[1] + 1) * size + 4} role="img" aria-label="Cells by their best score">${[...grid.values()].map((cell) => html`<rect tabindex="0" x=${cell.place[0] * size + 2} y=${(most[1] - cell.place[1]) * size + 2} width=${size - 1} height=${size - 1} fill=${colour(data.shade({ score: cell.best_score }))}
      onClick=${() => cell.best_individual && choose(cell.best_individual)} onKeyDown=${(event) => event.key === "Enter" && cell.best_individual && choose(cell.best_individual)}><title>${`${visible(across)} ${cell.place[0]}${up ? `, ${visible(up)} ${cell.place[1]}` : ""}: best ${number(cell.best_score) || "–"}, ${count(cell.individuals, "individual")}`}</title></rect>`)}</svg>`;
}

function Failures({ data, choose }) {
  const told = useYields(data);
  if (!told) return html`<p class="none">Reading …</p>`;
  if (told.error) return html`<p class="failed">${told.error}</p>`;
  const columns = [{ name: "timestamp", head: "when", show: (row) => moment(row.timestamp) }, { name: "what", head: "what" }, { name: "generation", head: "generation", right: true },
    { name: "individual_id", head: "individual", show: (row) => short(row.individual_id) }, { name: "error", head: "error", show: (row) => html`<span class="cut">${row.incorrect ? "incorrect" : ""} ${visible(row.error)}</span>` }];
  return html`<${Table} label="Failures" rows=${told.failures} columns=${columns} keyOf=${(row) => row.timestamp + row.what + row.individual_id + row.trace_id} onPick=${(row) => row.individual_id && data.byId.has(row.individual_id) && choose(row.individual_id)}/>`;
}

// Who worked when: calls laid into as few lanes as they need.
function Timeline({ data, choose }) {
  const canvas = useRef(null);
  const lanes = useMemo(() => {
    const ends = [], placed = [];
    for (const call of data.calls) {
      const from = call.timestamp, to = from + call.execution_time * 1000;
      let lane = ends.findIndex((end) => end <= from);
      if (lane < 0) lane = ends.push(0) - 1;
      ends[lane] = to;
      placed.push([call, lane, from, to]);
    }
    return { placed, count: ends.length };
  }, [data.version]);
  const shown = models(data);
  useEffect(() => {
    const element = canvas.current, width = element.parentElement.clientWidth, tall = Math.max(4, Math.min(18, 320 / Math.max(1, lanes.count))), height = tall * lanes.count + 24, ratio = devicePixelRatio || 1;
    element.width = width * ratio; element.height = height * ratio; element.style.height = height + "px";
    const context = element.getContext("2d");
    context.scale(ratio, ratio);
    let first = Infinity, last = -Infinity;
    for (const [, , from, to] of lanes.placed) { first = Math.min(first, from); last = Math.max(last, to); }
    for (const [call, lane, from, to] of lanes.placed) {
      context.fillStyle = call.status === "ok" ? LINES[Math.max(0, shown.indexOf(call.model)) % LINES.length] : "#c8372d";
      context.fillRect(((from - first) / (last - first || 1)) * width, lane * tall, Math.max(1, ((to - from) / (last - first || 1)) * width - 0.5), tall - 1);
    }
    context.fillStyle = "#888"; context.font = "11px system-ui";
    context.fillText("0", 0, height - 6); context.textAlign = "right"; context.fillText(duration((last - first) / 1000), width, height - 6);
    element.onclick = (event) => {
      const box = element.getBoundingClientRect(), time = first + ((event.clientX - box.left) / box.width) * (last - first), lane = Math.floor((event.clientY - box.top) / tall);
      const hit = lanes.placed.find(([, at, from, to]) => at === lane && from <= time && to >= time);
      if (hit && data.byId.has(hit[0].individual_id)) choose(hit[0].individual_id);
    };
  }, [lanes]);
  let busy = 0, first = Infinity, last = 0;
  for (const [, , from, to] of lanes.placed) { busy += to - from; first = Math.min(first, from); last = Math.max(last, to); }
  return html`<p>${lanes.placed.length ? `${count(data.calls.length, "call")} in ${count(lanes.count, "lane")}, busy for ${Math.round((100 * busy) / ((last - first || 1) * lanes.count))} % of the time.` : "No calls yet."}
    ${shown.map((model, at) => html` <span class="kind"><svg width="10" height="10"><rect width="10" height="10" fill=${LINES[at % LINES.length]}/></svg> ${visible(model)}</span>`)}</p><div><canvas class="timeline" ref=${canvas} role="img" aria-label="Calls over time; the tab Calls lists them"></canvas></div>`;
}
