// The individuals that somebody looks for in a picture: by a text, by an island, or both.
import { useMemo } from "preact/hooks";
import { containing } from "./format.js";
import { inOrder, useIsland } from "./island_choice.js";

// A set of them, or null for all; and the control for islands.
export function useMatching(data, search) {
  const islands = useMemo(() => inOrder(data.list.map((one) => one.island).filter(Boolean)), [data.version]);
  const [island, islandChoice] = useIsland(islands);
  const wanted = search.trim().toLowerCase();
  const matching = useMemo(() => {
    if (!wanted && !island) return null;
    const has = containing(wanted), kinds = new Set([...new Set(data.list.map((one) => one.mutation_type))].filter(has));
    return new Set(data.list.filter((one) => (!island || one.island === island) && (!wanted || kinds.has(one.mutation_type) || has(one.id) || has(one.edit_summary) || one.island === wanted)));
  }, [wanted, island, data.version]);
  return [matching, islandChoice];
}
