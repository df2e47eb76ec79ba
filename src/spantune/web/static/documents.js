// Ctrl+Enter asks. While the server reads, the button says so: a long document takes seconds.
const form = document.getElementById("documents");
const button = form.querySelector("button.primary");
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    form.requestSubmit();
  }
});
form.addEventListener("submit", () => {
  button.disabled = true;
  button.textContent = "Reading …";
});
// A page that the browser kept (the back button) is as it was.
addEventListener("pageshow", () => {
  button.disabled = false;
  button.textContent = "Ask";
});
// The text of an earlier document is not sent along with a new one. A file that is too large is not sent at all: the
// server would refuse it, and many browsers say only that the connection broke.
const file = document.getElementById("file");
file.addEventListener("change", () => {
  const most = Number(file.dataset.most);
  const size = file.files[0]?.size ?? 0;
  const mega = (bytes) => `${Number((bytes / 1e6).toFixed(1))} MB`;
  file.setCustomValidity(size > most ? `The file is too large: at most ${mega(most)}, it has ${mega(size)}.` : "");
  file.reportValidity();
  if (size && size <= most) document.getElementById("text").value = "";
});
