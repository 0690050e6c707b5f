// Adds rules to a campaign's form, and takes them out.
document.addEventListener("DOMContentLoaded", () => {
  const rules = document.querySelector("[data-rules]");
  if (!rules) return;
  const blank = rules.querySelector("template");
  const total = rules.querySelector("[name$='-TOTAL_FORMS']");
  for (const rule of rules.querySelectorAll(":scope > [data-rule]")) offerWayOut(rule);

  rules.querySelector("[data-add-rule]").addEventListener("click", () => {
    const copy = blank.content.cloneNode(true);
    const holder = document.createElement("div");
    holder.append(copy);
    holder.innerHTML = holder.innerHTML.replaceAll("__prefix__", total.value);
    const rule = holder.firstElementChild;
    blank.before(rule);
    total.value = Number(total.value) + 1;
    offerWayOut(rule);
    rule.dispatchEvent(new CustomEvent("ruleadded", { bubbles: true }));
    // The theme's calendars know only fields that they have seen.
    if (window.DateTimeShortcuts) {
      for (const shortcut of document.querySelectorAll(".datetimeshortcuts")) shortcut.remove();
      window.DateTimeShortcuts.init();
    }
    rule.querySelector("input[type=text]").focus();
  });
});

// A rule that is taken out is still sent, with its mark: until it is saved it can come back.
function offerWayOut(rule) {
  const out = rule.querySelector(".ly-out");
  const mark = out.querySelector("input");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "ly-button";
  const show = () => {
    rule.classList.toggle("ly-taken-out", mark.checked);
    button.textContent = mark.checked ? "Keep this rule" : "Take this rule out";
  };
  button.addEventListener("click", () => {
    mark.checked = !mark.checked;
    show();
  });
  out.classList.add("ly-by-button");
  out.append(button);
  show();
}
