import { order, read } from "./ask.js";
import { aside, badge, facts, field, fill, h, toCredential } from "./build.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

export default {
  title: () => "Explain",
  build(place, { query, say }) {
    const method = h("select", { id: "method" }, METHODS.map((name) => h("option", { value: name }, name)));
    const url = h("input", { id: "url", type: "text", inputmode: "url", required: true, autocomplete: "off", spellcheck: "false", placeholder: "https://api.example.com/v1/things", value: query.get("url") ?? "" });
    const from = h("select", { id: "from" }, h("option", { value: "" }, "a caller that no workload recognises"));
    const result = h("section", { "aria-label": "Decision" });
    const form = h("form", { class: "bar" }, field("Method", method), field("Address", url), field("From", from), h("button", { type: "submit", class: "main" }, "Explain"));
    place.append(aside("What the policy in force says to a request, and why. Nothing is sent, and nothing is on record."), form, result);
    if (METHODS.includes(query.get("method"))) method.value = query.get("method");
    const ask = async () => {
      try {
        const answer = await order("/explain", { method: method.value, url: url.value.trim(), from: from.value || null });
        fill(result, shown(answer));
        say(`${answer.decision === "allow" ? "Allowed" : "Denied"}: ${answer.reason}`);
      } catch (failure) {
        fill(result, h("p", { class: "wrong" }, failure.message));
        say(failure.message);
      }
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      ask();
    });
    let isFirst = true;
    return {
      async refresh() {
        if (!isFirst) return;
        isFirst = false;
        const { workloads } = await read("/rules");
        from.append(...workloads.map((name) => h("option", { value: name }, name)));
        if (workloads.includes(query.get("from"))) from.value = query.get("from");
        if (url.value !== "") await ask();
      },
    };
  },
};

function shown(answer) {
  const isAllowed = answer.decision === "allow";
  return [
    h("div", { class: "card wide" },
      h("p", { class: "decision" }, badge(isAllowed ? "Allowed" : "Denied", isAllowed ? "good" : "bad"), " ", answer.reason),
      facts([["Rule", answer.rule], ["Credential", answer.credential && toCredential(answer.credential)]]),
      answer.suggestion && [h("p", null, "A rule that would allow it:"), h("pre", { tabindex: "0" }, answer.suggestion)]),
    h("h2", null, "Rules for this host"),
    answer.rules.length === 0
      ? aside("No rule names this host.")
      : h("ul", { class: "matters" }, answer.rules.map((rule) => h("li", null, badge(rule.matches ? "matches" : "does not", rule.matches ? "good" : "plain"), h("span", null, h("b", null, rule.rule), ": ", rule.reason)))),
  ];
}
