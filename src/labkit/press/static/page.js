// The page around a chapter: where the reader is, the book's contents, and words explained in place.

// --- the page's contents, and the section that is being read --------------------------------
document.addEventListener("DOMContentLoaded", () => {
  const box = document.querySelector(".twin-contents");
  if (!box) return;
  const links = [...box.querySelectorAll("a[href^='#']")].filter((a) => a.hash.length > 1);
  const sections = links.map((a) => document.getElementById(decodeURIComponent(a.hash.slice(1))));
  const here = box.querySelector(".twin-here");
  let waiting = false;
  const mark = () => {
    waiting = false;
    const now = sections.findLastIndex((s) => s && s.getBoundingClientRect().top < 140);
    links.forEach((a, n) => (n === now ? a.setAttribute("aria-current", "true") : a.removeAttribute("aria-current")));
    here.textContent = now < 0 ? "Contents" : links[now].textContent;
  };
  addEventListener("scroll", () => { if (!waiting) { waiting = true; requestAnimationFrame(mark); } }, { passive: true });
  mark();
  links.forEach((a) => a.addEventListener("click", () => { box.open = false; }));
});

// --- what opens, closes again ---------------------------------------------------------------
document.addEventListener("DOMContentLoaded", () => {
  const menus = [...document.querySelectorAll(".twin-contents, .twin-bar details")];
  document.addEventListener("click", (e) => menus.forEach((m) => { if (!m.contains(e.target)) m.open = false; }));
  menus.forEach((m) => m.addEventListener("keydown", (e) => {
    if (e.key !== "Escape" || !m.open) return;
    m.open = false;
    m.querySelector("summary").focus();
  }));
});

// --- the book's contents lie over the page where two columns need the room -------------------
(() => {
  const folded = matchMedia("(min-width: 1200px) and (max-width: 1365.98px)");
  document.addEventListener("click", (e) => {
    const root = document.documentElement;
    const within = e.target.closest("#pst-primary-sidebar");
    if (e.target.closest(".primary-toggle") && folded.matches && root.dataset.framework === "both") {
      e.stopImmediatePropagation(); // before the theme's own handler
      root.toggleAttribute("data-sidebar");
    } else if (!within) {
      root.removeAttribute("data-sidebar");
    }
  }, true);
})();

// --- a term's gloss opens where it stands; the link itself leads to the glossary --------------
document.addEventListener("click", (e) => {
  const link = e.target.closest("a[data-gloss]");
  const box = link && document.getElementById(link.dataset.gloss);
  if (!box?.showPopover || e.ctrlKey || e.metaKey || e.shiftKey) return;
  e.preventDefault();
  box.showPopover({ source: link });
  const at = link.getBoundingClientRect();
  const left = Math.min(at.left, document.documentElement.clientWidth - box.offsetWidth - 8);
  box.style.left = `${Math.max(8, left) + scrollX}px`;
  box.style.top = `${at.bottom + scrollY + 4}px`;
  box.focus({ preventScroll: true });
  box.onkeydown = (key) => {
    if (key.key !== "Escape") return;
    box.hidePopover();
    link.focus({ preventScroll: true });
  };
});
