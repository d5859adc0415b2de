// Which view is shown, how often it is asked for anew, and what is said of keygress as a whole.

import { Failure, begin, forget, held, order, read } from "./ask.js";
import { aside, badge, faint, fill, h } from "./build.js";
import { counted } from "./words.js";
import alerts from "./alerts.js";
import credential from "./credential.js";
import credentials from "./credentials.js";
import events from "./events.js";
import explain from "./explain.js";
import leases from "./leases.js";
import overview from "./overview.js";
import policy from "./policy.js";
import stops from "./stops.js";

const VIEWS = { overview, credentials, credential, leases, events, policy, explain, alerts, stops };

const at = (id) => document.getElementById(id);
let shown = null;
let timer = 0;
let turn = 0;

// Tells everybody, also who listens instead of looking.
export function say(text) {
  at("said").textContent = text;
}

async function show(isFirst) {
  const [path, query] = location.hash.slice(1).split("?");
  const [name, ...rest] = path.split("/");
  const view = VIEWS[name] ?? overview;
  const mine = ++turn;
  clearTimeout(timer);
  shown?.leave?.();
  const argument = decodeURIComponent(rest.join("/"));
  const title = view.title(argument);
  document.title = `${title} · keygress`;
  at("title").textContent = title;
  for (const link of at("views").querySelectorAll("a")) {
    const isHere = link.hash === `#${view.under ?? (VIEWS[name] ? name : "overview")}`;
    if (!isHere) link.removeAttribute("aria-current");
    else {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }
  const place = h("div", { class: "view" });
  at("view").replaceChildren(place);
  shown = view.build(place, { argument, query: new URLSearchParams(query ?? ""), say });
  if (!isFirst) at("title").focus({ preventScroll: true });
  window.scrollTo(0, 0);
  await again(mine);
}

// Asks for what the view shows, now and then while it is looked at.
async function again(mine) {
  if (mine !== turn) return;
  if (!document.hidden) {
    try {
      const [state] = await Promise.all([read("/overview"), shown.refresh?.()]);
      if (mine !== turn) return;
      health(state);
    } catch (failure) {
      if (mine !== turn) return;
      trouble(failure);
    }
  }
  if (mine === turn && shown) timer = setTimeout(() => again(mine), 3000);
}

function health(state) {
  const { generation, rules, last_failure } = state.policy;
  const word = state.ready ? badge("Ready", "good") : badge("Not ready", "bad");
  const kept = last_failure ? badge("Policy on disk rejected", "warn") : null;
  fill(at("health"), word, kept, faint(`policy ${generation}, ${counted(rules, "rule")}`));
  const number = (id, value) => {
    at(id).textContent = value;
    at(id).hidden = value === 0;
  };
  number("alert-count", state.alerts);
  number("stop-count", state.stops);
}

function trouble(failure) {
  if (!(failure instanceof Failure)) throw failure;
  if (failure.status === 401 || failure.status === 403) return over(failure.message);
  fill(at("health"), badge("No answer", "bad"), faint(failure.message));
}

// There is no session, or none any more.
function over(why) {
  turn += 1;
  clearTimeout(timer);
  shown?.leave?.();
  shown = null;
  forget();
  at("views").hidden = true;
  at("close").hidden = true;
  fill(at("health"));
  document.title = "keygress";
  at("title").textContent = "This page needs a link";
  at("view").replaceChildren(
    h("p", null, why),
    h("p", null, "On the machine where keygress runs, as a user who may open its admin socket:"),
    h("pre", null, "keygress ui"),
    aside("The link opens once, in one tab. This tab keeps it until it is closed."));
  say(why);
}

async function start() {
  let isOpen = false;
  try {
    isOpen = await begin();
  } catch (failure) {
    // The link of a tab that has its session already is no reason to lose it.
    if (!held()) return over(failure.message);
    isOpen = true;
  }
  if (!isOpen) return over("There is no session in this tab.");
  at("views").hidden = false;
  at("close").hidden = false;
  await show(true);
}

at("skip").addEventListener("click", (event) => {
  event.preventDefault();
  at("title").focus();
});
at("close").addEventListener("click", async () => {
  try {
    await order("/close", {});
  } finally {
    over("The session is closed.");
  }
});
addEventListener("hashchange", () => (location.hash.startsWith("#open=") ? start() : shown && show(false)));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && shown) {
    clearTimeout(timer);
    again(turn);
  }
});
start();
