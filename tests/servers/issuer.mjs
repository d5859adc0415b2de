// A token issuer on the OpenID-certified provider: client credentials, introspection, revocation.
// Reads { modules, key, certificate, ttl, clients: [{ id, secret, method }] } on standard input; prints its port when it is ready.
import { createRequire } from "node:module";
import { createServer } from "node:https";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const settings = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(`${settings.modules}/`);
const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));

const provider = new Provider("https://issuer.test", {
  clients: settings.clients.map(({ id, secret, method }) => ({
    client_id: id,
    client_secret: secret,
    token_endpoint_auth_method: method,
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
  })),
  scopes: ["read", "write"],
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    devInteractions: { enabled: false },
  },
  ttl: { ClientCredentials: settings.ttl },
});

// One line for each token that is issued or revoked, so that a test can count them; never the token itself.
provider.on("client_credentials.saved", () => console.log("issued"));
provider.on("client_credentials.destroyed", () => console.log("destroyed"));

const server = createServer({ key: settings.key, cert: settings.certificate }, provider.callback());
server.listen(0, "127.0.0.1", () => console.log(`ready ${server.address().port}`));
