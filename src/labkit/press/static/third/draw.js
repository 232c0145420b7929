// A digit, drawn or picked, and the ten probabilities that the network gives it.
import { picture } from "./bitmap.js";

const SURFACE = 240, NEAR = 2, POINTS = 64;
const PAD = `
<p><strong>Now write a digit</strong>, with mouse, finger or pen; or pick one of the pictures that it
has never seen. The network that this page has just trained reads it.</p>
<div class="third-reading">
<div class="third-write"><canvas class="third-surface" width="${SURFACE}" height="${SURFACE}"
role="img" aria-label="A field to draw a digit in; without a pointer, pick a test picture"></canvas>
<div class="third-tools"><button type="button" class="third-button" data-clear>Clear</button></div></div>
<div class="third-seen"><canvas width="8" height="8" role="img" aria-label="nothing yet"></canvas>
<small>what the network sees: 8×8 points</small>
<label>Test picture <input type="number" min="1" value="1" inputmode="numeric"></label>
<button type="button" class="third-button" data-next>Next picture</button></div>
<table class="third-bars"><caption>Probability of each digit</caption><tbody></tbody></table></div>
<p role="status"></p>
<p><small>The pictures of this course were made from bitmaps of 32×32 points, of which the ink in each
block of 4×4 was counted; so is yours. Before that it is stretched to the bitmap's height and placed in
its middle, and its pen is made as thick as gives it as much ink as they have on average.</small></p>`;

export class Pad {
  constructor(box, { images, labels, training }, ask) {
    Object.assign(this, { box, images, labels, training, ask });
    box.innerHTML = PAD;
    [this.surface, this.seen] = box.querySelectorAll("canvas");
    [this.pen, this.points] = [this.surface, this.seen].map((canvas) => canvas.getContext("2d"));
    this.number = box.querySelector("input");
    this.number.max = labels.length - training;
    this.status = box.querySelector("[role=status]");
    const all = images.subarray(0, training * POINTS);
    this.ink = all.reduce((a, b) => a + b) / training;
    this.rows = Array.from({ length: 10 }, (_, digit) => this.row(digit));
    this.listen();
    this.clear();
  }

  row(digit) {
    const row = this.box.querySelector("tbody").insertRow(), head = document.createElement("th");
    [head.scope, head.textContent] = ["row", digit];
    const bar = document.createElement("span");
    row.append(head);
    row.insertCell().append(bar);
    return { row, bar, value: row.insertCell() };
  }

  listen() {
    const { surface, box } = this;
    surface.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      surface.setPointerCapture(event.pointerId);
      this.strokes.push([]);
      this.move(event);
    });
    surface.addEventListener("pointermove", (event) => {
      if (surface.hasPointerCapture(event.pointerId)) this.move(event);
    });
    surface.addEventListener("pointerup", () => this.read("Your digit"));
    box.querySelector("[data-clear]").addEventListener("click", () => this.clear());
    box.querySelector("[data-next]").addEventListener("click", () => {
      const shown = Number(this.number.value) || 1;
      this.number.value = this.picked ? shown % this.number.max + 1 : shown;
      this.pick();
    });
    this.number.addEventListener("input", () => this.pick());
  }

  move(event) {
    const { left, top, width } = this.surface.getBoundingClientRect(), scale = SURFACE / width;
    const point = [(event.clientX - left) * scale, (event.clientY - top) * scale];
    const stroke = this.strokes.at(-1), last = stroke.at(-1);
    if (last && Math.hypot(point[0] - last[0], point[1] - last[1]) < NEAR) return;
    stroke.push(point);
    const { pen } = this;
    [pen.lineWidth, pen.lineCap, pen.strokeStyle] = [SURFACE / 12, "round", "#111"];
    pen.beginPath();
    pen.moveTo(...(last ?? point));
    pen.lineTo(...point);
    pen.stroke();
    this.greys = picture(this.strokes, this.ink);
    this.picked = false;
    this.answer();
  }

  clear() {
    this.strokes = [];
    this.picked = false;
    this.greys = undefined;
    this.pen.clearRect(0, 0, SURFACE, SURFACE);
    this.points.clearRect(0, 0, 8, 8);
    this.seen.setAttribute("aria-label", "nothing yet");
    this.status.textContent = "";
    for (const { row, bar, value } of this.rows) {
      row.className = "";
      bar.style.width = "0";
      value.textContent = "–";
    }
  }

  async pick() {
    const { valueAsNumber: chosen, validity } = this.number;
    if (!validity.valid || Number.isNaN(chosen)) return;
    this.clear();
    this.picked = true;
    const index = this.training + chosen - 1;
    this.greys = this.images.subarray(index * POINTS, (index + 1) * POINTS);
    await this.read(`Picture ${chosen} of the test set shows a ${this.labels[index]}. It`);
  }

  // Says the answer, too: once a stroke, not at each of its points.
  async read(what) {
    const p = await this.answer();
    if (!p) return;
    const best = p.indexOf(Math.max(...p));
    this.status.textContent = `${what} is read as ${best}, with probability ${percent(p[best])}.`;
  }

  async answer() {
    const { greys } = this;
    if (!greys) return undefined;
    this.show(greys);
    const p = await this.ask("read", { picture: Array.from(greys, (grey) => grey / 16) });
    if (greys !== this.greys) return undefined; // another one has been drawn since
    const best = p.indexOf(Math.max(...p));
    this.rows.forEach(({ row, bar, value }, digit) => {
      row.className = digit === best ? "third-best" : "";
      bar.style.width = `${100 * p[digit]}%`;
      value.textContent = percent(p[digit]);
    });
    return p;
  }

  show(greys) {
    const image = this.points.createImageData(8, 8);
    greys.forEach((grey, i) => image.data.set([0, 0, 0, 255 * grey / 16], 4 * i));
    this.points.putImageData(image, 0, 0);
    this.seen.setAttribute("aria-label", `ink in 8 rows of 8 points: ${rows(greys)}`);
  }

  hide() { this.box.hidden = true; }

  unhide() {
    this.box.hidden = false;
    if (this.greys) this.read(this.picked ? "The picture" : "Your digit");
  }
}

const percent = (p) => `${(100 * p).toFixed(1)} %`;

function rows(greys) {
  return Array.from({ length: 8 }, (_, r) => greys.slice(8 * r, 8 * r + 8).join(" ")).join("; ");
}
