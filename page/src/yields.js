// The yield of each mutation, the cells of the feature grid, and the Pareto front.
import { html } from "htm/preact";
import { useMemo, useState } from "preact/hooks";
import { useWhole } from "./asked.js";
import { count, money, number, short, visible } from "./format.js";
import { colour } from "./marks.js";
import { Plot } from "./plot.js";
import { numeric, Table } from "./table.js";

const MUTATIONS = [{ name: "mutation_type", head: "mutation" }, numeric("count", "tried"), numeric("improvements", "better than the parent"),
  { name: "success_rate", head: "success", right: true, show: (row) => (row.success_rate === undefined || row.success_rate === null ? "" : Math.round(100 * row.success_rate) + " %") },
  numeric("avg_gain", "mean gain"), numeric("best_fitness", "best"), numeric("median_fitness", "median"), numeric("failed"), numeric("incorrect")];
const FRONT = [{ name: "individual_id", head: "individual", show: (row) => short(row.individual_id) }, numeric("fitness_score", "fitness"), numeric("combined_score", "combined"),
  { name: "metrics", head: "metrics", show: (row) => html`<span class="cut">${visible(row.metrics)}</span>` }];

// Only those columns that anything was told for.
const PROPOSALS = [{ name: "mutation_type", head: "mutation" }, numeric("individuals"), numeric("unapplied", "patches not applied"), numeric("compared"), numeric("similarity", "mean similarity"), numeric("judged", "judged by a model"),
  numeric("rejected", "rejected as not novel"), numeric("given_up", "never evaluated"), numeric("not_novel", "of these not novel"), { name: "cost", head: "cost of judging", right: true, show: (row) => (row.judged ? money(row.cost, row.unpriced) : "") }];
const ALWAYS = ["mutation_type", "individuals"];

export function Yields({ data, choose }) {
  const { told, error } = useWhole("run/yields", data);
  if (error) return html`<p class="failed" role="alert">${error}</p>`;
  if (!told) return html`<p class="none">Reading …</p>`;
  const said = PROPOSALS.filter(({ name }) => ALWAYS.includes(name) || told.proposals.some((row) => row[name]));
  if (!told.mutations.length && !told.proposals.length && !told.cells.length && !told.front.length) return html`<p class="none">Nothing to show yet.</p>`;
  return html`${told.mutations.length ? html`<h2>Mutations</h2><${Table} label="Mutations" rows=${told.mutations} columns=${MUTATIONS} keyOf=${(row) => row.mutation_type}/>` : ""}
    ${told.proposals.length ? html`<h2>Before their evaluation</h2><p class="hint">Patches that could not be applied, and how novel proposals were found to be, as far as the search tells.</p><${Table} label="Proposals before their evaluation" rows=${told.proposals} columns=${said} keyOf=${(row) => row.mutation_type}/>` : ""}
    <${Rates} data=${data}/><${Cells} cells=${told.cells} data=${data} choose=${choose}/>
    ${told.front.length ? html`<h2>Pareto front</h2><p class="hint">The tab Metrics plots it over two axes.</p><${Table} label="Pareto front" rows=${told.front} columns=${FRONT} keyOf=${(row) => row.individual_id} onPick=${(row) => choose(row.individual_id)}/>` : ""}`;
}

const WINDOW = 20, STEPS = 400;

// Whether a search still makes programs that run, and that are better than what they come from: shares of those that finished last.
function Rates({ data }) {
  const rates = useMemo(() => {
    const made = data.list.filter((one) => !one.copied && data.byId.has(one.parents[0])), wide = Math.max(WINDOW, Math.ceil(made.length / 50)), step = Math.ceil(made.length / STEPS);
    const above = (one) => { const parent = data.byId.get(one.parents[0]); return one.score !== null && parent.score !== null && data.sign * (one.score - parent.score) > 0; };
    const x = [], right = [], better = [];
    let [ok, up] = [0, 0];
    made.forEach((one, at) => {
      const gone = made[at - wide];
      ok += (one.outcome === "ok") - (gone?.outcome === "ok" || 0); up += above(one) - (gone ? above(gone) : 0);
      if (at + 1 < wide || (at % step && at < made.length - 1)) return;
      x.push(one.place + 1); right.push((100 * ok) / wide); better.push((100 * up) / wide);
    });
    return { x, right, better, wide };
  }, [data.version]);
  if (!rates.x.length) return "";
  return html`<h2>Of the last ${number(rates.wide)} children</h2><${Plot} label="Share of the last children that are correct, and that scored higher than their parent" x=${rates.x} xLabel="individuals" yLabel="%" height=${200}
    series=${[{ label: "correct", values: rates.right, color: "#3b6fd4" }, { label: "scored better than their parent", values: rates.better, color: "#d99a00" }]}/>`;
}

const EDGE = 22;

// The bins that are labelled on an axis: as many as there is room for.
const bins = (most, size) => { const step = Math.ceil(16 / size); return [...Array(Math.floor(most / step) + 1).keys()].map((at) => at * step).slice(0, 200); };

// The feature grid: two axes if there are two or more features; the colour of a cell is its best score.
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
  return html`<h2>Filled cells: ${grid.size}</h2><div class="tools"><label>across ${choice(0)}</label>${features.length > 1 ? html`<label>up ${choice(1)}</label>` : ""}</div>
    <div class="scroll" tabindex="0"><svg class="cells" width=${(most[0] + 1) * size + EDGE + 4} height=${(most[1] + 1) * size + EDGE + 4} role="img" aria-label="Cells by best score; the table below has the same data">
      ${bins(most[0], size).map((bin) => html`<text x=${EDGE + (bin + 0.5) * size} y=${(most[1] + 1) * size + 14} text-anchor="middle">${bin}</text>`)}${bins(most[1], size).map((bin) => html`<text x=${EDGE - 4} y=${(most[1] - bin + 0.5) * size + 5} text-anchor="end">${bin}</text>`)}${[...grid.values()].map((cell) => html`<rect tabindex="0" x=${EDGE + cell.place[0] * size} y=${(most[1] - cell.place[1]) * size + 2} width=${size - 1} height=${size - 1} fill=${colour(data.shade({ score: cell.best_score }))}
      onClick=${() => cell.best_individual && choose(cell.best_individual)} onKeyDown=${(event) => event.key === "Enter" && cell.best_individual && choose(cell.best_individual)}><title>${`${visible(across)} ${cell.place[0]}${up ? `, ${visible(up)} ${cell.place[1]}` : ""}: best ${number(cell.best_score) || "–"}, ${count(cell.individuals, "individual")}`}</title></rect>`)}</svg></div>
    <details class="as-table"><summary>as a table</summary><${Table} label="Cells" rows=${[...grid.values()].map((cell) => ({ ...cell, across: cell.place[0], up: cell.place[1] }))} keyOf=${(cell) => cell.place.join()} onPick=${(cell) => cell.best_individual && choose(cell.best_individual)}
      columns=${[{ name: "across", head: visible(across), right: true }, ...(up ? [{ name: "up", head: visible(up), right: true }] : []), numeric("best_score", "best"), numeric("individuals"), { name: "best_individual", head: "best individual", show: (cell) => short(cell.best_individual) }]}/></details>`;
}
