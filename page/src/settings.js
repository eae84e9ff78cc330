// The settings of a view (axes, filters, what a program is compared with) are in the URL, after its path.
import { useEffect, useState } from "preact/hooks";

const told = () => new URLSearchParams(location.hash.split("?")[1] || "");

export function useSetting(name, initial) {
  const [value, set] = useState(() => told().get(name) ?? initial);
  useEffect(() => {
    const moved = () => set(told().get(name) ?? initial);
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
