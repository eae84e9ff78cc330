// The programs of a run as vectors of their words (the query code_vectors_since says of what), and the two directions in which they differ
// most: the first two principal components. What each new program adds to the sums is all that they need.

const BINS = 32, ONE = 255, ROUNDS = 500, SETTLED = 1e-12, NONE = 1e-9;

export class Vectors {
  constructor() {
    // By the id of an individual: the number of its row, or none if it has no program.
    this.rows = new Map();
    this.bytes = new Uint8Array(BINS * 1024);
    this.count = 0;
    // Rows whose program has gone; they are taken first.
    this.free = [];
    this.sums = new Float64Array(BINS);
    this.products = new Float64Array(BINS * BINS);
    this.axes = null;
  }

  take({ columns }) {
    (columns.individual_id || []).forEach((id, at) => this.put(id, columns.vector[at]));
  }

  put(id, text) {
    let row = this.rows.get(id);
    if (!text) {
      if (row !== undefined && row !== null) { this.add(row, -1); this.free.push(row); }
      this.rows.set(id, null);
      return;
    }
    if (row === undefined || row === null) {
      this.rows.set(id, (row = this.free.pop() ?? this.count++));
      if (this.bytes.length < BINS * this.count) { const more = new Uint8Array(2 * this.bytes.length); more.set(this.bytes); this.bytes = more; }
    } else this.add(row, -1);
    const told = atob(text);
    for (let bin = 0; bin < BINS; bin += 1) this.bytes[row * BINS + bin] = told.charCodeAt(bin);
    this.add(row, 1);
  }

  add(row, sign) {
    for (let bin = 0, from = row * BINS; bin < BINS; bin += 1) {
      const value = sign * this.bytes[from + bin];
      this.sums[bin] += value;
      for (let other = 0; other <= bin; other += 1) this.products[bin * BINS + other] += value * this.bytes[from + other];
    }
  }

  // The place of each row on the two axes, and the part of the variance that these hold; null if all programs are of the same words.
  show() {
    const programs = this.count - this.free.length, mean = this.sums.map((sum) => sum / programs), covariance = new Float64Array(BINS * BINS);
    let variance = 0;
    for (let bin = 0; bin < BINS; bin += 1) {
      for (let other = 0; other <= bin; other += 1) covariance[bin * BINS + other] = covariance[other * BINS + bin] = this.products[bin * BINS + other] / programs - mean[bin] * mean[other];
      variance += covariance[bin * BINS + bin];
    }
    const found = variance > NONE ? [strongest(covariance), strongest(covariance)] : [];
    // An axis may point either way: the first program is at the left and at the top, and while rows arrive, an axis goes on pointing where it did.
    const axes = found.map(({ axis }, at) => {
      const like = this.axes?.[at] || mean.map((each, bin) => each - this.bytes[bin]);
      return dot(axis, like) < 0 ? axis.map((each) => -each) : axis;
    });
    this.axes = axes.length ? axes : null;
    const places = [0, 1].map((at) => {
      const place = new Float32Array(this.count);
      for (let row = 0; axes.length && row < this.count; row += 1) {
        let sum = 0;
        for (let bin = 0; bin < BINS; bin += 1) sum += axes[at][bin] * (this.bytes[row * BINS + bin] - mean[bin]);
        place[row] = sum / ONE;
      }
      return place;
    });
    return { rows: this.rows, places, share: axes.length ? found.reduce((sum, { held }) => sum + held, 0) / variance : null, distance: (one, other) => this.distance(one, other) };
  }

  // How far two rows are apart: 0 for the same words in the same shares, √2 for no word in common.
  distance(one, other) {
    let sum = 0;
    for (let bin = 0; bin < BINS; bin += 1) sum += (this.bytes[one * BINS + bin] - this.bytes[other * BINS + bin]) ** 2;
    return Math.sqrt(sum) / ONE;
  }
}

// The same direction with length 1; no direction stays none.
const unit = (axis) => { const length = Math.sqrt(dot(axis, axis)); return axis.map((each) => (length > NONE ? each / length : 0)); };
const dot = (one, other) => one.reduce((sum, each, at) => sum + each * other[at], 0);

// The direction in which the variance is greatest, by power iteration, and how much of it that holds; it is taken out of the covariance.
function strongest(covariance) {
  let widest = 0, held = 0;
  for (let bin = 1; bin < BINS; bin += 1) if (covariance[bin * BINS + bin] > covariance[widest * BINS + widest]) widest = bin;
  let axis = unit(covariance.slice(widest * BINS, (widest + 1) * BINS));
  for (let round = 0; round < ROUNDS; round += 1) {
    const next = axis.map((_, bin) => dot(axis, covariance.subarray(bin * BINS, (bin + 1) * BINS))), before = held;
    held = dot(next, axis);
    if (held - before <= SETTLED * held) break;
    axis = unit(next);
  }
  for (let bin = 0; bin < BINS; bin += 1) for (let other = 0; other < BINS; other += 1) covariance[bin * BINS + other] -= held * axis[bin] * axis[other];
  return { axis, held };
}
