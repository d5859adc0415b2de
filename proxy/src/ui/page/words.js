// Numbers and moments, as people read them.

const whole = new Intl.NumberFormat("en");

export function count(number) {
  return whole.format(number);
}

export function counted(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

export function rate(perSecond) {
  if (perSecond === 0) return "none a second";
  return `${perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond))} a second`;
}

// How long, in one unit or two words.
export function lasting(seconds) {
  const size = Math.abs(seconds);
  if (size < 120) return `${Math.round(seconds)} s`;
  if (size < 7200) return `${Math.round(seconds / 60)} min`;
  if (size < 172800) return `${Math.round(seconds / 3600)} h`;
  return counted(Math.round(seconds / 86400), "day");
}

// How long ago a moment was, beside the moment itself.
export function ago(milliseconds) {
  if (!milliseconds) return "never";
  const seconds = (Date.now() - milliseconds) / 1000;
  const node = document.createElement("time");
  node.dateTime = new Date(milliseconds).toISOString();
  node.title = node.dateTime;
  node.textContent = seconds < 2 ? "now" : `${lasting(seconds)} ago`;
  return node;
}

export function clock(milliseconds) {
  const node = document.createElement("time");
  node.dateTime = new Date(milliseconds).toISOString();
  node.title = node.dateTime;
  node.textContent = new Date(milliseconds).toLocaleTimeString([], { hour12: false });
  return node;
}

// A word of the audit for people: `policy_loaded` is "policy loaded".
export function spaced(word) {
  return word.replaceAll("_", " ");
}
