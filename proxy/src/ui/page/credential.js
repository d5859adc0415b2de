import { read } from "./ask.js";
import { aside, badge, code, empty, facts, faint, fill, h, listed, press, table } from "./build.js";
import { confirm } from "./confirm.js";
import { age, expiry, state } from "./credentials.js";
import { of } from "./policy.js";
import { ago, count, counted } from "./words.js";

export default {
  under: "credentials",
  title: (name) => name,
  build(place, { argument: name, say }) {
    const body = h("div");
    place.append(h("p", null, h("a", { href: "#credentials" }, "All credentials")), body);
    const act = async (measure) => (await confirm(measure, "credential", name, say)) && refresh();
    const refresh = async () => {
      const [{ credentials, findings, since }, { stops }, { rules }] = await Promise.all([read("/credentials"), read("/stops"), read("/rules")]);
      const one = credentials.find((one) => one.credential === name);
      if (!one) return fill(body, empty("The policy has no credential of this name.", "It may have left the policy since."));
      fill(body, top(one, stops, act), used(one, since), may(one, rules), found(findings.filter((finding) => finding.subject === `credential ${name}`)));
    };
    return { refresh };
  },
};

function top(one, stops, act) {
  const stop = stops.find((stop) => stop.subject === "credential" && stop.name === one.credential);
  const button = (measure, word, kind) => press({ class: kind, "data-key": measure, onclick: () => act(measure) }, word);
  const buttons = stop ? [button("resume", "Resume", "main"), stop.measure === "suspended" && button("revoke", "Revoke", "danger")] : [button("suspend", "Suspend", "quiet"), button("revoke", "Revoke", "danger")];
  const labels = Object.entries(one.labels).map(([key, value]) => `${key}: ${value}`);
  return h("section", { class: "card wide" },
    stop && h("p", { class: "note" }, badge(stop.measure, "bad"), ` since ${stop.since} by ${stop.by}`, stop.reason ? `: ${stop.reason}` : ""),
    facts([
      ["State", state(one, stops)], ["Owner", one.owner], ["Kind", one.kind === "static" ? "long-lived (static)" : "short-lived"], ["Why it is static", one.reason],
      ["Age", age(one)], ["Expires", expiry(one)], ["Provider", `${one.provider}, yields ${one.yields}`], ["Goes on as", one.preset ? `${one.injection} (${one.preset})` : one.injection],
      ["Leases", one.leases > 0 ? h("a", { href: "#leases", "data-key": "leases" }, counted(one.leases, "lease")) : "none alive"], ["Labels", labels.join(", ")], ["May reach", listed(one.destinations)],
    ]),
    h("p", { class: "actions start" }, buttons));
}

function used(one, since) {
  const rows = one.by ?? [];
  const last = one.last && h("p", null, `Used ${counted(one.uses, "time")} since keygress began, last `, ago(one.last.time), one.last.host && [" at ", h("b", null, one.last.host)], one.last.rule && [" under ", h("b", null, one.last.rule)], one.last.task && ` in task ${one.last.task}`, ".");
  return h("section", null, h("h2", null, "Who used it"),
    last ?? empty("Nobody, since keygress began.", "What was before that is in the audit: ", code(`keygress audit query FILE --credential ${one.credential}`)),
    rows.length > 0 && table("Uses by workload", [["Workload", (row) => row.workload ?? "no workload"], ["Requests", (row) => count(row.count), "number"], ["Last", (row) => ago(row.last), "number"]], rows),
    rows.length > 0 && aside("Counted since ", ago(since), "; the audit knows what was before: ", code(`keygress audit query FILE --credential ${one.credential}`)));
}

function may(one, rules) {
  const rows = rules.filter((rule) => rule.credential === one.credential);
  return h("section", null, h("h2", null, "Who may use it, and would miss it"),
    rows.length === 0 ? empty("No rule puts it on.", "Nothing breaks without it.") : of(rows));
}

function found(findings) {
  if (findings.length === 0) return null;
  return h("section", null, h("h2", null, "Findings"), h("ul", { class: "matters" }, findings.map((finding) => h("li", null, badge(finding.severity, finding.severity === "high" ? "bad" : "warn"), h("span", null, finding.message, ". ", faint(finding.help))))));
}
