// Turns the conditions of an earning rule into a sentence with rows to add and to take out: of a
// standing rule its form, of a campaign each of its rules.
// Without it the form is the same, only longer: every field is there.
document.addEventListener("DOMContentLoaded", () => {
  for (const rule of document.querySelectorAll("#earningrule_form, [data-rules] > [data-rule]")) {
    writeAsSentence(rule);
  }
});

document.addEventListener("ruleadded", (event) => writeAsSentence(event.target));

function writeAsSentence(form) {
  const conditions = collect(form);
  if (!conditions.length) return;
  const offer = { currency: "", values: {} };
  const sentence = document.createElement("p");
  sentence.className = "ly-sentence";
  sentence.setAttribute("aria-live", "polite");
  const add = document.createElement("select");
  add.className = "ly-add";
  add.setAttribute("aria-label", "Add a condition");

  const refresh = () => {
    for (const each of conditions) each.row.classList.toggle("ly-away", !each.shown);
    add.replaceChildren(new Option("Add a condition …", ""));
    for (const each of conditions) if (!each.shown) add.add(new Option(each.label, each.name));
    add.hidden = add.length < 2;
    sentence.textContent = tell(form, conditions, offer.currency);
  };
  for (const each of conditions) {
    each.shown = !isEmpty(each) || Boolean(each.row.querySelector(".errorlist, .text-red-600"));
    each.row.classList.add("ly-condition");
    each.row.append(remover(each, refresh));
  }
  add.addEventListener("change", () => {
    const chosen = conditions.find((each) => each.name === add.value);
    if (!chosen) return;
    chosen.shown = true;
    refresh();
    chosen.inputs[0].focus();
  });
  // Choosing a condition is an input, too; its list must stay as it is until it was heard.
  const heard = (event) => event.target !== add && refresh();
  form.addEventListener("input", heard);
  form.addEventListener("change", heard);
  const home = conditions[0].row.parentElement;
  home.before(sentence);
  home.after(add);
  refresh();
  fetchValues((found) => {
    Object.assign(offer, found);
    for (const each of conditions) suggest(each, offer.values[each.name] || [], refresh);
    refresh();
  });
}

// One entry for each condition: its inputs, its row, and the words of its first label.
function collect(form) {
  const found = new Map();
  for (const input of form.querySelectorAll("[data-condition]")) {
    const name = input.dataset.condition;
    if (!found.has(name)) found.set(name, { name, inputs: [] });
    found.get(name).inputs.push(input);
  }
  for (const each of found.values()) {
    each.row = rowOf(form, each);
    const label = each.row.querySelector("label");
    each.label = label ? label.textContent.trim() : each.name;
  }
  return [...found.values()];
}

// The outermost element that holds this condition and no other.
function rowOf(form, each) {
  let row = each.inputs[0];
  const alone = (element) =>
    [...element.querySelectorAll("[data-condition]")].every((input) => input.dataset.condition === each.name);
  while (row.parentElement !== form && alone(row.parentElement)) row = row.parentElement;
  return row;
}

function valuesOf(each) {
  return each.inputs.flatMap((input) => {
    if (input.type === "checkbox") {
      return input.checked ? [input.closest("label")?.textContent.trim() || input.value] : [];
    }
    if (input.tagName === "SELECT") return input.value ? [input.selectedOptions[0].text] : [];
    return input.value.split(",").map((word) => word.trim()).filter(Boolean);
  });
}

function isEmpty(each) {
  return valuesOf(each).length === 0;
}

function remover(each, refresh) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "ly-remove";
  button.textContent = "×";
  button.setAttribute("aria-label", `Take out: ${each.label}`);
  button.addEventListener("click", () => {
    for (const input of each.inputs) {
      if (input.type === "checkbox") input.checked = false;
      else input.value = "";
    }
    each.shown = false;
    refresh();
  });
  return button;
}

// Values that exist, to click; each click puts one in or takes it out.
function suggest(each, values, refresh) {
  const input = each.inputs[0];
  if (!values.length || input.type !== "text") return;
  const pills = document.createElement("div");
  pills.className = "ly-pills ly-values";
  for (const value of values) {
    const pill = document.createElement("button");
    pill.type = "button";
    pill.textContent = value;
    pill.addEventListener("click", () => {
      const now = valuesOf(each);
      const others = now.filter((word) => word !== value);
      input.value = (others.length < now.length ? others : [...now, value]).join(", ");
      refresh();
    });
    pills.append(pill);
  }
  input.after(pills);
}

function fetchValues(use) {
  const program = document.querySelector("#id_program, [name=program]")?.value;
  const chosen = program || document.querySelector("[data-program]")?.dataset.program;
  if (!chosen) return;
  const address = new URL(`../../publishedversion/values/${chosen}/`, listAddress());
  fetch(address, { headers: { Accept: "application/json" } })
    .then((answer) => (answer.ok ? answer.json() : null))
    .then((found) => found && use(found))
    .catch(() => {});
}

// …/loyalty/earningrule/add/, whether a rule or a campaign is added or changed.
function listAddress() {
  const path = window.location.pathname.replace(/(earningrule|campaign)\/.*$/, "earningrule/add/");
  return new URL(path, window.location.origin);
}

const anyOf = (words) =>
  words.length > 1 ? `${words.slice(0, -1).join(", ")} or ${words[words.length - 1]}` : words[0];

const nth = (number) =>
  number + ((/1[123]$/.test(number) ? "" : { 1: "st", 2: "nd", 3: "rd" }[number.slice(-1)]) || "th");

const SAY = {
  category: (values) => `in category ${anyOf(values)}`,
  brand: (values) => `of brand ${anyOf(values)}`,
  sku: (values) => `for product ${anyOf(values)}`,
  store: (values) => `at store ${anyOf(values)}`,
  channel: (values) => `by channel ${anyOf(values)}`,
  weekday: (values) => `on ${anyOf(values)}`,
  order_amount_min: (values, money) => `from ${money(values[0])}`,
  order_amount_max: (values, money) => `up to ${money(values[0])}`,
  tier: (values) => `for members of ${anyOf(values)}`,
  segment: (values) => `for members in ${anyOf(values)}`,
  not_in_segment: (values) => `not for members in ${anyOf(values)}`,
  property: (_, __, each) => `with ${each.inputs[0].value}`,
  birthday: (values) => values[0],
  hour: (_, __, each) => `from ${each.inputs[0].value || "…"}:00 to ${each.inputs[1].value || "…"}:00`,
  member_age_days: (_, __, each) =>
    `for members of ${each.inputs[0].value || "0"} to ${each.inputs[1].value || "any number of"} days`,
  nth_order: (_, __, each) =>
    each.inputs[0].value ? `for a member's ${nth(each.inputs[0].value)} order` : `for each ${nth(each.inputs[1].value)} order of a member`,
};

function tell(form, conditions, currency) {
  const part = form.dataset.rule ? `${form.dataset.rule}-` : "";
  const value = (name) => form.querySelector(`[name="${part}${name}"]`)?.value || "…";
  const money = (amount) => `${amount} ${currency}`.trim();
  const trigger = form.querySelector(`[name="${part}trigger"]`)?.selectedOptions?.[0];
  const told = conditions
    .filter((each) => !isEmpty(each))
    .map((each) => (SAY[each.name] || ((v) => anyOf(v)))(valuesOf(each), money, each));
  const kind = value("kind");
  const gives = {
    base: `${value("points")} points for each ${money(value("per"))}`,
    multiplier: `${value("multiply")} × the points for the amount`,
    bonus: `${value("bonus")} points`,
  }[kind];
  const who = form.querySelector(`[name="${part}who"]`)?.selectedOptions?.[0];
  const other = trigger?.value === "activity" ? `the activity ${value("activity")}` : trigger?.text;
  const to = trigger?.value === "referral" && who?.value ? ` to ${who.text}` : "";
  const when = trigger && trigger.value !== "order" ? `For ${other}` : "For purchases";
  return `${[when, ...told].join(" ")}: ${gives}${to}.`;
}
