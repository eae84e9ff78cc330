// A uPlot chart: lines, steps and points over a numeric x. Its colours follow the page's theme.
import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { number } from "./format.js";

const LIGHT = { text: "#444", grid: "#e4e7eb" }, DARK = { text: "#b6bdc7", grid: "#2a2f37" };
// None of them is the red of a failure or the green of an evaluation.
export const LINES = ["#3b6fd4", "#d9730d", "#0b8fa6", "#a34ac7", "#d6489a", "#7d6b00", "#5b5fc7", "#66717f", "#8a5a3c", "#4a94cf"];

const COUNTED = new Set(["individuals", "generations"]), WHOLE = [...Array(9).keys()].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));

const told = (_, value) => (value === null || value === undefined ? "" : number(value));

// The models of a run's calls, at most as many as there are colours.
export const modelsOf = (data) => [...new Set(data.calls.map((call) => call.model))].slice(0, LINES.length);

// `series`: {label, values, color, steps, points, width}; `x`: sorted numbers; `onPick(index)` is called for a click; `within`: the lowest and
// the highest y, if they are not those of the values.
export function Plot({ x, series, xLabel, yLabel, height = 260, onPick, label, bands, within }) {
  const place = useRef(null), plot = useRef(null);
  const shape = JSON.stringify([series.map((each) => [each.label, each.color, each.steps, each.points]), xLabel, yLabel, bands]);
  useEffect(() => {
    const theme = matchMedia("(prefers-color-scheme: dark)").matches ? DARK : LIGHT;
    const axis = { stroke: theme.text, grid: { stroke: theme.grid, width: 1 }, ticks: { stroke: theme.grid, width: 1 }, font: "11px system-ui" };
    const options = {
      width: place.current.clientWidth || 400,
      height,
      scales: { x: { time: false }, y: within ? { range: within } : {} },
      legend: { live: true },
      cursor: { drag: { x: true, y: false } },
      bands,
      // Whole ticks: there is no individual 1.5.
      axes: [{ ...axis, ...(COUNTED.has(xLabel) ? { incrs: WHOLE } : {}), label: xLabel, labelFont: "11px system-ui", labelSize: 18, size: 34 }, { ...axis, label: yLabel, labelFont: "11px system-ui", labelSize: 18, size: 58 }],
      // As long as nothing is pointed at, the legend names the lines only.
      series: [{ label: xLabel, value: told }, ...series.map((each) => ({
        value: told,
        label: each.label,
        stroke: each.color,
        width: each.width ?? (each.points ? 0 : 2),
        spanGaps: !each.points,
        paths: each.points ? () => null : each.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
        points: each.points ? { show: true, size: 5, width: 1, fill: each.color, stroke: each.color } : { show: each.values.filter((value) => value !== null).length < 2 },
      }))],
    };
    plot.current = new uPlot(options, [x, ...series.map((each) => each.values)], place.current);
    const click = () => { if (onPick && plot.current.cursor.idx !== null) onPick(plot.current.cursor.idx); };
    plot.current.over.addEventListener("click", click);
    const watching = new ResizeObserver(([entry]) => plot.current?.setSize({ width: Math.max(200, entry.contentRect.width), height }));
    watching.observe(place.current);
    return () => { watching.disconnect(); plot.current.destroy(); plot.current = null; };
  }, [shape]);
  useEffect(() => { plot.current?.setData([x, ...series.map((each) => each.values)]); });
  return html`<figure class="plot"><div role="img" aria-label=${label} ref=${place}></div><${AsTable} label=${label} x=${x} xLabel=${xLabel} series=${series}/></figure>`;
}

const SHOWN = 200;

// The same data for people who cannot see the chart or want the numbers; built when opened. Many points are sampled at even steps.
function AsTable({ label, x, xLabel, series }) {
  const [open, turn] = useState(false);
  const step = Math.max(1, Math.ceil(x.length / SHOWN));
  const kept = open ? x.map((_, at) => at).filter((at) => at % step === 0 || at === x.length - 1) : [];
  return html`<details class="as-table" onToggle=${(event) => turn(event.target.open)}><summary>as a table</summary>${open ? html`<div class="scroll" tabindex="0"><table aria-label=${label}>
    <thead><tr><th class="right">${xLabel}</th>${series.map((each) => html`<th class="right">${each.label}</th>`)}</tr></thead>
    <tbody>${kept.map((at) => html`<tr><td class="right">${number(x[at])}</td>${series.map((each) => html`<td class="right">${number(each.values[at])}</td>`)}</tr>`)}</tbody></table></div>
    ${step > 1 ? html`<p class="mute">One in ${step} of ${number(x.length)} points.</p>` : ""}` : ""}</details>`;
}
