// Individuals are drawn the same on every tab: shape = mutation, colour = score, badge = island, gold = the path to the best.
import { html } from "./html.js";
import { number, visible } from "./format.js";
import { channels, pixel } from "./raster.js";

// Viridis, at even steps: readable for people who cannot tell red from green, on light and dark backgrounds.
const SHADES = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];
const UNKNOWN = "#8a8f98";
export const GOLD = "#d99a00", FAILED = "#c8372d", EVALUATION = "#2f9e6e";

function mixed(shade) {
  const at = Math.max(0, Math.min(1, shade)) * (SHADES.length - 1), low = Math.floor(at), high = Math.min(SHADES.length - 1, low + 1);
  return SHADES[low].map((from, index) => Math.round(from + (SHADES[high][index] - from) * (at - low)));
}

export const colour = (shade) => (shade === null ? UNKNOWN : `rgb(${mixed(shade).join(",")})`);

// Which scores the colours stand for, from the worst to the best.
export function Scale({ data, what = "score" }) {
  if (data.low === null || data.low === data.high) return "";
  const [worst, best] = data.sign > 0 ? [data.low, data.high] : [data.high, data.low];
  // As many digits as it takes to tell the two apart, and some more.
  const digits = Math.min(15, 4 + Math.max(0, Math.ceil(Math.log10(Math.max(Math.abs(data.low), Math.abs(data.high)) / (data.high - data.low)))));
  const about = (value) => { const near = +value.toPrecision(digits); return number(Number.isFinite(near) ? near : value); };
  return html`<span class="kind">${what} ${about(worst)} <svg width=${SHADES.length * 7} height="10" aria-hidden="true">${SHADES.map((_, at) => html`<rect x=${at * 7} width="7" height="10" fill=${colour(at / (SHADES.length - 1))}/>`)}</svg> ${about(best)}</span>`;
}

// What the marks of a picture mean.
export function Legend({ data, shapes }) {
  return html`${[...shapes].map(([kind, shape]) => html`<span class="kind"><i class=${"shape " + shape}></i>${visible(kind) || "–"}</span>`)}<span class="kind"><i class="shape circle failed"></i>failed or incorrect</span><span class="kind"><i class="shape circle gold"></i>path to the best</span><${Scale} data=${data}/>`;
}

// Marks that are smaller are too many, and would be all edge.
const LEAST_EDGED = 3;

// Shades that a text on them is dark on: those where that is the greater contrast, and the grey of what is not known.
export const isBright = (shade) => shade === null || shade > 0.435;

const SHAPES = ["circle", "square", "diamond", "triangle", "pentagon", "bar"];
// Shapes are assigned in the order in which mutation types first appear, so that the common ones differ.
export function shapesOf(list) {
  const shapes = new Map();
  for (const one of list) if (!shapes.has(one.mutation_type)) shapes.set(one.mutation_type, SHAPES[shapes.size % SHAPES.length]);
  return shapes;
}

export function path(context, shape, x, y, size) {
  context.beginPath();
  if (shape === "square") context.rect(x - size, y - size, 2 * size, 2 * size);
  else if (shape === "bar") context.rect(x - size * 1.4, y - size * 0.6, 2.8 * size, 1.2 * size);
  else if (shape === "circle") context.arc(x, y, size, 0, 2 * Math.PI);
  else {
    const corners = { diamond: 4, triangle: 3, pentagon: 5 }[shape];
    for (let corner = 0; corner < corners; corner += 1) {
      const angle = -Math.PI / 2 + (corner * 2 * Math.PI) / corners;
      context.lineTo(x + 1.25 * size * Math.cos(angle), y + 1.25 * size * Math.sin(angle));
    }
    context.closePath();
  }
}

const STEPS = 64, FAINT = 60;
// The opacity of those that were not looked for, where there are few.
export const OTHERS = 0.12;

// Lines between pairs of points, given as four numbers each.
export function lines(context, ends, style, width) {
  context.strokeStyle = style;
  context.lineWidth = width;
  context.beginPath();
  for (let at = 0; at < ends.length; at += 4) { context.moveTo(ends[at], ends[at + 1]); context.lineTo(ends[at + 2], ends[at + 3]); }
  context.stroke();
}

// Draws the individuals of `points` as small marks in a `Raster`: squares in the colour of the score; red stands for the outline of a failure,
// and grey for that of a copy. A point is at x + sx * point.x of the `view`; `of(point)` is its individual. Those that are not among
// `matches(one)` are faint and below the others, and the path to the best is above all.
export function drawSmall(raster, data, points, of, { x: left, y: top, sx, sy }, half, matches = () => true) {
  const made = (opacity) => ({ shades: [...Array(STEPS + 1).keys()].map((at) => pixel(mixed(at / STEPS), opacity)), failed: pixel(channels(FAILED), opacity), unknown: pixel(channels(UNKNOWN), opacity), gold: pixel(channels(GOLD), opacity) });
  const full = made(255), weak = made(FAINT), later = [], last = [];
  const mark = (point, one, { shades, failed, unknown, gold }, best) => {
    const x = left + sx * point.x, y = top + sy * point.y, shade = one.copied ? null : data.shade(one);
    if (best) raster.square(x, y, half + 2, gold);
    raster.square(x, y, half, one.outcome !== "ok" ? failed : shade === null ? unknown : shades[Math.round(shade * STEPS)]);
  };
  for (const point of points) {
    const one = of(point), best = data.bestPath.has(one.id);
    if (!matches(one)) mark(point, one, weak, best);
    else (best ? last : later).push(point);
  }
  for (const point of later) mark(point, of(point), full, false);
  for (const point of last) mark(point, of(point), full, true);
}

// A view in the pixels of a screen that has `ratio` of them for each.
export const scaled = ({ x, y, sx, sy }, ratio) => ({ x: x * ratio, y: y * ratio, sx: sx * ratio, sy: sy * ratio });

export function draw(context, data, one, x, y, size, { shape, chosen, dark }) {
  path(context, shape, x, y, size);
  if (one.outcome === "ok" && !one.copied) {
    context.fillStyle = colour(data.shade(one));
    context.fill();
    // The darkest shade on a dark page, and the brightest on a light one, have an edge.
    if (size > LEAST_EDGED) { context.strokeStyle = dark ? "#7a828e" : "#00000059"; context.lineWidth = 0.8; context.stroke(); }
  } else {
    // Failed individuals and copies are drawn as outlines.
    context.fillStyle = dark ? "#15181d" : "#ffffff";
    context.fill();
    context.strokeStyle = one.copied ? "#8a8f98" : FAILED;
    context.lineWidth = Math.max(1, size / 3);
    context.stroke();
  }
  if (data.bestPath?.has(one.id)) {
    context.strokeStyle = GOLD;
    context.lineWidth = Math.max(1.5, size / 2.5);
    context.stroke();
  }
  if (chosen) {
    path(context, "circle", x, y, size + 5);
    context.strokeStyle = dark ? "#fff" : "#000";
    context.lineWidth = 2;
    context.stroke();
  }
}
