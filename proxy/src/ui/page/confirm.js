// Asks before something is stopped: what exactly, and what that means for whom.

import { order, read } from "./ask.js";
import { aside, field, fill, focusOn, h, listed, press } from "./build.js";
import { ago, count, counted } from "./words.js";

const VERB = { suspend: "Suspend", revoke: "Revoke", resume: "Resume" };

// Returns whether it was done.
export async function confirm(measure, subject, name, say) {
  const dialog = document.getElementById("dialog");
  const effects = h("div", { class: "effects" }, aside("Looking up what depends on it …"));
  const reason = h("input", { id: "reason", type: "text", maxlength: "256", autocomplete: "off" });
  const what = `${VERB[measure]} ${subject} ${name}`;
  const cancel = press({ class: "quiet", autofocus: true, onclick: () => dialog.close() }, "Cancel");
  const go = h("button", { type: "submit", class: measure === "resume" ? "main" : "danger" }, what);
  const failed = h("p", { class: "wrong", role: "alert" });
  let isDone = false;

  const form = h("form", { method: "dialog" },
    h("h2", { id: "dialog-title" }, `${what}?`),
    effects,
    measure !== "resume" && field("Reason", reason, "Optional. Whoever is refused reads it, and so does the audit."),
    failed,
    h("p", { class: "actions" }, cancel, go));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    failed.textContent = "";
    try {
      const body = { [subject]: name };
      if (reason.value.trim() !== "") body.reason = reason.value.trim();
      const answer = await order(`/${measure}`, body);
      isDone = true;
      const told = outcome(measure, answer);
      say(told[0]);
      const done = press({ class: "main", onclick: () => dialog.close() }, "Done");
      fill(form, h("h2", { id: "dialog-title" }, told[0]), told.slice(1).map((line) => h("p", null, line)), h("p", { class: "actions" }, done));
      done.focus();
    } catch (failure) {
      failed.textContent = failure.message;
      go.disabled = false;
    }
  });

  const before = document.activeElement.dataset.key;
  fill(dialog, form);
  const closed = new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  dialog.showModal();
  consequences(measure, subject, name)
    .then((lines) => fill(effects, h("ul", null, lines.map((line) => h("li", null, line)))))
    .catch((failure) => fill(effects, h("p", null, failure.message)));
  await closed;
  if (before !== undefined) focusOn(before);
  return isDone;
}

// What was done, the first line as a heading.
function outcome(measure, answer) {
  if (measure === "resume") return [`The ${answer.subject} ${answer.name} may go on`, "New requests are decided by the policy again. What was revoked is issued anew."];
  const lines = [`The ${answer.subject} ${answer.name} is ${answer.measure}`, "It is in force: requests are refused from now on, and running ones end within a second."];
  if (answer.leases) {
    const { revoked, dropped, failed } = answer.leases;
    if (revoked > 0) lines.push(`${counted(revoked, "lease")} revoked at the issuer.`);
    if (dropped > 0) lines.push(`${counted(dropped, "lease")} that the issuer cannot revoke: refused here. Rotate the key where it comes from.`);
    if (failed > 0) lines.push(`${counted(failed, "lease")} that the issuer did not revoke: refused here, and tried again until they expire.`);
  }
  if (answer.known === false) lines.push("Nothing that keygress knows now has this name: check its spelling.");
  if (answer.survives_restart === false) lines.push("It holds until this process ends: it has no state folder.");
  if (answer.error) lines.push(`It is not on record: ${answer.error}`);
  return lines;
}

// What depends on it, as far as keygress knows.
async function consequences(measure, subject, name) {
  if (measure === "resume") return [["Requests are allowed again where the policy allows them."]];
  const [{ credentials }, { rules }, { leases }] = await Promise.all([read("/credentials"), read("/rules"), read("/leases")]);
  const own = {
    credential: (one) => one.credential === name,
    owner: (one) => one.owner === name,
    workload: (one) => one.workloads.includes(name) || one.workloads.includes("any"),
    task: () => false,
    host: () => false,
  };
  const hit = credentials.filter(own[subject]);
  const names = new Set(hit.map((one) => one.credential));
  const broken = rules.filter((rule) => {
    if (subject === "host") return covers(name, rule.to);
    if (subject === "workload") return rule.from === null || rule.from.includes(name);
    return names.has(rule.credential);
  });
  const alive = leases.filter((lease) => (subject === "task" ? lease.task === name : subject === "workload" ? lease.workload === name : names.has(lease.credential)));
  const lines = [["New requests are refused at once, running ones end within a second, until somebody resumes it."]];
  if (subject === "task") lines.push(["Everything that this task asks."]);
  else lines.push(broken.length === 0 ? ["No rule of the policy depends on it now."] : [`${counted(broken.length, "rule")} will refuse: `, names_of(broken.map((rule) => rule.rule))]);
  if (subject === "credential" || subject === "owner") {
    const who = [...new Set(hit.flatMap((one) => one.workloads))];
    if (who.length > 0) lines.push(["Workloads that may use it: ", names_of(who)]);
    const last = hit.filter((one) => one.last).sort((one, other) => other.last.time - one.last.time)[0];
    const uses = hit.reduce((sum, one) => sum + one.uses, 0);
    lines.push(last ? [`Used ${counted(uses, "time")} since the start, last `, ago(last.last.time), " by ", last.last.workload ?? "a caller without a workload", "."] : ["Not used since the start."]);
  }
  if (measure === "revoke") lines.push([alive.length > 0 ? `${counted(alive.length, "lease")} will be revoked, where the issuer can.` : "There is no lease to revoke."]);
  if (measure === "suspend" && alive.length > 0) lines.push([`${counted(alive.length, "lease")} stay alive at the issuer.`]);
  return lines;
}

function names_of(names) {
  const shown = names.slice(0, 6).map((name) => h("b", null, name));
  return [listed(shown), names.length > 6 ? ` and ${count(names.length - 6)} more` : ""];
}

// Whether a stop of this host, or of all below one, concerns where a rule goes.
function covers(pattern, to) {
  const [all, host] = [pattern.replace(/^\*\./, ""), to.replace(/^https?:\/\/|:\d+$/g, "")];
  const [below, under] = [host.endsWith(`.${all}`) && pattern !== all, host.startsWith("*.") && pattern.endsWith(host.slice(1))];
  return host === pattern || below || under;
}
