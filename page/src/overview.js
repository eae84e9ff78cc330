// The course of a run: its scores, its cost by role, its throughput, and the latency of its calls.
import { html } from "./html.js";
import { useMemo } from "preact/hooks";
import { duration, isLive, visible } from "./format.js";
import { callSpans, jobSpans, useJobs } from "./jobs.js";
import { EVALUATION } from "./marks.js";
import { LINES, modelsOf, OTHER, Plot } from "./plot.js";
import { useSetting } from "./settings.js";

export function Overview({ data, choose, chosen }) {
  const [by, order] = useSetting("by", "place", ["place", "seconds", "cost"]);
  const list = data.list, began = data.summary.start_time;
  const spent = useMemo(() => {
    let sum = 0, at = 0;
    return list.map((one) => {
      while (at < data.calls.length && data.calls[at].timestamp <= one.timestamp) sum += data.calls[at++].cost || 0;
      return sum;
    });
  }, [data.version]);
  const x = by === "place" ? list.map((one) => one.place + 1) : by === "seconds" ? list.map((one) => Math.max(0, one.timestamp - began) / 1000) : spent;
  const series = [
    { label: "score", values: list.map((one) => one.score), color: "#8fb0ea", points: true },
    { label: "best so far", values: list.map((one) => one.best_so_far), color: "#d99a00", steps: true },
  ];
  const jobs = useJobs(data).told;
  const bins = useMemo(() => throughput(data, jobs || []), [data.version, jobs]);
  // All charts over time have the same axis: from the beginning of the run to the newest that is known of it.
  const roles = useMemo(() => costs(data, bins.end), [data.version, bins.end]);
  const edged = (values) => [null, ...values, null];
  const yet = isLive(data.summary) ? " yet" : "";
  if (!list.length && !data.calls.length) return html`<p class="none">No individual has finished${yet}, and no call has ended.</p>`;
  // Of calls and evaluations of unknown duration, nobody knows how many went on at a time.
  const timed = data.calls.some((call) => call.execution_time !== null), evaluated = jobSpans(jobs || [], data).some(({ isUnknown }) => !isUnknown), going = [timed ? "calls" : "", evaluated ? "evaluations" : ""].filter(Boolean).join(" and ");
  const models = modelsOf(data), latencies = (is) => edged(data.calls.map((call) => (is(call.model) ? call.execution_time : null))), others = data.calls.some((call) => !models.includes(call.model));
  const scored = list.some((one) => one.score !== null);
  return html`<div class="tools"><label>by <select value=${by} onChange=${(event) => order(event.target.value)}><option value="place">individuals</option><option value="seconds">seconds</option><option value="cost">cost of calls</option></select></label></div>
    ${scored ? html`<${Plot} label="Score of each individual, and the best so far" x=${x} series=${series} xLabel=${{ place: "individuals", seconds: "seconds", cost: "USD" }[by]} yLabel="score" onPick=${(index) => choose(list[index].id)} height=${320}/>` : html`<p class="none">No individual has a score${yet}.</p>`}
    ${roles.series.length ? html`<h2>Cost of calls by role</h2>
    <${Plot} label="Cost of calls so far, by role" x=${roles.x} series=${roles.series.map(([role, values], at) => ({ label: visible(role) || "no role", values, color: LINES[at % LINES.length], steps: true }))} xLabel="seconds" yLabel="USD" height=${180}/>` : ""}
    <h2>Individuals finished${going ? `, ${going} in progress` : ""}</h2>
    <${Plot} label=${`Individuals finished${going ? `, ${going} in progress` : ""} over time`} x=${bins.x} series=${[{ label: `individuals per ${duration(bins.wide)}`, values: bins.finished, color: LINES[0], steps: true }, ...(timed ? [{ label: "calls in progress", values: bins.calls, color: LINES[1], steps: true }] : []), ...(evaluated ? [{ label: "evaluations in progress", values: bins.evaluations, color: EVALUATION, steps: true }] : [])]} xLabel="seconds" yLabel="number" height=${180}/>
    ${timed ? html`<h2>Latency of calls</h2>
    <${Plot} label="Seconds of each call" x=${[0, ...data.calls.map((call) => Math.max(0, call.timestamp - began) / 1000), bins.end]} series=${[...models.map((model, at) => ({ label: visible(model), values: latencies((each) => each === model), color: LINES[at], points: true })), ...(others ? [{ label: "other models", values: latencies((each) => !models.includes(each)), color: OTHER, points: true }] : [])]} xLabel="seconds" yLabel="seconds per call" height=${200}/>` : ""}`;
}

function throughput(data, jobs) {
  const began = data.summary.start_time, COUNT = 80;
  let end = began + 1;
  for (const one of data.list) end = Math.max(end, one.timestamp);
  const calls = callSpans(data), evaluations = jobSpans(jobs, data);
  for (const spans of [calls, evaluations]) for (const { to } of spans) end = Math.max(end, to);
  const wide = (end - began) / COUNT, finished = new Array(COUNT).fill(0);
  const bin = (time) => Math.max(0, Math.min(COUNT - 1, Math.floor((time - began) / wide)));
  for (const one of data.list) if (!one.copied) finished[bin(one.timestamp)] += 1;
  // How many there were at a time, on average over each interval.
  const busy = (spans) => {
    const found = new Array(COUNT).fill(0);
    for (const { from, to } of spans) for (let at = bin(from); at <= bin(to); at += 1) {
      const low = began + at * wide;
      found[at] += Math.max(0, Math.min(to, low + wide) - Math.max(from, low)) / wide;
    }
    return found.map((each) => +each.toFixed(3));
  };
  const last = (values) => [...values, values[COUNT - 1]];
  return { x: last(finished).map((_, at) => (at * wide) / 1000), finished: last(finished), calls: last(busy(calls)), evaluations: last(busy(evaluations)), wide: wide / 1000, end: (end - began) / 1000 };
}

// The cumulative cost of calls by role, at even steps; calls without a price are left out here and counted at the top of the page.
function costs(data, end) {
  const began = data.summary.start_time, STEPS = 200, priced = data.calls.filter((call) => call.cost !== null);
  const roles = [...new Set(priced.map((call) => call.role))], sums = new Map(roles.map((role) => [role, 0])), series = new Map(roles.map((role) => [role, [0]])), x = [0];
  priced.forEach((call, at) => {
    sums.set(call.role, sums.get(call.role) + call.cost);
    if (at % Math.ceil(priced.length / STEPS) && at < priced.length - 1) return;
    x.push(Math.max(0, call.timestamp - began) / 1000);
    for (const role of roles) series.get(role).push(sums.get(role));
  });
  x.push(Math.max(end, x[x.length - 1]));
  for (const role of roles) series.get(role).push(sums.get(role));
  return { x, series: [...series] };
}
