// The pane of one individual, which stays open when the tabs beside it change.
import { html } from "./html.js";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "./api.js";
import { AGAIN } from "./asked.js";
import { Code, Diff, ending } from "./code.js";
import { useSetting } from "./settings.js";
import { begun, count, dollars, duration, money, number, short, signed, visible } from "./format.js";

const PARTS = { changes: "Changes", code: "Program", prompts: "Prompts", result: "Result", trace: "Trace", family: "Family" };

export function Individual({ data, id, part: named, show, choose, close }) {
  const part = Object.hasOwn(PARTS, named) ? named : "changes";
  const [told, tell] = useState(null);
  const [other, compare] = useSetting("against", "parent");
  const [pinned, pin] = useState(null);
  const [against, took] = useState(null), [again, retry] = useState(0);
  const known = data.byId.get(id);
  const asked = useRef("");
  useEffect(() => {
    // It is asked for before the others are here, and again only if a later row of it arrives, or another parent.
    const about = `${data.id} ${id}`, isKnown = told?.individual_id === id && !(known?.timestamp > told.timestamp) && !(known?.parents.length > told.parent_ids.length);
    if (isKnown || asked.current === about) return;
    asked.current = about;
    if (told?.individual_id !== id) tell(null);
    const answered = (answer) => { if (asked.current !== about) return; asked.current = ""; tell(answer); };
    ask("run/individual", { run: data.id, individual: id }).then(answered, (error) => answered({ refused: error.message, isAway: !error.isFinal }));
  }, [id, data.id, known?.timestamp, known?.parents.length, again]);
  // While the server or the store is away it is asked for again, and so is the one that it is compared with.
  useEffect(() => {
    if (!told?.isAway && !against?.isAway) return;
    const timer = setTimeout(() => retry(again + 1), AGAIN);
    return () => clearTimeout(timer);
  }, [told, against]);
  const seed = () => { let one = known; const seen = new Set(); while (one?.parent && !seen.has(one.id)) { seen.add(one.id); one = one.parent; } return one; };
  useEffect(() => {
    if (!told || told.refused) return;
    if (other === "parent") { took(told.parent); return; }
    const begun = other.startsWith("id:") && other.length > 3 ? idsFrom(data, other.slice(3)) : [];
    if (begun.length > 1 || (other.length > 3 && other.startsWith("id:") && !begun.length)) { took({ refused: begun.length ? `${number(begun.length)} ids begin with this.` : "No id begins with this." }); return; }
    const wanted = other === "seed" ? seed()?.id : other === "best" ? data.best?.id : begun[0];
    let current = true;
    took(wanted ? { reading: true } : null);
    if (wanted) ask("run/individual", { run: data.id, individual: wanted }).then((answer) => current && took(answer), (error) => current && took({ refused: error.message, isAway: !error.isFinal }));
    return () => { current = false; };
  }, [told, other, again]);
  const copy = () => navigator.clipboard.writeText(told.code);
  const download = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([told.code], { type: "text/plain" }));
    link.download = id.replace(/[^A-Za-z0-9._-]+/g, "_") + ending(told.code);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  // Ids of other individuals, such as those that inspired it, lead to them.
  const linked = (value) => {
    if (Array.isArray(value)) return value.map((each, at) => html`${at ? ", " : ""}${linked(each)}`);
    if (typeof value === "string" && value !== id && data.byId.has(value)) return html`<button class="link" onClick=${() => choose(value)}>${short(value)}</button>`;
    return visible(typeof value === "object" ? JSON.stringify(value) : number(value));
  };
  const empty = (value) => value === null || value === "" || (typeof value === "object" && !Object.keys(value).length);
  const body = () => {
    if (part === "family") return html`<${Family} data=${data} one=${known} choose=${choose}/>`;
    if (!told) return html`<p class="none">Reading …</p>`;
    if (told.refused) return html`<p class="none">${visible(told.refused)}</p>`;
    if (part === "code") return told.code ? html`<div class="tools"><button onClick=${copy}>Copy</button><button onClick=${download}>Download</button></div><${Code} text=${told.code}/>` : html`<p class="none">The program was not recorded.</p>`;
    if (part === "prompts") return told.calls.length ? told.calls.map((call) => html`<${Call} call=${call}/>`) : html`<p class="none">No LLM call was recorded for it.</p>`;
    const recorded = told.metadata.filter(([, value]) => !empty(value));
    if (part === "result") return html`${told.error ? html`<p class="failed">${visible(told.error)}</p>` : ""}
      <table><tbody>${told.metrics.map(([name, value]) => html`<tr><th>${visible(name)}</th><td>${visible(typeof value === "object" ? JSON.stringify(value) : number(value))}</td></tr>`)}</tbody></table>
      ${recorded.length ? html`<h3>What the search told of it</h3><table><tbody>${recorded.map(([name, value]) => html`<tr><th>${visible(name)}</th><td>${linked(value)}</td></tr>`)}</tbody></table>` : ""}
      ${!told.error && !told.metrics.length && !recorded.length && !told.outputs.length ? html`<p class="none">No metrics and no output of its evaluation were recorded.</p>` : ""}
      ${told.outputs.map((each) => html`<h3>${visible(each.name)}${each.failed ? html` <span class="failed">failed</span>` : ""} <span class="mute">${visible(each.job)}</span></h3><pre>${visible(each.text)}</pre>`)}`;
    if (part === "trace") return html`<${Waterfall} spans=${told.spans} of=${told.spans_of} id=${id}/>`;
    const parents = told.parent_ids.slice(1), odd = other.startsWith("id:") && ![...parents, pinned].includes(other.slice(3));
    const option = (one, what) => html`<option value=${"id:" + one}>${what} ${short(one)}</option>`;
    return html`<div class="tools"><label>compare with <select value=${other} onChange=${(event) => compare(event.target.value)}>
      <option value="parent">its parent</option><option value="seed">its seed</option><option value="best">the best individual</option>${parents.map((each) => option(each, "another parent:"))}
      ${pinned && pinned !== id ? option(pinned, "the kept individual:") : ""}<option value=${odd ? other : "id:"}>another individual …</option></select></label>
      ${odd || other === "id:" ? html`<label>id begins with <input type="search" size="14" value=${other.slice(3)} onInput=${(event) => compare("id:" + event.target.value.trim())}/></label>` : ""}
      <button title="Keep this individual, to compare others with it" aria-pressed=${pinned === id} onClick=${() => pin(pinned === id ? null : id)}>${pinned === id ? "Kept" : "Keep"}</button></div>
      ${told.edit_summary ? html`<details class="summary" open=${told.edit_summary.length < 400}><summary>intended change</summary><p>${visible(told.edit_summary)}</p></details>` : ""}
      ${against?.reading ? html`<p class="none">Reading …</p>` : against?.refused ? html`<p class="none">${visible(against.refused)}</p>` : against && against.code ? html`${other === "parent" ? "" : html`<p class="mute">From ${short(against.individual_id, 18)}${against.individual_id !== id ? "" : ", this individual itself"}</p>`}<${Diff} before=${against.code} after=${told.code}/>`
        : html`<p class="none">${other === "id:" ? "Enter the beginning of its id." : told.parent_ids.length ? "There is no program to compare with." : "This is a seed: it has no parent."}</p>`}`;
  };
  return html`<aside class="pane" aria-label="Individual">
    <header><h2 title=${visible(id)}>${short(id, 18)}</h2><button onClick=${close} aria-label="Close">✕</button></header>
    ${known ? html`<dl class="facts">
      <div><dt>score</dt><dd>${known.outcome === "ok" ? number(known.score) || "–" : known.outcome}${data.best?.id === id ? html` <b class="gold">best</b>` : ""}</dd></div>
      ${told && signed(told.gain) === "" ? "" : html`<div><dt>gain</dt><dd>${told ? signed(told.gain) : "…"}</dd></div>`}
      <div><dt>generation</dt><dd>${known.generation}</dd></div>
      <div><dt>made by</dt><dd>${visible(known.mutation_type)}</dd></div>
      ${known.island !== "" ? html`<div><dt>island</dt><dd>⬡${visible(known.island)}</dd></div>` : ""}
      ${told?.models?.length ? html`<div><dt>model</dt><dd>${told.models.map(visible).join(", ")}</dd></div>` : ""}${told?.models?.length || told?.cost || told?.unpriced ? html`<div><dt>cost</dt><dd>${money(told.cost, told.unpriced)}</dd></div>` : ""}
    </dl>` : ""}
    <nav class="parts" role="tablist">${Object.entries(PARTS).map(([name, title]) => html`<button role="tab" aria-selected=${part === name} onClick=${() => show(name)}>${title}</button>`)}</nav>
    <div class="body">${body()}</div>
  </aside>`;
}

// The ids that a text matches: itself, or all that begin with it.
const idsFrom = (data, text) => (data.byId.has(text) ? [text] : data.list.filter((one) => one.id.startsWith(text)).map((one) => one.id));

export function Call({ call }) {
  const facts = [visible(call.role), visible(call.model), duration(call.execution_time), call.cost === null ? "unpriced" : dollars(call.cost), call.input_tokens || call.output_tokens ? `${number(call.input_tokens)} → ${number(call.output_tokens)} tokens` : ""];
  return html`<section class="call"><h3>${facts.filter(Boolean).join(" · ")}${call.status !== "ok" ? html` <span class="failed">${visible(call.error || "failed")}</span>` : ""}</h3>
    ${call.messages.map(([role, text]) => html`<details open=${role === "user" && call.messages.length < 4}><summary>${visible(role) || "prompt"} <span class="mute">${count(text.length, "character")}</span></summary><pre>${visible(text)}</pre></details>`)}
    ${call.thought ? html`<details><summary>reasoning</summary><pre>${visible(call.thought)}</pre></details>` : ""}
    <details open><summary>answer</summary><pre>${visible(call.response)}</pre></details></section>`;
}

// A trace is that of a whole generation: the spans of other individuals come last, and are faint.
function Waterfall({ spans, of, id }) {
  if (!spans.length) return html`<p class="none">The store has no spans of its trace.</p>`;
  const isOther = (span) => span.individual_id && span.individual_id !== id;
  const all = nested(spans), listed = [...all.filter(([span]) => !isOther(span)), ...all.filter(([span]) => isOther(span))], whole = spans.reduce((end, span) => Math.max(end, span.began + span.seconds), 1e-9);
  return html`${of > spans.length ? html`<p class="mute">The longest ${spans.length} of ${count(of, "span")}.</p>` : ""}${spans.some(isOther) ? html`<p class="hint">Its own spans come first; faint ones are of other individuals of its generation.</p>` : ""}<div class="scroll" tabindex="0"><svg class="waterfall" viewBox="0 0 600 ${listed.length * 20}" role="img" aria-label="Spans of its trace; the table below has the same data">${listed.map(([span, deep], row) => html`<g class=${isOther(span) ? "beside-it" : ""}>
    <title>${`${visible(span.name)}: began after ${duration(span.began)}${span.seconds === null ? "" : `, took ${duration(span.seconds)}`}${span.failed ? ", failed" : ""}`}</title>
    <rect x=${260 + (span.began / whole) * 270} y=${row * 20 + 4} width=${Math.max(1.5, (span.seconds / whole) * 270)} height="12" class=${span.failed ? "failed" : span.model ? "model" : span.record || "other"}/>
    <text x=${deep * 10} y=${row * 20 + 14}>${visible(span.name).slice(0, 42 - 2 * deep)}</text><text x="598" y=${row * 20 + 14} text-anchor="end">${duration(span.seconds)}</text></g>`)}</svg></div>
    <details class="as-table"><summary>as a table</summary><div class="scroll" tabindex="0"><table aria-label="Spans of its trace"><thead><tr><th>span</th><th class="right">began after</th><th class="right">took</th><th>status</th></tr></thead>
    <tbody>${listed.map(([span, deep]) => html`<tr><td>${"· ".repeat(deep)}${visible(span.name)}</td><td class="right">${duration(span.began)}</td><td class="right">${duration(span.seconds)}</td><td>${span.failed ? html`<span class="failed">failed</span>` : "ok"}</td></tr>`)}</tbody></table></div></details>`;
}

// Spans nested below their parents, in the order in which they began; a span whose parent is missing is a root.
function nested(spans) {
  const ids = new Set(spans.map((span) => span.span_id)), below = new Map(), listed = [];
  for (const span of [...spans].sort((a, b) => a.began - b.began)) {
    const above = ids.has(span.parent_span_id) && span.parent_span_id !== span.span_id ? span.parent_span_id : "";
    if (!below.has(above)) below.set(above, []);
    below.get(above).push(span);
  }
  const walk = (id, deep) => { for (const span of below.get(id) || []) { listed.push([span, Math.min(deep, 6)]); walk(span.span_id, deep + 1); } };
  walk("", 0);
  // Spans that are their own ancestors, which no tracer produces, become roots too.
  const found = new Set(listed.map(([span]) => span));
  return [...listed, ...spans.filter((span) => !found.has(span)).map((span) => [span, 0])];
}

function Family({ data, one, choose }) {
  if (!one) return "";
  const line = (each) => html`<li><button class="link" onClick=${() => choose(each.id)}>${short(each.id)}</button> ${visible(each.mutation_type)} · ${each.copied ? "copy" : each.outcome === "ok" ? number(each.score) : each.outcome} <span class="mute">${begun(each.edit_summary)}</span></li>`;
  const below = data.list.filter((each) => each !== one && each.parents.includes(one.id)), copies = below.filter((each) => each.copied).length;
  const chain = [];
  const seen = new Set();
  for (let each = one; each && !seen.has(each.id); each = each.parent) { seen.add(each.id); chain.unshift(each); }
  const named = (id) => (data.byId.has(id) ? line(data.byId.get(id)) : html`<li title=${visible(id)}>${short(id)} <span class="mute">has no row of its own</span></li>`), [first] = chain[0].parents;
  return html`<h3>Ancestry</h3><ol class="story">${first !== undefined && !data.byId.has(first) ? named(first) : ""}${chain.map(line)}</ol>
    ${one.parents.length > 1 ? html`<h3>Other parents</h3><ul>${one.parents.slice(1).map(named)}</ul>` : ""}
    <h3>Children: ${number(below.length - copies)}${copies ? `, copies: ${number(copies)}` : ""}</h3><ul>${below.slice(0, 200).map(line)}</ul>`;
}
