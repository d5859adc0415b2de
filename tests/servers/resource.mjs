// A resource server that takes tokens bound to a key alone (RFC 9449): it verifies every proof with the library `jose`, wants a nonce of its own
// in it, and takes no proof twice. Reads { modules, key, certificate, nonces } on standard input; the nonce changes after so many requests.
// Prints its port when it is ready, and one line for each request: what came of it, the token, and the thumbprint of the key.
import { createHash, randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { createServer } from "node:https";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const settings = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(`${settings.modules}/`);
const { EmbeddedJWK, calculateJwkThumbprint, jwtVerify } = await import(pathToFileURL(require.resolve("jose")));

let nonce = randomUUID();
let taken = 0;
let number = 0;
const seen = new Set();

async function verdict(request) {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  const proof = request.headers.dpop;
  if (scheme !== "DPoP" || !token || !proof) return ["unproven"];
  const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, { typ: "dpop+jwt", algorithms: ["ES256"], maxTokenAge: "60s" });
  const url = `https://${request.headers.host}${request.url.split("?")[0]}`;
  if (payload.htm !== request.method || payload.htu !== url) return ["for another request"];
  if (payload.ath !== createHash("sha256").update(token).digest("base64url")) return ["for another token"];
  if (seen.has(payload.jti)) return ["replayed"];
  if (payload.nonce !== nonce) return ["nonce"];
  seen.add(payload.jti);
  if (++taken % settings.nonces === 0) nonce = randomUUID();
  return ["proven", token, await calculateJwkThumbprint(protectedHeader.jwk)];
}

const server = createServer({ key: settings.key, cert: settings.certificate }, async (request, response) => {
  request.resume();
  const [word, ...rest] = await verdict(request).catch((error) => [`wrong: ${error.code}`]);
  console.log("asked", ++number, word, ...rest);
  if (word === "proven") return response.end("proven\n");
  const error = word === "nonce" ? "use_dpop_nonce" : "invalid_token";
  response.writeHead(401, { "www-authenticate": `DPoP error="${error}", algs="ES256"`, ...(word === "nonce" && { "dpop-nonce": nonce }) });
  response.end(`${word}\n`);
});
server.listen(0, "127.0.0.1", () => console.log(`ready ${server.address().port}`));
