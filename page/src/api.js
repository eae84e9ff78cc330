// Requests to the server, or to the report that contains this page, and the data of a run: loaded once, then only what is new.
import { answer } from "./file.js";
import { isLive } from "./format.js";

export class Refused extends Error {}

export async function ask(path, parameters = {}) {
  const known = answer(path, parameters);
  if (known) {
    if (known.error) throw new Refused(known.error);
    return known.told;
  }
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    for (const each of Array.isArray(value) ? value : [value]) if (each !== "" && each !== null && each !== undefined) query.append(name, each);
  const text = query.toString();
  const response = await fetch("/api/" + path + (text ? "?" + text : ""), { credentials: "same-origin" });
  const told = response.headers.get("content-type")?.startsWith("application/json") ? await response.json() : { error: await response.text() };
  if (!response.ok) throw new Refused(told.error || response.statusText);
  return told;
}

const BETTER = { max: 1, min: -1 };
// The summary of a run is requested for at most a tenth of the time (SHARE); if nothing arrives, every SILENT milliseconds, since a run
// without news becomes a stalled one.
export const SHARE = 10, SILENT = 30_000;

// A run: its individuals as `list` (in the order in which they finished) and `byId`, its calls, and its summary. `version` grows with
// each refresh that changed something, `arrived` with the rows that came. The server decides which individual is best, so that there is
// one definition of it; here the leaders are only put in order.
export class RunData {
  constructor(id) {
    this.id = id;
    this.summary = null;
    this.list = [];
    this.byId = new Map();
    this.calls = [];
    this.callIds = new Map();
    this.since = { individuals: 0, calls: 0 };
    this.seen = {};
    this.version = 0;
    this.arrived = 0;
    this.leaders = [];
    this.counts = { ok: 0, failed: 0, incorrect: 0, calls: 0 };
    this.due = 0;
    this.stale = false;
    this.loaded = false;
  }

  get sign() {
    return BETTER[this.summary?.direction] || 1;
  }

  // One cheap request, and the expensive ones only if its answer has changed since the last time.
  async refresh() {
    const first = !this.summary, seen = await ask("run/arrivals", { run: this.id }), differs = (name) => seen[name] !== this.seen[name];
    const [individuals, calls] = await Promise.all([
      differs("individuals") ? ask("run/individuals", { run: this.id, since: this.since.individuals, leaders: this.lastLeaders() }) : null,
      differs("calls") ? ask("run/calls", { run: this.id, since: this.since.calls }) : null,
      first ? this.stand() : null]);
    const shown = (individuals ? this.take(individuals) : 0) + (calls ? this.takeCalls(calls) : 0);
    if (individuals) this.since.individuals = individuals.since;
    if (calls) this.since.calls = calls.since;
    if (shown) this.arrange();
    const news = shown || (differs("others") ? 1 : 0);
    this.seen = seen;
    this.arrived += news;
    // A summary reads the whole run: requested again only if something arrived, or if the run may have stalled.
    this.stale ||= news > 0;
    const asks = !first && performance.now() >= (this.stale ? this.due : this.stood + SILENT) && (this.stale || isLive(this.summary));
    if (asks) await this.stand();
    if (news || asks || !this.loaded) this.version += 1;
    this.loaded = true;
    return news;
  }

  async stand() {
    const began = performance.now();
    this.summary = await ask("run", { run: this.id });
    this.stood = performance.now();
    this.due = this.stood + SHARE * (this.stood - began);
    this.stale = false;
    return this.summary;
  }

  // Enough for the server to continue from. Ids may be of any length, but a URL may not.
  lastLeaders() {
    const last = this.leaders.slice(-64);
    while (last.length > 1 && last.join().length > 8_000) last.shift();
    return last;
  }

  take({ columns }) {
    let news = 0;
    const ids = columns.individual_id || [];
    for (let at = 0; at < ids.length; at += 1) {
      const known = this.byId.get(ids[at]);
      if (known && known.timestamp === columns.timestamp[at] && known.score === columns.score[at] && known.outcome === columns.outcome[at]
        && known.leads === columns.leads[at] && known.best_so_far === columns.best_so_far[at]) continue;
      const one = known || { children: [] };
      for (const name in columns) one[name] = columns[name][at];
      one.id = ids[at];
      if (!known) {
        this.byId.set(one.id, one);
        this.list.push(one);
      }
      news += 1;
    }
    return news;
  }

  takeCalls({ columns }) {
    let news = 0;
    const ids = columns.span_id || [];
    for (let at = 0; at < ids.length; at += 1) {
      if (this.callIds.has(ids[at])) continue;
      const one = {};
      for (const name in columns) one[name] = columns[name][at];
      this.callIds.set(one.span_id, one);
      this.calls.push(one);
      news += 1;
    }
    return news;
  }

  // Sorts individuals by when they finished, links children to parents, and finds the path to the best one, which is the last leader.
  arrange() {
    this.list.sort((a, b) => a.timestamp - b.timestamp || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
    this.calls.sort((a, b) => a.timestamp - b.timestamp);
    for (const one of this.list) one.children = [];
    this.low = this.high = null;
    this.leaders = [];
    this.best = null;
    this.counts = { ok: 0, failed: 0, incorrect: 0, calls: 0 };
    for (const call of this.calls) if (call.status !== "ok") this.counts.calls += 1;
    let finished = 0;
    for (const one of this.list) {
      // A copy is no individual of its own: it stands where the last one does.
      if (!one.copied) { this.counts[one.outcome] += 1; finished += 1; }
      one.place = Math.max(0, finished - 1);
      if (one.leads) { this.best = one; this.leaders.push(one.id); }
      if (one.score !== null) {
        this.low = this.low === null ? one.score : Math.min(this.low, one.score);
        this.high = this.high === null ? one.score : Math.max(this.high, one.score);
      }
      const parent = this.byId.get(one.parents[0]);
      if (parent && parent !== one) parent.children.push(one);
    }
    this.bestPath = new Set();
    for (let one = this.best; one && !this.bestPath.has(one.id); one = this.byId.get(one.parents[0])) this.bestPath.add(one.id);
  }

  shade(one) {
    // 0 is the worst score and 1 the best, in the run's direction.
    if (one.score === null || this.high === this.low) return one.score === null ? null : 1;
    const part = (one.score - this.low) / (this.high - this.low);
    return this.sign > 0 ? part : 1 - part;
  }
}
