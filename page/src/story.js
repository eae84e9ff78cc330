// How the best individual came about: each step on its path, with what it changed in the program.
import { html } from "./html.js";
import { useEffect, useState } from "preact/hooks";
import { ask, original } from "./api.js";
import { Diff } from "./code.js";
import { begun, isLive, money, number, short, signed, visible } from "./format.js";

export function Story({ data, chosen, choose }) {
  const path = data.list.filter((one) => data.bestPath?.has(one.id));
  if (!path.length) return html`<p class="none">No individual has a score${isLive(data.summary) ? " yet" : ""}.</p>`;
  return html`<p class="hint">From the seed to the best individual: ${number(path[0].score)} → ${number(data.best.score)}. Each step is the first parent of the next one.</p>
    <ol class="story long">${path.map((one) => html`<${Step} key=${one.id} data=${data} one=${one} chosen=${chosen} choose=${choose}/>`)}</ol>`;
}

function Step({ data, one, chosen, choose }) {
  const parent = original(one.parent), gain = parent && one.score !== null && parent.score !== null ? data.sign * (one.score - parent.score) : null;
  const [open, turn] = useState(false), [told, tell] = useState(null);
  useEffect(() => {
    if (!open) return;
    let over = false;
    ask("run/individual", { run: data.id, individual: one.id }).then((answer) => !over && tell(answer), (refused) => !over && tell({ refused: refused.message }));
    return () => { over = true; };
  }, [open, one.id]);
  const score = one.copied ? "copy" : one.outcome === "ok" ? number(one.score) : html`<span class="failed">${one.outcome}</span>`;
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
