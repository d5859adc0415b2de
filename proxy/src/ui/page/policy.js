import { order, read } from "./ask.js";
import { aside, badge, code, empty, faint, field, fill, finder, h, listed, press, select, table, toCredential, toEvents } from "./build.js";
import { ago, count, counted } from "./words.js";

export default {
  title: () => "Policy",
  build(place, { say }) {
    const head = h("section", { class: "card wide" });
    const search = finder("rule, host, workload, credential, path");
    const kind = select({ id: "kind" }, [["", "All rules"], ["met", "Met since the start"], ["unmet", "Not met yet"], ["refusing", "That refused something"]]);
    const summary = h("p", { class: "faint" });
    const list = h("div");
    const load = press({ class: "quiet", "data-key": "load" }, "Load it again");
    load.addEventListener("click", async () => {
      try {
        const { generation } = await order("/reload", {});
        say(`Policy ${generation} is in force.`);
      } catch (failure) {
        say(`Rejected: ${failure.message}`);
      }
      await refresh();
    });
    place.append(head, h("div", { class: "bar" }, field("Find", search), field("Show", kind)), summary, list);
    let rules = [];
    const draw = () => fill(list, shown(rules, search.value.trim().toLowerCase(), kind.value, summary));
    const refresh = async () => {
      const [state, answer] = await Promise.all([read("/overview"), read("/rules")]);
      rules = answer.rules;
      fill(head, in_force(state.policy, load));
      draw();
    };
    search.addEventListener("input", draw);
    kind.addEventListener("change", draw);
    return { refresh };
  },
};

function in_force(policy, load) {
  const { loaded, rejected } = policy;
  const isRejected = policy.last_failure !== null;
  return [
    h("p", null, badge("In force", "good"), ` policy ${policy.generation}: ${counted(policy.rules, "rule")}, ${counted(policy.credentials, "credential")}`, loaded && [", loaded ", ago(loaded.time)], ". ", load),
    rejected || isRejected
      ? h("div", { class: isRejected ? "note" : "" },
          h("p", null, badge(isRejected ? "Rejected" : "Rejected before", isRejected ? "bad" : "plain"), isRejected ? " The policy on disk is not in force" : " The last one that was not taken", rejected && [", since ", ago(rejected.time)], ":"),
          h("pre", null, policy.last_failure ?? rejected.message))
      : aside("No policy was rejected since the start."),
  ];
}

function shown(rules, text, kind, summary) {
  if (rules.length === 0) return empty("The policy has no rules.", "Everything is refused. Write one under ", code("rules:"), "; Explain suggests one for a request.");
  const matches = (rule) => [rule.rule, rule.to, rule.credential ?? "", rule.via ?? "", ...(rule.from ?? ["any"]), ...rule.allow].some((name) => name.toLowerCase().includes(text));
  const is = { "": () => true, met: (rule) => rule.last !== null, unmet: (rule) => rule.last === null, refusing: (rule) => rule.refused > 0 }[kind];
  const chosen = rules.filter((rule) => matches(rule) && is(rule));
  summary.textContent = `${counted(chosen.length, "rule")} of ${count(rules.length)}${chosen.length > 300 ? "; the first 300 are shown: search for others" : ""}.`;
  if (chosen.length === 0) return empty("No rule is like that.", "Clear the search, or show all.");
  return of(chosen.slice(0, 300));
}

// Rules, with what came of them.
export function of(rules) {
  return table("Rules", [
    ["Rule", (rule) => toEvents(rule.rule, rule.rule)],
    ["From", (rule) => listed(rule.from ?? ["any"])],
    ["To", (rule) => rule.to],
    ["Allows", (rule) => [entries(rule.allow), rule.except.length > 0 && [faint("except"), entries(rule.except)]]],
    ["Puts on", (rule) => (rule.credential ? toCredential(rule.credential, rule.rule) : rule.via ? `via ${rule.via}` : faint("nothing"))],
    ["Allowed", (rule) => count(rule.allowed), "number"],
    ["Refused", (rule) => count(rule.refused), "number"],
    ["Last met", (rule) => (rule.last ? [ago(rule.last), h("br"), faint(rule.by ?? "no workload")] : faint("not yet"))],
  ], rules, (rule) => rule.rule);
}

function entries(texts) {
  const item = (text) => h("li", null, code(text));
  if (texts.length <= 4) return h("ul", { class: "lines" }, texts.map(item));
  return [h("ul", { class: "lines" }, texts.slice(0, 3).map(item)), h("details", { "data-key": texts.join(" ") }, h("summary", null, `${texts.length - 3} more`), h("ul", { class: "lines" }, texts.slice(3).map(item)))];
}
