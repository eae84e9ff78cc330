// A map of the programs: those that are written in the same words are near each other.
import { html } from "./html.js";
import { useMemo } from "preact/hooks";
import { useNews } from "./asked.js";
import { count, isLive, number, short, visible } from "./format.js";
import { draw, drawSmall, GOLD, Legend, lines, OTHERS, scaled, shapesOf } from "./marks.js";
import { useMatching } from "./matching.js";
import { Plane } from "./plane.js";
import { MANY, Raster } from "./raster.js";
import { Beside, numeric, Table } from "./table.js";
import { Vectors } from "./vectors.js";

const MARGIN = 30, SMALLEST = 1e-6, LEAST = 2, MOST = 6, CROWD = 20_000, BADGES = 100;

export function ProgramMap({ data, chosen, choose, search }) {
  const { told, error } = useNews("run/vectors", data, () => new Vectors());
  const [matching, islandChoice] = useMatching(data, search);
  const shapes = useMemo(() => shapesOf(data.list), [data.version]);
  const { points, byId, without } = useMemo(() => placed(data, told), [data.version, told]);
  if (error) return html`<p class="failed" role="alert">${error}</p>`;
  if (!told) return html`<p class="none">Reading …</p>`;
  if (!points.length) return html`<p class="none">${data.list.length ? "No program of this run was recorded" : `No individual has finished${isLive(data.summary) ? " yet" : ""}`}.</p>`;

  // Both directions have one scale, since distances have a meaning.
  const fit = (width, height) => {
    let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const { x, y } of points) { left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y); }
    const scale = Math.min((width - 2 * MARGIN) / Math.max(right - left, SMALLEST), (height - 2 * MARGIN) / Math.max(bottom - top, SMALLEST));
    return { x: (width - scale * (left + right)) / 2, y: (height - scale * (top + bottom)) / 2, sx: scale, sy: scale };
  };
  const paint = (context, view, { width, height, ratio, dark }) => {
    const { x: left, y: top, sx, sy } = view, at = ({ x, y }) => [left + sx * x, top + sy * y], mark = points.length > CROWD ? LEAST : points.length > MANY ? 3 : MOST, gold = [];
    for (const { one, x, y } of points) {
      const parent = data.bestPath.has(one.id) && byId.get(one.parent?.id);
      if (parent) gold.push(...at(parent), left + sx * x, top + sy * y);
    }
    if (points.length > MANY) {
      const raster = new Raster(width * ratio, height * ratio);
      drawSmall(raster, data, points, individual, scaled(view, ratio), (mark * ratio) / 2, matching ? (one) => matching.has(one) : undefined);
      raster.put(context);
      context.scale(ratio, ratio);
      lines(context, gold, GOLD, 1.5);
      return mark;
    }
    context.scale(ratio, ratio);
    lines(context, gold, GOLD, 1.5);
    const shown = points.filter((point) => { const [x, y] = at(point); return x > -10 && x < width + 10 && y > -10 && y < height + 10; });
    context.font = "10px system-ui, sans-serif";
    for (const point of [...shown.filter(({ one }) => !data.bestPath.has(one.id)), ...shown.filter(({ one }) => data.bestPath.has(one.id))]) {
      const [x, y] = at(point);
      context.globalAlpha = !matching || matching.has(point.one) ? 1 : OTHERS;
      draw(context, data, point.one, x, y, mark, { shape: shapes.get(point.one.mutation_type), dark });
      if (shown.length > BADGES || point.one.island === "") continue;
      context.fillStyle = dark ? "#c9d1d9" : "#333";
      context.fillText("⬡" + short(point.one.island), x + mark + 3, y + 3);
    }
    return mark;
  };
  // The nearest one in the direction of the arrow, within 45 degrees of it.
  const step = (key, from) => {
    const [across, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] || [0, 0];
    let found, distance = Infinity;
    for (const point of points) {
      const x = point.x - from.x, y = point.y - from.y, ahead = across * x + down * y, away = x * x + y * y;
      if (ahead > 0 && 2 * ahead * ahead >= away && away < distance) [found, distance] = [point, away];
    }
    return found;
  };
  const same = (point) => { const others = points.filter(({ x, y }) => x === point.x && y === point.y).length - 1; return others ? ` · ${count(others, "other")} at the same place` : ""; };
  const center = byId.get(chosen) || byId.get(data.best?.id) || points[0];
  const near = () => points.map((point) => ({ ...point, away: told.distance(center.row, point.row) }));
  const columns = [{ name: "id", head: "individual", show: ({ one }) => short(one.id), value: ({ one }) => one.id }, numeric("away", "distance"), { name: "made by", head: "made by", show: ({ one }) => visible(one.mutation_type), value: ({ one }) => one.mutation_type },
    { name: "score", head: "score", right: true, show: ({ one }) => (one.outcome === "ok" ? number(one.score) : html`<span class="failed">${one.outcome}</span>`), value: ({ one }) => (one.score === null ? null : data.sign * one.score) }, { name: "island", head: "island", show: ({ one }) => visible(one.island), value: ({ one }) => one.island },
    { name: "generation", head: "generation", right: true, show: ({ one }) => one.generation, value: ({ one }) => one.generation }, numeric("x", "across"), numeric("y", "down")];
  return html`<${Plane} data=${data} points=${points} of=${individual} find=${(id) => byId.get(id)} fit=${fit} paint=${paint} fresh=${[matching]} shapes=${shapes} chosen=${chosen} choose=${choose} step=${step} more=${same}
      tools=${html`${islandChoice}<${Legend} data=${data} shapes=${shapes}/>`} label=${`Map of ${count(points.length, "program")}; the table below has the same data`} hint="Wheel zooms, drag pans, click selects. Arrow keys go to the nearest program in their direction, + and − zoom."/>
    <p class="hint">${[
      "Near each other are programs in which the same words and numbers occur about equally often; their order, operators and the length do not count.",
      told.share === null ? "Here they are the same in all programs." : `Of what differs between them, the two axes hold ${Math.round(100 * told.share)} % of the variance.`,
      without ? `${count(without, "individual")} without a recorded program ${without === 1 ? "is" : "are"} not shown.` : "",
    ].join(" ")}</p>
    <${Beside} table=${() => html`<${Table} label=${`Programs by their distance from ${short(center.one.id)}`} rows=${near()} columns=${columns} keyOf=${({ one }) => one.id} chosen=${chosen} onPick=${({ one }) => choose(one.id)} sorted=${{ name: "away", down: false }}/>`}/>`;
}

const individual = ({ one }) => one;

// The individuals that are on the map, and how many have no program. A copy is none of its own, and would be where its original is.
function placed(data, told) {
  const points = [], byId = new Map();
  let without = 0;
  for (const one of told ? data.list : []) {
    const row = one.copied ? undefined : told.rows.get(one.id);
    if (row === null) without += 1;
    if (row === undefined || row === null) continue;
    const point = { one, row, x: told.places[0][row], y: told.places[1][row] };
    points.push(point);
    byId.set(one.id, point);
  }
  return { points, byId, without };
}
