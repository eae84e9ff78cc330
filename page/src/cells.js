// The cells of a feature grid (MAP-Elites): any two of its features, one island or all, now or at an earlier time.
import { html } from "./html.js";
import { useEffect, useState } from "preact/hooks";
import { ask } from "./api.js";
import { file } from "./file.js";
import { count, number, short, visible } from "./format.js";
import { inOrder, useIsland } from "./island_choice.js";
import { colour, Scale } from "./marks.js";
import { useSetting } from "./settings.js";
import { numeric, Table } from "./table.js";

const EDGE = 22, SETTLED = 150;

// The bins that are labelled on an axis: as many as there is room for.
const bins = (most, size) => { const step = Math.ceil(16 / size); return [...Array(Math.min(200, Math.floor(most / step) + 1)).keys()].map((at) => at * step); };

// The cells after so many individuals, or `now` if all count; the store answers, so that a cell's best has one definition.
function useCells(data, now, after) {
  const [then, tell] = useState(null);
  const until = after && data.list.findLast((one) => one.place < after)?.timestamp;
  useEffect(() => {
    if (!until) { tell(null); return; }
    let over = false;
    const timer = setTimeout(() => ask("run/cells", { run: data.id, until }).then((told) => !over && tell(told), (refused) => !over && tell({ refused: refused.message })), SETTLED);
    return () => { over = true; clearTimeout(timer); };
  }, [data.id, until]);
  return until && then ? then : now;
}

const isDrawn = (place) => place.every((bin) => Number.isFinite(bin) && bin >= 0);

// One cell for each place of the grid, the best first; those of several islands are put together.
function arranged(cells, across, up, sign) {
  const grid = new Map();
  let most = [0, 0];
  for (const [cell, at] of cells) {
    const place = [Number(at[across] ?? 0), Number(at[up] ?? 0)];
    if (!isDrawn(place)) continue;
    most = [Math.max(most[0], place[0]), Math.max(most[1], place[1])];
    const known = grid.get(place.join()), better = known && (cell.best_score === null || (known.best_score !== null && sign * known.best_score >= sign * cell.best_score));
    grid.set(place.join(), { ...(better ? known : cell), place, individuals: (known?.individuals || 0) + cell.individuals });
  }
  return { grid, most };
}

const parsed = (cells) => cells.map((cell) => { try { return [cell, JSON.parse(cell.cell)]; } catch { return [cell, {}]; } });

export function Cells({ cells: now, data, choose }) {
  const [island, islandChoice] = useIsland(inOrder(now.map((cell) => cell.island).filter(Boolean))), [x, turn] = useSetting("x", ""), [y, lift] = useSetting("y", ""), [place, wind] = useSetting("after", "");
  const finished = data.counts.ok + data.counts.failed + data.counts.incorrect, after = Math.min(finished, Math.max(0, Math.floor(+place) || 0));
  const told = useCells(data, now, file || after === finished ? 0 : after);
  if (!now.length) return "";
  // The axes and their lengths are those of the whole run, so that nothing moves with the slider.
  const whole = parsed(now), features = [...new Set(whole.flatMap(([, at]) => Object.keys(at)))];
  const across = features.includes(x) ? x : features[0], up = features.includes(y) ? y : features.find((name) => name !== across);
  const apart = whole.filter(([, at]) => !isDrawn([Number(at[across] ?? 0), Number(at[up] ?? 0)])).length;
  const here = ([cell]) => !island || cell.island === island;
  const { most } = arranged(whole, across, up, data.sign), { grid } = told.refused ? { grid: new Map() } : arranged(parsed(told).filter(here), across, up, data.sign);
  const size = Math.max(8, Math.min(26, 560 / (most[0] + 1)));
  const choice = (value, set) => html`<select value=${value} onChange=${(event) => set(event.target.value)}>${features.map((name) => html`<option value=${name}>${visible(name)}</option>`)}</select>`;
  const pick = (cell) => cell.best_individual && choose(cell.best_individual);
  return html`<h2>Filled cells: ${grid.size}</h2><div class="tools"><label>across ${choice(across, turn)}</label>${up ? html`<label>up ${choice(up, lift)}</label>` : ""}
    ${islandChoice}
    ${file || finished < 2 ? "" : html`<label>after <input type="range" min="1" max=${finished} value=${after || finished} onInput=${(event) => wind(+event.target.value === finished ? "" : event.target.value)}/> ${after && after < finished ? `${number(after)} of ${count(finished, "individual")}` : count(finished, "individual")}</label>`}<${Scale} data=${data} what="best score"/></div>
    ${told.refused ? html`<p class="failed" role="alert">${told.refused}</p>` : ""}
    <div class="scroll" tabindex="0"><svg class="cells" width=${(most[0] + 1) * size + EDGE + 4} height=${(most[1] + 1) * size + EDGE + 4} role="img" aria-label="Cells by best score; the table below has the same data">
      ${bins(most[0], size).map((bin) => html`<text x=${EDGE + (bin + 0.5) * size} y=${(most[1] + 1) * size + 14} text-anchor="middle">${bin}</text>`)}${bins(most[1], size).map((bin) => html`<text x=${EDGE - 4} y=${(most[1] - bin + 0.5) * size + 5} text-anchor="end">${bin}</text>`)}${[...grid.values()].map((cell) => html`<rect tabindex="0" x=${EDGE + cell.place[0] * size} y=${(most[1] - cell.place[1]) * size + 2} width=${size - 1} height=${size - 1} fill=${colour(data.shade({ score: cell.best_score }))}
      onClick=${() => pick(cell)} onKeyDown=${(event) => event.key === "Enter" && pick(cell)}><title>${`${visible(across)} ${cell.place[0]}${up ? `, ${visible(up)} ${cell.place[1]}` : ""}: best ${number(cell.best_score) || "–"}, ${count(cell.individuals, "individual")}`}</title></rect>`)}</svg></div>
    <p class="hint">${apart ? `${count(apart, "cell")} whose bins are not numbers from 0 on ${apart === 1 ? "is" : "are"} not drawn. ` : ""}The numbers are bins of the features. A cell has the colour of its best individual, and is grey if none has a score; click it to select that individual.</p>
    <details class="as-table"><summary>as a table</summary><${Table} label="Cells" rows=${[...grid.values()].map((cell) => ({ ...cell, across: cell.place[0], up: cell.place[1] }))} keyOf=${(cell) => cell.place.join()} onPick=${pick}
      columns=${[{ name: "across", head: visible(across), right: true }, ...(up ? [{ name: "up", head: visible(up), right: true }] : []), numeric("best_score", "best"), numeric("individuals"), { name: "best_individual", head: "best individual", show: (cell) => short(cell.best_individual) }]}/></details>`;
}
