// Evaluation jobs, and lanes for what goes on at the same time.
import { rows, useNews } from "./asked.js";
import { isLive } from "./format.js";

// Jobs in the order in which they were submitted.
function jobs() {
  const known = new Map();
  return {
    take: (piece) => { for (const each of rows(piece)) known.set(each.job || each.individual_id, each); },
    show: () => [...known.values()].sort((a, b) => a.submitted - b.submitted),
  };
}

export const useJobs = (data) => useNews("run/jobs", data, jobs);

// Each in the first lane that is free, by `from` and `to` in milliseconds, sorted by `from`; how much of the lanes is used, as far as it
// is known how long each took, and of how many that is not known.
export function laid(spans) {
  const ends = [], placed = [];
  let busy = 0, first = Infinity, last = -Infinity, unknown = 0;
  for (const { one, from, to, isUnknown } of spans) {
    let lane = ends.findIndex((end) => end <= from);
    if (lane < 0) lane = ends.push(0) - 1;
    ends[lane] = to;
    placed.push({ one, lane, from, to });
    busy += to - from; if (isUnknown) unknown += 1; first = Math.min(first, from); last = Math.max(last, to);
  }
  return { placed, count: ends.length, first, last, share: busy / ((last - first || 1) * (ends.length || 1)), unknown };
}

// One of unknown duration is at the one time that is known of it.
export const callSpans = (data) => data.calls.map((one) => ({ one, from: one.timestamp, to: one.timestamp + (one.execution_time ?? 0) * 1000, isUnknown: one.execution_time === null }));

// One that goes on lasts until the newest that is known of its run; when one ended that a run has left behind is not known.
export function jobSpans(jobs, data) {
  let now = data.summary.last_seen || 0;
  for (const one of jobs) now = Math.max(now, one.submitted);
  return jobs.map((one) => {
    const goesOn = one.ended === null && isLive(data.summary);
    return { one, from: one.submitted, to: goesOn ? now : one.submitted + (one.seconds ?? 0) * 1000, isUnknown: !goesOn && one.seconds === null };
  });
}
