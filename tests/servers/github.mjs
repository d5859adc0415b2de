// GitHub as the package `emulate` has it: one App, installed for an account with two private repositories.
// Reads { modules } on standard input; prints the App's private key, a JSON string, and its port when it is ready.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const settings = JSON.parse(readFileSync(0, "utf8"));
const { createEmulator } = await import(pathToFileURL(join(settings.modules, "node_modules/emulate/dist/api.js")));

const permissions = { contents: "read", issues: "write" };
const seed = {
  users: [{ login: "acme" }],
  repos: ["site", "secrets"].map((name) => ({ owner: "acme", name, private: true })),
  apps: [{ app_id: 12345, slug: "bot", name: "bot", permissions, installations: [{ installation_id: 100, account: "acme", permissions }] }],
};
const github = await createEmulator({ service: "github", port: 0, seed: { github: seed } });
console.log("key", JSON.stringify(github.generatedSecrets[0].value));
console.log("ready", new URL(github.url).port);
