// Values formatted for people. An unknown value is an empty text, never 0.

export const number = (value) => {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  // Of a number this large the last digits mean nothing, and there are up to 309 of them.
  if (size >= 1e15 || (size < 1e-4 && size)) return value.toPrecision(6).replace(/(\.\d*?)0+(e|$)/, "$1$2").replace(".e", "e");
  // There is no -0 for people.
  if (Number.isInteger(value)) return (value + 0).toLocaleString("en-US");
  return String(size < 1 ? +value.toPrecision(6) : +value.toFixed(6));
};

// A value with six significant digits; a whole number, and what stands before the point, are never rounded.
export const six = (value) => (Number.isInteger(value) || Math.abs(value) >= 1e5 ? value : +value.toPrecision(6));

export const count = (value, name) => (value === null || value === undefined ? "" : `${number(value)} ${name}${value === 1 ? "" : "s"}`);

// How far a value is from the lowest to the highest, from 0 to 1; the difference of these may be beyond the largest number.
export const fraction = (value, low, high) => (Number.isFinite(high - low) ? (value - low) / (high - low) : (value / 2 - low / 2) / (high / 2 - low / 2));

// Individuals of generations that nobody recorded: how many there were is not known.
export const generations = (run) => (run.generations || !run.individuals ? number(run.generations) : "");

export const signed = (value) => (value === null || value === undefined ? "" : (value > 0 ? "+" : "") + number(value));

// The same rule as in genesis_otel/_money.py.
export const dollars = (amount) => {
  if (amount === null || amount === undefined) return "";
  const value = +amount.toPrecision(12);
  const size = Math.abs(value);
  if (size >= 1 || value === 0) return "$" + value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  // A call for a hundred-thousandth of a dollar did cost something.
  return "$" + value.toFixed(size >= 0.00005 ? 4 : 1 - Math.floor(Math.log10(size)));
};

// A cost is always shown with the number of calls that it leaves out.
export const money = (cost, unpriced) => [dollars(cost), unpriced ? `+ ${number(unpriced)} unpriced` : ""].filter(Boolean).join(" ");

export const duration = (seconds) => {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1) return Math.round(seconds * 1000) + " ms";
  if (seconds < 120) return seconds.toFixed(1) + " s";
  const hours = Math.floor(seconds / 3600), minutes = Math.floor((seconds % 3600) / 60);
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${Math.floor(seconds % 60)} s`;
};

// The duration of a run is known only once it has ended; until then, only its last sign of life.
export const isOpen = (run) => run.status === "running" || run.status === "stalled";
// Whether new rows may arrive: also for a run whose start is missing, since its spans may be on their way.
export const isLive = (run) => !run || isOpen(run) || run.status === "";
export const took = (run) => (isLive(run) || !run.seconds ? "" : duration(run.seconds));

// The beginning of a description, which is all that a list has of a longer one.
const BEGUN = 120;
export const begun = (text) => visible(text) + ([...String(text ?? "")].length >= BEGUN ? "…" : "");

export const ago = (seconds) => (seconds === null || seconds === undefined || seconds < 0 ? "" : duration(seconds) + " ago");

export const moment = (milliseconds) => new Date(milliseconds).toLocaleString("sv-SE");

// Which way a number is better, in words: `max`, `min`, or nobody has said.
export const better = (way) => ({ max: "higher is better", min: "lower is better" })[way] || "direction unknown";

// Characters that a browser would obey or hide (text direction, zero width, control characters) are made visible.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
export const visible = (text) =>
  String(text ?? "").replace(HIDDEN, (found) => (found === "\r" ? "" : "\\u" + found.charCodeAt(0).toString(16).padStart(4, "0")));

// Whether texts contain what somebody typed, in either case; without a copy in lower case of a hundred thousand texts.
export const containing = (wanted) => {
  const pattern = new RegExp(wanted.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
  return (text) => pattern.test(text);
};

// Ids are cut in the middle: those of one search often begin alike (with a date, or with the run's id).
export const short = (id, length = 10) => visible(id.length <= length + 2 ? id : id.slice(0, Math.ceil(length / 2)) + "…" + id.slice(-Math.floor(length / 2)));

// The gain per dollar; unknown as long as a call has no price.
export const perDollar = (gained, { cost, unpriced }) => (cost > 0 && !unpriced && Number.isFinite(gained / cost) && gained !== null ? +(gained / cost).toPrecision(3) : null);
