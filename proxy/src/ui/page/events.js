import { Failure, follow } from "./ask.js";
import { badge, empty, facts, field, fill, finder, h, press, select, toCredential } from "./build.js";
import { clock, count, spaced } from "./words.js";

const ROWS_MAX = 300;
const KINDS = { used: "good", denied: "bad", alert: "bad", scrubbed: "warn", stopped: "warn", revoke_failed: "bad", policy_rejected: "bad", ended: "warn", gap: "warn" };

export default {
  title: () => "Events",
  build(place, { query }) {
    const search = finder("workload, host, rule, code, request id", query.get("text") ?? "");
    const matter = select({ id: "matter" }, [["all", "Everything"], ["used", "Requests that were sent"], ["denied", "Requests that were refused"], ["alerts", "Alerts"], ["changes", "Leases, stops, policy"]]);
    const pause = press({ class: "quiet", "aria-pressed": "false" }, "Pause");
    const summary = h("p", { class: "faint", id: "summary" });
    const list = h("ol", { class: "events", "aria-label": "Events, the newest first" });
    const none = h("div");
    place.append(h("div", { class: "bar" }, field("Find", search), field("Show", matter), pause), summary, list, none);

    let [stop, rows, passed, isOpen, due] = [new AbortController(), [], 0, false, 0];
    let isPaused = false;
    const draw = () => {
      due = 0;
      if (isPaused) return;
      fill(list, rows.slice(0, ROWS_MAX).map((row) => (row.node ??= line(row.event, row.key))));
      fill(none, isOpen && rows.length === 0 && empty("No event is like that yet.", "It appears here as soon as it is on record."));
      summary.textContent = `${isOpen ? "Live" : "Connecting …"}, ${count(rows.length)} shown${passed > 0 ? `, ${count(passed)} more came too fast to show: they are in the audit` : ""}.`;
    };
    const soon = () => (due ||= setTimeout(draw, 100));
    const restart = async () => {
      stop.abort();
      const mine = (stop = new AbortController());
      [rows, passed, isOpen] = [[], 0, false];
      const asked = new URLSearchParams({ matter: matter.value, text: search.value.trim() });
      while (!mine.signal.aborted) {
        try {
          await follow(asked, mine.signal, (kind, data) => {
            if (kind === "open") [rows, isOpen] = [[], true];
            else if (kind === "message") {
              rows.unshift({ event: data, key: `${data.time} ${data.keygress?.request ?? rows.length}` });
              rows.length = Math.min(rows.length, ROWS_MAX);
            } else passed += kind === "skipped" ? data : 0;
            soon();
          });
        } catch (failure) {
          if (mine.signal.aborted) return;
          isOpen = false;
          summary.textContent = failure instanceof Failure ? failure.message : "The stream broke off; trying again …";
        }
        await new Promise((resolve) => setTimeout(resolve, 1500));
      }
    };
    let typing = 0;
    search.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(restart, 250);
    });
    matter.addEventListener("change", restart);
    pause.addEventListener("click", () => {
      isPaused = !isPaused;
      pause.setAttribute("aria-pressed", String(isPaused));
      pause.textContent = isPaused ? "Go on" : "Pause";
      if (isPaused) summary.textContent = `Paused at ${count(rows.length)}; what comes meanwhile is shown when it goes on.`;
      else draw();
    });
    restart();
    return {
      leave() {
        stop.abort();
        clearTimeout(due);
        clearTimeout(typing);
      },
    };
  },
};

function line(event, key) {
  const [ours, request] = [event.keygress ?? {}, event.http_request];
  const url = request?.url && `${request.url.scheme}://${request.url.hostname}${port(request.url)}${request.url.path ?? ""}`;
  const what = request ? [h("b", null, request.http_method ?? ""), " ", url] : (event.message ?? ours.credential ?? ours.rule ?? "");
  const by = ours.task ? `${ours.workload ?? "task"} · ${ours.task}` : (ours.workload ?? (event.actor ? `uid ${event.actor.process.uid}` : ""));
  const why = ours.code ? spaced(ours.code) : (ours.rule ?? "");
  const asked = request?.url && event.activity !== "alert" && request.http_method !== "CONNECT" && new URLSearchParams({ method: request.http_method, url, from: ours.workload ?? "" });
  return h("li", null, h("details", { "data-key": key },
    h("summary", { "data-key": `open ${key}` }, clock(event.time), badge(spaced(event.activity), KINDS[event.activity] ?? "plain"), h("span", { class: "what" }, what), h("span", { class: "by" }, by), h("span", { class: "why faint" }, why, event.status_code ? ` ${event.status_code}` : "")),
    facts([["when", event.timestamp], ["message", event.message], ["user", event.actor?.process.uid], ["process", event.actor?.process.pid], ["status", event.status_code], ...Object.entries(ours).map(([key, value]) => [spaced(key), named(key, value)])]),
    asked && h("p", null, h("a", { href: `#explain?${asked}` }, "Why was it decided so?"))));
}

function named(key, value) {
  return key === "credential" ? toCredential(value) : String(value);
}

function port(url) {
  return url.port === { https: 443, http: 80 }[url.scheme] ? "" : `:${url.port}`;
}
