// Two loss curves over each other: the course's, which stands there, and the page's own, which grows.

const NS = "http://www.w3.org/2000/svg", HEIGHT = 220;
const EDGE = { left: 34, right: 10, top: 22, bottom: 36 };

function element(name, attributes, text = "") {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

export class Curve {
  constructor(losses, width) {
    const { left, right, top, bottom } = EDGE, most = Math.max(...losses) * 1.05;
    this.x = (step) => left + (width - left - right) * (step - 1) / (losses.length - 1);
    this.y = (loss) => top + (HEIGHT - top - bottom) * (1 - Math.min(loss, most) / most);
    this.svg = element("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, class: "third-curve", role: "img" });
    const path = losses.map((loss, i) => `${this.x(i + 1).toFixed(2)},${this.y(loss).toFixed(2)}`);
    this.svg.append(
      ...this.axes(losses.length, most, width),
      element("polyline", { class: "third-committed", points: path.join(" ") }),
      this.own = element("polyline", { class: "third-own" }),
      this.head = element("circle", { class: "third-head", r: 4, visibility: "hidden" }),
    );
    this.points = [];
  }

  *axes(steps, most, width) {
    const foot = HEIGHT - EDGE.bottom;
    yield element("path", { class: "third-axis", d: `M${EDGE.left},${EDGE.top}V${foot}H${width - EDGE.right}` });
    for (let loss = 0; loss <= most; loss++) {
      yield element("text", { x: EDGE.left - 8, y: this.y(loss) + 4, "text-anchor": "end" }, loss);
    }
    for (const part of [0, 1 / 3, 2 / 3, 1]) {
      const step = Math.max(1, Math.round(steps * part)), end = part === 1 ? "end" : "middle";
      yield element("text", { x: this.x(step), y: foot + 16, "text-anchor": end }, step);
    }
    yield element("text", { x: (EDGE.left + width) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "step");
    yield element("text", { x: EDGE.left, y: EDGE.top - 8, "text-anchor": "middle" }, "loss");
  }

  clear() {
    this.points = [];
    this.show();
  }

  add(loss) {
    this.points.push([this.x(this.points.length + 1), this.y(loss)]);
  }

  show() {
    this.own.setAttribute("points", this.points.map((p) => p.map((n) => n.toFixed(2))).join(" "));
    const last = this.points.at(-1);
    this.head.setAttribute("visibility", last ? "visible" : "hidden");
    if (last) [this.head.cx.baseVal.value, this.head.cy.baseVal.value] = last;
  }

  describe(words) {
    this.svg.setAttribute("aria-label", words);
  }
}
