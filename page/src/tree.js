// The family tree of all individuals, on a canvas: generations from left to right, children beside their parents. Wheel zooms,
// drag pans, click selects, double click folds an individual's descendants.
import { html } from "htm/preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { draw, drawSmall, GOLD, Scale, shapesOf } from "./marks.js";
import { containing, count, number, short, visible } from "./format.js";
import { inOrder, useIsland } from "./island_choice.js";
import { channels, MANY, pixel, Raster } from "./raster.js";

const STEP_X = 46, STEP_Y = 16, LEAST = 2, CLOSE = 0.5;
// The opacity of a line among very many, from 0 to 255: one to an individual with children, and one to any other.
const BRANCH = 40, TWIG = 8;
// From how many individuals in the picture on only those with the most descendants stand out.
const CROWD = 20_000;
// How far a child of its parent's own generation is to the right of it, in generations.
const ASIDE = 0.35;

// Positions for all individuals: x by generation; y so that leaves do not overlap and a parent is centred on its children.
export function layout(data, folded) {
  const placed = [];
  let row = 0;
  // An individual has a `y` once it is placed.
  for (const one of data.list) one.y = one.x = undefined;
  for (const root of data.list) {
    if (root.parent) continue;
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

// The number of descendants from which on an individual stands out among very many, so that a few thousand do.
function standing(list) {
  const counts = Int32Array.from(list, (one) => one.below).sort();
  return Math.max(1, counts[Math.max(0, counts.length - MANY)]);
}

export function Tree({ data, version, chosen, choose, search }) {
  const canvas = useRef(null), view = useRef(null);
  const [folded, fold] = useState(() => new Set());
  const [size, measure] = useState([0, 0]);
  const [over, hover] = useState(null);
  const placed = useMemo(() => layout(data, folded), [version, folded]);
  const shapes = useMemo(() => shapesOf(data.list), [version]);
  const islands = useMemo(() => inOrder(data.list.map((one) => one.island).filter(Boolean)), [version]);
  const [island, islandChoice] = useIsland(islands);
  const wanted = search.trim().toLowerCase();
  // Those that were searched for, or null for all.
  const matching = useMemo(() => {
    if (!wanted && !island) return null;
    const has = containing(wanted);
    return new Set(data.list.filter((one) => (!island || one.island === island) && (!wanted || has(one.id) || has(one.mutation_type) || has(one.edit_summary) || String(one.island) === wanted)));
  }, [wanted, island, version]);
  const matches = (one) => matching === null || matching.has(one);

  useEffect(() => {
    const watching = new ResizeObserver(([entry]) => measure([entry.contentRect.width, entry.contentRect.height]));
    watching.observe(canvas.current.parentElement);
    return () => watching.disconnect();
  }, []);

  const fit = () => {
    let right = 1, bottom = 1;
    for (const one of placed) { right = Math.max(right, one.x); bottom = Math.max(bottom, one.y); }
    // Each direction is scaled separately: a long search is wide, a broad one high.
    view.current = { zoomX: Math.min((size[0] - 60) / (right * STEP_X), 3), zoom: Math.min((size[1] - 40) / (bottom * STEP_Y), 2.5), x: 20, y: 20 };
  };
  const at = (one) => [view.current.x + one.x * STEP_X * view.current.zoomX, view.current.y + one.y * STEP_Y * view.current.zoom];

  const paint = () => {
    const [width, height] = size;
    if (!width || !height || !canvas.current) return;
    if (!view.current) fit();
    const ratio = window.devicePixelRatio || 1, dark = matchMedia("(prefers-color-scheme: dark)").matches;
    canvas.current.width = width * ratio;
    canvas.current.height = height * ratio;
    const context = canvas.current.getContext("2d");
    const { x: left, y: top, zoom, zoomX } = view.current, mark = Math.max(LEAST, Math.min(6, 6 * zoom)), edges = [], branches = [], gold = [], shown = [];
    for (const one of placed) {
      const x = left + one.x * STEP_X * zoomX, y = top + one.y * STEP_Y * zoom, parent = one.parent;
      if (parent && parent.y !== undefined) {
        const px = left + parent.x * STEP_X * zoomX, py = top + parent.y * STEP_Y * zoom;
        if (!((x < 0 && px < 0) || (px > width && x > width) || (y < 0 && py < 0) || (y > height && py > height))) {
          const best = data.bestPath.has(one.id) && data.bestPath.has(parent.id);
          (best ? gold : edges).push(px, py, x, y);
          if (!best) branches.push(one.below);
        }
      }
      if (x > -10 && x < width + 10 && y > -10 && y < height + 10) shown.push(one);
    }
    const many = shown.length > MANY || edges.length > 4 * MANY, line = dark ? "#4a515c" : "#c3c8d0";
    const strokes = (ends) => { for (let at = 0; at < ends.length; at += 4) { context.moveTo(ends[at], ends[at + 1]); context.lineTo(ends[at + 2], ends[at + 3]); } };
    const golden = () => { context.strokeStyle = GOLD; context.lineWidth = 2.5; context.beginPath(); strokes(gold); context.stroke(); };
    if (many) {
      const raster = new Raster(canvas.current.width, canvas.current.height), colour = pixel(channels(dark ? "#aab2bd" : "#59616d"), 0);
      // Where they cover each other, those with the most descendants stand out, and only their lines are drawn.
      const crowded = !matching && shown.length > CROWD, least = crowded ? standing(shown) : 0, stands = crowded ? (one) => one.below >= least || data.bestPath.has(one.id) : matches;
      for (let edge = 0; edge < edges.length; edge += 4) if (branches[edge / 4] >= least) raster.line(edges[edge] * ratio, edges[edge + 1] * ratio, edges[edge + 2] * ratio, edges[edge + 3] * ratio, colour, branches[edge / 4] ? BRANCH : TWIG);
      drawSmall(raster, data, shown, (one) => [(left + one.x * STEP_X * zoomX) * ratio, (top + one.y * STEP_Y * zoom) * ratio], (mark * ratio) / 2, stands);
      raster.put(context);
      context.scale(ratio, ratio);
      golden();
      const one = data.byId.get(chosen);
      if (one?.y !== undefined) draw(context, data, one, ...at(one), Math.max(4, mark), { shape: shapes.get(one.mutation_type), chosen: true, dark });
      return;
    }
    context.scale(ratio, ratio);
    context.strokeStyle = line;
    // Lines that lie close together are thin, so that the marks stand out.
    context.lineWidth = view.current.zoom < CLOSE ? 0.4 : 1;
    context.beginPath();
    strokes(edges);
    context.stroke();
    golden();
    context.font = "10px system-ui, sans-serif";
    for (const one of shown) {
      const [x, y] = at(one);
      context.globalAlpha = matches(one) ? 1 : 0.12;
      draw(context, data, one, x, y, mark, { shape: shapes.get(one.mutation_type), chosen: one.id === chosen, dark });
      if (view.current.zoom > 0.8) {
        context.fillStyle = dark ? "#c9d1d9" : "#333";
        const badge = [one.island !== "" ? "⬡" + visible(one.island) : "", folded.has(one.id) ? `+${descendants(one)}` : ""].filter(Boolean).join(" ");
        if (badge) context.fillText(badge, x + mark + 3, y + 3);
      }
    }
    context.globalAlpha = 1;
  };
  useEffect(paint, [placed, size, chosen, wanted, island, version]);

  const nearest = (event) => {
    const box = canvas.current.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    const { x: left, y: top, zoom, zoomX } = view.current;
    let found = null, distance = 144;
    for (const one of placed) {
      const away = (left + one.x * STEP_X * zoomX - x) ** 2 + (top + one.y * STEP_Y * zoom - y) ** 2;
      if (away < distance) [found, distance] = [one, away];
    }
    return found;
  };
  const frame = useRef(0);
  const soon = () => { cancelAnimationFrame(frame.current); frame.current = requestAnimationFrame(paint); };
  const zoom = (x, y, by) => {
    const now = view.current;
    now.x = x - (x - now.x) * by; now.y = y - (y - now.y) * by;
    now.zoom *= by; now.zoomX *= by;
    soon();
  };
  const wheel = (event) => {
    event.preventDefault();
    const box = canvas.current.getBoundingClientRect();
    zoom(event.clientX - box.left, event.clientY - box.top, Math.exp(-event.deltaY * 0.0015));
  };
  useEffect(() => {
    // Preact adds wheel listeners as passive, and those cannot keep the page from scrolling.
    canvas.current.addEventListener("wheel", wheel, { passive: false });
    return () => canvas.current?.removeEventListener("wheel", wheel);
  });
  const dragged = useRef(null);
  const down = (event) => { dragged.current = [event.clientX, event.clientY, false]; canvas.current.setPointerCapture(event.pointerId); };
  const move = (event) => {
    if (!dragged.current) { hover(nearest(event)); return; }
    const [x, y] = dragged.current, dx = event.clientX - x, dy = event.clientY - y;
    if (Math.abs(dx) + Math.abs(dy) < 3 && !dragged.current[2]) return;
    dragged.current = [event.clientX, event.clientY, true];
    view.current.x += dx; view.current.y += dy;
    soon();
  };
  const up = (event) => {
    const moved = dragged.current?.[2];
    dragged.current = null;
    if (!moved) { const found = nearest(event); if (found) choose(found.id); }
  };
  const turn = (one) => {
    if (!one) return;
    const next = new Set(folded);
    if (!next.delete(one.id)) next.add(one.id);
    fold(next);
  };
  const key = (event) => {
    const one = data.byId.get(chosen) || data.best || data.list[0];
    const siblings = one?.parent?.children || [];
    const beside = siblings.indexOf(one);
    const next = { ArrowLeft: one?.parent, ArrowRight: one?.children[0], ArrowDown: siblings[beside + 1], ArrowUp: siblings[beside - 1] }[event.key];
    if (next) { event.preventDefault(); choose(next.id); }
    if (event.key === " ") { event.preventDefault(); turn(one); }
    const by = { "+": 1.3, "-": 1 / 1.3 }[event.key], [x, y] = one?.y === undefined ? [size[0] / 2, size[1] / 2] : at(one);
    if (by) { event.preventDefault(); zoom(x, y, by); }
  };
  return html`<div class="tree">
    <div class="tools">
      <button onClick=${() => { fit(); paint(); }}>Fit</button>
      <button onClick=${() => fold(new Set())} disabled=${!folded.size}>Unfold all</button>
      ${islandChoice}
      ${[...shapes].map(([kind, shape]) => html`<span class="kind"><i class=${"shape " + shape}></i>${visible(kind) || "–"}</span>`)}
      <span class="kind"><i class="shape circle failed"></i>failed or incorrect</span><span class="kind"><i class="shape circle gold"></i>path to the best</span>
      ${data.list.some((one) => one.copied) ? html`<span class="kind"><i class="shape circle copied"></i>copy</span>` : ""}<${Scale} data=${data}/>
    </div>
    <div class="canvas"><canvas ref=${canvas} tabindex="0" role="img" aria-label=${`Family tree of ${count(data.list.length, "individual")}; the tab Individuals lists them`}
      onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onDblClick=${(event) => turn(nearest(event))} onKeyDown=${key} onPointerLeave=${() => hover(null)}></canvas></div>
    <p class="hint" aria-live="off">${over ? html`<b>${short(over.id, 18)}</b> ${visible(over.mutation_type)} · generation ${over.generation} · ${over.outcome === "ok" ? number(over.score) : over.outcome}${over.island !== "" ? " · island " + visible(over.island) : ""} ${visible(over.edit_summary)}`
      : `Wheel zooms, drag pans, click selects, double click folds. Arrow keys go to the parent, children and siblings, the space bar folds, + and − zoom.${placed.length > CROWD ? " Of this many individuals, those with few descendants are faint until you zoom in." : ""}`}</p>
  </div>`;
}

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
