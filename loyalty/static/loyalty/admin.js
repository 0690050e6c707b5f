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

// Follows a job that runs elsewhere, and shows its page again when it has ended.
document.addEventListener("DOMContentLoaded", () => {
  const job = document.querySelector("[data-poll]");
  if (!job) return;
  const bar = job.querySelector("[role=progressbar]");
  const look = async () => {
    try {
      const told = await (await fetch(job.dataset.poll)).json();
      if (told.ended) return window.location.reload();
      bar.setAttribute("aria-valuenow", told.percent);
      bar.firstElementChild.style.width = `${told.percent}%`;
      job.querySelector("[data-words]").textContent = told.words;
    } catch {
      // The server may be busy or away for a moment: ask again.
    }
    window.setTimeout(look, 1000);
  };
  window.setTimeout(look, 700);
});
