// A table that is sorted by a click on a heading and shows more rows on demand; a click or Enter selects a row.
import { html } from "./html.js";
import { useMemo, useState } from "preact/hooks";
import { number, six, visible } from "./format.js";

// Unknown values come last in either direction.
function inOrder(rows, value, down) {
  const keyed = rows.map((row) => [value(row) ?? "", row]), way = down ? -1 : 1;
  keyed.sort(([x], [y]) => (x === y ? 0 : x === "" ? 1 : y === "" ? -1 : (x < y ? -1 : 1) * way));
  return keyed.map(([, row]) => row);
}

// A column of numbers, as `six` rounds them.
export const numeric = (name, head = name) => ({ name, head, right: true, show: (row) => number(row[name] === null || row[name] === undefined ? null : six(Number(row[name]))) });

// Tokens of calls: if none were counted, how many there were is not known.
export const tokens = (name, head) => ({ name, head, right: true, value: (row) => row[name] || null, show: (row) => number(row[name] || null) });

// `columns`: [{name, head, show(row), value(row), right, label, rest}]; `label` is read out if there is no head; `rest` is the width that the
// others leave. `kept`: a setting of the page with the order, [value, set].
// `fresh`: changes when values of the same rows have changed.
export function Table({ rows, columns, onPick, chosen, keyOf, first = 100, sorted, label, kept, fresh }) {
  const [own, set] = useState(sorted || null);
  const [name, way] = kept?.[0].split(" ") ?? [];
  const order = kept && columns.some((each) => each.name === name) ? { name, down: way !== "up" } : kept ? sorted || null : own;
  const sort = (next) => (kept ? kept[1](`${next.name} ${next.down ? "down" : "up"}`) : set(next));
  const [many, show] = useState(first);
  const listed = useMemo(() => (order ? inOrder(rows, columns.find((each) => each.name === order.name)?.value || ((row) => row[order.name]), order.down) : rows), [rows, order?.name, order?.down, fresh]);
  const turn = (name) => sort(order?.name === name ? { name, down: !order.down } : { name, down: true });
  return html`<div class="scroll"><table aria-label=${label}>
    <thead><tr>${columns.map((each) => html`<th class=${each.right ? "right" : ""} aria-sort=${order?.name === each.name ? (order.down ? "descending" : "ascending") : "none"}>
      <button aria-label=${each.head ? undefined : each.label} onClick=${() => turn(each.name)}>${each.head}${order?.name === each.name ? (order.down ? " ↓" : " ↑") : ""}</button></th>`)}</tr></thead>
    <tbody>${listed.slice(0, many).map((row) => html`<tr key=${keyOf(row)} class=${chosen === keyOf(row) ? "chosen" : ""} tabindex=${onPick ? 0 : undefined}
      onClick=${() => onPick?.(row)} onKeyDown=${(event) => event.key === "Enter" && onPick?.(row)}>
      ${columns.map((each) => html`<td class=${each.right ? "right" : each.rest ? "rest" : ""}>${each.show ? each.show(row) : visible(row[each.name])}</td>`)}</tr>`)}</tbody>
  </table>${listed.length > many ? html`<button class="more" onClick=${() => show(many * 4)}>${(listed.length - many).toLocaleString("en-US")} more</button>` : ""}
  ${listed.length ? "" : html`<p class="none">Nothing to show.</p>`}</div>`;
}

// A table beside a chart, built when it is opened.
export function Beside({ table, title = "as a table" }) {
  const [open, turn] = useState(false);
  return html`<details class="as-table" onToggle=${(event) => turn(event.target.open)}><summary>${title}</summary>${open ? table() : ""}</details>`;
}
