// The score of each individual on each example: examples down, individuals across, the best of each example in gold.
import { html } from "./html.js";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { rows, useNews } from "./asked.js";
import { count, fraction, number, short, visible } from "./format.js";
import { colour, GOLD } from "./marks.js";
import { numeric, Table } from "./table.js";

function scores() {
  const known = new Map();
  return {
    take: (piece) => { for (const each of rows(piece)) if (each.examples.length) known.set(each.individual_id, each); else known.delete(each.individual_id); },
    show: () => [...known.values()].sort((a, b) => a.timestamp - b.timestamp),
  };
}

export function Examples({ data, choose, chosen }) {
  const { told, error } = useNews("run/examples", data, scores);
  const grid = useMemo(() => told && arranged(told, data.sign), [told, data.sign]);
  if (error) return html`<p class="failed" role="alert">${error}</p>`;
  if (!grid) return html`<p class="none">Reading …</p>`;
  if (!grid.examples.length) return html`<p class="none">No scores per example were recorded: a search that has them (such as GEPA) reports them as <code>scores</code> among the metrics.</p>`;
  const columns = [{ name: "example", head: "example" }, numeric("best"), { name: "who", head: "first to reach it", show: (row) => short(row.who, 18) }, numeric("mean"), numeric("worst"), { name: "reached", head: "reach the best", right: true, show: (row) => `${number(row.reached)} of ${number(row.tried)}`, value: (row) => row.reached / row.tried }];
  return html`<p>${count(grid.examples.length, "example")}, ${count(told.length, "individual")} in the order in which they finished. ${number(grid.keepers)} of them ${grid.keepers === 1 ? "was" : "were"} the first to reach the best score on an example.</p>
    <${Grid} grid=${grid} told=${told} data=${data} choose=${choose} chosen=${chosen}/>
    <${Table} label="Examples" rows=${grid.examples} columns=${columns} keyOf=${(row) => row.example} onPick=${(row) => choose(row.who)}/>`;
}

// The results on each example. Its name is the search's own; names that are numbers are sorted as numbers.
function arranged(told, sign) {
  const examples = new Map();
  let low = Infinity, high = -Infinity;
  told.forEach((one, column) => one.examples.forEach((name, at) => {
    const score = one.scores[at];
    if (score === null) return;
    if (!examples.has(name)) examples.set(name, { example: name, cells: [], sum: 0, tried: 0, reached: 0, best: null, worst: null });
    const row = examples.get(name);
    low = Math.min(low, score); high = Math.max(high, score);
    row.cells.push([column, score]);
    row.sum += score; row.tried += 1;
    if (row.best === null || sign * score > sign * row.best) { row.best = score; row.who = one.individual_id; row.first = column; row.reached = 1; } else if (score === row.best) row.reached += 1;
    if (row.worst === null || sign * score < sign * row.worst) row.worst = score;
  }));
  const listed = [...examples.values()].sort((a, b) => a.example.localeCompare(b.example, "en", { numeric: true }));
  for (const row of listed) row.mean = row.sum / row.tried;
  return { examples: listed, low, high, keepers: new Set(listed.map((row) => row.who)).size };
}

const NAMED = 90;

function Grid({ grid, told, data, choose, chosen }) {
  const canvas = useRef(null), [over, hover] = useState("");
  const [room, measure] = useState(0);
  const tall = Math.max(3, Math.min(20, 420 / grid.examples.length)), wide = Math.max(3, Math.min(26, (room - NAMED - 4) / told.length));
  useEffect(() => {
    const watching = new ResizeObserver(([entry]) => measure(entry.contentRect.width));
    watching.observe(canvas.current.parentElement);
    return () => watching.disconnect();
  }, []);
  const shade = (score) => (grid.high === grid.low ? 1 : data.sign > 0 ? fraction(score, grid.low, grid.high) : 1 - fraction(score, grid.low, grid.high));
  useEffect(() => {
    if (!room) return;
    const element = canvas.current, width = NAMED + told.length * wide + 4, height = grid.examples.length * tall + 4, ratio = devicePixelRatio || 1, dark = matchMedia("(prefers-color-scheme: dark)").matches;
    element.width = width * ratio; element.height = height * ratio; element.style.width = width + "px"; element.style.height = height + "px";
    const context = element.getContext("2d");
    context.scale(ratio, ratio);
    context.font = "11px system-ui";
    grid.examples.forEach((row, at) => {
      const y = at * tall + 2;
      if (tall >= 11) { context.fillStyle = dark ? "#98a1ac" : "#68707c"; context.fillText(short(row.example, 12), 0, y + tall / 2 + 4); }
      for (const [column, score] of row.cells) {
        context.fillStyle = colour(shade(score));
        context.fillRect(NAMED + column * wide, y, Math.max(1, wide - 1), Math.max(1, tall - 1));
      }
      context.strokeStyle = GOLD; context.lineWidth = 2;
      context.strokeRect(NAMED + row.first * wide + 1, y + 1, Math.max(2, wide - 3), Math.max(2, tall - 3));
    });
    const column = told.findIndex((one) => one.individual_id === chosen);
    if (column >= 0) { context.strokeStyle = dark ? "#fff" : "#000"; context.lineWidth = 1.5; context.strokeRect(NAMED + column * wide - 0.5, 0.5, wide, height - 1); }
  }, [grid, room, chosen]);
  const at = (event) => {
    const box = canvas.current.getBoundingClientRect(), column = Math.floor((event.clientX - box.left - NAMED) / wide), row = Math.floor((event.clientY - box.top - 2) / tall);
    return [told[column], grid.examples[row]];
  };
  const say = (event) => {
    const [one, row] = at(event), score = one && row ? one.scores[one.examples.indexOf(row.example)] : null;
    hover(one && row ? `example ${visible(row.example)} · ${short(one.individual_id, 18)} · ${score === null || score === undefined ? "not evaluated" : number(score)}${row.who === one.individual_id ? " · first to reach the best score" : ""}` : "");
  };
  const key = (event) => {
    const column = told.findIndex((one) => one.individual_id === chosen), next = told[column + ({ ArrowRight: 1, ArrowLeft: -1 }[event.key] || NaN)];
    if (next) { event.preventDefault(); choose(next.individual_id); }
  };
  return html`<div class="scroll" tabindex="0"><canvas class="grid" ref=${canvas} tabindex="0" role="img" aria-label="Score of each individual on each example; the table below has the same for each example" onPointerMove=${say} onPointerLeave=${() => hover("")} onKeyDown=${key}
      onClick=${(event) => { const [one] = at(event); if (one) choose(one.individual_id); }}></canvas></div>
    <p class="hint">${over || `From ${number(grid.low)} (dark) to ${number(grid.high)} (bright)${data.sign < 0 ? ", lower is brighter" : ""}. Gold: first to reach the best score on the example. Click, or use the arrow keys, to select an individual.`}</p>`;
}
