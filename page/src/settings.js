// The settings of a view (axes, filters, what a program is compared with) are in the URL, after its path.
import { useEffect, useState } from "preact/hooks";

const told = () => new URLSearchParams(location.hash.split("?")[1] || "");

// Some of the settings, as they are in an address.
export function settingsOf(...names) {
  const all = told(), kept = new URLSearchParams(names.filter((name) => all.has(name)).map((name) => [name, all.get(name)]));
  return kept.size ? "?" + kept : "";
}

// `among`: what may be chosen; of an address with anything else the initial value counts.
export function useSetting(name, initial, among) {
  const read = () => { const found = told().get(name); return found === null || (among && !among.includes(found)) ? initial : found; };
  const [value, set] = useState(read);
  useEffect(() => {
    const moved = () => set(read());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, [name, initial]);
  const change = (next) => {
    const all = told();
    if (next === initial) all.delete(name); else all.set(name, next);
    history.replaceState(null, "", location.hash.split("?")[0] + (all.size ? "?" + all : ""));
    set(next);
  };
  return [value, change];
}
