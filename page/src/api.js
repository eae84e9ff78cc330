// Requests to the server, or to the report that contains this page, and the data of a run: loaded once, then only what is new.
import { answer } from "./file.js";
import { fraction, isLive } from "./format.js";

// Why there is no answer. `isFinal`: the request is wrong, or what it asks for does not exist; anything else may pass.
export class Refused extends Error {
  constructor(message, isFinal = true) {
    super(message);
    this.isFinal = isFinal;
  }
}

const AWAY = "The page's server does not answer: genesis-otel ui may have ended, or the connection to it. Trying again …";

// The longest that the page may be busy without a pause, in milliseconds: it stays responsive while it takes many rows.
const BUSY = 40;

export async function ask(path, parameters = {}) {
  let told;
  await pieces(path, parameters, (piece) => { told = piece; });
  return told;
}

// An answer of many rows comes in pieces, each a line with some of them: `take(piece)` is called for each.
export async function pieces(path, parameters, take) {
  const known = answer(path, parameters);
  if (known) {
    if (known.error) throw new Refused(known.error);
    take(known.told);
    return;
  }
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    for (const each of Array.isArray(value) ? value : [value]) if (each !== "" && each !== null && each !== undefined) query.append(name, each);
  const text = query.toString();
  const response = await fetch("/api/" + path + (text ? "?" + text : ""), { credentials: "same-origin" }).catch(() => { throw new Refused(AWAY, false); });
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  if (!response.ok) throw new Refused(isJson ? (await response.json()).error : (await response.text()) || response.statusText, response.status < 500);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", since = performance.now();
  const line = async (json) => {
    if (!json) return;
    take(JSON.parse(json));
    if (performance.now() - since < BUSY) return;
    await new Promise((next) => setTimeout(next));
    since = performance.now();
  };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = value.split("\n");
    lines[0] = rest + lines[0];
    rest = lines.pop();
    for (const each of lines) await line(each);
  }
  await line(rest);
}

const BETTER = { max: 1, min: -1 };
// The summary of a run is requested for at most a tenth of the time (SHARE); if nothing arrives, every SILENT milliseconds, since a run
// without news becomes a stalled one.
export const SHARE = 10, SILENT = 30_000;

const NONE = [];
const OF_ONE = ["generation", "timestamp", "mutation_type", "island", "outcome", "copied", "score", "best_so_far", "leads", "code_size", "edit_summary"];

// An individual's `parent` is its first, if it has a row; its `children` are those whose first parent it is, which make the tree; `offspring` counts
// all that have it among their parents, without copies. An individual and a call have all their fields from the beginning, in one order: a hundred thousand objects whose fields were added by
// name took three times as long.
class Individual {
  constructor(columns, at) {
    this.parent = null;
    this.children = NONE;
    this.offspring = 0;
    this.place = 0;
    this.x = 0;
    this.y = undefined;
    this.below = 0;
    this.take(columns, at);
  }

  take(columns, at) {
    this.id = columns.individual_id[at];
    this.generation = columns.generation[at];
    this.timestamp = columns.timestamp[at];
    this.parents = columns.parents[at];
    this.mutation_type = columns.mutation_type[at];
    this.island = columns.island[at];
    this.outcome = columns.outcome[at];
    this.copied = columns.copied[at];
    this.score = columns.score[at];
    this.best_so_far = columns.best_so_far[at];
    this.leads = columns.leads[at];
    this.code_size = columns.code_size[at];
    this.edit_summary = columns.edit_summary[at];
  }

  // Whether this is what is known already.
  is(columns, at) {
    const parents = columns.parents[at];
    return OF_ONE.every((name) => this[name] === columns[name][at]) && this.parents.length === parents.length && this.parents.every((id, place) => id === parents[place]);
  }
}

class Call {
  constructor(columns, at) {
    this.timestamp = columns.timestamp[at];
    this.execution_time = columns.execution_time[at];
    this.model = columns.model[at];
    this.role = columns.role[at];
    this.individual_id = columns.individual_id[at];
    this.status = columns.status[at];
    this.cost = columns.cost[at];
  }
}

// What has the score of an individual: a copy has none of its own, but what it is a copy of has.
export function original(one) {
  const seen = new Set();
  while (one?.copied && !seen.has(one.id)) { seen.add(one.id); one = one.parent; }
  return one;
}

const byTime = (a, b) => a.timestamp - b.timestamp || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

// A run: its individuals as `list` (in the order in which they finished) and `byId`, its calls, and its summary. `version` grows with
// each refresh that changed something, `arrived` with the rows that came. The server decides which individual is best, so that there is
// one definition of it; here the leaders are only put in order.
export class RunData {
  constructor(id) {
    this.id = id;
    this.summary = null;
    this.calls = [];
    this.callsById = new Map();
    this.failedCalls = 0;
    this.since = { individuals: 0, calls: 0 };
    this.seen = {};
    this.version = 0;
    this.arrived = 0;
    this.due = 0;
    this.stale = false;
    // `loaded`: the individuals are here; `whole`: the calls, too, which are asked for when the individuals are drawn.
    this.loaded = this.whole = false;
    this.list = [];
    this.byId = new Map();
    // What the tabs know of it beyond this, by path.
    this.news = new Map();
    this.begin();
  }

  get sign() {
    return BETTER[this.summary?.direction] || 1;
  }

  // One cheap request, and the expensive ones only if its answer has changed since the last time.
  async refresh(changed) {
    const arrivals = ask("run/arrivals", { run: this.id });
    let news = 0;
    if (!this.loaded) {
      // What came in between is only sent again.
      const [seen, , shown] = await Promise.all([arrivals, this.stand(), this.askIndividuals()]);
      this.seen = seen;
      this.arrived += shown;
      this.loaded = true;
      this.version += 1;
      changed();
      news = await this.askCalls();
    } else {
      const seen = await arrivals, differs = (name) => seen[name] !== this.seen[name];
      // There are fewer rows than individuals: the run was deleted, and what comes under its id may be another one.
      if (differs("individuals") && (parseInt(seen.individuals, 10) || 0) < this.list.length) this.forget();
      const [shown, calls] = await Promise.all([differs("individuals") ? this.askIndividuals() : 0, differs("calls") || !this.whole ? this.askCalls() : 0]);
      // Calls that were removed, as duplicates are, or that have got a price are not among what is new.
      const anew = differs("calls") && this.whole && (!calls || (parseInt(seen.calls, 10) || 0) < this.calls.length);
      if (anew) await this.askCalls(true);
      news = shown + calls || (Object.keys(seen).some(differs) ? 1 : 0);
      this.seen = seen;
      // A summary reads the whole run: requested again only if something arrived, or if the run may have stalled.
      this.stale ||= news > 0;
      // A run without any row is gone, which its summary says.
      if (Object.values(seen).every((each) => !each)) await this.stand();
      else if (performance.now() >= (this.stale ? this.due : this.stood + SILENT) && (this.stale || isLive(this.summary))) {
        await this.stand();
        this.version += news ? 0 : 1;
      }
    }
    this.arrived += news;
    if (news || !this.whole) this.version += 1;
    this.whole = true;
    return news;
  }

  // As if nothing had been asked for.
  forget() {
    this.list = [];
    this.byId = new Map();
    this.calls = [];
    this.callsById = new Map();
    this.failedCalls = 0;
    this.since = { individuals: 0, calls: 0 };
    this.news = new Map();
    this.begin();
    this.version += 1;
    this.arrived += 1;
    this.stale = true;
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

  async askIndividuals() {
    const fresh = [];
    let since = 0, altered = 0;
    await pieces("run/individuals", { run: this.id, since: this.since.individuals, leaders: this.lastLeaders() }, ({ columns, since: cursor }) => {
      since = cursor;
      const ids = columns.individual_id || [];
      for (let at = 0; at < ids.length; at += 1) {
        const known = this.byId.get(ids[at]);
        if (known) {
          if (!known.is(columns, at)) { known.take(columns, at); altered += 1; }
          continue;
        }
        const one = new Individual(columns, at);
        this.byId.set(one.id, one);
        fresh.push(one);
      }
    });
    this.since.individuals = since;
    this.arrange(fresh, altered);
    return fresh.length + altered;
  }

  // Those that are new, or `anew` all of them.
  async askCalls(anew = false) {
    const known = anew ? new Map() : this.callsById;
    let news = 0, since = 0;
    await pieces("run/calls", { run: this.id, since: anew ? 0 : this.since.calls }, ({ columns, since: cursor }) => {
      since = cursor;
      const ids = columns.span_id || [];
      for (let at = 0; at < ids.length; at += 1) {
        if (known.has(ids[at])) continue;
        known.set(ids[at], new Call(columns, at));
        news += 1;
      }
    });
    this.since.calls = since;
    if (!news && !anew) return 0;
    this.callsById = known;
    this.calls = [...known.values()].sort((a, b) => a.timestamp - b.timestamp);
    this.failedCalls = this.calls.filter((call) => call.status !== "ok").length;
    return news;
  }

  begin() {
    this.low = this.high = null;
    this.leaders = [];
    this.best = null;
    this.bestPath = new Set();
    this.counts = { ok: 0, failed: 0, incorrect: 0 };
    this.finished = 0;
    // Parents of which a child, but no row, is known.
    this.missing = new Set();
  }

  // Puts individuals in the order in which they finished, links children to parents, and finds the path to the best one, which is the last
  // leader. Those that finished after all others, as most do while a search goes on, are only added.
  arrange(fresh, altered) {
    fresh.sort(byTime);
    const last = this.list[this.list.length - 1], after = !altered && (!last || !fresh.length || byTime(last, fresh[0]) < 0) && !fresh.some((one) => this.missing.has(one.id));
    for (const one of fresh) this.list.push(one);
    if (!after) {
      this.list.sort(byTime);
      for (const one of this.list) { one.children = NONE; one.parent = null; one.offspring = 0; }
      this.begin();
    }
    const before = this.best;
    for (const one of after ? fresh : this.list) this.add(one);
    if (this.best === before) return;
    this.bestPath = new Set();
    for (let one = this.best; one && !this.bestPath.has(one.id); one = one.parent) this.bestPath.add(one.id);
  }

  add(one) {
    // A copy is no individual of its own: it stands where the last one does.
    if (!one.copied) { this.counts[one.outcome] += 1; this.finished += 1; }
    one.place = Math.max(0, this.finished - 1);
    if (one.leads) { this.best = one; this.leaders.push(one.id); }
    if (one.score !== null) {
      this.low = this.low === null ? one.score : Math.min(this.low, one.score);
      this.high = this.high === null ? one.score : Math.max(this.high, one.score);
    }
    if (!one.parents.length) return;
    for (const id of one.parents) {
      const known = this.byId.get(id);
      if (!known) this.missing.add(id);
      else if (!one.copied && known !== one) known.offspring += 1;
    }
    const parent = this.byId.get(one.parents[0]);
    if (!parent || parent === one) return;
    one.parent = parent;
    if (parent.children === NONE) parent.children = [one];
    else parent.children.push(one);
  }

  shade(one) {
    // 0 is the worst score and 1 the best, in the run's direction.
    if (one.score === null || this.high === this.low) return one.score === null ? null : 1;
    const part = fraction(one.score, this.low, this.high);
    return this.sign > 0 ? part : 1 - part;
  }
}
