import { read } from "./ask.js";
import { aside, badge, code, empty, facts, faint, fill, h, press } from "./build.js";
import { confirm } from "./confirm.js";
import { ago, counted, spaced } from "./words.js";

const FOLLOWS = { alert: "nothing more, by the policy", throttle: "the caller gets one request a second for ten minutes", suspend: "the task or workload is suspended", revoke: "what is concerned is revoked" };

export default {
  title: () => "Alerts",
  build(place, { say }) {
    const list = h("div");
    place.append(aside("Uses of credentials that are not as they should be, or not as they ever were. The newest first."), list);
    const act = async (subject, name) => (await confirm("suspend", subject, name, say)) && refresh();
    const refresh = async () => {
      const { alerts, watching } = await read("/alerts");
      if (!watching) return fill(list, empty("Nobody looks for abnormal reuse.", "Start keygress without ", code("--unsafe-no-detect"), "."));
      if (alerts.length === 0) return fill(list, empty("No alert since keygress began.", "Each one says what was expected, what was seen, and over how many events."));
      fill(list, alerts.map((alert) => shown(alert, act)));
    };
    return { refresh };
  },
};

function shown(alert, act) {
  const key = `${alert.time} ${alert.detector}`;
  const basis = alert.since ? `${counted(alert.events, "event")} since ${new Date(alert.since).toISOString().slice(0, 16).replace("T", " ")} UTC` : null;
  const whom = alert.task ? ["task", alert.task] : alert.workload ? ["workload", alert.workload] : null;
  const stop = (subject, name) => press({ class: "quiet", "data-key": `${key} ${subject}`, onclick: () => act(subject, name) }, `Suspend ${subject} ${name}`);
  return h("article", { class: "card wide" },
    h("h2", null, badge("Alert", "bad"), " ", spaced(alert.detector ?? "audit"), " ", faint(ago(alert.time))),
    h("p", null, alert.meaning ?? alert.message),
    facts([["Expected", alert.expected], ["Seen", alert.seen], ["Rests on", basis], ["Not told again", alert.repeated > 0 ? counted(alert.repeated, "alert") + " like it" : null], ["Follows", FOLLOWS[alert.response]], ...["workload", "task", "credential", "rule", "host", "request"].map((key) => [spaced(key), alert[key]])]),
    h("p", { class: "actions start" }, whom && stop(...whom), alert.credential && stop("credential", alert.credential), alert.request && h("a", { href: `#events?text=${alert.request}`, "data-key": `${key} events` }, "Its events")));
}
