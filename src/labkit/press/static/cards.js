// Cards that ask or sort: predictions, and the scoreboard. What a reader guesses stays in the browser.

// --- predict, then see ----------------------------------------------------------------------
(() => {
  const ALL = "twin-show-all", root = document.documentElement;
  const get = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const set = (key, value) => {
    try { if (value === null) localStorage.removeItem(key); else localStorage.setItem(key, value); } catch { /* private mode */ }
  };
  root.dataset.veil = get(ALL) ? "off" : "on"; // before first paint; without a script nothing is veiled

  const number = (text) => Number(text.replace(/[,\s_]/g, "").replace("−", "-"));

  class Card {
    constructor(form) {
      this.form = form;
      this.key = `twin-guess:${form.dataset.predict}`;
      this.veiled = document.querySelectorAll(`.twin-veil.veil-${form.dataset.name}`);
      this.said = form.querySelector("output");
      this.inputs = [...form.querySelectorAll("input")];
      this.again = form.querySelector(".twin-again");
      form.addEventListener("submit", (e) => { e.preventDefault(); this.answer(); });
      form.querySelector(".twin-rather").addEventListener("click", () => this.keep(""));
      this.again.addEventListener("click", () => { this.forget(); this.inputs[0].focus(); });
      this.show(get(this.key));
    }
    answer() {
      const [first] = this.inputs;
      if (first.type === "radio") {
        const chosen = this.inputs.find((i) => i.checked);
        if (chosen) this.keep(chosen.value); else this.said.textContent = "Choose one first.";
      } else if (first.value.trim() && !Number.isNaN(number(first.value))) this.keep(first.value.trim());
      else this.said.textContent = "Write a number first.";
    }
    keep(guess) { set(this.key, guess); this.show(guess); }
    forget() { set(this.key, null); this.form.reset(); this.show(null); }
    show(guess) { // null: not yet; "": rather see it
      const seen = guess !== null;
      this.veiled.forEach((v) => v.classList.toggle("twin-open", seen));
      this.inputs.forEach((i) => {
        i.disabled = seen;
        const label = i.closest("label");
        label.classList.toggle("twin-right", seen && i.value === this.form.dataset.right);
        if (seen && i.type === "radio") i.checked = i.value === guess;
        else if (seen) i.value = guess;
      });
      this.form.querySelectorAll("button").forEach((b) => { b.hidden = (b === this.again) !== seen; });
      this.said.replaceChildren(...(seen ? this.words(guess) : []));
    }
    words(guess) {
      const { answer, within } = this.form.dataset;
      const choice = (value) => [...this.inputs.find((i) => i.value === value).nextElementSibling.cloneNode(true).childNodes];
      const shown = (value) => (answer === undefined ? choice(value) : [value]);
      const right = answer ?? this.form.dataset.right;
      if (guess === "") return ["Right: ", ...shown(right)];
      if (answer === undefined && !this.inputs.some((i) => i.value === guess)) return ["Right: ", ...shown(right)];
      const hit = answer === undefined ? guess === right
        : Math.abs(number(guess) - number(answer)) <= Number(within) * Math.abs(number(answer));
      return ["Your guess: ", ...shown(guess), hit ? ". Right" : ". Right: ",
        ...(hit ? (answer === undefined || number(guess) === number(answer) ? ["."] : [": ", answer, ", near enough."]) : shown(right))];
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    const cards = [...document.querySelectorAll(".twin-predict")].map((form) => new Card(form));
    const all = document.querySelector(".twin-show-all");
    if (!all) return;
    all.checked = root.dataset.veil === "off";
    all.addEventListener("change", () => {
      root.dataset.veil = all.checked ? "off" : "on";
      set(ALL, all.checked ? "yes" : null);
    });
    document.querySelector(".twin-forget").addEventListener("click", () => cards.forEach((c) => c.forget()));
  });
})();

// --- the scoreboard shows the claims of one topic, one verdict, or all -------------------------
document.addEventListener("DOMContentLoaded", () => {
  const board = document.querySelector(".twin-scoreboard");
  if (!board) return;
  const filters = [...board.querySelectorAll("[data-filter]")];
  const rows = [...board.querySelectorAll("tbody tr")];
  const show = () => {
    rows.forEach((row) => {
      row.hidden = filters.some((f) => f.value && row.dataset[f.dataset.filter] !== f.value);
    });
    const count = rows.filter((row) => !row.hidden).length;
    board.querySelector(".twin-count").textContent = `${count} of ${rows.length} shown`;
  };
  filters.forEach((f) => f.addEventListener("change", show));
  show();
});
