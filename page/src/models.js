// Models: the cost and yield of each, by mutation too, and how the search chose among them.
import { html } from "./html.js";
import { rows, useNews, useWhole } from "./asked.js";
import { count, duration, money, number, six, visible } from "./format.js";
import { colour, isBright } from "./marks.js";
import { LINES, Plot } from "./plot.js";
import { useSetting } from "./settings.js";
import { numeric, Table, tokens } from "./table.js";

const time = (name) => ({ name, head: name === "p50" ? "median" : name, right: true, show: (row) => duration(row[name]) });
const MODELS = [{ name: "model", head: "model" }, numeric("calls"), numeric("failed"), { name: "total_cost", head: "cost", right: true, show: (row) => money(row.total_cost, row.unpriced) },
  time("p50"), time("p90"), time("p99"), tokens("input_tokens", "tokens in"), tokens("output_tokens", "tokens out")];
const percent = (row) => (row.success_rate === null ? "–" : Math.round(100 * row.success_rate) + " %");
const PAIRS = [{ name: "model", head: "model" }, { name: "mutation_type", head: "mutation" }, numeric("individuals"), { name: "better", head: "better than a parent", right: true, show: (row) => (row.compared ? `${number(row.better)} of ${number(row.compared)}` : "") },
  { name: "success_rate", head: "success", right: true, show: percent }, numeric("improvements", "new best of the run"), numeric("gain", "gain over all before"), numeric("failed"), numeric("incorrect"),
  { name: "cost", head: "cost", right: true, show: (row) => money(row.cost, row.unpriced) }, numeric("gain_per_dollar", "gain per dollar")];

export function Models({ data }) {
  const { told, error } = useWhole("run/yields", data);
  if (error) return html`<p class="failed" role="alert">${error}</p>`;
  if (!told) return html`<p class="none">Reading …</p>`;
  return html`${told.models.length ? html`<h2>Models</h2><${Table} label="Models" rows=${told.models} columns=${MODELS} keyOf=${(row) => row.model}/>` : html`<p class="none">No LLM call was recorded.</p>`}
    ${told.pairs.length ? html`<${Pairs} pairs=${told.pairs}/>` : ""}<${Choices} data=${data}/>`;
}

const SHADED = { success_rate: "success: better than a parent", gain_per_dollar: "gain per dollar", gain: "gain over all before", individuals: "individuals", cost: "cost" };

// Three digits are enough for a cell; a whole number, and what stands before the point, are never rounded.
const three = (value) => (Number.isInteger(value) ? value : Math.abs(value) < 100 ? +value.toPrecision(3) : Math.round(value));

// Models by mutation, as a heat map and as a table. An unknown value has no colour.
function Pairs({ pairs }) {
  const [of, shade] = useSetting("shade", "success_rate", Object.keys(SHADED));
  const models = [...new Set(pairs.map((each) => each.model))], mutations = [...new Set(pairs.map((each) => each.mutation_type))];
  const values = pairs.map((each) => each[of]).filter((value) => value !== null), low = values.reduce((a, b) => Math.min(a, b), 0), high = values.reduce((a, b) => Math.max(a, b), 0);
  const shown = (each) => (of === "success_rate" ? percent(each) : each[of] === null ? "–" : of === "cost" ? money(each.cost, each.unpriced) : number(three(each[of])));
  const cell = (model, mutation) => {
    const each = pairs.find((pair) => pair.model === model && pair.mutation_type === mutation);
    if (!each) return html`<td></td>`;
    const part = each[of] === null || high === low ? null : (each[of] - low) / (high - low);
    return html`<td class=${"shade " + (isBright(part) ? "bright" : "deep")} ref=${(td) => { if (td) td.style.background = colour(part); }} title=${`${count(each.individuals, "individual")}, better than a parent in ${number(each.better)} of ${number(each.compared)} comparisons`}>${shown(each)}<small>${number(each.individuals)}</small></td>`;
  };
  return html`<h2>Models by mutation</h2><div class="tools"><label>colour <select value=${of} onChange=${(event) => shade(event.target.value)}>${Object.entries(SHADED).map(([name, title]) => html`<option value=${name}>${title}</option>`)}</select></label><span class="hint">Small numbers: individuals, failed ones included. Success is a share of their comparisons, one with each parent.</span></div>
    <div class="scroll" tabindex="0"><table class="heat" aria-label="Models by mutation"><thead><tr><td></td>${mutations.map((each) => html`<th>${visible(each)}</th>`)}</tr></thead>
    <tbody>${models.map((model) => html`<tr><th>${visible(model)}</th>${mutations.map((mutation) => cell(model, mutation))}</tr>`)}</tbody></table></div>
    <${Table} label="Yield of models by mutation" rows=${pairs} columns=${PAIRS} keyOf=${(row) => row.model + " " + row.mutation_type}/>`;
}

// The states of the model selection over time.
function states() {
  const known = new Map();
  return {
    take: (piece) => { for (const each of rows(piece)) known.set(`${each.timestamp} ${each.generation}`, each); },
    show: () => [...known.values()].sort((a, b) => a.timestamp - b.timestamp),
  };
}

function Choices({ data }) {
  const { told, error } = useNews("run/selection", data, states);
  const [wanted, want] = useSetting("of", "");
  const [share, part] = useSetting("share", "");
  if (error) return html`<p class="failed" role="alert">${error}</p>`;
  if (!told?.length) return "";
  const last = told[told.length - 1], models = Object.keys(last.models);
  const quantities = [...new Set(told.flatMap((each) => Object.values(each.models).flatMap((state) => Object.keys(state).filter((name) => state[name] !== null))))];
  if (!quantities.length) return "";
  const of = quantities.includes(wanted) ? wanted : ["posterior", "p", "n_submitted", "n_pulls"].find((name) => quantities.includes(name)) || quantities[0];
  const value = (state, model) => {
    const own = state.models[model]?.[of] ?? null;
    if (!share || own === null) return own;
    const whole = Object.values(state.models).reduce((sum, each) => sum + (each[of] ?? 0), 0);
    return whole ? own / whole : null;
  };
  const series = models.slice(0, LINES.length).map((model, at) => ({ label: visible(model), values: told.map((state) => value(state, model)), color: LINES[at % LINES.length], steps: true }));
  return html`<h2>How models were chosen <small class="mute">${visible(last.strategy)}</small></h2><div class="tools"><label>quantity <select value=${of} onChange=${(event) => want(event.target.value)}>${quantities.map((name) => html`<option value=${name}>${visible(name)}</option>`)}</select></label>
    <label><input type="checkbox" checked=${!!share} onChange=${(event) => part(event.target.checked ? "yes" : "")}/> as a share of all models</label><span class="hint">The names of the quantities are the search's own.</span></div>
    <${Plot} label="What the search knew of each model, over time" x=${told.map((each) => Math.max(0, each.timestamp - data.summary.start_time) / 1000)} series=${series} xLabel="seconds" yLabel=${of} height=${240}/>
    ${models.length > LINES.length ? html`<p class="mute">Showing the first ${LINES.length} of ${number(models.length)} models.</p>` : ""}
    <h3>Latest state</h3><${Table} label="What the search knows of each model" rows=${models.map((model) => ({ model, state: last.models[model] }))} columns=${[{ name: "model", head: "model" }, ...quantities.map((name) => ({ name: "of " + name, head: visible(name), right: true, value: ({ state }) => state[name] ?? null, show: ({ state }) => number(state[name] === undefined || state[name] === null ? null : six(state[name])) }))]} keyOf=${(row) => row.model}/>`;
}
