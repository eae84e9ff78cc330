// Any numeric value of the individuals over any other, or over time: the course of a metric, or a front over its two axes.
import { html } from "./html.js";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { original } from "./api.js";
import { useNews, useWhole } from "./asked.js";
import { better, fraction, number, short, visible } from "./format.js";
import { draw, drawSmall, Scale, scaled, shapesOf } from "./marks.js";
import { MANY, Raster } from "./raster.js";
import { useSetting } from "./settings.js";
import { Beside, numeric, Table } from "./table.js";

// The metrics of each individual, by its id.
function metrics() {
  const known = new Map(), names = new Set();
  return {
    take: ({ columns, metrics }) => {
      const all = Object.entries(metrics || {});
      for (const [name] of all) names.add(name);
      (columns.individual_id || []).forEach((id, at) => { const own = Object.create(null); for (const [name, values] of all) own[name] = values[at]; known.set(id, own); });
    },
    show: () => ({ known, names: [...names].sort() }),
  };
}

const BY_ITSELF = { place: "individuals", seconds: "seconds", generation: "generation", score: "score", code_size: "bytes of code", children: "children", gain: "score over its parent's", grown: "bytes more than its parent" };

export function Metrics({ data, choose, chosen }) {
  const { told, error } = useNews("run/metrics", data, metrics);
  const front = useWhole("run/yields", data).told?.front;
  const [atX, turn] = useSetting("x", "place");
  const [atY, lift] = useSetting("y", "score");
  // An address may name a value that no individual has, or not yet.
  const known = (name, initial) => (Object.hasOwn(BY_ITSELF, name) || told?.names.includes(name.slice(2)) ? name : initial), across = known(atX, "place"), up = known(atY, "score");
  const value = (one, name) => {
    if (name === "seconds") return Math.max(0, one.timestamp - data.summary.start_time) / 1000;
    if (name === "place") return one.place + 1;
    if (name === "children") return one.offspring;
    if (name === "gain" || name === "grown") {
      const parent = one.copied ? null : original(one.parent), [own, its] = name === "gain" ? [one.score, parent?.score] : [one.code_size, parent?.code_size];
      return parent && own !== null && its !== null ? (name === "gain" ? data.sign : 1) * (own - its) : null;
    }
    if (name in BY_ITSELF) return one[name] ?? null;
    return told?.known.get(one.id)?.[name.slice(2)] ?? null;
  };
  const points = useMemo(() => data.list.filter((one) => !one.copied).map((one) => ({ one, x: value(one, across), y: value(one, up) })).filter(({ x, y }) => x !== null && y !== null), [data.version, told, across, up]);
  const best = useMemo(() => new Set((front || []).map((each) => each.individual_id)), [front]);
  if (error) return html`<p class="failed" role="alert">${error}</p>`;
  if (!told) return html`<p class="none">Reading …</p>`;
  const title = (name) => (name in BY_ITSELF ? BY_ITSELF[name] : visible(name.slice(2)));
  // The score's direction is the run's; where a front is drawn, an axis whose direction nobody has said says so.
  const axis = (name) => {
    const way = name === "score" ? data.summary.direction : data.summary.objectives?.[name.replace(/^m\./, "")];
    return way || (best.size && (name === "score" || name.startsWith("m."))) ? `${title(name)} (${better(way)})` : title(name);
  };
  const choice = (label, value, set) => html`<label>${label} <select value=${value} onChange=${(event) => set(event.target.value)}><optgroup label="individual">${Object.entries(BY_ITSELF).map(([name, head]) => html`<option value=${name}>${head}</option>`)}</optgroup>
    ${told.names.length ? html`<optgroup label="metrics">${told.names.map((name) => html`<option value=${"m." + name}>${visible(name)}</option>`)}</optgroup>` : ""}</select></label>`;
  const columns = [{ name: "id", head: "individual", show: ({ one }) => short(one.id), value: ({ one }) => one.id }, { ...numeric("x", title(across)) }, { ...numeric("y", title(up)) }, { name: "how", head: "made by", show: ({ one }) => visible(one.mutation_type), value: ({ one }) => one.mutation_type }, { name: "front", head: "on the front", show: ({ one }) => (best.has(one.id) ? "yes" : ""), value: ({ one }) => (best.has(one.id) ? 1 : 0) }];
  return html`<div class="tools">${choice("across", across, turn)}${choice("up", up, lift)}<button onClick=${() => { const before = across; turn(up); lift(before); }}>Swap</button>${best.size ? html`<span class="kind"><i class="shape circle front"></i>on the Pareto front</span>` : ""}<span class="kind"><i class="shape circle gold"></i>path to the best</span><${Scale} data=${data}/></div>
    <${Scatter} data=${data} points=${points} front=${best} labels=${[axis(across), axis(up)]} choose=${choose} chosen=${chosen}/>
    <${Beside} table=${() => html`<${Table} label="Individuals by two values" rows=${points} columns=${columns} keyOf=${({ one }) => one.id} chosen=${chosen} onPick=${({ one }) => choose(one.id)}/>`}/>`;
}

const HIGH = 440, LEFT = 64, BOTTOM = 36, TOP = 10, RIGHT = 14, BARE = 28, DIGIT = 6.6;

// A range with a single value in its middle.
const around = (value) => { const half = Math.max(0.5, Math.abs(value) * 1e-6); return [value - half, value + half]; };

// Even steps of 1, 2 or 5.
function ticks(low, high, most) {
  const rough = high / most - low / most || 1, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const found = new Set(), first = Math.ceil(low / step);
  // Counted from the first one: to a number beyond 2^53, adding 1 changes nothing.
  for (let nth = 0; nth <= most + 1 && (first + nth) * step <= high + step * 1e-9; nth += 1) found.add(+((first + nth) * step).toPrecision(12));
  return [...found];
}

function Scatter({ data, points, front, labels, choose, chosen }) {
  const canvas = useRef(null), [wide, measure] = useState(0), [over, hover] = useState(null);
  useEffect(() => {
    const watching = new ResizeObserver(([entry]) => measure(entry.contentRect.width));
    watching.observe(canvas.current.parentElement);
    return () => watching.disconnect();
  }, []);
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { x, y } of points) { left = Math.min(left, x); right = Math.max(right, x); low = Math.min(low, y); high = Math.max(high, y); }
  if (left === right) [left, right] = around(left);
  if (low === high) [low, high] = around(low);
  const up = points.length ? ticks(low, high, 7) : [], begin = Math.max(LEFT, BARE + DIGIT * up.reduce((most, value) => Math.max(most, number(value).length), 0));
  // A share of the range is beyond each end.
  const px = (x) => begin + ((fraction(x, left, right) + 0.02) / 1.04) * (wide - begin - RIGHT), py = (y) => HIGH - BOTTOM - ((fraction(y, low, high) + 0.04) / 1.08) * (HIGH - BOTTOM - TOP);
  useEffect(() => {
    if (!wide) return;
    const element = canvas.current, ratio = devicePixelRatio || 1, dark = matchMedia("(prefers-color-scheme: dark)").matches, shapes = shapesOf(data.list);
    element.width = wide * ratio; element.height = HIGH * ratio;
    const context = element.getContext("2d");
    context.scale(ratio, ratio);
    context.font = "11px system-ui"; context.lineWidth = 1;
    if (points.length) {
      context.strokeStyle = dark ? "#2a2f37" : "#e4e7eb"; context.fillStyle = dark ? "#b6bdc7" : "#444";
      context.textAlign = "center";
      for (const tick of ticks(left, right, Math.max(3, wide / 80))) { context.beginPath(); context.moveTo(px(tick), TOP); context.lineTo(px(tick), HIGH - BOTTOM); context.stroke(); const text = number(tick), half = context.measureText(text).width / 2; context.fillText(text, Math.max(half, Math.min(wide - half, px(tick))), HIGH - BOTTOM + 14); }
      context.fillText(labels[0], (begin + wide) / 2, HIGH - 6);
      context.textAlign = "right";
      for (const tick of up) { context.beginPath(); context.moveTo(begin, py(tick)); context.lineTo(wide - RIGHT, py(tick)); context.stroke(); context.fillText(number(tick), begin - 6, py(tick) + 4); }
      context.save(); context.translate(11, HIGH / 2); context.rotate(-Math.PI / 2); context.textAlign = "center"; context.fillText(labels[1], 0, 0); context.restore();
    }
    const size = points.length > 20_000 ? 2 : points.length > 2_000 ? 3 : 5, circled = (x, y) => { context.beginPath(); context.arc(px(x), py(y), size + 3, 0, 2 * Math.PI); context.strokeStyle = dark ? "#7ea6f4" : "#2f62c4"; context.lineWidth = 1.5; context.stroke(); };
    if (points.length > MANY) {
      const raster = new Raster(element.width, element.height), own = document.createElement("canvas"), view = { x: 0, y: 0, sx: 1, sy: 1 };
      drawSmall(raster, data, points.map(({ one, x, y }) => ({ one, x: px(x), y: py(y) })), ({ one }) => one, scaled(view, ratio), (size * ratio) / 2);
      own.width = element.width; own.height = element.height;
      raster.put(own.getContext("2d"));
      context.drawImage(own, 0, 0, wide, HIGH);
    }
    for (const { one, x, y } of points) {
      if (points.length <= MANY || one.id === chosen) draw(context, data, one, px(x), py(y), size, { shape: shapes.get(one.mutation_type), chosen: one.id === chosen, dark });
      if (front.has(one.id)) circled(x, y);
    }
  }, [points, front, wide, chosen, labels.join()]);
  const nearest = (event) => {
    const box = canvas.current.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let found = null, distance = 196;
    for (const point of points) {
      const away = (px(point.x) - x) ** 2 + (py(point.y) - y) ** 2;
      if (away < distance) [found, distance] = [point, away];
    }
    return found;
  };
  const said = over && html`<b>${short(over.one.id, 18)}</b> ${labels[0]} ${number(over.x)} · ${labels[1]} ${number(over.y)} · ${visible(over.one.mutation_type)}`;
  return html`<div><canvas class="scatter" ref=${canvas} role="img" aria-label=${`${labels[1]} over ${labels[0]}; the table below has the same data`} onPointerMove=${(event) => hover(nearest(event))} onPointerLeave=${() => hover(null)} onClick=${(event) => { const found = nearest(event); if (found) choose(found.one.id); }}></canvas></div>
    <p class="hint">${said || (points.length ? `${number(points.length)} of ${number(data.counts.ok + data.counts.failed + data.counts.incorrect)} individuals have both values. Click to select one.` : "No individual has both values.")}</p>`;
}
