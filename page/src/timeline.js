// Calls over time, and evaluations below them, each in as few lanes as they need.
import { html } from "./html.js";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { count, duration, isLive, moment, short, visible } from "./format.js";
import { callSpans, jobSpans, laid, useJobs } from "./jobs.js";
import { EVALUATION, FAILED } from "./marks.js";
import { LINES, modelsOf, OTHER } from "./plot.js";
import { Beside, Table } from "./table.js";

const GAP = 22, TICK = 150, PIXEL = 0.5;

const evaluated = (run) => [{ name: "submitted", head: "submitted", show: (row) => moment(row.submitted) }, { name: "individual_id", head: "individual", show: (row) => short(row.individual_id, 18) },
  { name: "seconds", head: "took", right: true, show: (row) => (row.ended === null ? (isLive(run) ? "goes on" : "no end known") : duration(row.seconds)) }, { name: "failed", head: "ended", show: (row) => (row.failed ? html`<span class="failed">failed</span>` : row.ended === null ? "" : "ok") }];

export function Timeline({ data, choose }) {
  const { told, error } = useJobs(data), jobs = told || [];
  const calls = useMemo(() => laid(callSpans(data)), [data.version]), evaluations = useMemo(() => laid(jobSpans(jobs, data)), [told, data.version]);
  const canvas = useRef(null), [room, measure] = useState(0), [over, hover] = useState("");
  useEffect(() => {
    const watching = new ResizeObserver(([entry]) => measure(entry.contentRect.width));
    watching.observe(canvas.current.parentElement);
    return () => watching.disconnect();
  }, []);
  const shown = useMemo(() => modelsOf(data), [data.version]), first = Math.min(calls.first, evaluations.first), last = Math.max(calls.last, evaluations.last), whole = last - first || 1;
  const tall = Math.max(4, Math.min(18, 420 / Math.max(1, calls.count + evaluations.count))), below = calls.count * tall + (calls.count ? GAP : 0), high = below + evaluations.count * tall + 24;
  useEffect(() => {
    if (!room) return;
    const element = canvas.current, ratio = devicePixelRatio || 1;
    element.width = room * ratio; element.height = high * ratio; element.style.height = high + "px";
    const context = element.getContext("2d");
    context.scale(ratio, ratio);
    const bars = ({ placed, count }, top, colour) => {
      // Of bars on the same pixel, one is drawn; a failed one above the others.
      const drawn = new Float64Array(count).fill(-1), failed = [];
      const bar = ({ one, lane, from, to }, style) => { context.fillStyle = style; context.fillRect(((from - first) / whole) * room, top + lane * tall, Math.max(1, ((to - from) / whole) * room - 0.5), tall - 1); };
      for (const each of placed) {
        const style = colour(each.one), end = ((each.to - first) / whole) * room;
        if (end - drawn[each.lane] < PIXEL) { if (style === FAILED) failed.push(each); continue; }
        drawn[each.lane] = end;
        bar(each, style);
      }
      let before = null;
      for (const each of failed) if (before?.lane !== each.lane || ((each.from - before.from) / whole) * room >= PIXEL) { bar(each, FAILED); before = each; }
    };
    bars(calls, 0, (call) => (call.status === "ok" ? LINES[shown.indexOf(call.model)] ?? OTHER : FAILED));
    bars(evaluations, below, (job) => (job.failed ? FAILED : EVALUATION));
    context.fillStyle = "#808790"; context.font = "11px system-ui";
    if (evaluations.count && calls.count) context.fillText("evaluations", 0, below - 6);
    if (evaluations.count || calls.count) {
      const many = Math.max(2, Math.min(8, Math.floor(room / TICK)));
      for (let at = 0; at <= many; at += 1) {
        context.textAlign = at === 0 ? "left" : at === many ? "right" : "center";
        context.fillText(at ? duration(((at / many) * whole) / 1000) : "0", (at / many) * room, high - 6);
      }
    }
  }, [calls, evaluations, room]);
  const at = (event) => {
    const box = canvas.current.getBoundingClientRect(), time = first + ((event.clientX - box.left) / box.width) * whole, y = event.clientY - box.top, of = y < below ? calls : evaluations, lane = Math.floor((y < below ? y : y - below) / tall);
    // A bar of a pixel stands for less time than a pointer can point at.
    const slack = (2 * whole) / Math.max(1, box.width);
    return of.placed.find((each) => each.lane === lane && each.from - slack <= time && each.to + slack >= time);
  };
  const say = (found) => found && [found.one.model === undefined ? "evaluation" : [visible(found.one.role), visible(found.one.model)].filter(Boolean).join(" · "), `${duration((found.from - first) / 1000)} after the first`, found.to > found.from ? duration((found.to - found.from) / 1000) : "", found.one.individual_id ? short(found.one.individual_id, 18) : ""].filter(Boolean).join(" · ");
  const share = ({ share, unknown, placed }) => (unknown === placed.length ? "how long they took is not known" : `busy for ${unknown ? "at least " : ""}${Math.round(100 * share)} % of the time`);
  const lanes = (of, what) => `${count(of.placed.length, what)} in ${count(of.count, "lane")}, ${share(of)}`;
  const texts = [calls.placed.length ? lanes(calls, "call") : "", evaluations.placed.length ? lanes(evaluations, "evaluation") : ""].filter(Boolean);
  return html`${error ? html`<p class="failed" role="alert">${error}</p>` : ""}<p>${texts.length ? texts.join("; ") + "." : told ? `No call and no evaluation has been recorded${isLive(data.summary) ? " yet" : ""}.` : ""}
    ${shown.map((model, index) => html` <span class="kind"><svg width="10" height="10"><rect width="10" height="10" fill=${LINES[index % LINES.length]}/></svg> ${visible(model)}</span>`)}${calls.placed.some(({ one }) => !shown.includes(one.model)) ? html` <span class="kind"><svg width="10" height="10"><rect width="10" height="10" fill=${OTHER}/></svg> other models</span>` : ""}
    ${evaluations.count ? html` <span class="kind"><svg width="10" height="10"><rect width="10" height="10" fill=${EVALUATION}/></svg> evaluation</span>` : ""} <span class="kind"><svg width="10" height="10"><rect width="10" height="10" fill=${FAILED}/></svg> failed</span></p>
    <div><canvas class="timeline" ref=${canvas} role="img" aria-label="Calls and evaluations over time; the tab Calls lists them, and the table below" onPointerMove=${(event) => hover(say(at(event)) || "")} onPointerLeave=${() => hover("")}
      onClick=${(event) => { const found = at(event); if (found && data.byId.has(found.one.individual_id)) choose(found.one.individual_id); }}></canvas></div>
    <p class="hint">${over || (texts.length ? "A bar is a call or an evaluation, its wait for a worker included; click one to select its individual." : "")}${told || error ? "" : " Reading …"}</p>
    ${jobs.length ? html`<${Beside} title="evaluations as a table" table=${() => html`<${Table} label="Evaluations" rows=${jobs} columns=${evaluated(data.summary)} keyOf=${(row) => row.job || row.individual_id} sorted=${{ name: "seconds", down: true }} onPick=${(row) => data.byId.has(row.individual_id) && choose(row.individual_id)}/>`}/>` : ""}`;
}
