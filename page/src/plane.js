// Individuals in a plane, on a canvas: the wheel zooms, dragging pans, a click or the arrow keys select one, `+` and `-` zoom. What they are and
// where is up to the view. The selected one is marked on a second canvas above, so that a selection draws nothing else again.
import { html } from "./html.js";
import { useEffect, useRef, useState } from "preact/hooks";
import { number, short, visible } from "./format.js";
import { draw } from "./marks.js";

const REACH = 12, ZOOM = 1.3, LEAST_CHOSEN = 4;

// `points`: objects with `x` and `y`; `of(point)` is its individual and `find(id)` the point of an individual. `fit(width, height)` is the view, { x, y, sx, sy }, that shows all
// of them: a point is at x + sx * point.x. `paint(context, view, { width, height, ratio, dark })` draws them and returns the size of a mark; it is called again if the size
// or one of `fresh` changes. `step(key, point)` is where an arrow key leads to, `fold(one)` what a double click and the space bar do.
export function Plane({ data, points, of, find, fit, paint, fresh, shapes, chosen, choose, step, fold, label, hint, more, tools }) {
  const canvas = useRef(null), above = useRef(null), view = useRef(null), handled = useRef(false), size = useRef(0);
  const [[width, height], measure] = useState([0, 0]), [over, hover] = useState(null);
  useEffect(() => {
    const watching = new ResizeObserver(([entry]) => measure([entry.contentRect.width, entry.contentRect.height]));
    watching.observe(canvas.current.parentElement);
    return () => watching.disconnect();
  }, []);
  const at = (point) => [view.current.x + view.current.sx * point.x, view.current.y + view.current.sy * point.y];
  const look = () => ({ width, height, ratio: window.devicePixelRatio || 1, dark: matchMedia("(prefers-color-scheme: dark)").matches });
  const begin = (element, ratio) => { element.width = width * ratio; element.height = height * ratio; return element.getContext("2d"); };

  const mark = () => {
    if (!width || !height || !view.current) return;
    const { ratio, dark } = look(), context = begin(above.current, ratio), point = find(chosen);
    if (!point) return;
    context.scale(ratio, ratio);
    draw(context, data, of(point), ...at(point), Math.max(LEAST_CHOSEN, size.current), { shape: shapes.get(of(point).mutation_type), chosen: true, dark });
  };
  const show = () => {
    if (!width || !height || !canvas.current) return;
    // Until somebody zooms or pans, all of them are in view, those that arrive later included.
    if (!handled.current) view.current = fit(width, height);
    const told = look();
    size.current = paint(begin(canvas.current, told.ratio), view.current, told);
    mark();
  };
  useEffect(show, [...fresh, points, width, height]);
  useEffect(mark, [chosen]);

  const frame = useRef(0);
  const soon = () => { handled.current = true; cancelAnimationFrame(frame.current); frame.current = requestAnimationFrame(show); };
  const zoom = (x, y, by) => {
    const now = view.current;
    view.current = { x: x - (x - now.x) * by, y: y - (y - now.y) * by, sx: now.sx * by, sy: now.sy * by };
    soon();
  };
  const place = (event) => { const box = canvas.current.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  // The last one of those at the same place is the one that is seen.
  const nearest = (event) => {
    const [x, y] = place(event), { x: left, y: top, sx, sy } = view.current;
    let found = null, distance = REACH * REACH;
    for (const point of points) {
      const away = (left + sx * point.x - x) ** 2 + (top + sy * point.y - y) ** 2;
      if (away <= distance) [found, distance] = [point, away];
    }
    return found;
  };
  const wheel = (event) => { event.preventDefault(); zoom(...place(event), Math.exp(-event.deltaY * 0.0015)); };
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
    view.current = { ...view.current, x: view.current.x + dx, y: view.current.y + dy };
    soon();
  };
  const up = (event) => {
    const moved = dragged.current?.[2];
    dragged.current = null;
    if (!moved) { const found = nearest(event); if (found) choose(of(found).id); }
  };
  const key = (event) => {
    const point = find(chosen) || find(data.best?.id) || points[0], next = event.key.startsWith("Arrow") && point && step(event.key, point);
    if (next) { event.preventDefault(); choose(of(next).id); }
    if (event.key === " " && fold && point) { event.preventDefault(); fold(of(point)); }
    const by = { "+": ZOOM, "-": 1 / ZOOM }[event.key];
    if (by) { event.preventDefault(); zoom(...(point ? at(point) : [width / 2, height / 2]), by); }
  };
  const amid = (by) => zoom(width / 2, height / 2, by), one = over && of(over);
  return html`<div class="plane">
    <div class="tools"><button onClick=${() => { handled.current = false; show(); }}>Fit</button><button aria-label="Zoom in" onClick=${() => amid(ZOOM)}>+</button><button aria-label="Zoom out" onClick=${() => amid(1 / ZOOM)}>−</button>${tools}</div>
    <div class="canvas"><canvas ref=${canvas} tabindex="0" role="img" aria-label=${label} onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onDblClick=${(event) => { const found = fold && nearest(event); if (found) fold(of(found)); }}
      onKeyDown=${key} onPointerLeave=${() => hover(null)}></canvas><canvas class="above" aria-hidden="true" ref=${above}></canvas></div>
    <p class="hint" aria-live="off">${one ? html`<b>${short(one.id, 18)}</b> ${visible(one.mutation_type)} · generation ${one.generation} · ${one.outcome === "ok" ? number(one.score) : one.outcome}${one.island !== "" ? " · island " + visible(one.island) : ""}${more?.(over) || ""} ${visible(one.edit_summary)}` : hint}</p>
  </div>`;
}
