// A uPlot chart: lines, steps and points over a numeric x. Its colours follow the page's theme.
import { html } from "./html.js";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { number } from "./format.js";
import { Beside } from "./table.js";

const LIGHT = { text: "#444", grid: "#e4e7eb" }, DARK = { text: "#b6bdc7", grid: "#2a2f37" };
// None of them is the red of a failure or the green of an evaluation.
export const LINES = ["#3b6fd4", "#d9730d", "#0b8fa6", "#a34ac7", "#d6489a", "#7d6b00", "#5b5fc7", "#66717f", "#8a5a3c", "#4a94cf"];

const COUNTED = new Set(["individuals", "generations"]), WHOLE = [...Array(9).keys()].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));

// uPlot takes a range below 1e-9 for none, and has no ticks beyond 1e32: such numbers are drawn as multiples of this power of ten.
const SMALLEST = -6, LARGEST = 14;
function powerOf(lists) {
  let most = 0;
  for (const list of lists) for (const value of list) most = Math.max(most, Math.abs(value ?? 0));
  const power = most ? Math.floor(Math.log10(most)) : 0;
  return power < SMALLEST || power > LARGEST ? power : 0;
}
const divided = (list, power) => (power ? list.map((value) => (value === null || value === undefined ? value : value / 10 ** power)) : list);
const exact = (value) => +value.toPrecision(12);
const told = (value, power) => (value === null || value === undefined ? "" : number(power ? exact(value * 10 ** power) : value));
const tick = (value, power) => (power && value ? `${number(exact(value))}e${power}` : number(exact(value)));
// The width of a vertical axis: its longest label, and the tick.
const DIGIT = 6.6, BARE = 20, NARROWEST = 58;
const room = (labels) => Math.max(NARROWEST, BARE + DIGIT * Math.max(0, ...(labels || []).map((each) => each.length)));

// The models of a run's calls, at most as many as there are colours; any other has the colour OTHER.
export const OTHER = "#a8afb9";
export const modelsOf = (data) => [...new Set(data.calls.map((call) => call.model))].slice(0, LINES.length);

const FEW = 5_000;

// The points of a series. Of those on the same pixels one is drawn: as circles they took a tenth of a millisecond each.
function dots({ ctx: context, data, bbox, scales, valToPos }, at, color) {
  const xs = data[0], ys = data[at], { min, max } = scales.x, size = (xs.length > FEW ? 2 : 5) * devicePixelRatio, wide = Math.ceil(bbox.width / size) + 1, taken = new Uint8Array(wide * (Math.ceil(bbox.height / size) + 1));
  context.save();
  context.beginPath();
  context.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  context.clip();
  context.fillStyle = color;
  context.beginPath();
  for (let index = 0; index < xs.length; index += 1) {
    if (ys[index] === null || ys[index] === undefined || xs[index] < min || xs[index] > max) continue;
    const x = valToPos(xs[index], "x", true), y = valToPos(ys[index], "y", true), cell = Math.floor((y - bbox.top) / size) * wide + Math.floor((x - bbox.left) / size);
    if (xs.length > FEW) {
      if (taken[cell]) continue;
      taken[cell] = 1;
      context.fillRect(x - size / 2, y - size / 2, size, size);
    } else { context.moveTo(x + size / 2, y); context.arc(x, y, size / 2, 0, 2 * Math.PI); }
  }
  context.fill();
  context.restore();
}

// `series`: {label, values, color, steps, points, width, dash, gaps}; `beside`: {label, values} that only the table shows; `x`: sorted numbers; `onPick(index)` is called for a click; `within`: the lowest and
// the highest y, if they are not those of the values.
export function Plot({ x, series, xLabel, yLabel, height = 260, onPick, label, bands, within, beside = [] }) {
  const place = useRef(null), plot = useRef(null), power = useRef([0, 0]);
  const drawn = () => {
    power.current = [powerOf([x]), powerOf(series.map((each) => each.values))];
    return [divided(x, power.current[0]), ...series.map((each) => divided(each.values, power.current[1]))];
  };
  const shape = JSON.stringify([series.map((each) => [each.label, each.color, each.steps, each.points]), xLabel, yLabel, bands]);
  useEffect(() => {
    const theme = matchMedia("(prefers-color-scheme: dark)").matches ? DARK : LIGHT;
    const ticks = (at) => (_, splits) => splits.map((value) => tick(value, power.current[at]));
    const axis = { stroke: theme.text, grid: { stroke: theme.grid, width: 1 }, ticks: { stroke: theme.grid, width: 1 }, font: "11px system-ui" };
    const options = {
      width: place.current.clientWidth || 400,
      height,
      scales: { x: { time: false }, y: within ? { range: within } : {} },
      legend: { live: true },
      cursor: { drag: { x: true, y: false } },
      bands,
      // Whole ticks: there is no individual 1.5.
      axes: [{ ...axis, ...(COUNTED.has(xLabel) ? { incrs: WHOLE } : {}), label: xLabel, labelFont: "11px system-ui", labelSize: 18, size: 34, values: ticks(0) }, { ...axis, label: yLabel, labelFont: "11px system-ui", labelSize: 18, size: (_, labels) => room(labels), values: ticks(1) }],
      // As long as nothing is pointed at, the legend names the lines only.
      series: [{ label: xLabel, value: (_, value) => told(value, power.current[0]) }, ...series.map((each) => ({
        value: (_, value) => told(value, power.current[1]),
        label: each.label,
        stroke: each.color,
        width: each.width ?? (each.points ? 0 : 2),
        dash: each.dash,
        spanGaps: !each.points && !each.gaps,
        paths: each.points ? () => null : each.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
        points: { show: !each.points && each.values.filter((value) => value !== null).length < 2 },
      }))],
      hooks: { drawSeries: [(chart, at) => { if (at && series[at - 1].points) dots(chart, at, series[at - 1].color); }] },
    };
    plot.current = new uPlot(options, drawn(), place.current);
    const click = () => { if (onPick && plot.current.cursor.idx !== null) onPick(plot.current.cursor.idx); };
    plot.current.over.addEventListener("click", click);
    const watching = new ResizeObserver(([entry]) => plot.current?.setSize({ width: Math.max(200, entry.contentRect.width), height }));
    watching.observe(place.current);
    return () => { watching.disconnect(); plot.current.destroy(); plot.current = null; };
  }, [shape]);
  useEffect(() => { plot.current?.setData(drawn()); });
  return html`<figure class="plot"><div role="img" aria-label=${label} ref=${place}></div><${AsTable} label=${label} x=${x} xLabel=${xLabel} series=${[...series, ...beside]}/></figure>`;
}

const SHOWN = 200;

// The same data for people who cannot see the chart or want the numbers; built when opened. Many points are sampled at even steps.
function AsTable({ label, x, xLabel, series }) {
  const step = Math.max(1, Math.ceil(x.length / SHOWN));
  const kept = () => x.map((_, at) => at).filter((at) => at % step === 0 || at === x.length - 1);
  return html`<${Beside} table=${() => html`<div class="scroll" tabindex="0"><table aria-label=${label}>
    <thead><tr><th class="right">${xLabel}</th>${series.map((each) => html`<th class="right">${each.label}</th>`)}</tr></thead>
    <tbody>${kept().map((at) => html`<tr><td class="right">${number(x[at])}</td>${series.map((each) => html`<td class="right">${number(each.values[at])}</td>`)}</tr>`)}</tbody></table></div>
    ${step > 1 ? html`<p class="mute">One in ${step} of ${number(x.length)} points.</p>` : ""}`}/>`;
}
