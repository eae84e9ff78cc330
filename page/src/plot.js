// A plot by uPlot: lines, steps and points over a numeric x. Its colours follow the page's.
import { html } from "htm/preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

const LIGHT = { text: "#444", grid: "#e4e7eb" }, DARK = { text: "#b6bdc7", grid: "#2a2f37" };
export const LINES = ["#3b6fd4", "#d9730d", "#2f9e6e", "#a34ac7", "#c2255c", "#0b8fa6", "#7d6b00", "#5b5fc7", "#9c4221", "#3d7a3d"];

// `series`: {label, values, color, steps, points, width}; `x`: sorted numbers; `onPick(index)` for a click.
export function Plot({ x, series, xLabel, yLabel, height = 260, onPick, label, bands }) {
  const place = useRef(null), plot = useRef(null);
  const shape = JSON.stringify([series.map((each) => [each.label, each.color, each.steps, each.points]), xLabel, yLabel, bands]);
  useEffect(() => {
    const theme = matchMedia("(prefers-color-scheme: dark)").matches ? DARK : LIGHT;
    const axis = { stroke: theme.text, grid: { stroke: theme.grid, width: 1 }, ticks: { stroke: theme.grid, width: 1 }, font: "11px system-ui" };
    const options = {
      width: place.current.clientWidth || 400,
      height,
      scales: { x: { time: false } },
      legend: { live: true },
      cursor: { drag: { x: true, y: false } },
      bands,
      axes: [{ ...axis, label: xLabel, labelFont: "11px system-ui", labelSize: 18, size: 34 }, { ...axis, label: yLabel, labelFont: "11px system-ui", labelSize: 18, size: 58 }],
      series: [{ label: xLabel }, ...series.map((each) => ({
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
  return html`<figure class="plot" role="img" aria-label=${label}><div ref=${place}></div></figure>`;
}
