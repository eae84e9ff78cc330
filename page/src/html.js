// Markup as template literals. htm keeps the elements of a template that never change; Preact then draws a copy, and what was kept
// held the whole view in which it was first used, long after that had gone: 5,000 nodes of tables. So none are kept (htm's `this[0] = 3`).
import htm from "htm";
import { h } from "preact";

export { render } from "preact";
export const html = htm.bind(function (...told) { this[0] = 3; return h(...told); });
