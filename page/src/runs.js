// The list of runs, and a comparison of several.
import { html } from "./html.js";
import { useEffect, useState } from "preact/hooks";
import { ask, SHARE, SILENT } from "./api.js";
import { file } from "./file.js";
import { ago, fraction, generations, isLive, isOpen, money, moment, number, perDollar, short, took, visible } from "./format.js";
import { left, useOutlook } from "./outlook.js";
import { LINES, Plot } from "./plot.js";
import { useSetting } from "./settings.js";
import { Table } from "./table.js";

// The most runs that the server compares.
const MOST = 20;
// The most runs of which the list tells.
const LISTED = 500;
// The status of a run whose start is not in the store.
const UNKNOWN = "unknown";
// Columns that are left out if no run has anything in them.
const MAYBE = { progress: (row, outlook) => outlook[row.run_id] && left(outlook[row.run_id]), tags: (row) => row.tags?.length, incorrect: (row) => row.incorrect };

export function Runs({ go }) {
  const [rows, list] = useState(null);
  const [isCut, cut] = useState(false);
  const [error, fail] = useState("");
  const [find, seek] = useSetting("find", "");
  const [status, pick] = useSetting("status", "");
  const [ticked, tick] = useState(new Set()), kept = useSetting("sort", "");
  const sparks = useSparks(rows);
  useEffect(() => {
    let over = false, timer;
    // The list reads all runs: requested for at most a tenth of the time.
    const look = () => {
      const began = performance.now();
      ask("runs", { limit: LISTED + 1 }).then((answer) => { if (!over) { list(answer.slice(0, LISTED)); cut(answer.length > LISTED); fail(""); } }, (refused) => !over && fail(refused.message)).finally(() => { if (!over) timer = setTimeout(look, Math.max(document.hidden ? 30_000 : 5_000, SHARE * (performance.now() - began))); });
    };
    look();
    return () => { over = true; clearTimeout(timer); };
  }, []);
  const open = (rows || []).filter(isOpen).slice(0, 20);
  const outlook = useOutlook(open.map((row) => row.run_id), open.map((row) => row.individuals).join());
  const text = find.trim().toLowerCase();
  const shown = (rows || []).filter((row) => (!status || (row.status || UNKNOWN) === status) && (!text || [row.run_id, row.task_name, ...(row.tags || []), ...(row.notes || []), row.error].some((each) => String(each).toLowerCase().includes(text))));
  // One that was deleted since then is no longer among them.
  const selected = [...ticked].filter((id) => rows.some((row) => row.run_id === id));
  const mark = (row) => { const next = new Set(ticked); if (!next.delete(row.run_id)) next.add(row.run_id); tick(next); };
  const columns = [
    { name: "tick", head: "", label: "selected", value: (row) => (ticked.has(row.run_id) ? 1 : 0), show: (row) => html`<input type="checkbox" aria-label=${"Compare " + row.run_id} checked=${ticked.has(row.run_id)} onClick=${(event) => { event.stopPropagation(); mark(row); }}/>` },
    { name: "task_name", head: "task", show: (row) => html`${row.task_name ? html`<span class="cut task" title=${visible(row.task_name)}>${visible(row.task_name)}</span>` : row.status ? "" : html`<span class="mute">start is missing</span>`}<a class="narrow" href=${go.address({ run: row.run_id })}>${short(row.run_id, 16)}</a>` },
    { name: "run_id", head: "run", show: (row) => html`<a href=${go.address({ run: row.run_id })} title=${visible(row.run_id)}>${short(row.run_id, 22)}</a>` },
    { name: "status", head: "status", show: (row) => html`<span class=${"status " + (row.status || UNKNOWN)} >${row.status || UNKNOWN}</span>${row.error ? html`<small class="cut task failed" title=${visible(row.error)}>${visible(row.error)}</small>` : ""}` },
    { name: "progress", head: "progress", show: (row) => (outlook[row.run_id] ? left(outlook[row.run_id]) : ""), value: (row) => outlook[row.run_id]?.done },
    { name: "best_score", head: "best", right: true, show: (row) => number(row.best_score) },
    { name: "spark", head: "", label: "best so far", show: (row) => html`<${Spark} told=${sparks[row.run_id]}/>` },
    { name: "individuals", head: "individuals", right: true, show: (row) => number(row.individuals) },
    { name: "failed", head: "failed", right: true, show: (row) => number(row.failed) },
    { name: "incorrect", head: "incorrect", right: true, show: (row) => number(row.incorrect) },
    { name: "generations", head: "generations", right: true, value: (row) => generations(row) && row.generations, show: generations },
    { name: "since_improvement", head: "generations since improvement", right: true, show: (row) => number(row.since_improvement) },
    { name: "cost", head: "cost", right: true, show: (row) => money(row.cost, row.unpriced) },
    { name: "gain", head: "gain per dollar", right: true, value: (row) => perDollar(sparks[row.run_id]?.gained, row), show: (row) => number(perDollar(sparks[row.run_id]?.gained, row)) },
    { name: "start_time", head: "began", show: (row) => moment(row.start_time) },
    { name: "silent_seconds", head: "last sign of life", right: true, show: (row) => ago(row.silent_seconds) },
    { name: "tags", head: "tags", show: (row) => (row.tags || []).map((tag) => html`<span class="tag">${visible(tag)}</span>`) },
  ];
  return html`<main class="one"><section class="left"><h1>Runs</h1><form class="filters" onSubmit=${(event) => event.preventDefault()}>
    <label>find <input type="search" placeholder="task, id, tag or note" value=${find} onInput=${(event) => seek(event.target.value)}/></label>
    <label>status <select value=${status} onChange=${(event) => pick(event.target.value)}><option value="">any</option>${["running", "stalled", "completed", "stopped", "failed", UNKNOWN].map((each) => html`<option>${each}</option>`)}</select></label>
    <button type="button" disabled=${shown.length < 2} onClick=${() => tick(new Set(ticked.size ? [] : shown.slice(0, MOST).map((row) => row.run_id)))}>${ticked.size ? "Select none" : shown.length > MOST ? `Select the first ${MOST}` : "Select all"}</button>
    <button type="button" disabled=${selected.length < 2} onClick=${() => go({ compare: selected })}>Compare ${selected.length || ""}</button></form>
    ${error ? html`<p class="failed" role="alert">${error}</p>` : ""}
    ${rows === null ? html`<p class="none">Reading …</p>` : rows.length ? html`<${Table} label="Runs" rows=${shown} columns=${columns.filter(({ name }) => !MAYBE[name] || shown.some((row) => MAYBE[name](row, outlook)))} keyOf=${(row) => row.run_id} onPick=${(row) => go({ run: row.run_id })} kept=${kept}/>${isCut ? html`<p class="hint">These are among the newest ${number(LISTED)} runs; older ones are neither listed nor found here. <code>genesis-otel runs --limit N</code> lists more.</p>` : ""}` : html`<p class="none">No runs yet: <code>genesis-otel demo</code> records one. New runs appear here by themselves.</p>`}</section></main>`;
}

// What a sparkline depends on: an individual that is evaluated again is no new one.
const state = (row) => [row.individuals, row.failed, row.incorrect, row.best_score].join(" ");

// Sparklines are requested after the list, and again only for runs in which something was found.
function useSparks(rows) {
  const [known, know] = useState({});
  const wanted = (rows || []).slice(0, 100).filter((row) => known[row.run_id]?.state !== state(row) && row.individuals);
  const asked = wanted.map((row) => `${row.run_id} ${state(row)}`).join();
  useEffect(() => {
    if (!wanted.length) return;
    ask("sparks", { run: wanted.map((row) => row.run_id) }).then((told) => know((before) => ({ ...before, ...Object.fromEntries(wanted.map((row) => [row.run_id, { ...told[row.run_id], state: state(row) }])) })), () => {});
  }, [asked]);
  return known;
}

function Spark({ told }) {
  if (!told?.best_so_far?.length) return "";
  const values = told.best_so_far, low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
  const x = (place) => 2 + (86 * (place - 1)) / Math.max(1, told.last - 1), y = (value) => 18 - 16 * (high > low ? fraction(value, low, high) : 0);
  let line = `M${x(told.places[0])},${y(values[0])}`;
  for (let at = 1; at < values.length; at += 1) line += `H${x(told.places[at])}V${y(values[at])}`;
  return html`<svg class="spark" width="90" height="20" role="img" aria-label="best so far"><path d=${line + "H88"}/></svg>`;
}

// Of a place on an axis: as many as two sums of the same numbers have in common, whatever their order.
const DIGITS = 12;
const AXES = { place: "individuals", seconds: "seconds", spent: "USD", reached: "generations" };

// There are fewer colours than runs: of two of one colour, the second is dashed.
const DASHES = [8, 3], EVERY = 10_000;

// What is compared. A run is read whole, so only if something arrived for it, or if it may have stalled, and never for more than a tenth of
// the time.
function useCompared(runs) {
  const [told, tell] = useState(null);
  const [error, fail] = useState("");
  useEffect(() => {
    const asked = [...new Set(runs)].slice(0, MOST), seen = new Map(), stood = new Map();
    let over = false, timer, all = null;
    const look = async () => {
      const began = performance.now();
      try {
        if (!all || !document.hidden) {
          const ids = all ? all.map((each) => each.run.run_id) : asked, arrived = file ? [] : await Promise.all(ids.map((run) => ask("run/arrivals", { run })));
          const texts = arrived.map((each) => JSON.stringify(each)), changed = [...ids.keys()].filter((at) => !all || texts[at] !== seen.get(ids[at]) || (isLive(all[at].run) && began > stood.get(ids[at]) + SILENT));
          if (changed.length) {
            const answer = await ask("compare", { run: changed.map((at) => ids[at]) });
            // `latest`, and the beginning of an id, may name a run that is there by its id, too.
            all = all ? all.map((each, at) => answer[changed.indexOf(at)] ?? each) : answer.filter(({ run }, at) => answer.findIndex((other) => other.run.run_id === run.run_id) === at);
            changed.forEach((at, place) => { const id = answer[place].run.run_id; seen.set(id, texts[at]); stood.set(id, began); });
          }
          if (!over) { tell(all); fail(""); }
        }
      } catch (refused) { if (!over) fail(refused.message); }
      if (!over && !file) timer = setTimeout(look, Math.max(EVERY, SHARE * (performance.now() - began)));
    };
    if (asked.length) look();
    return () => { over = true; clearTimeout(timer); };
  }, [runs.join()]);
  return [told, error];
}

export function Compare({ runs, go }) {
  const [told, error] = useCompared(runs);
  const [by, order] = useSetting("by", "place", Object.keys(AXES));
  const [together, group] = useSetting("grouped", "");
  if (!runs.length) return html`<main><p class="none">Nothing to compare: select runs in <a href=${go.address({})}>the list</a>.</p></main>`;
  if (!told && error) return html`<main><p class="failed" role="alert">${error}</p></main>`;
  if (!told) return html`<main><p class="none">Reading …</p></main>`;
  const named = (each) => `${short(each.run.task_name, 40)} ${short(each.run.run_id, 16)}`;
  const groups = together ? grouped(told) : told.map((each) => ({ name: named(each), runs: [each] }));
  const places = new Map(told.map((each) => [each, each[by].map((value) => (value === null ? null : +Number(value).toPrecision(DIGITS)))])), x = [...new Set([...places.values()].flat().filter((value) => value !== null))].sort((a, b) => a - b);
  const series = [], bands = [], counts = [];
  groups.forEach(({ name, runs }, at) => {
    const color = LINES[at % LINES.length], dash = at < LINES.length ? undefined : DASHES, lines = runs.map((each) => held(x, places.get(each), each.best_so_far));
    if (runs.length === 1) { series.push({ label: name, values: lines[0], color, dash, steps: true }); return; }
    // Quartiles are of all runs. Where some have not begun or have ended, there is only a thin median of the others, drawn up to that of all.
    const there = x.map((_, place) => lines.map((line) => line[place]).filter((value) => value !== null).sort((a, b) => a - b)), isWhole = (place) => there[place]?.length === runs.length;
    const part = (quantile) => there.map((known, place) => (isWhole(place) ? between(known, quantile) : null));
    series.push({ label: `${name}: upper quartile`, values: part(0.75), color: color + "66", width: 1, steps: true }, { label: `${name}: lower quartile`, values: part(0.25), color: color + "66", width: 1, steps: true }, { label: `${name}: median of ${runs.length}`, values: part(0.5), color, dash, steps: true });
    bands.push({ series: [series.length - 2, series.length - 1], fill: color + "22" });
    counts.push({ label: `${name}: runs`, values: there.map((known) => known.length) });
    if (there.every((_, place) => isWhole(place))) return;
    series.push({ label: `${name}: median of those that got that far`, values: there.map((known, place) => (known.length && [place - 1, place, place + 1].some((each) => each in there && !isWhole(each)) ? between(known, 0.5) : null)), color, width: 1, dash: [4, 4], steps: true, gaps: true });
  });
  // What an axis leaves out is said: a time needs the start of a run, and money the price of each call.
  const missing = told.filter((each) => each.best_so_far.some((value) => value !== null) && places.get(each).every((value) => value === null)), unpriced = by === "spent" ? told.filter((each) => each.run.unpriced) : [];
  const settings = told.map((each) => new Map(leaves(each.config)));
  const names = [...new Set(settings.flatMap((each) => [...each.keys()]))];
  const setting = (each, name) => settings[told.indexOf(each)].get(name) ?? "";
  const different = names.filter((name) => new Set(told.map((each) => setting(each, name))).size > 1);
  const facts = { status: (run) => run.status || UNKNOWN, best: (run) => (number(run.best_score) || "–") + (run.direction === "min" ? " (lower is better)" : ""), individuals: (run) => number(run.individuals), failed: (run) => number(run.failed_individuals), incorrect: (run) => number(run.incorrect_individuals), generations, cost: (run) => money(run.cost, run.unpriced), took, calls: (run) => number(run.llm_calls) };
  return html`<main class="one"><section class="left"><h1>Compare</h1><form class="filters" onSubmit=${(event) => event.preventDefault()}><label>by <select value=${by} onChange=${(event) => order(event.target.value)}>${Object.entries(AXES).map(([name, title]) => html`<option value=${name}>${title}</option>`)}</select></label>
    <label><input type="checkbox" checked=${!!together} onChange=${(event) => group(event.target.checked ? "yes" : "")}/> group runs by task, direction and configuration</label></form>
    ${error ? html`<p class="failed" role="alert">${error}</p>` : ""}${new Set(runs).size > MOST ? html`<p class="hint">The first ${MOST} of ${number(new Set(runs).size)} runs: no more are compared at a time.</p>` : ""}
    ${missing.length ? html`<p class="hint">Not drawn, since ${AXES[by]} are not known: ${missing.map(named).join(", ")}.</p>` : ""}${unpriced.length ? html`<p class="hint">Calls without a price are left out, so more was spent than is drawn: ${unpriced.map(named).join(", ")}.</p>` : ""}
    <${Plot} label="Best so far of each run" x=${x} series=${series} bands=${bands.length ? bands : undefined} beside=${counts} xLabel=${AXES[by]} yLabel="best so far" height=${360}/>
    <div class="scroll" tabindex="0"><table class="beside" aria-label="Runs side by side"><thead><tr><td></td>${told.map((each) => html`<th>${file && each.run.run_id !== file.run ? named(each) : html`<a href=${go.address({ run: each.run.run_id })}>${named(each)}</a>`}</th>`)}</tr></thead>
    <tbody>${Object.entries(facts).map(([name, value]) => html`<tr><th>${name}</th>${told.map((each) => html`<td>${value(each.run)}</td>`)}</tr>`)}
    ${different.map((name) => html`<tr><th>${visible(name)}</th>${told.map((each) => html`<td><span class="cut" title=${visible(setting(each, name))}>${visible(setting(each, name))}</span></td>`)}</tr>`)}</tbody></table></div></section></main>`;
}

// A configuration as settings with dotted names, so that single differences show instead of two walls of JSON.
function leaves(config, before = "") {
  return config.flatMap(([name, value]) => (value && typeof value === "object" && Object.keys(value).length ? leaves(Object.entries(value), `${before}${name}.`) : [[before + name, JSON.stringify(value)]]));
}

// Settings that say where a run is or how it is randomised, by the last word of their names: "transport" is none.
const OF_ONE_RUN = /(^|[._-])(seeds?|ports?|paths?|dirs?|api_base)(\.\d+)*$|(Seed|Port|Path|Dir)s?(\.\d+)*$/;

function grouped(told) {
  const groups = new Map();
  for (const each of told) {
    // Runs that differ only in seed or location (paths, addresses) have the same configuration.
    // One whose start is missing may have any.
    const key = JSON.stringify(each.run.status ? [each.run.task_name, each.run.direction, leaves(each.config).filter(([name]) => !OF_ONE_RUN.test(name))] : each.run.run_id);
    if (!groups.has(key)) groups.set(key, { name: each.run.task_name, runs: [] });
    groups.get(key).runs.push(each);
  }
  return [...groups.values()].map((group, at) => ({ ...group, name: `${short(group.name, 40)} ${at + 1}` }));
}

// The best so far at each x: the last value up to it; null before the first value and after the end.
function held(x, told, all) {
  let at = 0, now = null;
  const known = told.map((place, index) => index).filter((index) => told[index] !== null), places = known.map((index) => told[index]), values = known.map((index) => all[index]);
  const last = places.length ? places[places.length - 1] : -Infinity;
  return x.map((place) => {
    while (at < places.length && places[at] <= place) now = values[at++];
    return place > last ? null : now;
  });
}

function between(sorted, quantile) {
  const at = (sorted.length - 1) * quantile, low = Math.floor(at), [below, above] = [sorted[low], sorted[Math.min(low + 1, sorted.length - 1)]];
  // The difference of two numbers may be beyond the largest one.
  return Number.isFinite(above - below) ? below + (above - below) * (at - low) : below * (1 - at + low) + above * (at - low);
}
