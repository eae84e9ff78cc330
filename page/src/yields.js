// The yield of each mutation, the cells of the feature grid, and the Pareto front.
import { html } from "./html.js";
import { useMemo } from "preact/hooks";
import { original } from "./api.js";
import { useWhole } from "./asked.js";
import { Cells } from "./cells.js";
import { better, count, isLive, money, number, short, six, visible } from "./format.js";
import { Plot } from "./plot.js";
import { numeric, Table } from "./table.js";

// Two things are counted, individuals and their comparisons with a parent: a child of two parents is compared twice.
const MUTATIONS = [{ name: "mutation_type", head: "mutation" }, numeric("count", "individuals"), numeric("failed", "of these failed"), numeric("incorrect"), numeric("best_fitness", "best"), numeric("median_fitness", "median"),
  { name: "improvements", head: "better than a parent", right: true, show: (row) => (row.total ? `${number(row.improvements)} of ${number(row.total)}` : "") },
  { name: "success_rate", head: "success", right: true, show: (row) => (row.total ? Math.round(100 * row.success_rate) + " %" : "") }, numeric("avg_gain", "mean gain")];
const MEMBER = { name: "individual_id", head: "individual", show: (row) => html`<span title=${visible(row.individual_id)}>${short(row.individual_id)}</span>` };
// Dominated: another member is no worse in any objective, and better in one.
const DOMINATED = { name: "dominated", head: "dominated", show: (row) => (row.dominated ? "yes" : row.dominated === null ? "unknown" : ""), value: (row) => (row.dominated === null ? null : +row.dominated) };
const MOST_METRICS = 8;

// The front's members with a column for each of their numeric metrics; each says which way it is better, as far as the run tells.
function Front({ front, data, choose }) {
  const { direction, objectives = {} } = data.summary, way = (name, head, told = objectives[name]) => `${head} (${better(told)})`;
  const scores = [numeric("fitness_score", way("fitness_score", "fitness", direction)), numeric("combined_score", way("combined_score", "combined"))];
  const read = front.map((row) => { try { return { ...row, told: JSON.parse(row.metrics) ?? {} }; } catch { return { ...row, told: {} }; } });
  const names = [...new Set(read.flatMap(({ told }) => Object.keys(told).filter((name) => typeof told[name] === "number")))];
  const columns = names.slice(0, MOST_METRICS).map((name) => ({ name: "m." + name, head: way(name, visible(name)), right: true, value: ({ told }) => told[name] ?? null, show: ({ told }) => number(typeof told[name] === "number" ? six(told[name]) : null) }));
  return html`<h2>Pareto front</h2><p class="hint">${count(front.length, "individual")}; the tab Metrics shows where they are, over any two of these values.${Object.keys(objectives).length ? " It is shown as the search told it." : " Its objectives are not recorded, so it cannot be told whether a member is dominated."}${names.length > MOST_METRICS ? ` The first ${MOST_METRICS} of ${names.length} metrics.` : ""}</p>
    <${Table} label="Pareto front" rows=${read} columns=${[MEMBER, ...(front.some(({ dominated }) => dominated !== null) ? [DOMINATED] : []), ...scores, ...columns]} keyOf=${(row) => row.individual_id} onPick=${(row) => choose(row.individual_id)}/>`;
}

// Only those columns that anything was told for.
const PROPOSALS = [{ name: "mutation_type", head: "mutation" }, numeric("individuals"), numeric("unapplied", "patches not applied"), numeric("compared"), numeric("similarity", "mean similarity"), numeric("judged", "judged by a model"),
  numeric("rejected", "rejected as not novel"), numeric("given_up", "never evaluated"), numeric("not_novel", "of these not novel"), { name: "cost", head: "cost of judging", right: true, show: (row) => (row.judged ? money(row.cost, row.unpriced) : "") }];
const ALWAYS = ["mutation_type", "individuals"];

export function Yields({ data, choose }) {
  const { told, error } = useWhole("run/yields", data);
  if (error) return html`<p class="failed" role="alert">${error}</p>`;
  if (!told) return html`<p class="none">Reading …</p>`;
  const said = PROPOSALS.filter(({ name }) => ALWAYS.includes(name) || told.proposals.some((row) => row[name]));
  if (!told.mutations.length && !told.proposals.length && !told.cells.length && !told.front.length) return html`<p class="none">Nothing to show${isLive(data.summary) ? " yet" : ""}: no child has finished, and there is no grid and no front.</p>`;
  return html`${told.mutations.length ? html`<h2>Mutations</h2><p class="hint">Without the first generation and without copies. Each child is compared with each of its parents, so one of two parents counts twice; one that failed was not better.</p><${Table} label="Mutations" rows=${told.mutations} columns=${MUTATIONS} keyOf=${(row) => row.mutation_type}/>` : ""}
    ${told.proposals.length ? html`<h2>Before their evaluation</h2><p class="hint">Patches that could not be applied, and how novel proposals were found to be, as far as the search tells.</p><${Table} label="Proposals before their evaluation" rows=${told.proposals} columns=${said} keyOf=${(row) => row.mutation_type}/>` : ""}
    <${Rates} data=${data}/><${Cells} cells=${told.cells} data=${data} choose=${choose}/>
    ${told.front.length ? html`<${Front} front=${told.front} data=${data} choose=${choose}/>` : ""}`;
}

const WINDOW = 20, STEPS = 400;

// Whether a search still makes programs that run, and that are better than what they come from: shares of those that finished last, and of
// their comparisons with each parent.
function Rates({ data }) {
  const rates = useMemo(() => {
    const made = data.list.filter((one) => !one.copied && one.parent), wide = Math.max(WINDOW, Math.ceil(made.length / 50)), step = Math.ceil(made.length / STEPS);
    const above = (one) => one.parents.filter((id) => { const parent = original(data.byId.get(id)); return parent && one.score !== null && parent.score !== null && data.sign * (one.score - parent.score) > 0; }).length;
    const x = [], right = [], better = [];
    let [ok, up, pairs] = [0, 0, 0];
    made.forEach((one, at) => {
      const gone = made[at - wide];
      ok += (one.outcome === "ok") - (gone?.outcome === "ok" || 0); up += above(one) - (gone ? above(gone) : 0); pairs += one.parents.length - (gone?.parents.length || 0);
      if (at + 1 < wide || (at % step && at < made.length - 1)) return;
      x.push(one.place + 1); right.push((100 * ok) / wide); better.push((100 * up) / pairs);
    });
    return { x, right, better, wide };
  }, [data.version]);
  if (!rates.x.length) return "";
  return html`<h2>Of the last ${number(rates.wide)} children</h2><${Plot} label="Share of the last children that are correct, and of their comparisons with a parent in which they are better" x=${rates.x} xLabel="individuals" yLabel="%" within=${[0, 100]} height=${200}
    series=${[{ label: "correct", values: rates.right, color: "#3b6fd4" }, { label: "better than a parent", values: rates.better, color: "#d99a00" }]}/>`;
}
