// Sends a file of codes in pieces, one after the other, and shows how far it is.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("codes");
  const bar = document.getElementById("codes-done");
  const told = document.getElementById("codes-told");
  const problems = document.getElementById("codes-problems");
  const value = (name) => form.elements[name].value;

  async function send(lines, first) {
    const answer = await fetch(form.dataset.piece, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": value("csrfmiddlewaretoken") },
      body: JSON.stringify({
        program: value("program"),
        pool: value("pool").trim(),
        valid_until: value("valid_until"),
        first_line: first + 1,
        lines,
      }),
    });
    const body = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
    if (!answer.ok) throw new Error(body.error || `the server answered ${answer.status}`);
    return body;
  }

  async function upload(file) {
    const lines = (await file.text()).split(/\r\n|\n|\r/);
    if (lines.at(-1) === "") lines.pop();
    const size = Number(form.dataset.size);
    const sum = { added: 0, known: 0, wrong: 0 };
    const say = (done) => {
      bar.value = lines.length ? done / lines.length : 1;
      told.textContent = `${done.toLocaleString("en")} of ${lines.length.toLocaleString("en")} lines: `
        + `${sum.added.toLocaleString("en")} added, ${sum.known.toLocaleString("en")} known already, `
        + `${sum.wrong.toLocaleString("en")} no codes.`;
    };
    for (let first = 0; first < lines.length; first += size) {
      const piece = await send(lines.slice(first, first + size), first);
      for (const name of Object.keys(sum)) sum[name] += piece[name];
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
