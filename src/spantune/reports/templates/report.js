"use strict";

// Light and dark.
const dark = matchMedia("(prefers-color-scheme: dark)");
document.querySelector(".theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try { localStorage.setItem("spantune-theme", next); } catch { /* a browser that keeps nothing */ }
});

// The browser of questions. What is known of a question: see `Row` in `reports/browser.py`.
const PER_PAGE = 10, AROUND = 240, LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/;
let known = null, matches = [], page = 0;
const field = name => document.getElementById("browse-" + name);

// Text goes into the page as text alone: no markup of the data is ever read. Characters that nobody sees are named.
function put(parent, tag, text = "", kind = "") {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  for (const part of text.split(new RegExp(`(${INVISIBLE.source})`))) {
    if (part.length === 1 && INVISIBLE.test(part)) {
      const named = document.createElement("span");
      named.className = "hidden-character";
      named.textContent = "U+" + part.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      made.append(named);
    } else made.append(part);
  }
  parent.append(made);
  return made;
}

// Who is right: a method where more than half of its runs are.
const right = (question, method) => 2 * question.right[method] > known.runs[method];

// The context cut wherever an accepted answer or a mark begins or ends (`pieces` in `reports/browser.py`).
function writeContext(parent, question, whole) {
  const letters = [...known.contexts[question.context]]; // code points
  const golds = [], marks = [];
  for (let at = 0; at < question.golds.length; at += 2) golds.push([question.golds[at], question.golds[at] + question.golds[at + 1]]);
  question.answers.forEach((answer, number) => {
    if (typeof answer !== "string") marks.push([answer[0], answer[0] + answer[1], LETTERS[marks.length] ?? "·", question.kinds[number] !== 0]);
  });
  const edges = [...golds, ...marks].flatMap(mark => mark.slice(0, 2));
  if (!edges.length) edges.push(0);
  const first = whole ? 0 : Math.max(Math.min(...edges) - AROUND, 0);
  const last = whole ? letters.length : Math.min(Math.max(...edges) + AROUND, letters.length);
  const cuts = [...new Set([first, last, ...edges])].sort((a, b) => a - b);
  const text = put(parent, "p", first ? "… " : "", "context");
  text.dir = "auto";
  for (let at = 0; at + 1 < cuts.length; at++) {
    const [start, end] = [cuts[at], cuts[at + 1]];
    const inside = mark => mark[0] <= start && end <= mark[1];
    const kinds = [golds.some(inside) && "gold", marks.some(mark => inside(mark) && mark[3]) && "wrong"].filter(Boolean);
    put(text, "span", letters.slice(start, end).join(""), kinds.join(" "));
    const ends = marks.filter(mark => mark[1] === end).map(mark => mark[2]).join("");
    if (ends) put(text, "sup", ends);
  }
  if (last < letters.length) text.append(" …");
  if (first || last < letters.length) {
    const more = put(parent, "button", "Whole context");
    more.addEventListener("click", () => { const box = document.createElement("div"); writeContext(box, question, true); text.replaceWith(...box.childNodes); more.remove(); });
  }
}

function writeQuestion(parent, question) {
  const article = put(parent, "article");
  const head = put(article, "h4", question.question);
  head.dir = "auto";
  put(head, "small", question.id);
  writeContext(article, question, false);
  const list = put(article, "ul", "", "answers");
  let letter = 0;
  question.answers.forEach((answer, number) => {
    const line = put(list, "li"), placed = typeof answer !== "string", correct = question.kinds[number] === 0;
    put(line, "b", placed ? LETTERS[letter++] ?? "·" : "");
    put(line, "span", correct ? "✓" : "✗", correct ? "right" : "mistaken").setAttribute("aria-label", correct ? "right" : "wrong");
    const words = put(line, "span");
    const text = placed ? [...known.contexts[question.context]].slice(answer[0], answer[0] + answer[1]).join("") : answer;
    if (text) put(words, "q", text); else put(words, "i", "no answer");
    const who = known.methods.map((name, method) => question.given[method] !== number ? null
      : name + (known.runs[method] > 1 ? ` (${question.right[method]} of ${known.runs[method]} runs right)` : "")).filter(Boolean);
    words.append(" · " + who.join(", "));
    if (!correct) put(words, "small", ` ${known.kinds[question.kinds[number]]}, F1 ${question.f1[number]}`);
  });
  if (!question.golds.length) put(article, "p", "The context does not answer it.", "note");
}

function search() {
  const who = { right: field("right").value, wrong: field("wrong").value };
  const kind = field("kind").value, slice = field("slice").value, words = field("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [dimension, part] = slice ? slice.split(",").map(Number) : [];
  matches = known.questions.filter(question => {
    const good = known.methods.map((_, method) => right(question, method));
    if (who.right === "some" && !good.includes(true) || who.right === "none" && good.includes(true)) return false;
    if (who.wrong === "some" && !good.includes(false) || who.wrong === "none" && good.includes(false)) return false;
    if (/^\d/.test(who.right) && !good[who.right] || /^\d/.test(who.wrong) && good[who.wrong]) return false;
    if (kind !== "") {
      const asked = /^\d/.test(who.wrong) ? [question.given[who.wrong]] : question.given;
      if (!asked.some(number => question.kinds[number] === Number(kind))) return false;
    }
    if (slice && question.slices[dimension] !== part) return false;
    if (!words.length) return true;
    const text = (question.question + " " + question.id + " " + known.contexts[question.context]).toLowerCase();
    return words.every(word => text.includes(word));
  });
  const wrong = question => known.methods.filter((_, method) => !right(question, method)).length;
  const by = { hard: (a, b) => wrong(b) - wrong(a), easy: (a, b) => wrong(a) - wrong(b), data: (a, b) => a.place - b.place,
    short: (a, b) => known.contexts[a.context].length - known.contexts[b.context].length }[field("sort").value];
  if (by) matches.sort(by);
  page = 0;
  write();
}

function write() {
  const list = field("list"), pages = Math.max(1, Math.ceil(matches.length / PER_PAGE));
  list.replaceChildren();
  matches.slice(page * PER_PAGE, (page + 1) * PER_PAGE).forEach(question => writeQuestion(list, question));
  if (!matches.length) put(list, "p", "No question fits.", "note");
  for (const bar of document.querySelectorAll(".pager")) {
    bar.querySelector("output").textContent = `${matches.length.toLocaleString("en")} of ${known.questions.length.toLocaleString("en")} questions, page ${page + 1} of ${pages}`;
    const [back, on] = bar.querySelectorAll("button");
    [back.disabled, on.disabled] = [page === 0, page + 1 >= pages];
  }
}

async function open() {
  const packed = document.getElementById("questions");
  if (!packed) return;
  const bytes = Uint8Array.from(atob(packed.textContent.trim()), letter => letter.charCodeAt(0));
  known = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  known.questions = known.questions.map(row => Object.fromEntries(row.map((value, at) => [known.fields[at], value])));
  for (const name of ["right", "wrong", "kind", "slice", "sort"]) field(name).addEventListener("change", search);
  let waiting;
  field("words").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 200); });
  document.querySelectorAll(".pager").forEach((bar, lower) => bar.querySelectorAll("button").forEach((button, on) =>
    button.addEventListener("click", () => { page += on ? 1 : -1; write(); if (lower) field("words").scrollIntoView(); })));
  // From a count of another section to its questions.
  for (const link of document.querySelectorAll("a[data-right], a[data-slice], a[data-kind]")) link.addEventListener("click", () => {
    const { right = "any", wrong = "any", slice = "", kind = "" } = link.dataset;
    Object.entries({ right, wrong, slice, kind, words: "", sort: "telling" }).forEach(([name, value]) => { field(name).value = value; });
    search();
  });
  search();
}
open().catch(() => document.documentElement.classList.remove("has-script")); // what stands in the page without scripts stays
