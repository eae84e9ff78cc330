// The actions of a search other than jobs, and its failures.
import { html } from "./html.js";
import { useWhole } from "./asked.js";
import { moment, number, short, visible } from "./format.js";
import { useSetting } from "./settings.js";
import { Table } from "./table.js";

export function Events({ data, choose }) {
  const { told, error } = useWhole("run/actions", data);
  const [kind, pick] = useSetting("kind", "");
  if (error) return html`<p class="failed" role="alert">${error}</p>`;
  if (!told) return html`<p class="none">Reading …</p>`;
  const kinds = [...new Set(told.map((row) => row.action_type))].sort();
  const columns = [{ name: "timestamp", head: "when", show: (row) => moment(row.timestamp) }, { name: "action_type", head: "what" }, { name: "generation", head: "generation", right: true },
    { name: "individual_id", head: "individual", show: (row) => (data.byId.has(row.individual_id) ? html`<button class="link" onClick=${() => choose(row.individual_id)}>${short(row.individual_id)}</button>` : short(row.individual_id)) },
    { name: "details", head: "details", rest: true, show: (row) => html`<${Details} row=${row}/>` }];
  return html`<div class="tools"><label>what <select value=${kind} onChange=${(event) => pick(event.target.value)}><option value="">anything</option>${kinds.map((each) => html`<option value=${each}>${visible(each)}</option>`)}</select></label>
    <span class="hint">The newest ${number(told.length)}. Jobs are shown as individuals, and choices of models on the tab Models.</span></div>
    <${Table} label="Events" rows=${kind ? told.filter((row) => row.action_type === kind) : told} columns=${columns} keyOf=${(row) => row.timestamp + row.action_type + row.details}/>`;
}

// One line, which opens to the full text: a model's recommendation or a rewritten prompt is long.
function Details({ row }) {
  let told = null;
  try { told = JSON.parse(row.details); } catch { /* truncated, or not JSON: shown unchanged */ }
  const more = row.length > row.details.length ? `\n[${number(row.length - row.details.length)} more characters: genesis-otel query actions_in_detail --param characters=${row.length}]` : "";
  if (!told || typeof told !== "object") return html`<span class="cut">${visible(row.details)}</span>`;
  const { generation, individual_id, ...rest } = told;
  const lines = Object.entries(rest).map(([name, value]) => `${name}: ${typeof value === "string" ? value : typeof value === "number" ? number(value) : JSON.stringify(value)}`);
  if (!lines.length) return "";
  const line = lines.join(" · ");
  return line.length < 70 ? visible(line) : html`<details><summary><span class="cut wide">${visible(line)}</span></summary><pre>${visible(lines.join("\n") + more)}</pre></details>`;
}

export function Failures({ data, choose }) {
  const { told, error } = useWhole("run/yields", data);
  if (error) return html`<p class="failed" role="alert">${error}</p>`;
  if (!told) return html`<p class="none">Reading …</p>`;
  // The error stands before what may be cut off on a phone.
  const columns = [{ name: "what", head: "what" }, { name: "error", head: "error", rest: true, show: (row) => html`<span class="cut wide" title=${visible(row.error)}>${row.incorrect ? "incorrect" : ""} ${row.error || row.incorrect ? visible(row.error) : html`<span class="mute">no error was recorded</span>`}</span>` }, { name: "generation", head: "generation", right: true },
    { name: "individual_id", head: "individual", show: (row) => short(row.individual_id) }, { name: "timestamp", head: "when", show: (row) => moment(row.timestamp) }];
  return html`${told.failures.length < told.most_failures ? "" : html`<p class="hint">The newest ${number(told.failures.length)}.</p>`}<${Table} label="Failures" rows=${told.failures} columns=${columns} keyOf=${(row) => row.timestamp + row.what + row.individual_id + row.trace_id} onPick=${(row) => row.individual_id && data.byId.has(row.individual_id) && choose(row.individual_id)}/>`;
}
