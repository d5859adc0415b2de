//! The other grants of OAuth 2.0, and the other ways for a client to prove itself, at an OpenID-certified issuer. Each with what it refuses.

use keygress_tests::servers::issuer::Issuer;
use keygress_tests::site::Site;

use crate::issuer::World;

fn path(site: &Site, name: &str) -> String {
    site.folder().join(name).display().to_string()
}

/// Client credentials by this `auth`.
fn by(client: &'static str, auth: impl Fn(&Site) -> String) -> impl FnOnce(&Site, &Issuer) -> String {
    move |site, issuer| {
        format!("oauth2_client_credentials: {{ token_url: {}, client_id: {client}, auth: {{ {} }} }}", issuer.url("/token"), auth(site))
    }
}

/// A grant for which `basic` proves itself by its secret.
fn grant(name: &'static str, more: impl Fn(&Site) -> String) -> impl FnOnce(&Site, &Issuer) -> String {
    move |site, issuer| {
        let secret = site.write_secret("client-secret", &issuer.basic_secret).unwrap();
        let client = format!("client_id: basic, client_secret: {{ file: {} }}", secret.display());
        format!("{name}: {{ token_url: {}, {client}, {} }}", issuer.url("/token"), more(site))
    }
}

/// A JWT of keygress's own, by this key and with this audience, as YAML.
fn identity(site: &Site, key: &str, audience: &str, more: &str) -> String {
    let claims = format!("{{ iss: \"https://keygress.test\", sub: \"{{credential}}/{{task}}\", aud: \"{audience}\"{more} }}");
    format!("self_signed_jwt: {{ key: {{ file: {}, algorithm: ES256 }}, claims: {claims} }}", path(site, key))
}

impl World {
    fn is_served(&self) {
        assert_eq!(self.get("/hello"), 200);
        assert!(self.issuer.is_active(&self.site, &self.tokens()[0]).unwrap());
    }

    /// Nothing reaches the upstream, and the caller is told why in words of ours.
    fn is_refused(&self, why: &str) {
        let reply = self.reply("/hello");
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(reply.body.contains(why), "{reply:?}");
        assert!(self.echo.seen().is_empty());
        assert_eq!(self.issuer.issued(), 0);
    }
}

#[test]
fn a_client_proves_itself_by_its_private_key_and_no_other() {
    let auth = |key: &'static str| {
        move |site: &Site| {
            format!("private_key_jwt: {{ key: {{ file: {}, algorithm: ES256 }}, audience: \"https://issuer.test\" }}", path(site, key))
        }
    };
    World::with_source(by("key", auth("key.pem"))).is_served();
    World::with_source(by("key", auth("identity.pem"))).is_refused("the token endpoint answered 401 with `invalid_client`");
}

#[test]
fn a_proof_for_another_issuer_is_refused() {
    let auth = |site: &Site| {
        format!("private_key_jwt: {{ key: {{ file: {}, algorithm: ES256 }}, audience: \"https://other.test\" }}", path(site, "key.pem"))
    };
    World::with_source(by("key", auth)).is_refused("the token endpoint answered 401 with `invalid_client`");
}

#[test]
fn a_client_proves_itself_by_its_certificate_and_no_other() {
    let auth = |name: &'static str| {
        move |site: &Site| {
            let (certificate, key) = (path(site, &format!("{name}.pem")), path(site, &format!("{name}-key.pem")));
            format!("tls_client_auth: {{ certificate: {certificate}, key: {key} }}")
        }
    };
    World::with_source(by("certificate", auth("certificate"))).is_served();
    World::with_source(by("self-signed", auth("self-signed"))).is_served();
    World::with_source(by("certificate", auth("self-signed"))).is_refused("the token endpoint answered 401 with `invalid_client`");
    World::with_source(by("self-signed", auth("certificate"))).is_refused("the token endpoint answered 401 with `invalid_client`");
}

fn refresh(site: &Site, issuer: &Issuer) -> String {
    let file = path(site, "refresh-token");
    format!("oauth2_refresh_token: {{ token_url: {}, client_id: app, refresh_token_file: {file} }}", issuer.url("/token"))
}

#[test]
fn a_refresh_token_that_the_issuer_rotates_carries_on() {
    let world = World::with_source(refresh);
    let file = world.site.folder().join("refresh-token");
    let first = std::fs::read_to_string(&file).unwrap();
    assert_eq!(world.get("/status/401"), 401, "a refused token is replaced once");
    assert_eq!((world.issuer.issued(), world.issuer.ended_a_family()), (2, false));
    let tokens = world.tokens();
    assert_ne!(tokens[0], tokens[1]);
    assert!(world.issuer.is_active(&world.site, &tokens[1]).unwrap());
    let last = std::fs::read_to_string(&file).unwrap();
    assert_ne!(first.trim(), last.trim());
    let lines = world.proxy.record_lines().join("\n");
    assert!(!lines.contains(first.trim()) && !lines.contains(last.trim()), "{lines}");
}

#[test]
fn a_refresh_token_that_the_issuer_does_not_know_is_refused_and_stays_as_it_is() {
    let world = World::with_source(refresh);
    world.site.write_secret("refresh-token", "never-issued").unwrap();
    world.is_refused("the token endpoint answered 400 with `invalid_grant`");
    assert_eq!(std::fs::read_to_string(world.site.folder().join("refresh-token")).unwrap(), "never-issued");
}

#[test]
fn a_jwt_that_keygress_signs_brings_a_token() {
    let bearer = |key: &'static str, audience: &'static str, more: &'static str| {
        grant("oauth2_jwt_bearer", move |site| format!("assertion: {{ {} }}", identity(site, key, audience, more)))
    };
    let world = World::with_source(bearer("identity.pem", "https://issuer.test", ""));
    world.is_served();
    assert_eq!(world.issuer.subjects(), ["minted/none"]);
    let refused = "the token endpoint answered 400 with `invalid_grant`";
    World::with_source(bearer("key.pem", "https://issuer.test", "")).is_refused(refused);
    World::with_source(bearer("identity.pem", "https://other.test", "")).is_refused(refused);
    World::with_source(bearer("identity.pem", "https://issuer.test", ", nbf: 4102444800")).is_refused(refused);
}

#[test]
fn a_token_is_exchanged_for_the_audience_of_the_policy() {
    let exchange = |key: &'static str, audience: &'static str| {
        grant("oauth2_token_exchange", move |site| {
            format!("audience: {audience}, subject: {{ {} }}", identity(site, key, "https://issuer.test", ""))
        })
    };
    let world = World::with_source(exchange("identity.pem", "orders"));
    world.is_served();
    assert_eq!(world.issuer.subjects(), ["minted/none"]);
    World::with_source(exchange("identity.pem", "payroll")).is_refused("the token endpoint answered 400 with `invalid_target`");
    World::with_source(exchange("key.pem", "orders")).is_refused("the token endpoint answered 400 with `invalid_grant`");
}
