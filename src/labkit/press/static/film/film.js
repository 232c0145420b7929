// Moves both twins through a training: a slider over its steps, for a digit that the reader picks.
// It asks for a guess before it moves, and loads its data when it is first used.
(() => {
  const PAUSE = 900, SPEAK = 250; // milliseconds: a step of the film; before it is said aloud
  const TITLES = { pytorch: "PyTorch", tensorflow: "TensorFlow" };
  const small = (x) => (x === 0 ? "0" : x.toExponential(1).replace("e-", "e−"));

  async function load(address) {
    const get = async (url) => {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(`${url} cannot be loaded (${answer.status})`);
      return answer;
    };
    const facts = await (await get(`${address}.json`)).json(), seen = {};
    for (const twin of Object.values(facts.twins)) {
      seen[twin.maps] ??= get(new URL(twin.maps, address)).then((a) => a.blob()).then(createImageBitmap);
      twin.strip = await seen[twin.maps];
    }
    return facts;
  }

  class Film {
    constructor(box) {
      this.box = box;
      this.find = (selector) => box.querySelector(selector);
      this.all = (selector) => [...box.querySelectorAll(selector)];
      [this.slider, this.play] = [this.find("input[type=range]"), this.find(".film-play")];
      [this.says, this.outcome] = [this.find(".film-says"), this.find("output")];
      this.again = this.find(".film-again");
      this.form = this.find("form");
      this.form.reset(); // some browsers keep what was chosen before the page was loaded again
      this.lock();
      for (const use of ["focusin", "pointerdown"]) box.addEventListener(use, () => this.open());
      this.form.addEventListener("submit", (e) => { e.preventDefault(); this.guess(); });
      this.find(".film-rather").onclick = () => this.unlock(null);
      this.again.onclick = () => { this.lock(); this.show(); this.all(".film-guess input")[0].focus(); };
      this.all(".film-digits input").forEach((i) => { i.onchange = () => this.open().then(() => this.show()); });
      this.slider.oninput = () => { this.stop(); this.show(); };
      this.play.onclick = () => (this.timer ? this.stop() : this.start());
      if (document.documentElement.dataset.veil === "off") this.unlock(null, false);
    }
    get digit() { return Number(this.find(".film-digits input:checked").value); }
    get step() { return Number(this.slider.value); }

    // Loads the data once, and shows the stage; after a failure it is tried again at the next use.
    open() {
      this.opening ??= load(new URL(this.box.dataset.data, location.href).href).then((facts) => {
        this.facts = facts;
        this.prepare();
        this.show();
        this.box.classList.add("film-open");
      }).catch((error) => {
        this.opening = undefined;
        this.outcome.textContent = `The film cannot be shown: ${error.message}.`;
        throw error;
      });
      return this.opening.catch(() => {});
    }
    // Canvases take the place of the last step's pictures.
    prepare() {
      const [count, rows, columns] = this.facts.shape;
      for (const twin of this.all(".film-twin")) {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [count * (columns + 1) - 1, rows];
        canvas.className = "film-maps";
        canvas.setAttribute("role", "img");
        twin.querySelector(".film-maps").replaceWith(canvas);
      }
    }

    // --- the guess -----------------------------------------------------------------------------
    lock() {
      this.stop();
      this.slider.value = 0;
      this.locked(true);
      this.all(".film-guess input").forEach((i) => { i.checked = false; });
      this.find(".film-guess").hidden = false;
      this.again.hidden = true;
      this.outcome.textContent = "";
    }
    locked(now) {
      this.slider.disabled = this.play.disabled = now;
      const why = this.find(".film-locked");
      why.hidden = !now;
      if (now) this.slider.setAttribute("aria-describedby", why.id);
      else this.slider.removeAttribute("aria-describedby");
    }
    guess() {
      const chosen = this.find(".film-guess input:checked");
      if (chosen) this.unlock(chosen.value); else this.outcome.textContent = "Choose a step first.";
    }
    // `guess`: the index of a step, "" for not by the end, null for rather seeing it.
    async unlock(guess, asked = true) {
      if (asked) {
        await this.open();
        if (!this.facts) return;
        this.outcome.textContent = this.judge(guess);
        this.again.hidden = false;
      }
      this.find(".film-guess").hidden = true;
      this.locked(false);
      if (asked) this.slider.focus();
    }
    judge(guess) {
      const { steps, settles, labels, classes } = this.facts, found = settles[this.digit];
      const from = (index) => `from step ${steps[index]} on`;
      const name = classes[labels[this.digit]], never = `after step ${steps.at(-1)} this ${name} is still read wrongly`;
      const right = found === null ? never : from(found);
      if (guess === null) return found === null ? `Not by the end: ${never}.` : `It is ${right}.`;
      const said = guess === "" ? null : Number(guess);
      if (said === found) return `Right: ${right}.`;
      if (said === null) return `Your guess: not by the end. It is, ${right}.`;
      if (found === null) return `Your guess: ${from(said)}. But ${never}.`;
      const off = steps[found] - steps[said], far = `${Math.abs(off)} ${Math.abs(off) === 1 ? "step" : "steps"}`;
      return `Your guess: ${from(said)}. It is ${right}, ${far} ${off > 0 ? "later" : "earlier"}.`;
    }

    // --- the stage -----------------------------------------------------------------------------
    show() {
      const { steps } = this.facts ?? {}, { step } = this;
      if (!steps) return;
      this.slider.setAttribute("aria-valuetext", `step ${steps[step]} of ${steps.at(-1)}`);
      this.all(".film-ticks span").forEach((tick, n) => tick.classList.toggle("film-now", n === step));
      const { labels, classes, twins, apart } = this.facts, { digit } = this, shown = this.find(".film-shown");
      shown.style.setProperty("--film-at", digit);
      shown.setAttribute("aria-label", `the picture: a ${classes[labels[digit]]}`);
      for (const [name, twin] of Object.entries(twins)) this.draw(name, twin);
      this.list();
      this.say();
      const pictures = Math.max(apart.kernels[step], apart.maps[step][digit]);
      this.find(".film-apart").textContent =
        `Largest difference between the twins here: ${small(apart.chances[step][digit])} in a probability; ` +
        (pictures ? `${small(pictures)} in kernels and maps.` : "none in kernels and maps, of which 8 bits a value are kept.");
    }
    draw(name, { kernels, scale, strip, strongest }) {
      const { step, digit, facts } = this, [count, rows] = facts.shape;
      const place = this.find(`[data-twin="${name}"]`), now = kernels[step], size = now.length / count;
      place.querySelectorAll(".film-kernels rect").forEach((cell, i) => {
        cell.setAttribute("class", now[i] > 0 ? "film-plus" : "film-minus");
        cell.setAttribute("fill-opacity", Math.sqrt(Math.abs(now[i]) / scale).toFixed(2));
      });
      const moved = Array(count).fill(0);
      now.forEach((value, i) => { moved[Math.floor(i / size)] += (value - kernels[0][i]) ** 2; });
      const most = moved.indexOf(Math.max(...moved)) + 1, when = `step ${facts.steps[step]}`;
      place.querySelector(".film-kernels").setAttribute("aria-label",
        `${TITLES[name]}, ${count} kernels at ${when}` + (moved[most - 1] ? `; number ${most} has moved farthest from its start` : ", as they start"));
      const canvas = place.querySelector("canvas"), pen = canvas.getContext("2d");
      pen.clearRect(0, 0, canvas.width, canvas.height);
      pen.drawImage(strip, 0, -rows * (step * facts.labels.length + digit));
      canvas.setAttribute("aria-label",
        `${TITLES[name]}, ${count} feature maps of this ${facts.classes[facts.labels[digit]]} at ${when}; number ${strongest[step][digit] + 1} has the most ink`);
    }
    list() {
      const { step, digit, facts: { labels, twins } } = this;
      this.all("tbody tr").forEach((row, k) => {
        const right = k === labels[digit], [, bars, ...numbers] = row.children;
        row.classList.toggle("film-right", right);
        row.querySelector(".film-mark").textContent = right ? "\u00a0✓" : "";
        Object.values(twins).forEach(({ chances }, n) => {
          const p = chances[step][digit][k];
          bars.children[n].style.setProperty("--film-part", p);
          numbers[n].textContent = p.toFixed(4);
        });
      });
    }
    say() {
      const { step, digit, facts: { labels, classes, twins, steps } } = this, right = labels[digit];
      const words = Object.entries(twins).map(([name, { chances }]) => {
        const row = chances[step][digit], best = row.indexOf(Math.max(...row));
        const first = `${TITLES[name]} reads ${classes[best]}, ${best === right ? "rightly, " : ""}with probability ${row[best].toFixed(2)}`;
        return best === right ? `${first}.` : `${first}; the right ${classes[right]} has ${row[right].toFixed(2)}.`;
      });
      const cut = words.map((w) => w.slice(w.indexOf(" reads")));
      const all = cut[0] === cut[1] ? `${words[0]} So does TensorFlow.` : words.join(" ");
      this.says.ariaBusy = "true"; // while the slider is drawn, nothing is said of what is passed
      this.says.textContent = `After step ${steps[step]}: ${all}`;
      clearTimeout(this.saying);
      this.saying = setTimeout(() => { this.says.ariaBusy = "false"; }, SPEAK);
    }

    // --- moving by itself, when asked ----------------------------------------------------------
    async start() {
      await this.open();
      if (!this.facts) return;
      const last = Number(this.slider.max);
      if (this.step === last) { this.slider.value = 0; this.show(); }
      this.play.textContent = "Stop";
      this.timer = setInterval(() => {
        this.slider.value = this.step + 1;
        this.show();
        if (this.step === last) this.stop();
      }, PAUSE);
    }
    stop() {
      clearInterval(this.timer);
      this.timer = undefined;
      this.play.textContent = "Play";
    }
  }

  for (const box of document.querySelectorAll(".film")) {
    if (location.protocol !== "file:") { box.film = new Film(box); continue; }
    // Browsers give a page that was opened as a file no data.
    box.classList.add("film-open");
    box.querySelectorAll("fieldset, .film-slider").forEach((part) => { part.hidden = true; });
    box.querySelector(".film-from-file").hidden = false;
  }
})();
