// The panel that the button opens: training, its curve, and how far its losses agree.
import { apart, digits, shared } from "./agree.js";
import { Curve } from "./curve.js";
import { Pad } from "./draw.js";

const PANEL = `
<div class="third-progress"><progress aria-label="steps of training"></progress>
<span class="third-step"></span></div>
<div class="third-figure"></div>
<p class="third-legend"><span class="third-key-committed">PyTorch's losses, from the course's
record</span> <span class="third-key-own">this page's, as they come</span></p>
<div class="third-losses"><p>PyTorch <span></span></p><p>this page <span></span></p></div>
<p class="third-agree"></p>
<div class="third-pad"></div>`;

// The worker, as a function that asks it: each question gets its own answer.
function asker(address, failed) {
  const worker = new Worker(address, { type: "module" }), waiting = new Map();
  worker.onmessage = ({ data: { id, answer, error } }) => {
    const [keep, refuse] = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) keep(answer);
    else refuse(new Error(error));
  };
  worker.onerror = () => failed(new Error("the worker does not start in this browser"));
  let id = 0;
  return (question, rest = {}) => new Promise((keep, refuse) => {
    waiting.set(++id, [keep, refuse]);
    worker.postMessage({ id, question, ...rest });
  });
}

class Panel {
  constructor(box, worker, data) {
    this.button = box.querySelector("button");
    this.status = box.querySelector("[role=status]");
    this.data = data;
    this.worker = worker;
    const body = document.createElement("div");
    body.className = "third-panel";
    body.innerHTML = PANEL;
    box.append(body);
    this.find = (selector) => body.querySelector(selector);
    this.button.onclick = () => this.press();
    this.running = false;
  }

  // Asks the worker; one that did not start is started anew.
  ask = (question, rest) => {
    this.asker ??= asker(this.worker, (error) => {
      this.asker = undefined;
      this.fail(error);
    });
    return this.asker(question, rest);
  };

  // One button, for what can be done now: stop, go on, or begin again. While the data is loaded it
  // does nothing, but is not disabled: that would take the focus from it.
  press() {
    if (this.loading) return;
    if (this.running) this.running = false;
    else if (this.losses && this.losses.length < this.course.losses.length) this.train();
    else this.begin();
  }

  fail(error) {
    this.running = this.loading = false;
    this.button.textContent = "Try again";
    this.losses = undefined;
    this.status.textContent = `It cannot be trained: ${error.message}.`;
  }

  async begin() {
    this.loading = true;
    this.status.textContent = "Loading pictures, first weights and batches …";
    try {
      this.course = await this.ask("begin", { address: this.data.href });
    } catch (error) {
      this.fail(error);
      return;
    }
    this.losses = [];
    [this.spent, this.worst, this.fewest] = [0, 0, Infinity];
    this.find("progress").max = this.course.losses.length;
    if (!this.curve) {
      const figure = this.find(".third-figure");
      this.curve = new Curve(this.course.losses, Math.max(260, figure.clientWidth));
      figure.append(this.curve.svg);
    }
    this.curve.clear();
    this.pad?.hide();
    await this.train();
  }

  async train() {
    const { length } = this.course.losses;
    this.loading = false;
    this.button.textContent = "Stop";
    this.status.textContent = `Training, ${length} steps …`;
    this.running = true;
    this.pad?.hide();
    const began = performance.now();
    try {
      while (this.running && this.losses.length < length) this.note(await this.ask("step"));
      this.spent += performance.now() - began;
      await this.finish();
    } catch (error) {
      this.fail(error);
    }
  }

  note(loss) {
    const committed = this.course.losses[this.losses.length];
    this.losses.push(loss);
    this.worst = Math.max(this.worst, apart(loss, committed));
    this.fewest = Math.min(this.fewest, digits(loss, committed));
    this.curve.add(loss);
    // Several steps may fall between two pictures on the screen.
    this.drawing ??= requestAnimationFrame(() => {
      this.drawing = undefined;
      this.show();
    });
  }

  show() {
    const step = this.losses.length, { length } = this.course.losses;
    if (!step) return;
    const [own, committed] = [this.losses.at(-1), this.course.losses[step - 1]];
    this.curve.show();
    this.curve.describe(
      `Loss over ${step} of ${length} steps, trained in this page, from ` +
      `${this.losses[0].toFixed(2)} to ${own.toFixed(2)}; the curve of PyTorch's record lies under it.`,
    );
    this.find("progress").value = step;
    this.find(".third-step").textContent = `step ${step} of ${length}`;
    const [ours, theirs] = [[own, committed], [committed, own]].map((pair) => shared(...pair));
    [theirs, ours].forEach(([same, rest], i) => {
      const mark = document.createElement("b");
      mark.textContent = same;
      this.find(".third-losses").querySelectorAll("span")[i].replaceChildren(mark, rest);
    });
    this.find(".third-agree").textContent =
      `In each of the ${step} steps so far at least ${this.fewest} significant digits agree.`;
  }

  async finish() {
    this.running = false;
    this.show();
    const { length } = this.course.losses, step = this.losses.length;
    if (step < length) {
      this.button.textContent = "Go on";
      this.status.textContent = `Stopped after ${step} of ${length} steps.`;
    } else {
      const { bound, accuracy } = this.course, right = await this.right();
      this.button.textContent = "Train again";
      this.status.textContent =
        `Trained in ${(this.spent / 1e3).toFixed(1)} s. Of ${right.of} test digits it reads ` +
        `${right.count}; PyTorch read ${Math.round(accuracy * right.of)}.`;
      this.find(".third-agree").textContent =
        `In all ${length} steps at least ${this.fewest} significant digits agree. The largest ` +
        `difference is ${this.worst.toExponential(1)} of a loss, which ` +
        `${this.worst <= bound ? "is within" : "BREAKS"} the proof's bound of ${bound}.`;
    }
    this.pad ??= new Pad(this.find(".third-pad"), this.course, this.ask);
    this.pad.unhide();
  }

  async right() {
    const { labels, training } = this.course, scores = await this.ask("test");
    const of = labels.length - training, classes = scores.length / of;
    let count = 0;
    for (let n = 0; n < of; n++) {
      const row = scores.slice(n * classes, (n + 1) * classes);
      count += row.indexOf(Math.max(...row)) === labels[training + n];
    }
    return { count, of };
  }
}

export function open(box, worker, data) {
  const panel = new Panel(box, worker, data);
  box.thirdTwin = panel; // the course's own test reads its record from here
  panel.begin();
}
