// The choice of one island, the same in every view that has it, and kept in the address.
import { html } from "./html.js";
import { visible } from "./format.js";
import { useSetting } from "./settings.js";

// Names of islands, each once, numbers in their order.
export const inOrder = (names) => [...new Set(names)].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));

// The island that is chosen, or "" for all, and the control, or "" where there is nothing to choose. An address may name an island
// whose rows have not arrived: until then all are shown.
export function useIsland(islands) {
  const [kept, keep] = useSetting("island", ""), island = islands.includes(kept) ? kept : "";
  const control = islands.length > 1 ? html`<label>island <select value=${island} onChange=${(event) => keep(event.target.value)}><option value="">all</option>${islands.map((name) => html`<option value=${name}>${visible(name)}</option>`)}</select></label>` : "";
  return [island, control];
}
