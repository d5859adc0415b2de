// Nodes. Data becomes text and nothing else: there is no way here to make markup of it.

const DRAWING = "http://www.w3.org/2000/svg";

// An element: `on…` listens, `true` is an attribute without value, and what is null or false is left out.
export function h(name, fields, ...children) {
  return filled(document.createElement(name), fields, children);
}

function s(name, fields, ...children) {
  return filled(document.createElementNS(DRAWING, name), fields, children);
}

function filled(node, fields, children) {
  for (const [key, value] of Object.entries(fields ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "value") node.value = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false).map((child) => (child instanceof Node ? child : String(child))));
  return node;
}

// Puts new nodes in the place of old ones; what had the focus has it again, by its `data-key`, or else the heading has it.
export function fill(place, ...nodes) {
  const held = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const open = new Set([...place.querySelectorAll("details[open]")].map((one) => one.dataset.key));
  place.replaceChildren(...nodes.flat(3).filter(Boolean));
  for (const one of place.querySelectorAll("details[data-key]")) one.open = open.has(one.dataset.key);
  if (held !== undefined) focusOn(held);
}

export function focusOn(key) {
  const found = [...document.querySelectorAll("main [data-key]")].find((node) => node.dataset.key === key);
  (found ?? document.getElementById("title")).focus({ preventScroll: true });
}

// A table whose caption says what it is; narrow screens show each row as a list. `columns`: [heading, cell, class].
export function table(caption, columns, rows, keyed) {
  const head = h("thead", null, h("tr", null, columns.map(([heading, , kind]) => h("th", { scope: "col", class: kind }, heading))));
  const body = rows.map((row) =>
    h("tr", { "data-row": keyed?.(row) }, columns.map(([heading, cell, kind], at) =>
      h(at === 0 ? "th" : "td", { scope: at === 0 ? "row" : null, class: kind, "data-label": heading }, cell(row)))));
  return h("div", { class: "sheet" }, h("table", null, h("caption", { class: "unseen" }, caption), head, h("tbody", null, body)));
}

export const faint = (...texts) => h("span", { class: "faint" }, texts);
export const aside = (...texts) => h("p", { class: "faint" }, texts);
export const whole = (...texts) => h("span", { class: "whole" }, texts);
export const code = (text) => h("code", null, text);
export const press = (fields, word) => h("button", { type: "button", ...fields }, word);
export const toCredential = (name, key) => h("a", { href: `#credential/${encodeURIComponent(name)}`, "data-key": `credential ${key}` }, name);
export const toEvents = (text, word) => h("a", { href: `#events?text=${encodeURIComponent(text)}`, "data-key": `events ${text}` }, word);
export const select = (fields, options) => h("select", fields, options.map(([value, word]) => h("option", { value }, word)));
export const finder = (placeholder, value = "") => h("input", { id: "search", type: "search", autocomplete: "off", spellcheck: "false", placeholder, value });

// A word with a meaning: the colour only repeats what the word says.
export function badge(word, kind) {
  return h("span", { class: `badge ${kind}` }, word);
}

export function empty(title, ...help) {
  return h("div", { class: "empty" }, h("p", null, h("strong", null, title)), h("p", null, ...help));
}

export function facts(pairs) {
  const given = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "" && value?.length !== 0);
  return h("dl", { class: "facts" }, given.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
}

// Texts with commas between them.
export function listed(texts, none = "none") {
  return texts.length === 0 ? none : texts.flatMap((text, at) => (at === 0 ? [text] : [", ", text]));
}

export function field(label, control, hint) {
  const id = control.id;
  const told = hint && h("span", { class: "hint", id: `${id}-hint` }, hint);
  if (told) control.setAttribute("aria-describedby", told.id);
  return h("div", { class: "field" }, h("label", { for: id }, label), control, told);
}

// A line over time, with its meaning in words for who cannot see it.
export function sparkline(values, kind, words) {
  const [width, height, top] = [200, 36, Math.max(1, ...values)];
  const x = (at) => ((at * width) / (values.length - 1)).toFixed(1);
  const y = (value) => (height - 2 - (value / top) * (height - 5)).toFixed(1);
  const line = values.map((value, at) => `${x(at)},${y(value)}`).join(" ");
  return s("svg", { class: `line ${kind}`, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": words },
    s("polygon", { points: `0,${height} ${line} ${width},${height}` }), s("polyline", { points: line, "vector-effect": "non-scaling-stroke" }));
}
