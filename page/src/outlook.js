// The progress of open runs and their estimated time left, requested after their other data.
import { useEffect, useState } from "preact/hooks";
import { ask, SHARE } from "./api.js";
import { file } from "./file.js";
import { duration, number } from "./format.js";

const EVERY = 10_000;

// Outlooks by run id; requested again when `news` changes, but at most every ten seconds.
export function useOutlook(runs, news) {
  const [known, know] = useState({ of: {}, news: null, due: 0 });
  const asked = runs.join();
  useEffect(() => {
    if (file || !runs.length || (known.news === news && runs.every((run) => run in known.of))) return;
    let over = false;
    const look = async () => {
      const began = performance.now();
      const told = await ask("outlook", { run: runs }).catch(() => null);
      const now = performance.now();
      if (!over) know((before) => ({ of: told ? Object.fromEntries(told.map((each) => [each.run_id, each])) : before.of, news, due: now + Math.max(EVERY, SHARE * (now - began)) }));
    };
    const timer = setTimeout(look, Math.max(0, known.due - performance.now()));
    return () => { over = true; clearTimeout(timer); };
  }, [asked, news, known]);
  // Of a run that has ended meanwhile, nothing is left to tell.
  return Object.fromEntries(runs.filter((run) => Object.hasOwn(known.of, run)).map((run) => [run, known.of[run]]));
}

// Empty if the planned number of generations is unknown.
export function left({ planned, done, seconds_left: seconds, status }) {
  if (!planned) return "";
  const far = `${number(done)} of ${number(planned)}`;
  return status === "running" && seconds !== null ? `${far}, ${duration(seconds)} left` : far;
}
