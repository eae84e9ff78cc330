// LLM calls, searched by the text of their prompts and answers, and by model, role, status, duration and cost.
import { html } from "./html.js";
import { useEffect, useState } from "preact/hooks";
import { ask, SHARE } from "./api.js";
import { file } from "./file.js";
import { dollars, duration, moment, number, short, visible } from "./format.js";
import { useSetting } from "./settings.js";
import { Table, tokens } from "./table.js";

// The most calls that are shown; how soon a search begins after a key, and is repeated, in milliseconds.
const MOST = 300, SETTLED = 250, EVERY = 10_000;
const FIELDS = ["text", "model", "role", "status", "slower", "dearer"];

// `data`: of one run; searched again only if something arrived for it.
export function Calls({ run = "", data, choose }) {
  const set = Object.fromEntries(FIELDS.map((name) => [name, useSetting(name, "")]));
  const wanted = Object.fromEntries(FIELDS.map((name) => [name, set[name][0]]));
  const [rows, list] = useState(null);
  const [error, fail] = useState("");
  useEffect(() => {
    let over = false, seen = null;
    const look = async () => {
      const began = performance.now();
      if ((file || !document.hidden) && (seen === null || seen !== data?.arrived)) {
        seen = data?.arrived ?? null;
        try {
          const answer = await ask("calls", { ...wanted, run_id: run, limit: MOST });
          if (!over) { list(answer); fail(""); }
        } catch (refused) { seen = null; if (!over) fail(refused.message); }
      }
      if (!over && !file) timer = setTimeout(look, Math.max(EVERY, SHARE * (performance.now() - began)));
    };
    let timer = setTimeout(look, SETTLED);
    return () => { over = true; clearTimeout(timer); };
  }, [JSON.stringify(wanted), run]);
  const field = (name, label, type = "text") => html`<label>${label} <input type=${type} min="0" step="any" size="10" value=${wanted[name]} onInput=${(event) => set[name][1](event.target.value)}/></label>`;
  const columns = [
    { name: "timestamp", head: "when", show: (row) => moment(row.timestamp) }, ...(run ? [] : [{ name: "run_id", head: "run", show: (row) => short(row.run_id, 18) }]),
    { name: "model", head: "model" }, { name: "role", head: "role" }, { name: "individual_id", head: "individual", show: (row) => short(row.individual_id) },
    { name: "execution_time", head: "took", right: true, show: (row) => duration(row.execution_time) }, { name: "cost", head: "cost", right: true, show: (row) => (row.cost === null ? "unpriced" : dollars(row.cost)) },
    tokens("input_tokens", "tokens in"), tokens("output_tokens", "tokens out"),
    { name: "status", head: "status", show: (row) => (row.status === "ok" ? row.finish_reason || "ok" : html`<span class="failed cut task" title=${visible(row.error)}>${visible(row.error || "failed")}</span>`) }, ...(wanted.text ? [{ name: "excerpt", head: "text", rest: true, show: (row) => html`<span class="cut" title=${visible(row.excerpt)}>${visible(row.excerpt)}</span>` }] : []),
  ];
  return html`<form class="filters" onSubmit=${(event) => event.preventDefault()}>${field("text", file ? "text in this file's prompts" : "text", "search")}${field("model", "model")}${field("role", "role")}
    <label>status <select value=${wanted.status} onChange=${(event) => set.status[1](event.target.value)}><option value="">any</option><option>ok</option><option>error</option></select></label>
    ${field("slower", "seconds ≥", "number")}${field("dearer", "USD ≥", "number")}</form>
    ${error ? html`<p class="failed" role="alert">${error}</p>` : ""}${rows?.length === MOST ? html`<p class="hint">The newest ${number(MOST)}.</p>` : ""}${rows ? html`<${Table} label="Calls" rows=${rows} columns=${columns} keyOf=${(row) => (row.trace_id ?? "") + row.span_id} onPick=${(row) => row.individual_id && choose(row.individual_id, row.run_id)}/>` : html`<p class="none">Reading …</p>`}`;
}
