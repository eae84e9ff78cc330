// Data that a view needs beyond the run's individuals and calls: the whole, or what is new since a cursor. It is requested again only if
// something arrived for the run, and never for more than a tenth of the time.
import { useEffect, useState } from "preact/hooks";
import { ask, pieces, SHARE } from "./api.js";
import { file } from "./file.js";

// When what failed is tried again, in milliseconds.
export const AGAIN = 5_000;

function useLooks(data, at, every, look) {
  const [state, tell] = useState({ told: null, error: "" });
  useEffect(() => {
    let over = false, timer, seen = -1;
    tell({ told: null, error: "" });
    const again = async () => {
      let took = 0;
      if (seen !== data.arrived && (file || !document.hidden)) {
        const began = performance.now();
        seen = data.arrived;
        try {
          const told = await look();
          if (!over) tell({ told, error: "" });
        } catch (refused) {
          seen = -1;
          if (!over) tell((before) => ({ ...before, error: refused.message }));
        }
        took = performance.now() - began;
      }
      if (!over && !file) timer = setTimeout(again, Math.max(every, SHARE * took));
    };
    again();
    return () => { over = true; clearTimeout(timer); };
  }, [data, at]);
  return state;
}

// An answer about the whole run.
export const useWhole = (path, data) => useLooks(data, path, 10_000, () => ask(path, { run: data.id }));

// Answers that add up: `begin()` makes an object whose `take(piece)` takes what is new, and whose `show()` returns what to show. It stays with
// the run: on another visit of the tab only what is new since the last one is asked for.
export function useNews(path, data, begin) {
  const look = async () => {
    if (!data.news.has(path)) data.news.set(path, { since: 0, all: begin() });
    const kept = data.news.get(path);
    await pieces(path, { run: data.id, since: kept.since }, (piece) => { kept.all.take(piece); kept.since = piece.since; });
    return kept.all.show();
  };
  return useLooks(data, path, 2_000, look);
}

// An answer that is asked for once `asked` is not null, and again as long as the server or the store is away.
export function useAnswer(path, asked) {
  const [told, tell] = useState(null), key = JSON.stringify(asked);
  useEffect(() => {
    let over = false, timer;
    const look = () => ask(path, asked).then((answer) => !over && tell(answer), (refused) => {
      if (over) return;
      tell({ refused: refused.message });
      if (!refused.isFinal) timer = setTimeout(look, AGAIN);
    });
    if (asked) look();
    return () => { over = true; clearTimeout(timer); };
  }, [path, key]);
  return told;
}

// The columns of an answer as rows.
export function rows({ columns }) {
  const names = Object.keys(columns);
  return (columns[names[0]] || []).map((_, at) => {
    const row = {};
    for (const name of names) row[name] = columns[name][at];
    return row;
  });
}
