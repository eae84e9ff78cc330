// How the best individual came about: each step on its path, with what it changed in the program.
import { html } from "./html.js";
import { useState } from "preact/hooks";
import { original } from "./api.js";
import { useAnswer } from "./asked.js";
import { Diff } from "./code.js";
import { begun, isLive, money, number, short, signed, visible } from "./format.js";

export function Story({ data, chosen, choose }) {
  // By descent, not by time: clocks of several machines differ.
  const path = [...data.bestPath].reverse().map((id) => data.byId.get(id));
  if (!path.length) return html`<p class="none">No individual has a score${isLive(data.summary) ? " yet" : ""}.</p>`;
  return html`<p class="hint">From ${path[0].parents.length ? "the first one whose parent is not known" : "the seed"} to the best individual: ${number(path[0].score) || "–"} → ${number(data.best.score)}. Each step is the first parent of the next one.</p>
    <ol class="story long">${path.map((one) => html`<${Step} key=${one.id} data=${data} one=${one} chosen=${chosen} choose=${choose}/>`)}</ol>`;
}

function Step({ data, one, chosen, choose }) {
  const parent = original(one.parent), gain = parent && one.score !== null && parent.score !== null ? data.sign * (one.score - parent.score) : null;
  const [open, turn] = useState(false), told = useAnswer("run/individual", open ? { run: data.id, individual: one.id } : null);
  const score = one.copied ? "copy" : one.outcome === "ok" ? number(one.score) || "–" : html`<span class="failed">${one.outcome}</span>`;
  return html`<li class=${chosen === one.id ? "chosen" : ""}><button class="link" title=${visible(one.id)} onClick=${() => choose(one.id)}>${short(one.id)}</button> <b>${score}</b> <span class=${gain > 0 ? "up" : gain < 0 ? "failed" : ""}>${signed(gain)}</span> <span class="mute">${[`generation ${one.generation}`, visible(one.mutation_type), one.island !== "" ? `island ${visible(one.island)}` : ""].filter(Boolean).join(" · ")}</span>
    ${one.edit_summary && !told?.edit_summary ? html`<p>${begun(one.edit_summary)}</p>` : ""}
    ${parent && !one.copied ? html`<details onToggle=${(event) => turn(event.target.open)}><summary>what it changed</summary>${open ? html`<${Change} told=${told}/>` : ""}</details>` : ""}</li>`;
}

function Change({ told }) {
  if (!told) return html`<p class="none">Reading …</p>`;
  if (told.refused) return html`<p class="none">${visible(told.refused)}</p>`;
  return html`${told.models?.length ? html`<p class="mute">${told.models.map(visible).join(", ")} · ${money(told.cost, told.unpriced)}</p>` : ""}${told.edit_summary ? html`<p class="whole">${visible(told.edit_summary)}</p>` : ""}
    ${told.code && told.parent?.code ? html`<${Diff} before=${told.parent.code} after=${told.code}/>` : html`<p class="none">The programs were not recorded.</p>`}`;
}
