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

// On a phone not all tabs fit: the one that is shown is brought into view.
document.addEventListener("DOMContentLoaded", () => {
  for (const tab of document.querySelectorAll(".ly-tabs [aria-current]")) {
    tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 16;
  }
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

// On a phone the theme puts a heading before each cell. It calls the first one "Select record" also
// where there is nothing to select, and Writes All Of Them Like This.
document.addEventListener("DOMContentLoaded", () => {
  const headings = [...document.querySelectorAll("#result_list thead th")];
  for (const row of document.querySelectorAll("#result_list .data-row")) {
    [...row.cells].forEach((cell, place) => {
      const words = headings[place]?.querySelector(".text")?.textContent.trim();
      const heading = cell.querySelector(".action-select") ? "Select" : words;
      if (heading) cell.dataset.label = heading;
    });
  }
});

// Names at the top of a form what is to be corrected, each leading there, and begins with the first.
document.addEventListener("DOMContentLoaded", () => {
  const wrong = [...document.querySelectorAll("#content form [aria-invalid=true]")].filter(
    (field) => field.type !== "hidden",
  );
  if (!wrong.length) return;
  const named = new Map();
  for (const field of wrong) {
    const name = nameOf(field);
    if (!named.has(name)) named.set(name, field);
  }
  const note = document.querySelector(".errornote");
  if (note) {
    const links = [...named].map(([name, field]) => leadingTo(field, name));
    note.textContent = "To be corrected: ";
    note.append(...links.flatMap((link, place) => (place ? [", ", link] : [link])));
  }
  // The theme puts the cursor into a new form's first field, and may come later than this.
  window.addEventListener("load", () => lookAt(wrong[0]));
});

function nameOf(field) {
  const cell = field.closest("td[data-label]");
  const label = cell ? cell.dataset.label : field.labels?.[0]?.textContent || field.name;
  return label.replace(/[:*]/g, "").trim();
}

function leadingTo(field, name) {
  const link = document.createElement("a");
  link.className = "ly-correct";
  link.href = `#${field.id}`;
  link.textContent = name;
  link.addEventListener("click", (event) => {
    event.preventDefault();
    lookAt(field);
  });
  return link;
}

function lookAt(field) {
  field.scrollIntoView({ block: "center" });
  field.focus({ preventScroll: true });
}
