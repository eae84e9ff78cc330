// Islands: the best of each over time, and the migrations between them.
import { html } from "./html.js";
import { useWhole } from "./asked.js";
import { duration, moment, number, short, visible } from "./format.js";
import { inOrder } from "./island_choice.js";
import { colour } from "./marks.js";
import { LINES, Plot } from "./plot.js";
import { useSetting } from "./settings.js";
import { numeric, Table } from "./table.js";

const MADE = { copied: "copied", moved: "moved", crossed: "child of a parent on another island" };

export function Islands({ data, choose }) {
  const { told, error } = useWhole("run/islands", data);
  const [by, order] = useSetting("by", "place", ["place", "seconds"]);
  if (error) return html`<p class="failed" role="alert">${error}</p>`;
  if (!told) return html`<p class="none">Reading …</p>`;
  if (!told.islands.length) return html`<p class="none">This search has no islands.</p>`;
  const names = inOrder(told.islands.map((each) => each.island));
  const began = data.summary.start_time, end = data.list.length ? data.list[data.list.length - 1].timestamp : began;
  const at = (time) => (by === "seconds" ? Math.max(0, time - began) / 1000 : placeOf(data.list, time));
  const columns = [{ name: "island", head: "island", show: (row) => html`<i class="dot" ref=${(dot) => { if (dot) dot.style.background = LINES[names.indexOf(row.island) % LINES.length]; }}></i>⬡${visible(row.island)}` }, numeric("individuals"), numeric("best_score", "best"), numeric("avg_score", "mean"), { name: "best_generation", head: "best found in generation", right: true },
    numeric("arrived"), numeric("failed"), numeric("incorrect")];
  const moves = [{ name: "timestamp", head: "when", show: (row) => moment(row.timestamp) }, { name: "generation", head: "generation", right: true, value: ({ generation }) => (generation < 0 ? null : generation), show: ({ generation }) => (generation < 0 ? "" : number(generation)) }, { name: "individual_id", head: "individual", show: (row) => short(row.individual_id) }, { name: "kind", head: "how", show: (row) => MADE[row.kind] || visible(row.kind) },
    { name: "from_island", head: "from", show: (row) => (row.from_island === "" ? "?" : "⬡" + visible(row.from_island)) }, { name: "to_island", head: "to", show: (row) => "⬡" + visible(row.to_island) }, numeric("score")];
  return html`<${Table} label="Islands" rows=${told.islands} columns=${columns} keyOf=${(row) => row.island} onPick=${(row) => row.best_individual && choose(row.best_individual)}/>
    <div class="tools"><label>by <select value=${by} onChange=${(event) => order(event.target.value)}><option value="place">individuals</option><option value="seconds">seconds</option></select></label></div>
    <h2>Best of each island so far</h2><${Leaders} names=${names.slice(0, LINES.length)} leaders=${told.island_leaders} at=${at} last=${at(end)} by=${by}/>
    ${names.length > LINES.length ? html`<p class="mute">Showing the first ${LINES.length} of ${number(names.length)} islands.</p>` : ""}
    ${told.migrations.length ? html`<h2>Migrations</h2><${Moves} data=${data} names=${names} moves=${told.migrations} at=${at} last=${at(end)} by=${by} choose=${choose}/>
    <${Table} label="Migrations" rows=${told.migrations} columns=${moves} keyOf=${(row) => row.timestamp + row.kind + row.individual_id} onPick=${(row) => data.byId.has(row.individual_id) && choose(row.individual_id)} first=${30}/>` : html`<p class="none">No individual has moved between islands.</p>`}`;
}

// How many individuals had finished at a time.
function placeOf(list, time) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle].timestamp <= time) low = middle + 1; else high = middle;
  }
  return low ? list[low - 1].place + 1 : 0;
}

function Leaders({ names, leaders, at, last, by }) {
  const points = leaders.map((each) => [at(each.timestamp), each]);
  const x = [...new Set([...points.map(([place]) => place), last])].sort((a, b) => a - b), place = new Map(x.map((each, index) => [each, index]));
  const series = names.map((name, index) => {
    const values = x.map(() => null);
    for (const [when, each] of points) if (each.island === name) values[place.get(when)] = each.best_so_far;
    for (let step = 1; step < values.length; step += 1) if (values[step] === null) values[step] = values[step - 1];
    return { label: "⬡" + visible(name), values, color: LINES[index % LINES.length], steps: true };
  });
  return html`<${Plot} label="Best of each island so far" x=${x} series=${series} xLabel=${by === "seconds" ? "seconds" : "individuals"} yLabel="best so far" height=${260}/>`;
}

const LANE = 26, WIDE = 900, LETTER = 7, LONGEST = 12;

// One lane per island; each migration is a line from the old island to the new one, coloured by score.
function Moves({ data, names, moves, at, last, by, choose }) {
  const titles = names.map((name) => short(name, LONGEST)), left = 24 + LETTER * Math.max(2, ...titles.map((title) => title.length));
  const high = names.length * LANE + 22, x = (time) => left + ((WIDE - left - 12) * at(time)) / Math.max(last, 1e-9), y = (name) => names.indexOf(name) * LANE + LANE / 2;
  const known = moves.filter((each) => names.includes(each.to_island));
  return html`<div class="scroll" tabindex="0"><svg class="moves" viewBox="0 0 ${WIDE} ${high}" role="img" aria-label="Migrations between islands; the table below has the same data">
    ${names.map((name, at) => html`<g><line class="lane" x1=${left} x2=${WIDE - 12} y1=${y(name)} y2=${y(name)}/><text x="2" y=${y(name) + 4}>⬡${titles[at]}</text></g>`)}
    ${known.map((each) => {
      const from = names.includes(each.from_island) ? y(each.from_island) : y(each.to_island) - LANE / 2, to = y(each.to_island), across = x(each.timestamp), shade = colour(data.shade({ score: each.score }));
      return html`<g class="move" onClick=${() => data.byId.has(each.individual_id) && choose(each.individual_id)}><title>${`${visible(each.individual_id)}: ⬡${visible(each.from_island) || "?"} → ⬡${visible(each.to_island)}, ${MADE[each.kind]}${each.score === null ? "" : ", " + number(each.score)}`}</title>
        <line class="hit" x1=${across} x2=${across} y1=${from} y2=${to}/><line class="edge" x1=${across} x2=${across} y1=${from} y2=${to} stroke-dasharray=${each.kind === "crossed" ? "3 2" : undefined}/><line x1=${across} x2=${across} y1=${from} y2=${to} stroke=${shade} stroke-dasharray=${each.kind === "crossed" ? "3 2" : undefined}/><circle cx=${across} cy=${to} r="4" fill=${shade}/></g>`;
    })}
    <text x=${left} y=${high - 4}>0</text><text x=${WIDE - 12} y=${high - 4} text-anchor="end">${by === "seconds" ? duration(last) : `${number(last)} individuals`}</text></svg></div>
    <p class="hint">Dots mark the island that an individual came to; dashed lines are children of a parent on another island.${moves.length >= 1000 ? " Only the newest 1,000 are shown." : ""}</p>`;
}
