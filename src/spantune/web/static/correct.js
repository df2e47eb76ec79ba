// Marks the right words of a context. The server counts code points, JavaScript UTF-16 code units: hence `points`.
const context = document.getElementById("context");
const form = document.getElementById("correction");
const status = document.getElementById("chosen");
const field = form.elements.namedItem("text");

const points = text => { let count = 0; for (const _ of text) count += 1; return count; };

// The first character of a place in the page, counted from the context's beginning.
function offset(node, at) {
  const range = document.createRange();
  range.setStart(context, 0);
  range.setEnd(node, at);
  return points(range.toString());
}

// The selection as far as it lies in the context, without white space at its ends; null where there is none.
function selected() {
  const selection = getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0), whole = document.createRange();
  whole.selectNodeContents(context);
  if (!range.intersectsNode(context)) return null;
  if (range.compareBoundaryPoints(Range.START_TO_START, whole) < 0) range.setStart(context, 0);
  if (range.compareBoundaryPoints(Range.END_TO_END, whole) > 0) range.setEnd(context, context.childNodes.length);
  const text = range.toString(), bare = text.trim();
  if (!bare) return null;
  const start = offset(range.startContainer, range.startOffset) + points(text.slice(0, text.indexOf(bare)));
  return { start, text: bare };
}

function place(start) {
  form.querySelector(".places")?.remove();
  let kept = form.querySelector('input[name="start"]');
  if (start === null) { kept?.remove(); return; }
  if (!kept) {
    kept = document.createElement("input");
    [kept.type, kept.name] = ["hidden", "start"];
    form.append(kept);
  }
  kept.value = start;
}

function take() {
  const marked = selected();
  if (!marked) return;
  field.value = marked.text;
  place(marked.start);
  status.textContent = `Marked: characters ${marked.start + 1} to ${marked.start + points(marked.text)}.`;
}

field.addEventListener("input", () => { place(null); status.textContent = ""; }); // typed words count wherever they are
document.addEventListener("selectionchange", () => { if (!document.activeElement?.matches("input, textarea")) take(); });
// A field keeps the focus when the context is touched, and with it its own selection.
context.addEventListener("pointerdown", () => { document.activeElement?.blur(); });

// With the keyboard: from word to word, and more words with Shift.
const WORDS = typeof Intl.Segmenter === "function" ? new Intl.Segmenter(undefined, { granularity: "word" }) : null;
const text = context.textContent;
const words = WORDS ? [...WORDS.segment(text)].filter(word => word.isWordLike).map(word => [word.index, word.index + word.segment.length])
  : [...text.matchAll(/\S+/g)].map(match => [match.index, match.index + match[0].length]);
let [from, to] = [-1, -1]; // words

context.tabIndex = 0;
context.setAttribute("role", "textbox");
context.setAttribute("aria-readonly", "true");
context.setAttribute("aria-multiline", "true");
context.setAttribute("aria-labelledby", "context-title");

// A place in the page for a number of code units.
function spot(at) {
  const walker = document.createTreeWalker(context, NodeFilter.SHOW_TEXT);
  let node = walker.nextNode();
  while (node && at > node.data.length) { at -= node.data.length; node = walker.nextNode(); }
  return [node ?? context, node ? at : context.childNodes.length];
}

function show() {
  const [first, last] = [Math.min(from, to), Math.max(from, to)];
  const [begin, end] = [spot(words[first][0]), spot(words[last][1])];
  getSelection().setBaseAndExtent(...(from <= to ? [...begin, ...end] : [...end, ...begin]));
  getSelection().focusNode?.parentElement?.scrollIntoView({ block: "nearest" });
  take(); // at once: the event comes later than the next key may
}

context.addEventListener("keydown", event => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (event.ctrlKey || event.metaKey || !words.length) return;
  if (event.altKey && event.shiftKey && step) {
    event.preventDefault();
    getSelection().modify("extend", step < 0 ? "backward" : "forward", "character");
    take();
  } else if (!event.altKey && (step || event.key === "Home" || event.key === "End")) {
    event.preventDefault();
    const last = words.length - 1;
    const next = event.key === "Home" ? 0 : event.key === "End" ? last : to < 0 ? 0 : Math.min(Math.max(to + step, 0), last);
    [from, to] = event.shiftKey && from >= 0 ? [from, next] : [next, next];
    show();
  } else if (event.key === "Enter") {
    event.preventDefault();
    form.requestSubmit(form.querySelector(".primary"));
  }
});
