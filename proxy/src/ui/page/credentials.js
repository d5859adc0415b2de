import { read } from "./ask.js";
import { badge, code, empty, faint, field, fill, finder, h, press, select, table, toCredential, whole } from "./build.js";
import { confirm } from "./confirm.js";
import { ago, count, counted, lasting } from "./words.js";

export default {
  title: () => "Credentials",
  build(place, { say }) {
    const search = finder("name, owner, provider, workload");
    const kind = select({ id: "kind" }, [["", "All"], ["static", "Long-lived"], ["short-lived", "Short-lived"], ["unused", "Not used yet"], ["found", "With findings"]]);
    const summary = h("p", { class: "faint", id: "summary" });
    const list = h("div");
    place.append(h("div", { class: "bar" }, field("Find", search), field("Show", kind)), summary, list);
    let data = null;
    const draw = () => data && fill(list, rows(data, search.value.trim().toLowerCase(), kind.value, summary, act));
    const act = async (measure, name) => (await confirm(measure, "credential", name, say)) && refresh();
    const refresh = async () => {
      const [{ credentials }, { stops }] = await Promise.all([read("/credentials"), read("/stops")]);
      data = { credentials, stops };
      draw();
    };
    search.addEventListener("input", draw);
    kind.addEventListener("change", draw);
    return { refresh };
  },
};

function rows({ credentials, stops }, text, kind, summary, act) {
  if (credentials.length === 0) {
    summary.textContent = "";
    return empty("The policy has no credentials.", "Add one under ", code("credentials:"), "; ", code("keygress import"), " takes logins that are there already.");
  }
  const matches = (one) => [one.credential, one.owner, one.provider, ...one.workloads].some((name) => name.toLowerCase().includes(text));
  const is = { "": () => true, unused: (one) => one.uses === 0, found: (one) => one.findings.length > 0 }[kind] ?? ((one) => one.kind === kind);
  const chosen = credentials.filter((one) => matches(one) && is(one));
  const lived = credentials.filter((one) => one.kind === "static").length;
  summary.textContent = `${counted(chosen.length, "credential")} of ${count(credentials.length)}; ${count(lived)} long-lived.`;
  if (chosen.length === 0) return empty("None of them is like that.", "Clear the search, or show all.");
  return table("Credentials", [
    ["Credential", (one) => toCredential(one.credential, one.credential)],
    ["State", (one) => state(one, stops)],
    ["Owner", (one) => one.owner.split(/(?<=@)/).flatMap((part) => [part, h("wbr")])],
    ["Kind", (one) => [whole(one.kind === "static" ? "long-lived" : "short-lived"), h("br"), faint(one.provider)]],
    ["Age", age],
    ["Expires", expiry],
    ["Last use", (one) => (one.last ? [ago(one.last.time), h("br"), faint(one.last.workload ?? "no workload")] : "not since the start")],
    ["Leases", (one) => count(one.leases), "number"],
    ["Stop", (one) => buttons(one, stops, act), "actions"],
  ], chosen.slice(0, 500), (one) => one.credential);
}

function buttons(one, stops, act) {
  const stop = stops.find((stop) => stop.subject === "credential" && stop.name === one.credential);
  const button = (measure, word, kind) => press({ class: kind, "data-key": `${measure} ${one.credential}`, "aria-label": `${word} ${one.credential}`, onclick: () => act(measure, one.credential) }, word);
  if (stop) return [button("resume", "Resume", "quiet"), stop.measure === "suspended" && button("revoke", "Revoke", "danger quiet")];
  return [button("suspend", "Suspend", "quiet"), button("revoke", "Revoke", "danger quiet")];
}

// What stops it, or whether it is used.
export function state(one, stops) {
  const stop = stops.find((stop) => (stop.subject === "credential" && stop.name === one.credential) || (stop.subject === "owner" && stop.name === one.owner));
  if (stop) return badge(stop.measure, stop.measure === "revoked" ? "bad" : "warn");
  if (one.expires_in_days !== null && one.expires_in_days < 0) return badge("expired", "bad");
  return one.uses > 0 ? badge("in use", "good") : badge("not used yet", "plain");
}

export function age(one) {
  if (one.unchanged_days === 0) return "changed today";
  if (one.unchanged_days !== null) return [faint("at least "), whole(counted(one.unchanged_days, "day"))];
  if (one.issued) return lasting((Date.now() - Date.parse(one.issued)) / 1000);
  return faint(one.kind === "static" ? "not known" : "none issued");
}

export function expiry(one) {
  if (one.expires === null) return faint(one.kind === "static" ? "never" : "by its issuer");
  const left = one.expires_in_days;
  return [whole(one.expires), h("br"), h("span", { class: `whole ${left < 15 ? "wrong" : "faint"}` }, left < 0 ? `${counted(-left, "day")} ago` : `in ${counted(left, "day")}`)];
}
