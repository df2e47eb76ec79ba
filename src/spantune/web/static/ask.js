// The page works without this: here it asks without loading the page again, and answers to the keyboard.
const form = document.getElementById("ask");
const results = document.getElementById("results");
let running = null;
let kept = history.state;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  running?.abort();
  running = new AbortController();
  const mine = running;
  results.setAttribute("aria-busy", "true");
  if (!results.querySelector(".progress")) {
    const line = document.createElement("div");
    line.className = "progress";
    results.prepend(line);
  }
  for (const child of results.children) if (!child.classList.contains("progress")) child.classList.add("waiting");
  const sent = new FormData(form);
  try {
    const response = await fetch(form.dataset.results, { method: "POST", body: sent, signal: mine.signal });
    const text = await response.text();
    if (mine !== running) return;
    // What comes is a page of this server, in which every text is escaped; scripts in it would not run anyway.
    const made = new DOMParser().parseFromString(text, "text/html");
    const known = made.querySelector(".outcome, .alert");
    // A whole page instead says what is wrong with it: with a body that is too large, say.
    const problem = made.querySelector("main .lead")?.textContent ?? `The server answered ${response.status}.`;
    results.replaceChildren(...(known ? made.body.childNodes : [alertOf(problem)]));
    turnStrips();
    showMark();
    // The address asks what is shown. Where that is too long for an address, the form is kept beside it.
    const link = results.querySelector("#link");
    if (results.querySelector(".outcome")) {
      kept = link ? null : { asked: [...sent] };
      history.replaceState(kept, "", link?.getAttribute("href") ?? location.pathname);
    }
    results.setAttribute("aria-busy", "false");
    if (!matchMedia("(min-width: 60rem)").matches) results.scrollIntoView({ block: "start" });
  } catch (error) {
    if (error.name === "AbortError") return;
    results.replaceChildren(alertOf("The server cannot be reached."));
    results.setAttribute("aria-busy", "false");
  }
});

// What was kept comes back with the page that was loaded again, also after a step to a mark.
addEventListener("popstate", () => { if (kept && !history.state) history.replaceState(kept, ""); });
if (kept?.asked && !form.elements.question.value) {
  for (const field of form.elements) {
    const values = kept.asked.filter(([name]) => name === field.name).map(([, value]) => value);
    if (field.type === "checkbox") field.checked = values.includes(field.value);
    else if (field.tagName === "TEXTAREA") field.value = values[0] ?? "";
  }
}

function alertOf(text) {
  const box = document.createElement("div");
  box.className = "alert";
  box.setAttribute("role", "alert");
  box.textContent = text;
  return box;
}

document.addEventListener("keydown", (event) => {
  const inQuestion = event.target.id === "question" && !event.shiftKey && !event.isComposing;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey || inQuestion)) {
    event.preventDefault();
    form.requestSubmit();
  }
});

// A card shows and hides its model's answer in the context, and brings it forward while it is pointed at.
const marksOf = (card) => results.querySelectorAll(`.mark[data-method="${card.dataset.method}"]`);
results.addEventListener("click", (event) => {
  const button = event.target.closest(".toggle");
  if (!button) return;
  const shown = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(shown));
  for (const mark of marksOf(button.closest(".card"))) mark.classList.toggle("off", !shown);
});
for (const [kind, strong] of [["pointerover", true], ["pointerout", false], ["focusin", true], ["focusout", false]]) {
  results.addEventListener(kind, (event) => {
    const card = event.target.closest(".card");
    if (card) for (const mark of marksOf(card)) mark.classList.toggle("strong", strong);
  });
}

// A strip that is wider than the page begins where a model is surest.
function turnStrips() {
  for (const table of results.querySelectorAll(".strip")) {
    const heat = (cell) => Math.max(0, ...[...cell.querySelectorAll(".half")].map((half) => Number(half.className.split("-")[1])));
    const surest = [...table.querySelectorAll("tbody td:not(.gap)")].sort((left, right) => heat(right) - heat(left))[0];
    const box = table.parentElement;
    if (surest) box.scrollLeft = surest.offsetLeft - box.clientWidth / 2;
  }
}
turnStrips();

// A long context is turned to the mark of the first answer that is listed; the page stays where it is.
function showMark() {
  const mark = document.getElementById(results.querySelector(".to-mark")?.hash.slice(1) ?? "");
  const box = mark?.closest(".reading");
  if (!box || location.hash.startsWith("#mark-")) return; // an address that names a mark has turned it already
  const [inner, outer] = [mark.getBoundingClientRect(), box.getBoundingClientRect()];
  if (inner.bottom > outer.bottom) box.scrollTop += inner.top - outer.top - box.clientHeight / 3;
}
showMark();
