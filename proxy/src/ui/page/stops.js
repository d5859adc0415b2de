import { read } from "./ask.js";
import { aside, badge, empty, field, fill, h, press, select, table } from "./build.js";
import { confirm } from "./confirm.js";
import { ago } from "./words.js";

const SUBJECTS = [["credential", "Credential", "Whatever would use it"], ["owner", "Owner", "Every credential of this owner"], ["workload", "Workload", "Everything that it asks"], ["task", "Task", "Everything that it asks"], ["host", "Host", "Everything that goes there; *.example.com for all below"]];

export default {
  title: () => "Stops",
  build(place, { say }) {
    const subject = select({ id: "subject" }, SUBJECTS);
    const names = h("datalist", { id: "names" });
    const name = h("input", { id: "name", type: "text", required: true, maxlength: "256", autocomplete: "off", spellcheck: "false", list: "names" });
    const nameField = field("Name", name, SUBJECTS[0][2]);
    const list = h("div");
    const form = h("form", { class: "bar" }, field("What", subject), nameField, names, h("button", { type: "submit", class: "quiet", value: "suspend" }, "Suspend …"), h("button", { type: "submit", class: "danger", value: "revoke" }, "Revoke …"));
    place.append(
      aside("Suspended: refused here until it is resumed. Revoked: the same, and what was issued is revoked at its issuer."),
      form, h("h2", null, "In force"), list);
    const act = async (measure, what, named) => (await confirm(measure, what, named, say)) && refresh();
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await act(event.submitter?.value ?? "suspend", subject.value, name.value.trim())) name.value = "";
    });
    let known = {};
    const offer = () => {
      fill(names, (known[subject.value] ?? []).map((value) => h("option", { value })));
      nameField.querySelector(".hint").textContent = SUBJECTS.find(([value]) => value === subject.value)[2];
    };
    subject.addEventListener("change", offer);
    const refresh = async () => {
      const [{ stops }, { credentials }, { rules, workloads }, { tasks }] = await Promise.all([read("/stops"), read("/credentials"), read("/rules"), read("/tasks")]);
      const once = (values) => [...new Set(values)].slice(0, 500);
      known = { credential: once(credentials.map((one) => one.credential)), owner: once(credentials.map((one) => one.owner)), workload: workloads, task: tasks.map((task) => task.id), host: once(rules.map((rule) => rule.to.replace(/^https?:\/\//, "").replace(/:\d+$/, ""))) };
      offer();
      fill(list, stops.length === 0 ? empty("Nothing is stopped.", "A stop takes effect within a tenth of a second, and is on record.") : rows(stops, act));
    };
    return { refresh };
  },
};

function rows(stops, act) {
  const button = (measure, word, stop, kind) => press({ class: kind, "data-key": `${measure} ${stop.subject} ${stop.name}`, "aria-label": `${word} ${stop.subject} ${stop.name}`, onclick: () => act(measure, stop.subject, stop.name) }, word);
  return table("Stops", [
    ["What", (stop) => [`${stop.subject} `, h("b", null, stop.name)]],
    ["State", (stop) => badge(stop.measure, stop.measure === "revoked" ? "bad" : "warn")],
    ["Since", (stop) => ago(Date.parse(stop.since))],
    ["By", (stop) => stop.by],
    ["Reason", (stop) => stop.reason ?? ""],
    ["Change", (stop) => [button("resume", "Resume", stop, "quiet"), stop.measure === "suspended" && button("revoke", "Revoke", stop, "danger quiet")], "actions"],
  ], stops, (stop) => `${stop.subject} ${stop.name}`);
}
