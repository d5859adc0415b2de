// A token issuer on the OpenID-certified provider: client credentials, refresh tokens that rotate, JWT bearer, token exchange,
// introspection, revocation, tokens bound to a key; clients prove themselves by secret, private key or certificate.
// Reads { modules, key, certificate, authority, ttl, verify, clients: [{ id, secret, method, grants, publicKey, selfSigned, dnsName }] } on standard input;
// prints its port when it is ready, and a refresh token for each client that may use one.
import { X509Certificate, createPublicKey, randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { createServer } from "node:https";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const settings = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(`${settings.modules}/`);
const { default: Provider, errors } = await import(pathToFileURL(require.resolve("oidc-provider")));
const { jwtVerify } = await import(pathToFileURL(require.resolve("jose")));

const JWT = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";

// The keys of a client, from its public key or its certificate in PEM.
function jwks({ publicKey, selfSigned }) {
  if (publicKey) return { keys: [createPublicKey(publicKey).export({ format: "jwk" })] };
  if (!selfSigned) return undefined;
  const certificate = new X509Certificate(selfSigned);
  return { keys: [{ ...certificate.publicKey.export({ format: "jwk" }), x5c: [certificate.raw.toString("base64")] }] };
}

const provider = new Provider("https://issuer.test", {
  clients: settings.clients.map(({ id, secret, method, grants = ["client_credentials"], dnsName, ...keys }) => ({
    client_id: id,
    client_secret: secret,
    token_endpoint_auth_method: method,
    grant_types: grants,
    redirect_uris: grants.includes("refresh_token") ? ["https://app.test/"] : [],
    response_types: grants.includes("refresh_token") ? ["code"] : [],
    jwks: jwks(keys),
    tls_client_auth_san_dns: dnsName,
  })),
  scopes: ["offline_access", "read", "write"],
  clientAuthMethods: ["none", "client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"],
  features: {
    clientCredentials: { enabled: true },
    // An access token for this resource is a JWT.
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (_, resource) => {
        if (resource !== "urn:keygress:broker") throw new errors.InvalidTarget("there is no such resource");
        return { scope: "", audience: "keygress-broker", accessTokenFormat: "jwt", accessTokenTTL: settings.ttl };
      },
    },
    introspection: { enabled: true },
    revocation: { enabled: true },
    devInteractions: { enabled: false },
    // Every proof must hold a nonce of this issuer.
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    mTLS: {
      enabled: true,
      tlsClientAuth: true,
      selfSignedTlsClientAuth: true,
      getCertificate: (ctx) => ctx.socket.getPeerX509Certificate()?.toString(),
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) =>
        property === "tls_client_auth_san_dns" && ctx.socket.getPeerX509Certificate().checkHost(expected) !== undefined,
    },
  },
  ttl: { ClientCredentials: settings.ttl, AccessToken: settings.ttl },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  // A used refresh token ends its whole family when it comes again.
  rotateRefreshToken: true,
});

// One line for each token that is issued or revoked, so that a test can count them; never the token itself.
provider.on("client_credentials.saved", () => console.log("issued"));
provider.on("client_credentials.destroyed", () => console.log("destroyed"));
provider.on("access_token.saved", () => console.log("issued"));
provider.on("grant.revoked", () => console.log("family ended"));

// Who a JWT is, by the key that this issuer trusts; prints it.
async function subject(token) {
  const key = createPublicKey(settings.verify);
  const verified = await jwtVerify(token, key, { issuer: "https://keygress.test", audience: "https://issuer.test" }).catch((cause) => {
    throw new errors.InvalidGrant("the assertion is not accepted", undefined, { cause });
  });
  console.log("subject", verified.payload.sub);
}

async function issue(ctx, more) {
  const token = new provider.ClientCredentials({ client: ctx.oidc.client, scope: ctx.oidc.params.scope });
  ctx.oidc.entity("ClientCredentials", token);
  ctx.body = { access_token: await token.save(), token_type: "Bearer", expires_in: token.expiration, ...more };
}

provider.registerGrantType("urn:ietf:params:oauth:grant-type:jwt-bearer", async (ctx) => {
  await subject(ctx.oidc.params.assertion);
  await issue(ctx, {});
}, ["assertion", "scope"]);

provider.registerGrantType("urn:ietf:params:oauth:grant-type:token-exchange", async (ctx) => {
  const { subject_token, subject_token_type, requested_token_type, audience } = ctx.oidc.params;
  if (subject_token_type !== JWT || requested_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest("only a JWT for an access token");
  await subject(subject_token);
  if (audience !== "orders") throw new errors.InvalidTarget("there is no such audience");
  await issue(ctx, { issued_token_type: settings.issuedType ?? ACCESS_TOKEN });
}, ["subject_token", "subject_token_type", "requested_token_type", "audience", "scope"]);

for (const { id, grants } of settings.clients) {
  if (!grants?.includes("refresh_token")) continue;
  const grant = new provider.Grant({ accountId: "person", clientId: id });
  grant.addOIDCScope("openid read");
  const client = await provider.Client.find(id);
  const token = new provider.RefreshToken({
    accountId: "person", client, grantId: await grant.save(), gty: "authorization_code", scope: "openid read", iiat: Math.floor(Date.now() / 1000),
  });
  console.log("refresh-token", await token.save());
}

const certificates = { ca: settings.authority, requestCert: true, rejectUnauthorized: false };
const server = createServer({ key: settings.key, cert: settings.certificate, ...certificates }, provider.callback());
server.listen(0, "127.0.0.1", () => console.log(`ready ${server.address().port}`));
