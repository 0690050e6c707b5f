// Copies what a button points at, and keeps a page that is shown once from being sent again.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.querySelector(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    button.textContent = "Copied";
  } catch {
    // Without HTTPS there is no clipboard: mark it, for the keyboard to copy.
    window.getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
  }
});

document.addEventListener("DOMContentLoaded", () => {
  const page = document.querySelector("[data-replace-address]");
  if (page) window.history.replaceState(null, "", page.dataset.replaceAddress);
});
