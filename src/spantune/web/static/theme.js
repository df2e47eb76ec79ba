// Loaded in the head, so that a page is never shown in the wrong colours first.
document.documentElement.classList.add("has-script");
(() => {
  const KEY = "spantune-theme";
  const root = document.documentElement;
  let kept = null;
  try { kept = localStorage.getItem(KEY); } catch { /* a browser that keeps nothing */ }
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;

  // While the models are loaded: say when they are there.
  async function watch(notice) {
    for (;;) {
      await new Promise((wake) => setTimeout(wake, 1500));
      try {
        if ((await fetch("/readyz")).ok) break;
      } catch { /* the server is away */ }
    }
    notice.textContent = "The models are ready.";
  }

  document.addEventListener("DOMContentLoaded", () => {
    const notice = document.querySelector(".loading");
    if (notice) watch(notice);
    const button = document.querySelector("button.theme");
    if (!button) return;
    button.addEventListener("click", () => {
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      try { localStorage.setItem(KEY, root.dataset.theme); } catch { /* it holds for this page */ }
    });
  });
})();
