import { read } from "./ask.js";
import { badge, code, empty, fill, h, sparkline, table, toEvents } from "./build.js";
import { ago, count, counted, lasting, rate, spaced } from "./words.js";

export default {
  title: () => "Overview",
  build(place) {
    const attention = h("section", { "aria-labelledby": "attention-title" });
    const figures = h("section", { class: "figures", "aria-label": "Figures" });
    const tables = h("div", { class: "pair" });
    place.append(figures, attention, tables);
    return {
      async refresh() {
        const [state, { credentials, findings }, { rules }, { alerts }] = await Promise.all([read("/overview"), read("/credentials"), read("/rules"), read("/alerts")]);
        fill(figures, cards(state, alerts));
        fill(attention, matters(state, credentials, findings, alerts));
        fill(tables, refusals(state), busiest(rules));
      },
    };
  },
};

const RANK = ["bad", "warn"];

function cards(state, alerts) {
  const { sent, denied, failed, seconds } = state.series;
  const all = sent.map((number, at) => number + denied[at]);
  const total = Object.values(state.requests).reduce((sum, number) => sum + number, 0);
  const refused = state.requests.denied;
  const minute = (numbers) => numbers.slice(-7, -1).reduce((sum, number) => sum + number, 0) / (6 * seconds);
  const spans = (name, numbers) => `${name} in each ${seconds} seconds of the last quarter of an hour: at most ${Math.max(...numbers)}, now ${numbers.at(-1)}`;
  const share = total === 0 ? "of none" : `${((refused / total) * 100).toFixed(refused * 1000 < total ? 2 : 1)} % of all`;
  const broken = state.requests.failed;
  const newest = alerts[0];
  return [
    card("Requests", count(total), rate(minute(all)), sparkline(all, "calm", spans("Requests", all))),
    card("Refused", count(refused), share, sparkline(denied, "warn", spans("Refused requests", denied))),
    card("Failed", count(broken), "upstream, or broken off", sparkline(failed, "bad", spans("Failed requests", failed))),
    state.added && card("Added by keygress", time(state.added.median), `99 of 100 below ${time(state.added.high)}`, null),
    card("Alerts", count(state.alerts), newest ? ["the last ", ago(newest.time)] : "none since the start", null),
  ];
}

function time(microseconds) {
  return microseconds < 1000 ? `${Math.round(microseconds)} µs` : `${(microseconds / 1000).toFixed(1)} ms`;
}

function card(name, number, words, line) {
  return h("div", { class: "card" }, h("h2", null, name), h("p", { class: "figure" }, number), h("p", { class: "faint" }, words), line);
}

// What somebody should look at, the most pressing first.
function matters(state, credentials, findings, alerts) {
  const items = [];
  const add = (kind, word, text, link, where) => items.push({ kind, word, text, link, where });
  for (const reason of state.reasons) add("bad", "Now", `Not ready: ${reason}.`, null);
  if (state.policy.last_failure) add("bad", "Now", "The policy on disk was rejected; the last good one is in force.", "See why", "#policy");
  const fresh = alerts.filter((alert) => state.now - alert.time < 3600e3);
  if (fresh.length > 0) add("bad", "Now", `${counted(fresh.length, "alert")} in the last hour: ${[...new Set(fresh.map((alert) => spaced(alert.detector ?? "")))].join(", ")}.`, "Look at them", "#alerts");
  if (state.stops > 0) add("warn", "In force", `${counted(state.stops, "thing")} suspended or revoked by hand or by an alert.`, "Look at the stops", "#stops");
  for (const one of credentials) {
    if (one.expires_in_days !== null && one.expires_in_days <= 14)
      add(one.expires_in_days < 0 ? "bad" : "warn", one.expires_in_days < 0 ? "Now" : "Soon", `${one.credential} ${one.expires_in_days < 0 ? "has expired" : `expires in ${counted(one.expires_in_days, "day")}`}.`, "Look at it", `#credential/${encodeURIComponent(one.credential)}`);
  }
  const high = findings.filter((finding) => finding.severity === "high");
  if (high.length > 0) add("warn", "Soon", `${counted(high.length, "finding")} of high severity on credentials.`, "Look at the credentials", "#credentials");
  items.sort((one, other) => RANK.indexOf(one.kind) - RANK.indexOf(other.kind));
  const list = items.slice(0, 8).map(({ kind, word, text, link, where }) =>
    h("li", null, badge(word, kind), h("span", null, text, " ", link && h("a", { href: where, "data-key": where + text }, link))));
  return [
    h("h2", { id: "attention-title" }, "Needs attention"),
    list.length === 0 ? h("p", { class: "calm" }, `Nothing. keygress ${state.version} has run for ${lasting((state.now - state.since) / 1000)}.`) : h("ul", { class: "matters" }, list),
  ];
}

function refusals(state) {
  const rows = state.codes;
  const columns = [["Why", (row) => toEvents(row.code, spaced(row.code))], ["Requests", (row) => count(row.count), "number"]];
  return h("section", null, h("h2", null, "Why requests were refused"), rows.length === 0 ? empty("Nothing was refused.", "What the policy does not allow shows up here, with the code of the refusal.") : table("Refusals by code", columns, rows));
}

function busiest(rules) {
  const rows = rules.filter((rule) => rule.last).sort((one, other) => other.allowed + other.refused - one.allowed - one.refused).slice(0, 8);
  const columns = [["Rule", (row) => toEvents(row.rule, row.rule)], ["Requests", (row) => count(row.allowed + row.refused), "number"], ["Last", (row) => ago(row.last), "number"]];
  return h("section", null, h("h2", null, "Busiest rules"), rows.length === 0 ? empty("No rule was met yet.", "Point an application at keygress: ", code("HTTPS_PROXY"), ", and its CA.") : table("Rules by requests", columns, rows));
}
