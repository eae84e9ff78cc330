// The family tree of all individuals: generations from left to right, children beside their parents. A double click folds an individual's
// descendants.
import { html } from "./html.js";
import { useMemo, useRef, useState } from "preact/hooks";
import { count, short } from "./format.js";
import { draw, drawSmall, GOLD, Legend, lines, OTHERS, scaled, shapesOf } from "./marks.js";
import { useMatching } from "./matching.js";
import { Plane } from "./plane.js";
import { channels, MANY, pixel, Raster } from "./raster.js";

// Pixels between two rows, at the zoom of 1 at which marks have their full size; the most between two generations, and between two rows.
const STEP = 16, WIDEST = 138, HIGHEST = 40;
// The smallest mark; below which zoom lines are thin, and above which there are badges.
const LEAST = 2, CLOSE = 0.5, BADGED = 0.8;
// The opacity of a line among very many, from 0 to 255: one to an individual with children, and one to any other.
const BRANCH = 40, TWIG = 8;
// From how many individuals in the picture on only those with the most descendants stand out.
const CROWD = 20_000;
// How far a child of its parent's own generation is to the right of it, in generations.
const ASIDE = 0.35;

// Positions for all individuals: x by generation; y so that leaves do not overlap and a parent is centred on its children.
export function layout(data, folded, looped = []) {
  const placed = [];
  let row = 0;
  // An individual has a `y` once it is placed.
  for (const one of data.list) one.y = one.x = undefined;
  for (const root of [...data.list.filter((one) => !one.parent), ...looped]) {
    if (root.x !== undefined) continue;
    const stack = [[root, 0]];
    while (stack.length) {
      const top = stack[stack.length - 1], [one, next] = top;
      if (next === 0) {
        const from = stack.length > 1 ? stack[stack.length - 2][0].x + ASIDE : 0;
        one.x = Math.max(from, typeof one.generation === "number" ? one.generation : stack.length - 1);
      }
      const children = folded.size && folded.has(one.id) ? [] : one.children;
      if (next < children.length) {
        top[1] += 1;
        if (children[next].x === undefined) stack.push([children[next], 0]);
        continue;
      }
      stack.pop();
      let low = null, high = null, below = 0;
      for (const child of children) if (child.y !== undefined) { low ??= child.y; high = child.y; below += 1 + child.below; }
      one.below = below;
      one.y = low === null ? row++ : (low + high) / 2;
      placed.push(one);
    }
  }
  return placed;
}

// Individuals that descend from themselves, by what was recorded: without them as roots, they and their descendants would not be drawn. Each
// such loop has a parent that finished after its child, and those are few.
function loops(list) {
  return list.filter((one) => {
    if (!one.parent || one.parent.timestamp < one.timestamp) return false;
    const seen = new Set();
    let above = one.parent;
    while (above && above !== one && !seen.has(above)) { seen.add(above); above = above.parent; }
    return above === one;
  });
}

// The number of descendants from which on an individual stands out among very many, so that a few thousand do.
function standing(list) {
  const counts = Int32Array.from(list, (one) => one.below).sort();
  return Math.max(1, counts[Math.max(0, counts.length - MANY)]);
}

export function Tree({ data, version, chosen, choose, search }) {
  const [folded, fold] = useState(() => new Set());
  const looped = useMemo(() => loops(data.list), [version]), placed = useMemo(() => layout(data, folded, looped), [version, folded]);
  const shapes = useMemo(() => shapesOf(data.list), [version]);
  const [matching, islandChoice] = useMatching(data, search);

  const fit = (width, height) => {
    let right = 1, bottom = 1;
    for (const one of placed) { right = Math.max(right, one.x); bottom = Math.max(bottom, one.y); }
    // Each direction is scaled separately: a long search is wide, a broad one high.
    return { x: 20, y: 20, sx: Math.min((width - 60) / right, WIDEST), sy: Math.min((height - 40) / bottom, HIGHEST) };
  };
  // What is in view: individuals, and lines to their parents; kept, as long as only what is searched for changes.
  const kept = useRef({ key: [] });
  const inView = (key, { x: left, y: top, sx, sy }, width, height) => {
    if (key.every((each, at) => each === kept.current.key[at])) return kept.current;
    const shown = [], edges = [], gold = [];
    for (const one of placed) {
      const x = left + one.x * sx, y = top + one.y * sy, parent = one.parent;
      if (x > -10 && x < width + 10 && y > -10 && y < height + 10) shown.push(one);
      if (!parent || parent.y === undefined) continue;
      const fromX = left + parent.x * sx, fromY = top + parent.y * sy;
      if ((x < 0 && fromX < 0) || (fromX > width && x > width) || (y < 0 && fromY < 0) || (y > height && fromY > height)) continue;
      (data.bestPath.has(one.id) && data.bestPath.has(parent.id) ? gold : edges).push(one);
    }
    // Where they cover each other, only the lines of those with the most descendants are drawn, and without a search only those stand out.
    kept.current = { key, shown, edges, gold, least: shown.length > CROWD ? standing(shown) : 0, lines: null };
    return kept.current;
  };
  const paint = (context, view, { width, height, ratio, dark }) => {
    const { x: left, y: top, sx, sy } = view, zoom = sy / STEP, mark = Math.max(LEAST, Math.min(6, 6 * zoom));
    const picture = inView([placed, left, top, sx, sy, width, height, ratio, dark], view, width, height), { shown, edges, gold, least } = picture;
    const ends = (one) => [left + one.parent.x * sx, top + one.parent.y * sy, left + one.x * sx, top + one.y * sy];
    if (shown.length > MANY || edges.length > MANY) {
      const raster = new Raster(width * ratio, height * ratio), fine = scaled(view, ratio);
      if (picture.lines) raster.pixels.set(picture.lines);
      else {
        const colour = pixel(channels(dark ? "#aab2bd" : "#59616d"), 0), { x, y, sx: across, sy: down } = fine;
        for (const one of edges) if (one.below >= least) raster.line(x + one.parent.x * across, y + one.parent.y * down, x + one.x * across, y + one.y * down, colour, one.below ? BRANCH : TWIG);
        picture.lines = raster.pixels.slice();
      }
      drawSmall(raster, data, shown, itself, fine, (mark * ratio) / 2, matching ? (one) => matching.has(one) : least ? (one) => one.below >= least || data.bestPath.has(one.id) : undefined);
      raster.put(context);
      context.scale(ratio, ratio);
      lines(context, gold.flatMap(ends), GOLD, 2.5);
      return mark;
    }
    context.scale(ratio, ratio);
    // Lines that lie close together are thin, so that the marks stand out.
    lines(context, edges.flatMap(ends), dark ? "#4a515c" : "#c3c8d0", zoom < CLOSE ? 0.4 : 1);
    lines(context, gold.flatMap(ends), GOLD, 2.5);
    context.font = "10px system-ui, sans-serif";
    for (const one of shown) {
      const x = left + one.x * sx, y = top + one.y * sy;
      context.globalAlpha = !matching || matching.has(one) ? 1 : OTHERS;
      draw(context, data, one, x, y, mark, { shape: shapes.get(one.mutation_type), dark });
      if (zoom > BADGED) {
        context.fillStyle = dark ? "#c9d1d9" : "#333";
        const badge = [one.island !== "" ? "⬡" + short(one.island) : "", folded.has(one.id) ? `+${descendants(one)}` : ""].filter(Boolean).join(" ");
        if (badge) context.fillText(badge, x + mark + 3, y + 3);
      }
    }
    return mark;
  };
  const step = (key, one) => {
    const siblings = one.parent?.children || [], beside = siblings.indexOf(one);
    return { ArrowLeft: one.parent, ArrowRight: one.children[0], ArrowDown: siblings[beside + 1], ArrowUp: siblings[beside - 1] }[key];
  };
  const turn = (one) => {
    const next = new Set(folded);
    if (!next.delete(one.id)) next.add(one.id);
    fold(next);
  };
  const tools = html`<button onClick=${() => fold(new Set())} disabled=${!folded.size}>Unfold all</button>${islandChoice}<${Legend} data=${data} shapes=${shapes}/>${data.list.some((one) => one.copied) ? html`<span class="kind"><i class="shape circle copied"></i>copy</span>` : ""}`;
  return html`<div class="tree"><${Plane} data=${data} points=${placed} of=${itself} find=${(id) => { const one = data.byId.get(id); return one?.y === undefined ? undefined : one; }} fit=${fit} paint=${paint} fresh=${[matching]} shapes=${shapes}
    chosen=${chosen} choose=${choose} step=${step} fold=${turn} tools=${tools} label=${`Family tree of ${count(data.list.length, "individual")}; the tab Individuals lists them`}
    hint=${`Wheel zooms, drag pans, click selects, double click folds. Arrow keys go to the parent, children and siblings, the space bar folds, + and − zoom.${placed.length > CROWD ? " Of this many individuals, those with few descendants are faint until you zoom in." : ""}`}/></div>`;
}

const itself = (one) => one;

function descendants(one) {
  let count = 0;
  const stack = [...one.children], seen = new Set();
  while (stack.length) {
    const next = stack.pop();
    if (seen.has(next.id)) continue;
    seen.add(next.id);
    count += 1;
    stack.push(...next.children);
  }
  return count;
}
