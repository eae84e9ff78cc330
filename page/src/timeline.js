// Calls over time, in as few lanes as they need.
import { html } from "htm/preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { count, duration, visible } from "./format.js";
import { LINES, modelsOf } from "./plot.js";

export function Timeline({ data, choose }) {
  const canvas = useRef(null);
  const lanes = useMemo(() => {
    const ends = [], placed = [];
    for (const call of data.calls) {
      const from = call.timestamp, to = from + call.execution_time * 1000;
      let lane = ends.findIndex((end) => end <= from);
      if (lane < 0) lane = ends.push(0) - 1;
      ends[lane] = to;
      placed.push([call, lane, from, to]);
    }
    return { placed, count: ends.length };
  }, [data.version]);
  const shown = modelsOf(data);
  useEffect(() => {
    const element = canvas.current, width = element.parentElement.clientWidth, tall = Math.max(4, Math.min(18, 320 / Math.max(1, lanes.count))), height = tall * lanes.count + 24, ratio = devicePixelRatio || 1;
    element.width = width * ratio; element.height = height * ratio; element.style.height = height + "px";
    const context = element.getContext("2d");
    context.scale(ratio, ratio);
    let first = Infinity, last = -Infinity;
    for (const [, , from, to] of lanes.placed) { first = Math.min(first, from); last = Math.max(last, to); }
    for (const [call, lane, from, to] of lanes.placed) {
      context.fillStyle = call.status === "ok" ? LINES[Math.max(0, shown.indexOf(call.model)) % LINES.length] : "#c8372d";
      context.fillRect(((from - first) / (last - first || 1)) * width, lane * tall, Math.max(1, ((to - from) / (last - first || 1)) * width - 0.5), tall - 1);
    }
    context.fillStyle = "#888"; context.font = "11px system-ui";
    context.fillText("0", 0, height - 6); context.textAlign = "right"; context.fillText(duration((last - first) / 1000), width, height - 6);
    element.onclick = (event) => {
      const box = element.getBoundingClientRect(), time = first + ((event.clientX - box.left) / box.width) * (last - first), lane = Math.floor((event.clientY - box.top) / tall);
      const hit = lanes.placed.find(([, at, from, to]) => at === lane && from <= time && to >= time);
      if (hit && data.byId.has(hit[0].individual_id)) choose(hit[0].individual_id);
    };
  }, [lanes]);
  let busy = 0, first = Infinity, last = 0;
  for (const [, , from, to] of lanes.placed) { busy += to - from; first = Math.min(first, from); last = Math.max(last, to); }
  return html`<p>${lanes.placed.length ? `${count(data.calls.length, "call")} in ${count(lanes.count, "lane")}, busy for ${Math.round((100 * busy) / ((last - first || 1) * lanes.count))} % of the time.` : "No call has been recorded yet."}
    ${shown.map((model, at) => html` <span class="kind"><svg width="10" height="10"><rect width="10" height="10" fill=${LINES[at % LINES.length]}/></svg> ${visible(model)}</span>`)}</p><div><canvas class="timeline" ref=${canvas} role="img" aria-label="Calls over time; the tab Calls lists them"></canvas></div>`;
}
