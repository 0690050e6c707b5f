// Sends a file of lines in pieces, one after the other, and shows how far it is.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("upload");
  const bar = document.getElementById("upload-done");
  const told = document.getElementById("upload-told");
  const problems = document.getElementById("upload-problems");
  const written = () =>
    Object.fromEntries(
      [...form.elements]
        .filter((field) => field.name && field.type !== "file" && field.name !== "csrfmiddlewaretoken")
        .map((field) => [field.name, field.value.trim()]),
    );

  async function send(lines, first, carried) {
    const answer = await fetch(form.dataset.piece, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value },
      body: JSON.stringify({ ...written(), ...carried, first_line: first + 1, lines }),
    });
    const body = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
    if (!answer.ok) throw new Error(body.error || `the server answered ${answer.status}`);
    return body;
  }

  async function upload(file) {
    const lines = (await file.text()).split(/\r\n|\n|\r/);
    if (lines.at(-1) === "") lines.pop();
    const size = Number(form.dataset.size);
    const sum = {};
    // What the first line said of all others goes with every later piece.
    const carried = {};
    const number = (count) => count.toLocaleString("en");
    const say = (done) => {
      bar.value = lines.length ? done / lines.length : 1;
      const counts = Object.entries(sum).map(([what, count]) => `${number(count)} ${what}`);
      told.textContent = `${number(done)} of ${number(lines.length)} lines: ${counts.join(", ")}.`;
    };
    for (let first = 0; first < lines.length; first += size) {
      const piece = await send(lines.slice(first, first + size), first, carried);
      for (const [what, count] of Object.entries(piece.counts)) sum[what] = (sum[what] || 0) + count;
      Object.assign(carried, piece.carry);
      for (const problem of piece.problems) {
        if (problems.children.length >= 20) break;
        problems.appendChild(document.createElement("li")).textContent = problem;
      }
      say(Math.min(first + size, lines.length));
    }
    told.textContent += " Done.";
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const file = form.elements.file.files[0];
    const button = form.querySelector("button[type=submit]");
    problems.replaceChildren();
    if (!file) {
      told.textContent = "Choose a file first.";
      return;
    }
    bar.hidden = false;
    button.disabled = true;
    try {
      await upload(file);
    } catch (error) {
      told.textContent += ` It stopped: ${error.message}. Upload the file again; what is in already is recognised.`;
    }
    button.disabled = false;
  });
});
