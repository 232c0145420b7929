// Shows the button of the third twin, and loads the rest when it is pressed. Without JavaScript the
// box stays hidden, so that no dead button stands there.
(() => {
  for (const box of document.querySelectorAll(".third-twin[hidden]")) {
    const { code, data } = box.dataset;
    const style = document.createElement("link");
    [style.rel, style.href] = ["stylesheet", `${code}third.css`];
    style.onload = () => { box.hidden = false; };
    document.head.append(style);
    const button = box.querySelector("button");
    if (location.protocol === "file:") {
      // Browsers give a page that was opened as a file no worker, no modules and no data.
      button.remove();
      box.querySelector("[data-from-file]").hidden = false;
      continue;
    }
    const open = async () => {
      button.onclick = null; // once; then the panel puts its own there
      const here = new URL(code, location.href);
      try {
        const panel = await import(new URL("panel.js", here).href);
        panel.open(box, new URL("worker.js", here), new URL(data, location.href));
      } catch (error) {
        box.querySelector("[role=status]").textContent = `It cannot be loaded: ${error.message}`;
        button.onclick = open;
      }
    };
    button.onclick = open;
  }
})();
