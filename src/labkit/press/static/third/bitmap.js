// What is drawn, made into a picture as the data's makers made theirs: a bitmap of 32×32 points, and
// of each block of 4×4 the number of points that are ink, 0 to 16.
//
// Before that they ran NIST's programs, which bring every digit to one size; how, their text does
// not say. The pictures show it: ink reaches from the first row to the last in all of them, nearly
// all are six blocks wide but for ones, which are narrower, and digits have about as much ink,
// whatever they are. So what is drawn here is stretched and placed like that, and its pen is made
// as thick as gives it the training pictures' mean ink. A slant is left as it is.

const SIDE = 32, BLOCK = 4, WIDTH = 22;

// Strokes are lists of points [x, y], y downwards, in any unit; `ink` is a number of points of the
// bitmap. Returns the 8×8 picture, grey from 0 to 16.
export function picture(strokes, ink) {
  let [thin, thick] = [1, 5];
  for (let i = 0; i < 6; i++) {
    const radius = (thin + thick) / 2;
    const count = bitmap(strokes, radius).reduce((a, b) => a + b);
    [thin, thick] = count < ink ? [radius, thick] : [thin, radius];
  }
  return blocks(bitmap(strokes, thick));
}

export function bitmap(strokes, radius) {
  const on = new Uint8Array(SIDE * SIDE), placed = place(strokes, radius);
  for (const points of placed) {
    points.forEach((point, i) => dab(on, points[Math.max(0, i - 1)], point, radius));
  }
  return on;
}

export function blocks(on) {
  const counts = new Uint8Array((SIDE / BLOCK) ** 2);
  on.forEach((ink, at) => {
    const row = Math.floor(at / SIDE / BLOCK), column = Math.floor(at % SIDE / BLOCK);
    counts[row * SIDE / BLOCK + column] += ink;
  });
  return counts;
}

// The strokes in the bitmap's own unit, so that their ink fills its height and is centred.
function place(strokes, radius) {
  const all = strokes.flat();
  const [left, top] = [0, 1].map((axis) => Math.min(...all.map((p) => p[axis])));
  const [right, bottom] = [0, 1].map((axis) => Math.max(...all.map((p) => p[axis])));
  const tiny = 1e-6; // a dot has no size
  const wide = (WIDTH - 2 * radius) / Math.max(right - left, tiny);
  const tall = (SIDE - 2 * radius) / Math.max(bottom - top, tiny);
  // A one is not stretched to the width of others, nor a dash to their height.
  const [x, y] = [Math.min(wide, 1.5 * tall), Math.min(tall, 1.5 * wide)];
  return strokes.map((points) => points.map((p) => [
    SIDE / 2 + (p[0] - (left + right) / 2) * x,
    SIDE / 2 + (p[1] - (top + bottom) / 2) * y,
  ]));
}

// Inks every point whose middle lies within `radius` of the line from a to b.
function dab(on, a, b, radius) {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]], long = dx * dx + dy * dy;
  const within = (low, high) => [
    Math.max(0, Math.floor(low - radius)), Math.min(SIDE - 1, Math.ceil(high + radius)),
  ];
  const [top, bottom] = within(Math.min(a[1], b[1]), Math.max(a[1], b[1]));
  const [left, right] = within(Math.min(a[0], b[0]), Math.max(a[0], b[0]));
  for (let r = top; r <= bottom; r++) {
    for (let q = left; q <= right; q++) {
      const [px, py] = [q + 0.5 - a[0], r + 0.5 - a[1]];
      const along = long ? Math.max(0, Math.min(1, (px * dx + py * dy) / long)) : 0;
      if (Math.hypot(px - along * dx, py - along * dy) <= radius) on[r * SIDE + q] = 1;
    }
  }
}
