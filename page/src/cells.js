// The cells of a feature grid (MAP-Elites): any two of its features, one island or all, now or at an earlier time.
import { html } from "./html.js";
import { useEffect, useState } from "preact/hooks";
import { useAnswer } from "./asked.js";
import { file } from "./file.js";
import { count, number, short, visible } from "./format.js";
import { inOrder, useIsland } from "./island_choice.js";
import { colour, Scale } from "./marks.js";
import { useSetting } from "./settings.js";
import { numeric, Table } from "./table.js";

const EDGE = 22, SETTLED = 150, LABELS = 200, LETTERS = 12, LETTER = 7, FLAT = 3;
// More bins in a row than this are drawn without those in between that have no cell.
const WIDEST = 10_000;

// A bin as a number if it is one; else by its name. A cell may lack a feature.
const binOf = (bin) => (bin === undefined || bin === null || bin === "" ? "–" : (typeof bin === "number" || typeof bin === "string") && Number.isFinite(+bin) ? +bin : typeof bin === "object" ? JSON.stringify(bin) : String(bin));

// The bins of a feature along an axis: whole numbers from 0, or from the lowest below it, to the highest, and after them names in their order.
function axis(cells, feature) {
  const bins = [...new Set(feature === undefined ? [0] : cells.map(([, at]) => binOf(at[feature])))], numbers = bins.filter((bin) => typeof bin === "number").sort((a, b) => a - b), names = inOrder(bins.filter((bin) => typeof bin !== "number"));
  const low = Math.min(0, numbers[0]), gaps = numbers.every(Number.isInteger) && numbers[numbers.length - 1] - low < WIDEST;
  const all = [...(gaps ? Array(numbers[numbers.length - 1] - low + 1).keys() : numbers)].map((bin) => (gaps ? low + bin : bin)).concat(names), places = new Map(all.map((bin, place) => [bin, place]));
  const label = (place) => (typeof all[place] === "number" ? number(all[place]) : visible(all[place])), tick = (place) => (typeof all[place] === "number" ? label(place) : short(all[place], LETTERS));
  return { length: all.length, place: (at) => places.get(feature === undefined ? 0 : binOf(at[feature])), label, tick, long: all.reduce((most, _, place) => Math.max(most, tick(place).length), 0) };
}

// The bins that are labelled on an axis: as many as there is room for.
const labelled = ({ length }, size) => { const step = Math.ceil(16 / size); return [...Array(Math.min(LABELS, Math.floor((length - 1) / step) + 1)).keys()].map((at) => at * step); };

// The cells after so many individuals, or `now` if all count; the store answers, so that a cell's best has one definition.
function useCells(data, now, after) {
  const until = after ? data.list.findLast((one) => one.place < after)?.timestamp : undefined, [settled, settle] = useState(undefined);
  useEffect(() => { const timer = setTimeout(() => settle(until), SETTLED); return () => clearTimeout(timer); }, [until]);
  const then = useAnswer("run/cells", settled ? { run: data.id, until: settled } : null);
  return until && then ? then : now;
}

// One cell for each place of the grid, the best first; those of several islands are put together.
function arranged(cells, across, up, sign) {
  const grid = new Map();
  for (const [cell, at] of cells) {
    const place = [across.place(at), up.place(at)];
    const known = grid.get(place.join()), better = known && (cell.best_score === null || (known.best_score !== null && sign * known.best_score >= sign * cell.best_score));
    grid.set(place.join(), { ...(better ? known : cell), place, individuals: (known?.individuals || 0) + cell.individuals });
  }
  return grid;
}

const parsed = (cells) => cells.map((cell) => { try { return [cell, Object(JSON.parse(cell.cell))]; } catch { return [cell, {}]; } });

export function Cells({ cells: now, data, choose }) {
  const [island, islandChoice] = useIsland(inOrder(now.map((cell) => cell.island).filter(Boolean))), [x, turn] = useSetting("x", ""), [y, lift] = useSetting("y", ""), [place, wind] = useSetting("after", "");
  const finished = data.counts.ok + data.counts.failed + data.counts.incorrect, after = Math.min(finished, Math.max(0, Math.floor(+place) || 0));
  const told = useCells(data, now, file || after === finished ? 0 : after);
  if (!now.length) return "";
  // The axes and their lengths are those of the whole run, so that nothing moves with the slider.
  const whole = parsed(now), features = [...new Set(whole.flatMap(([, at]) => Object.keys(at)))];
  const across = features.includes(x) ? x : features[0], up = features.includes(y) ? y : features.find((name) => name !== across);
  const here = ([cell]) => !island || cell.island === island;
  const then = told.refused ? [] : parsed(told), [right, above] = [across, up].map((name) => axis([...whole, ...then], name)), grid = arranged(then.filter(here), right, above, data.sign);
  const size = Math.max(8, Math.min(26, 560 / right.length)), left = Math.max(EDGE, LETTER * above.long + 6), bottom = above.length * size, below = right.long > FLAT ? LETTER * right.long + 10 : EDGE;
  const choice = (value, set) => html`<select value=${value} onChange=${(event) => set(event.target.value)}>${features.map((name) => html`<option value=${name}>${visible(name)}</option>`)}</select>`;
  const pick = (cell) => cell.best_individual && choose(cell.best_individual);
  return html`<h2>Filled cells: ${grid.size}</h2><div class="tools"><label>across ${choice(across, turn)}</label>${up ? html`<label>up ${choice(up, lift)}</label>` : ""}
    ${islandChoice}
    ${file || finished < 2 ? "" : html`<label>after <input type="range" min="1" max=${finished} value=${after || finished} onInput=${(event) => wind(+event.target.value === finished ? "" : event.target.value)}/> ${after && after < finished ? `${number(after)} of ${count(finished, "individual")}` : count(finished, "individual")}</label>`}<${Scale} data=${data} what="best score"/></div>
    ${told.refused ? html`<p class="failed" role="alert">${told.refused}</p>` : ""}
    <div class="scroll" tabindex="0"><svg class="cells" width=${left + right.length * size + 4} height=${bottom + below + 4} role="img" aria-label="Cells by best score; the table below has the same data">
      ${labelled(right, size).map((place) => { const x = left + (place + 0.5) * size; return right.long > FLAT ? html`<text transform=${`translate(${x + 4} ${bottom + 6}) rotate(-90)`} text-anchor="end">${right.tick(place)}</text>` : html`<text x=${x} y=${bottom + 14} text-anchor="middle">${right.tick(place)}</text>`; })}${labelled(above, size).map((place) => html`<text x=${left - 4} y=${bottom - (place + 0.5) * size + 5} text-anchor="end">${up ? above.tick(place) : ""}</text>`)}${[...grid.values()].map((cell) => html`<rect tabindex="0" x=${left + cell.place[0] * size} y=${bottom - (cell.place[1] + 1) * size + 2} width=${size - 1} height=${size - 1} fill=${colour(data.shade({ score: cell.best_score }))}
      onClick=${() => pick(cell)} onKeyDown=${(event) => event.key === "Enter" && pick(cell)}><title>${`${visible(across)} ${right.label(cell.place[0])}${up ? `, ${visible(up)} ${above.label(cell.place[1])}` : ""}: best ${number(cell.best_score) || "–"}, ${count(cell.individuals, "individual")}`}</title></rect>`)}</svg></div>
    <p class="hint">The numbers and names are bins of the features. A cell has the colour of its best individual, and is grey if none has a score; click it to select that individual.</p>
    <details class="as-table"><summary>as a table</summary><${Table} label="Cells" rows=${[...grid.values()].map((cell) => ({ ...cell, across: cell.place[0], up: cell.place[1] }))} keyOf=${(cell) => cell.place.join()} onPick=${pick}
      columns=${[{ name: "across", head: visible(across), right: true, show: (cell) => right.label(cell.across) }, ...(up ? [{ name: "up", head: visible(up), right: true, show: (cell) => above.label(cell.up) }] : []), numeric("best_score", "best"), numeric("individuals"), { name: "best_individual", head: "best individual", show: (cell) => short(cell.best_individual) }]}/></details>`;
}
