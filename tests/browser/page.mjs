// A person at the admin page, in Chromium: opens the link, looks at every view, filters, explains, revokes, with the keyboard alone where
// that is the question. Says what it saw, one fact a line; the first that is not so ends it.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { LINK, CHROMIUM, SHOTS } = process.env;
const ORIGIN = new URL(LINK).origin;
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const FIRST_PAINT_MS_MAX = 1000;
const VIEWS = { overview: "Overview", credentials: "Credentials", leases: "Leases", events: "Events", policy: "Policy", explain: "Explain", alerts: "Alerts", stops: "Stops" };

const complaints = [];
const foreign = [];

function is(what, expected, seen) {
  if (JSON.stringify(seen) !== JSON.stringify(expected)) throw new Error(`${what}: expected ${JSON.stringify(expected)}, seen ${JSON.stringify(seen)}`);
  console.log(`ok  ${what}`);
}

function holds(what, fact, seen = fact) {
  if (!fact) throw new Error(`${what}: ${JSON.stringify(seen)}`);
  console.log(`ok  ${what}`);
}

const folder = mkdtempSync(join(tmpdir(), "keygress-browser-"));
const context = await chromium.launchPersistentContext(folder, { executablePath: CHROMIUM, args: FLAGS, viewport: { width: 1280, height: 860 }, colorScheme: "light" });
context.setDefaultTimeout(20_000);
const page = context.pages()[0] ?? (await context.newPage());
watch(page);

function watch(tab) {
  tab.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  tab.on("pageerror", (error) => complaints.push(error.message));
  tab.on("request", (request) => !request.url().startsWith(`${ORIGIN}/`) && foreign.push(request.url()));
  tab.on("dialog", (dialog) => complaints.push(`a dialog of the browser: ${dialog.message()}`));
}

async function shot(name) {
  if (SHOTS) {
    mkdirSync(SHOTS, { recursive: true });
    await page.screenshot({ path: join(SHOTS, `${name}.png`) });
  }
}

async function view(name, argument = "") {
  await page.evaluate((hash) => (location.hash = hash), name + argument);
  await page.waitForFunction((title) => document.getElementById("title").textContent === title && document.querySelector("#view .view")?.textContent.length > 0, VIEWS[name] ?? decodeURIComponent(argument.slice(1)));
}

async function opened() {
  await page.goto(LINK);
  await page.getByRole("heading", { name: "Needs attention" }).waitFor();
  is("the key is out of the address", "/", new URL(page.url()).pathname + new URL(page.url()).search + new URL(page.url()).hash);
  // The best of a few: what else the machine does at that moment is no property of the page.
  const paints = [];
  for (let load = 0; load < 5; load += 1) {
    if (load > 0) {
      await page.reload();
      await page.getByRole("heading", { name: "Needs attention" }).waitFor();
    }
    paints.push(await page.evaluate(() => performance.getEntriesByType("paint").find((entry) => entry.name === "first-contentful-paint").startTime));
  }
  console.log(`figure  first contentful paint: ${paints.map((paint) => paint.toFixed(0)).join(", ")} ms`);
  holds(`the first paint comes within ${FIRST_PAINT_MS_MAX} ms`, Math.min(...paints) <= FIRST_PAINT_MS_MAX, paints);
  await shot("overview");
}

async function once() {
  const other = await context.newPage();
  await other.goto(LINK);
  await other.getByText("this link was opened before").first().waitFor();
  is("a second use of the link is refused", "This page needs a link", await other.locator("h1").textContent());
  await other.goto(`${ORIGIN}/`);
  await other.getByText("There is no session in this tab").first().waitFor();
  holds("another tab has no session", true);
  await other.close();
  await page.reload();
  await page.getByRole("heading", { name: "Needs attention" }).waitFor();
  holds("the tab keeps its session when it is loaded again", true);
}

// What a screen reader goes by: landmarks, one first heading, names of controls, captions; and text that can be read.
async function readable(where) {
  const faults = await page.evaluate(() => {
    const faults = [];
    const named = (node) => (node.getAttribute("aria-label") ?? node.labels?.[0]?.textContent ?? node.textContent ?? "").trim();
    for (const landmark of ["header", "nav[aria-label]", "main"]) if (document.querySelectorAll(landmark).length !== 1) faults.push(`no single ${landmark}`);
    if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
    for (const node of document.querySelectorAll("button, input, select, a[href]")) {
      if (named(node) === "") faults.push(`without a name: ${node.outerHTML}`);
      if (node.tabIndex < 0) faults.push(`out of reach of the keyboard: ${node.outerHTML}`);
    }
    for (const input of document.querySelectorAll("input, select")) if (input.labels.length === 0) faults.push(`without a label: ${input.id}`);
    for (const table of document.querySelectorAll("table")) if (!table.caption?.textContent || table.querySelector("thead th:not([scope])")) faults.push("a table without caption or scopes");
    for (const line of document.querySelectorAll("svg[role=img]")) if (!line.getAttribute("aria-label")) faults.push("a drawing without words");
    const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
    if (new Set(ids).size !== ids.length) faults.push("an id twice");
    const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
    const ground = (node) => {
      for (let at = node; at; at = at.parentElement) {
        const colour = numbers(getComputedStyle(at).backgroundColor);
        if (colour.length === 3 || colour[3] === 1) return colour;
      }
      return [255, 255, 255];
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode.parentElement;
      if (walker.currentNode.data.trim() === "" || node.closest("[hidden], .said, noscript, dialog:not([open]), option") || node.disabled) continue;
      const [one, other] = [light(numbers(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a);
      if ((one + 0.05) / (other + 0.05) < 4.5) faults.push(`hard to read: ${walker.currentNode.data.trim().slice(0, 30)} (${((one + 0.05) / (other + 0.05)).toFixed(2)})`);
    }
    if (document.scrollingElement.scrollWidth > innerWidth) faults.push(`wider than the window: ${document.scrollingElement.scrollWidth}`);
    return [...new Set(faults)];
  });
  is(`${where} can be read and reached by everybody`, [], faults);
}

async function everyView() {
  for (const name of Object.keys(VIEWS)) {
    await view(name);
    await page.waitForTimeout(300);
    await readable(name);
    is(`${name} is marked in the list of views`, VIEWS[name], (await page.locator("nav a[aria-current=page]").evaluate((link) => link.firstChild.data)).trim());
    await shot(name);
  }
}

async function overview() {
  await view("overview");
  const figure = async (name) => Number((await page.locator(".card", { has: page.getByRole("heading", { name, exact: true }) }).locator(".figure").textContent()).replaceAll(",", ""));
  holds("requests are counted", (await figure("Requests")) > 0);
  holds("refusals are counted", (await figure("Refused")) > 0);
  holds("alerts are counted", (await figure("Alerts")) > 0);
  await page.getByText("The policy on disk was rejected").waitFor();
  await page.getByText("unused expires in").waitFor();
  holds("what needs attention is told", true);
}

async function credentials() {
  await view("credentials");
  const row = page.locator("tr[data-row=key]");
  const text = (await row.textContent()).replace(/\s+/g, " ");
  for (const part of ["tests@example.com", "long-lived", "file", "2099-12-31", "in use"]) holds(`the row of the credential holds ${part}`, text.includes(part), text);
  await page.getByLabel("Find").fill("unus");
  is("the search leaves one", 1, await page.locator("tbody tr").count());
  await page.getByLabel("Find").fill("nobody has this");
  await page.getByText("None of them is like that.").waitFor();
  await page.getByLabel("Find").fill("");
  await page.getByLabel("Show").selectOption("unused");
  is("what is not used is shown", ["unused"], await page.locator("tbody tr").evaluateAll((rows) => rows.map((row) => row.dataset.row)));
  await view("credential", "/key");
  await page.getByRole("heading", { name: "Who used it" }).waitFor();
  await page.getByText(/Used \d.* times since keygress began/).waitFor();
  await readable("one credential");
  await shot("credential");
}

// Waits until there is something, and all of it holds the word.
async function only(selector, word) {
  await page.waitForFunction(([selector, word]) => {
    const texts = [...document.querySelectorAll(selector)].map((node) => node.textContent);
    return texts.length > 0 && texts.every((text) => text.includes(word));
  }, [selector, word]);
}

async function events() {
  await view("events");
  await page.locator(".events li").nth(3).waitFor();
  await page.getByLabel("Show").selectOption("denied");
  await only(".events summary .badge", "denied");
  holds("the filter leaves refusals alone", true);
  await page.getByLabel("Find").fill("marked");
  await only(".events .what", "marked");
  holds("the search leaves what holds the word", true);
  is("markup of an application is text", 0, await page.locator(".events img, .events b img").count());
  await page.getByLabel("Show").selectOption("all");
  await page.getByLabel("Find").fill("");
  await page.locator(".events .badge", { hasText: "used" }).first().waitFor();
  const newest = () => page.locator(".events time").first().getAttribute("title");
  const before = await newest();
  await page.waitForFunction((known) => document.querySelector(".events time").title !== known, before);
  holds("events arrive while one looks", true);
  const used = page.locator(".events li", { has: page.locator(".badge", { hasText: /^used$/ }) }).first();
  await page.getByRole("button", { name: "Pause" }).click();
  await used.locator("summary").click();
  await used.getByText("credential", { exact: true }).waitFor();
  await shot("event");
  await used.getByRole("link", { name: "Why was it decided so?" }).click();
  await page.locator(".decision", { hasText: "Allowed" }).waitFor();
  holds("a request that was made is explained from its event", true);
}

async function explain() {
  await view("explain");
  const url = await page.locator("#url").inputValue();
  await page.locator("#url").fill(process.env.DENIED);
  await page.getByLabel("Method").selectOption("DELETE");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.locator(".decision", { hasText: "Denied" }).waitFor();
  holds("a rule is suggested", (await page.locator("pre").textContent()).includes("DELETE"), url);
  await page.locator("#url").fill("nonsense");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.locator("main .wrong").waitFor();
  holds("what cannot be asked is told", true);
}

async function policyAndAlerts() {
  await view("policy");
  await page.locator("pre", { hasText: "nothing_such" }).waitFor();
  holds("the reason of the rejected policy is there", true);
  const allowed = await page.locator("tr[data-row=echo] td[data-label=Allowed]").textContent();
  holds("the rule says how often it was met", Number(allowed.replaceAll(",", "")) > 0, allowed);
  await view("alerts");
  await page.locator("article", { hasText: "real value" }).getByText("it is out").waitFor();
  holds("the alert explains itself", true);
}

const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent.trim());

async function tabTo(name, most = 60) {
  for (let pressed = 0; pressed < most; pressed += 1) {
    await page.keyboard.press("Tab");
    if ((await focused()) === name) return;
  }
  throw new Error(`Tab does not lead to ${name}; it is at ${await focused()}`);
}

// Nothing but the keyboard from here on.
async function keyboard() {
  await view("overview");
  await page.reload();
  await page.getByRole("heading", { name: "Needs attention" }).waitFor();
  await page.keyboard.press("Tab");
  is("the first stop of Tab is the way past the list of views", "Skip to the content", await focused());
  await page.keyboard.press("Enter");
  is("it leads to the heading", "Overview", await focused());
  await page.reload();
  await page.getByRole("heading", { name: "Needs attention" }).waitFor();
  await tabTo("Credentials");
  await page.keyboard.press("Enter");
  await page.locator("tr[data-row=key]").waitFor();
  is("a new view is said by its heading", "Credentials", await focused());
  await tabTo("Revoke key");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Revoke credential key?" }).waitFor();
  is("the dialog begins where nothing happens", "Cancel", await focused());
  await page.getByText("1 rule will refuse").waitFor();
  await readable("the dialog");
  await shot("dialog");
  for (let at = 0; at < 8; at += 1) {
    await page.keyboard.press("Tab");
    holds("Tab stays in the dialog", await page.evaluate(() => document.activeElement === document.body || document.getElementById("dialog").contains(document.activeElement)));
  }
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => !document.getElementById("dialog").open);
  is("Escape leads back to the button", "Revoke key", await focused());
  is("and nothing was revoked", "in use", await page.locator("tr[data-row=key] .badge").textContent());
  await page.waitForTimeout(3500);
  is("what is asked anew leaves the focus where it was", "Revoke key", await focused());
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await tabTo("");
  await page.keyboard.type("<b>leaked</b>");
  await tabTo("Revoke credential key");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "The credential key is revoked" }).waitFor();
  is("who listens is told", "The credential key is revoked", await page.locator("#said").textContent());
  is("the end is one key away", "Done", await focused());
  await shot("revoked");
  await page.keyboard.press("Enter");
  await page.locator("tr[data-row=key] .badge", { hasText: "revoked" }).waitFor();
  holds("the credential is shown as revoked", true);
  await view("stops");
  await page.locator("tbody tr", { hasText: "<b>leaked</b>" }).waitFor();
  holds("the stop is listed with its reason, as text", true);
}

async function looks() {
  for (const [name, scheme, width] of [["dark", "dark", 1280], ["narrow", "light", 390], ["narrow-dark", "dark", 390]]) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height: 860 });
    for (const one of Object.keys(VIEWS)) {
      await view(one);
      await page.waitForTimeout(250);
      await readable(`${one} ${name}`);
      await shot(`${name}-${one}`);
    }
  }
  holds("nothing moves for who does not want that", (await page.evaluate(() => getComputedStyle(document.querySelector("button")).transitionDuration)) === "0s");
}

async function closed() {
  await page.setViewportSize({ width: 1280, height: 860 });
  await page.getByRole("button", { name: "End session" }).click();
  await page.getByText("The session is closed.").first().waitFor();
  await page.reload({ timeout: 5000 }).catch(() => {});
  holds("the session ends from the page", true);
}

try {
  for (const step of [opened, once, everyView, overview, credentials, events, explain, policyAndAlerts, keyboard, looks]) await step();
  is("the browser has nothing to complain of", [], complaints.filter((text) => !text.includes("403 (Forbidden)") && !text.includes("400 (Bad Request)")));
  is("nothing was asked of another server", [], foreign);
  await closed();
  console.log("passed");
} catch (error) {
  await shot("failed");
  console.log(`FAILED  ${error.stack}`);
  complaints.forEach((text) => console.log(`console  ${text}`));
  process.exitCode = 1;
} finally {
  await context.close();
  rmSync(folder, { recursive: true, force: true });
}
