// Very many lines and marks: each pixel is set once, in an image, where a canvas would draw each shape for itself. A hundred thousand
// of each take some 50 ms instead of two seconds.

// From how many marks on the pictures are drawn in this way.
export const MANY = 4_000;

const DENSEST = 190;

// A colour as a pixel: `r`, `g`, `b` and the opacity from 0 to 255.
export const pixel = ([r, g, b], opacity = 255) => ((opacity << 24) | (b << 16) | (g << 8) | r) >>> 0;

// The channels of "#rrggbb".
export const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

export class Raster {
  constructor(width, height) {
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.width = width;
    this.height = height;
  }

  // A square around a point, cut at the edges.
  square(x, y, half, colour) {
    const left = Math.max(0, Math.round(x - half)), right = Math.min(this.width, Math.round(x + half)), bottom = Math.min(this.height, Math.round(y + half));
    for (let row = Math.max(0, Math.round(y - half)); row < bottom; row += 1) this.pixels.fill(colour, row * this.width + left, row * this.width + Math.max(left, right));
  }

  // A line of one pixel's width in `colour` (without opacity), which gets denser by `opacity` where lines cross, so that the many do not become
  // one area. Only the part of it that can be seen is walked: zoomed in, lines are much longer than the picture.
  line(x, y, toX, toY, colour, opacity) {
    const dx = toX - x, dy = toY - y;
    let from = 0, to = 1;
    for (const [start, length, end] of [[x, dx, this.width - 1], [y, dy, this.height - 1]]) {
      if (length === 0) { if (start < 0 || start > end) return; continue; }
      const [one, other] = [-start / length, (end - start) / length];
      from = Math.max(from, Math.min(one, other)); to = Math.min(to, Math.max(one, other));
    }
    if (from >= to) return;
    const steps = Math.ceil((to - from) * Math.max(Math.abs(dx), Math.abs(dy))) || 1, stepX = ((to - from) * dx) / steps, stepY = ((to - from) * dy) / steps;
    let atX = x + from * dx + 0.5, atY = y + from * dy + 0.5;
    for (let step = 0; step <= steps; step += 1) {
      const at = (atY | 0) * this.width + (atX | 0), dense = Math.min(DENSEST, (this.pixels[at] >>> 24) + opacity);
      this.pixels[at] = ((dense << 24) | colour) >>> 0;
      atX += stepX; atY += stepY;
    }
  }

  // Replaces what the canvas shows.
  put(context) {
    context.putImageData(this.image, 0, 0);
  }
}
