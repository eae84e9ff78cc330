// The page. The URL names the view, so that it can be shared, bookmarked and returned to.
import "./page.css";
import { html, render } from "./html.js";
import { useEffect, useState } from "preact/hooks";
import { Calls } from "./calls.js";
import { Compare, Runs } from "./runs.js";
import { file } from "./file.js";
import { moment, visible } from "./format.js";
import { Run } from "./run.js";

// #/run/ID/TAB/INDIVIDUAL/PART, #/compare/ID/ID, #/calls, #/
const decoded = (part) => { try { return decodeURIComponent(part); } catch { return part; } };
function read() {
  const parts = location.hash.replace(/^#\/?/, "").split("?")[0].split("/").map(decoded);
  if (parts[0] === "run") return { run: parts[1], tab: parts[2], individual: parts[3] || "", part: parts[4] || "" };
  if (parts[0] === "compare") return { compare: parts.slice(1) };
  if (file) return { run: file.run };
  return { calls: parts[0] === "calls" };
}

const address = ({ run, tab = "overview", individual = "", part = "", compare, calls }) => {
  const parts = run ? ["run", run, tab, individual, part] : compare ? ["compare", ...compare] : [calls ? "calls" : ""];
  while (parts.length && !parts[parts.length - 1]) parts.pop();
  return "#/" + parts.map(encodeURIComponent).join("/");
};
// The settings of a view are kept as long as the view stays.
const go = (place) => {
  const now = read(), stays = place.run && now.run === place.run && (now.tab || "overview") === (place.tab || "overview"), set = location.hash.split("?")[1];
  location.hash = address(place) + (stays && set ? "?" + set : "");
};
go.address = address;

function Page() {
  const [place, move] = useState(read);
  useEffect(() => {
    const moved = () => move(read());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  document.title = place.run ? `${visible(place.run)} – genesis-otel` : "genesis-otel";
  const view = place.run ? html`<${Run} key=${place.run} id=${place.run} tab=${place.tab} chosen=${place.individual} part=${place.part} go=${go}/>`
    : place.compare ? html`<${Compare} runs=${place.compare} go=${go}/>`
    : place.calls ? html`<main class="one"><section class="left"><h1>Calls</h1><${Calls} choose=${(individual, run) => go({ run, tab: "overview", individual, part: "prompts" })}/></section></main>`
    : html`<${Runs} go=${go}/>`;
  if (file) return html`<nav class="top"><a href="#/" aria-current=${!place.compare}>Report</a>${file.compared.length ? html`<a href=${go.address({ compare: file.compared.map((each) => each.run.run_id) })} aria-current=${!!place.compare}>Compare</a>` : ""}
    <span class="brand">genesis-otel · written ${moment(file.written)}</span></nav>${view}`;
  return html`<nav class="top"><a href="#/" aria-current=${!place.run && !place.calls && !place.compare}>Runs</a><a href="#/calls" aria-current=${!!place.calls}>Calls</a><span class="brand">genesis-otel</span></nav>${view}`;
}

// "/" goes to the view's field for searching, Escape out of it, and then closes the individual.
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && !typing) {
    const field = document.querySelector(".left input[type=search]");
    if (field) { event.preventDefault(); field.focus(); field.select(); }
  }
  if (event.key === "Escape" && typing) event.target.blur();
  else if (event.key === "Escape") { const { run, tab, individual } = read(); if (run && individual) go({ run, tab }); }
});

const root = document.getElementById("page");
root.textContent = "";
render(html`<${Page}/>`, root);
