// One run: its summary and its tabs. The selected individual stays selected on every tab.
import { html } from "./html.js";
import { useEffect, useMemo, useState } from "preact/hooks";
import { RunData, SHARE } from "./api.js";
import { file } from "./file.js";
import { ago, begun, containing, count, duration, generations, isOpen, money, number, perDollar, short, took, visible } from "./format.js";
import { Calls } from "./calls.js";
import { Story } from "./story.js";
import { Events, Failures } from "./events.js";
import { Examples } from "./examples.js";
import { Individual } from "./individual.js";
import { Islands } from "./islands.js";
import { ProgramMap } from "./map.js";
import { Metrics } from "./metrics.js";
import { Models } from "./models.js";
import { left, useOutlook } from "./outlook.js";
import { Overview } from "./overview.js";
import { settingsOf, useSetting } from "./settings.js";
import { Table } from "./table.js";
import { Timeline } from "./timeline.js";
import { Tree } from "./tree.js";
import { Yields } from "./yields.js";

const TABS = { overview: "Overview", tree: "Tree", map: "Map", table: "Individuals", story: "Best path", metrics: "Metrics", islands: "Islands", examples: "Examples", yields: "Yields", models: "Models", workers: "Timeline", calls: "Calls", events: "Events", failures: "Failures" };
// A search and an island stay chosen on every tab.
const keep = (event) => { event.currentTarget.hash = event.currentTarget.hash.split("?")[0] + settingsOf("find", "island"); };
const SEARCHED = new Set(["tree", "map", "table"]);
const EVERY = 2_000;

const drawn = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));

export function useRun(id) {
  const data = useMemo(() => new RunData(id), [id]);
  const [, changed] = useState(0);
  const [error, fail] = useState("");
  useEffect(() => {
    let timer, over = false, idle = 0, looking = false;
    const look = async () => {
      if (looking) return;
      looking = true;
      let took = 0;
      try {
        if (file || !document.hidden) {
          const news = await data.refresh(() => over || changed(data.version));
          idle = news ? 0 : idle + 1;
          fail("");
          const began = performance.now();
          if (!over) changed(data.version);
          if (news) { await drawn(); took = performance.now() - began; }
        }
      } catch (refused) { fail(refused.message); }
      looking = false;
      if (file) return;
      // A run that has ended, or a store that cannot be reached, is polled less and less often; one that takes long to draw, for at most a
      // tenth of the time.
      const live = data.summary?.status === "running";
      if (!over) timer = setTimeout(look, live ? Math.max(EVERY, SHARE * took) : Math.min(30_000, EVERY * (1 + idle)));
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
  const [search, look] = useSetting("find", "");
  const whole = data.loaded ? data.summary.run_id : id;
  // `latest` and the beginning of an id may mean another run a moment later: what is shown is of one run, and so is its address.
  useEffect(() => { if (whole !== id) location.replace(go.address({ run: whole, tab, individual: chosen, part }) + location.hash.replace(/^[^?]*/, "")); }, [whole, id]);
  const current = Object.hasOwn(TABS, tab) ? tab : "overview";
  const choose = (individual) => go({ run: id, tab: current, individual, part });
  const pane = chosen ? html`<${Individual} data=${data} id=${chosen} part=${part || "changes"} choose=${choose} show=${(next) => go({ run: id, tab: current, individual: chosen, part: next })} close=${() => go({ run: id, tab: current })}/>` : "";
  // The individual does not wait for the others.
  if (!data.loaded || whole !== id) return html`<main class=${chosen ? "two" : "one"}><section class="left"><p class=${error ? "failed" : "none"}>${error || "Reading …"}</p></section>${pane}</main>`;
  const run = data.summary;
  const views = {
    overview: () => html`<${Overview} data=${data} choose=${choose} chosen=${chosen}/>`,
    tree: () => html`<${Tree} data=${data} version=${data.version} chosen=${chosen} choose=${choose} search=${search}/>`,
    map: () => html`<${ProgramMap} data=${data} chosen=${chosen} choose=${choose} search=${search}/>`,
    table: () => html`<${Individuals} data=${data} chosen=${chosen} choose=${choose} search=${search}/>`,
    story: () => html`<${Story} data=${data} chosen=${chosen} choose=${choose}/>`,
    metrics: () => html`<${Metrics} data=${data} choose=${choose} chosen=${chosen}/>`,
    islands: () => html`<${Islands} data=${data} choose=${choose}/>`,
    examples: () => html`<${Examples} data=${data} choose=${choose} chosen=${chosen}/>`,
    models: () => html`<${Models} data=${data}/>`,
    events: () => html`<${Events} data=${data} choose=${choose}/>`,
    yields: () => html`<${Yields} data=${data} choose=${choose}/>`,
    workers: () => html`<${Timeline} data=${data} choose=${choose}/>`,
    calls: () => html`<${Calls} run=${id} data=${data} choose=${choose}/>`,
    failures: () => html`<${Failures} data=${data} choose=${choose}/>`,
  };
  return html`<main class=${chosen ? "two" : "one"}><section class="left">
    ${error ? html`<p class="failed" role="alert">${error}</p>` : ""}
    ${run.status ? "" : html`<p class="said">The start of this run is not in the store, so its task, configuration, direction and status are unknown. Only the rows that have arrived are shown; the rest may be on its way, or waiting in a spool (<code>genesis-otel status</code>).</p>`}
    ${run.error ? html`<p class="failed error" tabindex="0">${visible(run.error)}</p>` : ""}
    <${Head} run=${run} data=${data}/>
    <div class="bar"><nav class="tabs" role="tablist">${Object.entries(TABS).map(([name, title]) => html`<a role="tab" aria-selected=${current === name} href=${go.address({ run: id, tab: name, individual: chosen, part })} onClick=${keep}>${title}</a>`)}</nav>
      ${SEARCHED.has(current) ? html`<input type="search" placeholder="Search" aria-label="Search individuals" value=${search} onInput=${(event) => look(event.target.value)}/>` : ""}</div>
    <div class="view">${views[current]()}</div></section>
    ${pane}</main>`;
}

// A name of more characters is cut in the middle.
const LONGEST = 120;

// The state of a run is asked for less often than its rows: from this age on it says how old it is.
const AGED = 10_000;

// Seconds since the last sign of life, by the server's clock: of the run when it was asked for, or of what has arrived since.
function silence(run, data) {
  const now = run.last_seen + 1000 * run.silent_seconds + performance.now() - data.stood, call = data.calls[data.calls.length - 1], one = data.list[data.list.length - 1];
  const seen = Math.max(run.last_seen, one?.timestamp ?? 0, call ? call.timestamp + 1000 * (call.execution_time || 0) : 0);
  return [seen, Math.max(0, now - seen) / 1000];
}

function Head({ run, data }) {
  const [, tick] = useState(0), goes = isOpen(run) && !file;
  useEffect(() => {
    if (!goes) return;
    const timer = setInterval(() => document.hidden || tick((before) => before + 1), 5_000);
    return () => clearInterval(timer);
  }, [goes]);
  const [seen, silent] = silence(run, data), age = performance.now() - data.stood;
  const outlook = useOutlook(isOpen(run) ? [run.run_id] : [], data.arrived)[run.run_id];
  const facts = [
    ["status", run.status ? html`<span class=${"status " + run.status}>${run.status}</span>` : html`<span class="status unknown">unknown</span>`],
    ["best", html`<b>${number(data.best?.score) || "–"}</b>${run.direction === "min" ? " (lower is better)" : ""}`],
    ["individuals", `${number(data.counts.ok + data.counts.failed + data.counts.incorrect)}${data.counts.failed ? `, ${number(data.counts.failed)} failed` : ""}${data.counts.incorrect ? `, ${number(data.counts.incorrect)} incorrect` : ""}`],
    ["generations", generations(run)],
    ["progress", outlook ? left(outlook) : ""],
    ["since improvement", run.since_improvement === null ? "" : `${count(run.since_improvement, "generation")}`],
    ["cost", money(run.cost, run.unpriced)],
    ["gain per dollar", number(perDollar(run.gained, run))],
    ["calls", data.whole ? `${number(data.calls.length)}${data.failedCalls ? `, ${number(data.failedCalls)} failed` : ""}` : number(run.llm_calls)],
    ["took", took(run)],
    ["last sign of life", isOpen(run) ? [`${duration((seen - run.start_time) / 1000)} after its start`, file ? "" : ago(silent)].filter(Boolean).join(", ") : ""],
    ["cost and generations as of", goes && data.stale && age > AGED ? ago(age / 1000) : ""],
  ];
  return html`<header class="head"><h1 title=${visible(run.task_name)}>${short(run.task_name, LONGEST) || "Run without a start"} <small title=${visible(run.run_id)}>${visible(run.run_id)}</small></h1>
    <dl class="facts">${facts.filter(([, value]) => value !== "").map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></header>`;
}

function Individuals({ data, chosen, choose, search }) {
  const kept = useSetting("sort", "");
  const wanted = search.trim().toLowerCase();
  const rows = useMemo(() => {
    const has = containing(wanted);
    return wanted ? data.list.filter((one) => has(one.id) || has(one.mutation_type) || has(one.edit_summary) || has(one.outcome)) : data.list;
  }, [wanted, data.version]);
  const columns = [
    { name: "place", head: "#", show: (one) => (one.copied ? "" : one.place + 1), right: true },
    { name: "id", head: "individual", show: (one) => html`<span title=${visible(one.id)}>${short(one.id)}</span>` },
    { name: "generation", head: "generation", right: true },
    { name: "score", head: "score", show: (one) => (one.copied ? html`<span class="mute">copy</span>` : one.outcome === "ok" ? number(one.score) : html`<span class="failed">${one.outcome}</span>`), value: (one) => (one.score === null ? null : data.sign * one.score), right: true },
    { name: "mutation_type", head: "made by" },
    { name: "island", head: "island" },
    { name: "children", head: "children", show: (one) => number(one.offspring), value: (one) => one.offspring, right: true },
    { name: "code_size", head: "bytes", show: (one) => (one.code_size ? number(one.code_size) : ""), value: (one) => one.code_size || null, right: true },
    { name: "edit_summary", head: "what changed", rest: true, show: (one) => html`<span class="cut">${begun(one.edit_summary)}</span>` },
  ];
  return html`<${Table} label="Individuals" rows=${rows} columns=${columns} keyOf=${(one) => one.id} chosen=${chosen} onPick=${(one) => choose(one.id)} sorted=${{ name: "score", down: true }} kept=${kept} fresh=${data.version}/>`;
}
