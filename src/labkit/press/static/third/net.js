// The third twin's arithmetic: the network of the chapter, forwards, backwards, and one step of
// training, in float64 and without a library. Runs in a page, in a worker and in Node.
//
// Pictures and layers keep their channels last, (picture, row, column, channel), and kernels stand
// as (row, column, channel in, channel out): the layout in which the course draws first weights.

// c = a · bᵀ, for a of m rows and b of n rows, each of k numbers one after another.
// Nearly all of the time goes here. Four rows of a by two of b at once keep eight sums in the
// processor's registers, and read each number once for several products.
function multiply(a, b, c, m, n, k) {
  const m4 = m - m % 4, n2 = n - n % 2;
  for (let i = 0; i < m4; i += 4) {
    const a0 = i * k, a1 = a0 + k, a2 = a1 + k, a3 = a2 + k;
    for (let j = 0; j < n2; j += 2) {
      const b0 = j * k, b1 = b0 + k;
      let s00 = 0, s01 = 0, s10 = 0, s11 = 0, s20 = 0, s21 = 0, s30 = 0, s31 = 0;
      for (let t = 0; t < k; t++) {
        const u = b[b0 + t], v = b[b1 + t];
        const x0 = a[a0 + t], x1 = a[a1 + t], x2 = a[a2 + t], x3 = a[a3 + t];
        s00 += x0 * u; s01 += x0 * v;
        s10 += x1 * u; s11 += x1 * v;
        s20 += x2 * u; s21 += x2 * v;
        s30 += x3 * u; s31 += x3 * v;
      }
      const at = i * n + j;
      c[at] = s00; c[at + 1] = s01;
      c[at + n] = s10; c[at + n + 1] = s11;
      c[at + 2 * n] = s20; c[at + 2 * n + 1] = s21;
      c[at + 3 * n] = s30; c[at + 3 * n + 1] = s31;
    }
  }
  // What is left over, row by row.
  for (let i = 0; i < m; i++) {
    for (let j = i < m4 ? n2 : 0; j < n; j++) {
      let sum = 0;
      for (let t = 0; t < k; t++) sum += a[i * k + t] * b[j * k + t];
      c[i * n + j] = sum;
    }
  }
}

function transpose(a, rows, columns, out) {
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) out[c * rows + r] = a[r * columns + c];
  }
}

// out[j] = the sum of column j.
function sumRows(a, rows, columns, out) {
  out.fill(0);
  for (let at = 0, r = 0; r < rows; r++) {
    for (let j = 0; j < columns; j++) out[j] += a[at++];
  }
}

// y = x · w + b, for rows of x. Its gradients need x, so it keeps it.
class Dense {
  constructor(kernel, bias, rows) {
    [this.kernel, this.bias] = [kernel, bias];
    [this.outputs, this.inputs] = [bias.length, kernel.length / bias.length];
    this.turned = new Float64Array(kernel.length);
    this.y = new Float64Array(rows * this.outputs);
    this.dx = new Float64Array(rows * this.inputs);
    this.dw = new Float64Array(kernel.length);
    this.db = new Float64Array(bias.length);
    this.xt = new Float64Array(rows * this.inputs);
    this.dyt = new Float64Array(rows * this.outputs);
  }

  forward(x, rows) {
    const { kernel, bias, inputs, outputs, turned, y } = this;
    transpose(kernel, inputs, outputs, turned);
    multiply(x, turned, y, rows, outputs, inputs);
    for (let at = 0, r = 0; r < rows; r++) {
      for (let j = 0; j < outputs; j++) y[at++] += bias[j];
    }
    this.x = x;
    return y;
  }

  backward(dy, rows, wantInput = true) {
    const { kernel, inputs, outputs, x, dx, dw, db, xt, dyt } = this;
    transpose(x, rows, inputs, xt);
    transpose(dy, rows, outputs, dyt);
    multiply(xt, dyt, dw, inputs, outputs, rows);
    sumRows(dy, rows, outputs, db);
    if (wantInput) multiply(dy, kernel, dx, rows, inputs, outputs);
    return dx;
  }
}

// A convolution of 3×3 with zeros around the picture, then ReLU: each point's neighbourhood is
// laid out as a row, and what is left is a dense layer on rows.
class Convolution {
  constructor(kernel, bias, side, most) {
    [this.side, this.channels] = [side, kernel.length / bias.length / 9];
    this.dense = new Dense(kernel, bias, most * side * side);
    this.rows = new Float64Array(most * side * side * 9 * this.channels);
    this.dx = new Float64Array(most * side * side * this.channels);
  }

  // Calls visit(place in a row, place in the picture) for each neighbour inside of a picture.
  neighbours(count, visit) {
    const { side, channels } = this;
    let at = 0;
    for (let n = 0; n < count; n++) {
      for (let r = 0; r < side; r++) {
        for (let q = 0; q < side; q++) {
          for (let i = 0; i < 9; i++, at += channels) {
            const row = r + (i / 3 | 0) - 1, column = q + i % 3 - 1;
            const inside = row >= 0 && row < side && column >= 0 && column < side;
            if (inside) visit(at, ((n * side + row) * side + column) * channels);
          }
        }
      }
    }
  }

  forward(x, count) {
    const { side, channels, rows, dense } = this;
    this.neighbours(count, (at, from) => {
      for (let c = 0; c < channels; c++) rows[at + c] = x[from + c];
    });
    const y = dense.forward(rows, count * side * side);
    for (let i = 0; i < count * side * side * dense.outputs; i++) if (y[i] < 0) y[i] = 0;
    return y;
  }

  // Changes dy: where ReLU gave zero, no gradient passes.
  backward(dy, count, wantInput = true) {
    const { side, channels, dx, dense } = this;
    for (let i = 0; i < count * side * side * dense.outputs; i++) if (dense.y[i] <= 0) dy[i] = 0;
    const rows = dense.backward(dy, count * side * side, wantInput);
    if (!wantInput) return dx;
    dx.fill(0);
    this.neighbours(count, (at, from) => {
      for (let c = 0; c < channels; c++) dx[from + c] += rows[at + c];
    });
    return dx;
  }
}

// The largest of each 2×2; the gradient goes to where it stood.
class Pooling {
  constructor(side, channels, most) {
    [this.side, this.channels] = [side, channels];
    this.y = new Float64Array(most * side * side * channels / 4);
    this.from = new Int32Array(this.y.length);
    this.dx = new Float64Array(most * side * side * channels);
  }

  forward(x, count) {
    const { side, channels, y, from } = this;
    let at = 0;
    for (let n = 0; n < count; n++) {
      for (let r = 0; r < side; r += 2) {
        for (let q = 0; q < side; q += 2) {
          for (let c = 0; c < channels; c++, at++) {
            let best = ((n * side + r) * side + q) * channels + c;
            const others = [best + channels, best + side * channels, best + (side + 1) * channels];
            for (const other of others) if (x[other] > x[best]) best = other;
            y[at] = x[best];
            from[at] = best;
          }
        }
      }
    }
    return y;
  }

  backward(dy, count) {
    const { side, channels, from, dx } = this;
    dx.fill(0);
    for (let i = 0; i < count * side * side * channels / 4; i++) dx[from[i]] = dy[i];
    return dx;
  }
}

// The mean of each channel over a picture's points.
class Mean {
  constructor(points, channels, most) {
    [this.points, this.channels] = [points, channels];
    this.y = new Float64Array(most * channels);
    this.dx = new Float64Array(most * points * channels);
  }

  forward(x, count) {
    const { points, channels, y } = this;
    y.fill(0);
    for (let at = 0, n = 0; n < count; n++) {
      for (let p = 0; p < points; p++) {
        for (let c = 0; c < channels; c++) y[n * channels + c] += x[at++];
      }
    }
    for (let i = 0; i < count * channels; i++) y[i] /= points;
    return y;
  }

  backward(dy, count) {
    const { points, channels, dx } = this;
    for (let at = 0, n = 0; n < count; n++) {
      for (let p = 0; p < points; p++) {
        for (let c = 0; c < channels; c++) dx[at++] = dy[n * channels + c] / points;
      }
    }
    return dx;
  }
}

// The ten probabilities that ten scores mean. The largest score is taken off first, so that no
// power is too large for a number.
export function softmax(scores) {
  const top = Math.max(...scores), powers = Array.from(scores, (z) => Math.exp(z - top));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((p) => p / sum);
}

export class Network {
  // `weights`: kernel and bias of each layer, one after another, of these `shapes`; `size`: the
  // most pictures at once; `side`: a picture's.
  constructor({ shapes, size, rate, momentum }, weights, side = 8) {
    [this.size, this.rate, this.momentum, this.points] = [size, rate, momentum, side * side];
    this.weights = Float64Array.from(weights);
    let at = 0;
    const parts = shapes.map((shape) => {
      const length = shape.reduce((a, b) => a * b);
      return this.weights.subarray(at, at += length);
    });
    const [first, second, classes] = [parts[1].length, parts[3].length, parts[5].length];
    const half = side / 2;
    this.conv1 = new Convolution(parts[0], parts[1], side, size);
    this.pool = new Pooling(side, first, size);
    this.conv2 = new Convolution(parts[2], parts[3], half, size);
    this.mean = new Mean(half * half, second, size);
    this.head = new Dense(parts[4], parts[5], size);
    this.classes = classes;
    const layers = [this.conv1.dense, this.conv2.dense, this.head];
    this.moved = layers.flatMap(({ kernel, bias, dw, db }) => [[kernel, dw], [bias, db]])
      .map(([values, gradient]) => [values, gradient, new Float64Array(values.length)]);
  }

  // The scores of `count` pictures, which stand one after another in x.
  scores(x, count) {
    x = this.conv1.forward(x, count);
    x = this.pool.forward(x, count);
    x = this.conv2.forward(x, count);
    x = this.mean.forward(x, count);
    return this.head.forward(x, count).subarray(0, count * this.classes);
  }

  // One step of training on a batch; returns its loss, which stood before the step.
  step(x, labels) {
    const { classes } = this, count = labels.length;
    const scores = this.scores(x, count), dz = new Float64Array(count * classes);
    let loss = 0;
    for (let n = 0; n < count; n++) {
      const z = scores.subarray(n * classes, (n + 1) * classes), top = Math.max(...z);
      let sum = 0;
      for (let k = 0; k < classes; k++) sum += dz[n * classes + k] = Math.exp(z[k] - top);
      loss += (Math.log(sum) + top - z[labels[n]]) / count;
      for (let k = 0; k < classes; k++) {
        const p = dz[n * classes + k] / sum;
        dz[n * classes + k] = (p - (k === labels[n])) / count;
      }
    }
    this.backward(dz, count);
    for (const [values, gradient, velocity] of this.moved) {
      for (let i = 0; i < values.length; i++) {
        velocity[i] = this.momentum * velocity[i] + gradient[i];
        values[i] -= this.rate * velocity[i];
      }
    }
    return loss;
  }

  backward(dz, count) {
    let d = this.head.backward(dz, count);
    d = this.mean.backward(d, count);
    d = this.conv2.backward(d, count);
    d = this.pool.backward(d, count);
    this.conv1.backward(d, count, false);
  }
}
