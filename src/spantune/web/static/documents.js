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
// The text of an earlier document is not sent along with a new one.
const file = document.getElementById("file");
file.addEventListener("change", () => { if (file.files.length) document.getElementById("text").value = ""; });
