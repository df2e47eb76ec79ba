// Enhances Explore; the pages work without it.

// What is pointed at applies at once. With the keyboard every arrow key changes a list: there "Show" applies it.
const form = document.querySelector("form.filters");
const FIELD = "explore-field"; // in which the next page goes on
if (form) {
  let pointed = false;
  form.addEventListener("pointerdown", () => { pointed = true; });
  form.addEventListener("keydown", () => { pointed = false; });
  for (const field of form.querySelectorAll("select")) field.addEventListener("change", () => { if (pointed) form.requestSubmit(); });
  form.addEventListener("submit", () => { // an address says only what was asked for
    try { sessionStorage.setItem(FIELD, document.activeElement.id); } catch { /* the focus is at the top, then */ }
    for (const field of form.elements) if (field.name && (!field.value || field.value === field.dataset.plain)) field.disabled = true;
  });
  addEventListener("pageshow", () => { for (const field of form.elements) field.disabled = false; });
  try {
    const field = form.elements.namedItem(sessionStorage.getItem(FIELD) ?? "");
    sessionStorage.removeItem(FIELD);
    field?.focus({ preventScroll: true });
  } catch { /* nothing is kept */ }
}

// Who points at a method's row sees its mark alone.
const context = document.querySelector(".context");
for (const row of document.querySelectorAll("tr[data-method]")) {
  const marks = context.querySelectorAll(`.mark[data-method="${row.dataset.method}"]`);
  const show = on => { context.classList.toggle("one", on); for (const mark of marks) mark.classList.toggle("shown", on); };
  row.addEventListener("pointerenter", () => show(true));
  row.addEventListener("pointerleave", () => show(false));
}

// From question to question with j and k, as in mail readers; not while something is typed.
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  const link = { j: "next", k: "prev" }[event.key];
  if (link) document.querySelector(`a[rel="${link}"]`)?.click();
});
