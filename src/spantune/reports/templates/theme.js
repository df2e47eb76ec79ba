document.documentElement.classList.add("has-script");
try {
  const kept = localStorage.getItem("spantune-theme");
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
} catch { /* a browser that keeps nothing */ }
