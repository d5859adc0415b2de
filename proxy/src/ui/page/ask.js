// How the page asks its server. The cookie goes by itself; the bearer token is this tab's own.

const KEPT = "keygress";

// What went wrong, in words.
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Exchanges the key in the link, if there is one, and takes it out of the address. Says whether there is a session.
export async function begin() {
  const key = new URLSearchParams(location.hash.slice(1)).get("open");
  if (key === null) return held();
  history.replaceState(null, "", "/");
  const { bearer } = await answered(await reached("/session", { method: "POST", headers: JSON_BODY, body: JSON.stringify({ key }) }));
  sessionStorage.setItem(KEPT, bearer);
  return true;
}

export function held() {
  return sessionStorage.getItem(KEPT) !== null;
}

export function forget() {
  sessionStorage.removeItem(KEPT);
}

const JSON_BODY = { "Content-Type": "application/json" };

function proof() {
  return { Authorization: `Bearer ${sessionStorage.getItem(KEPT)}` };
}

export async function read(path) {
  return answered(await reached(`/api${path}`, { headers: proof() }));
}

export async function order(path, body) {
  return answered(await reached(`/api${path}`, { method: "POST", headers: { ...proof(), ...JSON_BODY }, body: JSON.stringify(body) }));
}

async function reached(path, init) {
  try {
    return await fetch(path, { ...init, cache: "no-store", redirect: "error" });
  } catch {
    throw new Failure(0, "The page's server does not answer: is `keygress ui` still running?");
  }
}

async function answered(response) {
  let answer;
  try {
    answer = await response.json();
  } catch {
    throw new Failure(response.status, `The answer (${response.status}) cannot be read.`);
  }
  // A stop that is in force, and not on record, is both: an answer with an error in it.
  if (!response.ok && answer.measure === undefined) throw new Failure(response.status, answer.error ?? `It answered ${response.status}.`);
  return answer;
}

// Follows the stream of events until the signal ends it: `on(kind, data)`.
export async function follow(query, signal, on) {
  const response = await fetch(`/api/events?${query}`, { headers: proof(), cache: "no-store", signal });
  if (!response.ok) await answered(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  on("open", null);
  for (let rest = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      let kind = "message";
      for (const line of block.split("\n")) {
        if (line.startsWith("event: ")) kind = line.slice(7);
        if (line.startsWith("data: ")) on(kind, JSON.parse(line.slice(6)));
      }
    }
  }
}
