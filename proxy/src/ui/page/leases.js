import { read } from "./ask.js";
import { aside, code, empty, faint, fill, h, press, table, toCredential } from "./build.js";
import { confirm } from "./confirm.js";
import { ago, counted, lasting } from "./words.js";

export default {
  title: () => "Leases",
  build(place, { say }) {
    const list = h("div");
    place.append(aside("What was issued and has not ended: a credential, for whom, until when."), list);
    const act = async (subject, name) => (await confirm("revoke", subject, name, say)) && refresh();
    const refresh = async () => {
      const { leases } = await read("/leases");
      if (leases.length === 0) return fill(list, empty("No lease is alive.", "One begins with the first request that needs its credential, and ends with its task, its expiry or a revocation."));
      fill(list, aside(counted(leases.length, "lease"), leases.length > 500 ? ", the first 500 are shown" : "", "."), rows(leases.slice(0, 500), act));
    };
    return { refresh };
  },
};

function rows(leases, act) {
  return table("Leases", [
    ["Credential", (one) => toCredential(one.credential, one.lease)],
    ["Owner", (one) => one.owner],
    ["For", (one) => [one.workload ?? "everybody", one.task && h("br"), one.task && faint(`task ${one.task}`)]],
    ["Rule", (one) => one.rule ?? ""],
    ["Issued", (one) => ago(Date.parse(one.issued))],
    ["Ends in", (one) => (one.expires_in === null ? faint("no end of its own") : lasting(one.expires_in))],
    ["At the issuer", (one) => (one.revocable ? "can be revoked" : "cannot be revoked")],
    ["Fingerprint", (one) => code(one.fingerprint)],
    ["Stop", (one) => {
      const [subject, name] = one.task ? ["task", one.task] : ["credential", one.credential];
      return press({ class: "danger quiet", "data-key": `revoke ${one.lease}`, "aria-label": `Revoke ${subject} ${name}`, onclick: () => act(subject, name) }, `Revoke ${subject}`);
    }, "actions"],
  ], leases, (one) => one.lease);
}
