//! OpenBao itself: what it stores, what it makes for a lease and what it certifies, with each login that needs nothing else; and the end.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keygress_tests::client::curl_reply;
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::echo::Echo;
use keygress_tests::servers::nginx::Nginx;
use keygress_tests::servers::openbao::OpenBao;
use keygress_tests::servers::redis::Redis;
use keygress_tests::site::{Site, Validity};
use keygress_tests::tools;

use crate::world::{MINTED, STATIC, put_on, sourced};

struct World {
    site: Site,
    bao: OpenBao,
}

impl World {
    fn new() -> Self {
        let site = Site::new().unwrap();
        let bao = OpenBao::start(&site).unwrap();
        Self { site, bao }
    }

    fn path(&self, name: &str) -> String {
        self.site.folder().join(name).display().to_string()
    }

    fn app_role(&self) -> String {
        let role = std::fs::read_to_string(self.path("role-id")).unwrap();
        format!("app_role: {{ role_id: {role}, secret_id_file: {} }}", self.path("secret-id"))
    }

    /// A token that somebody else keeps.
    fn lent(&self) -> String {
        let token = self.bao.run(&["token", "create", "-policy=app", "-ttl=1h", "-field=token"]).unwrap();
        self.site.write_secret("lent-token", &token).unwrap();
        format!("token_file: {}", self.path("lent-token"))
    }

    fn source(&self, auth: &str, what: &str) -> String {
        format!("openbao: {{ address: \"{}\", auth: {{ {auth} }}, {what} }}", self.bao.url())
    }

    /// How many leases and sessions of the role are alive.
    fn accessors(&self) -> usize {
        let listed = self.bao.run(&["list", "-format=json", "auth/token/accessors"]).unwrap();
        listed.matches('"').count() / 2
    }
}

#[test]
fn what_it_stores_is_put_on_and_no_session_stays() {
    let world = World::new();
    world.bao.run(&["kv", "put", "-mount=secret", "crm", "user=app", "word=a-word-of-version-2"]).unwrap();
    world.bao.run(&["kv", "put", "-mount=kv", "crm", "token=a-token-of-version-1"]).unwrap();
    let before = world.accessors();
    let two = world.source(&world.app_role(), "secret: { kv_v2: { mount: secret, path: crm } }, field: word, user_field: user");
    let expected = format!("Basic {}", BASE64_STANDARD.encode("app:a-word-of-version-2"));
    assert_eq!(put_on(&world.site, STATIC, &two, "basic"), Ok(expected));
    let one = |auth: &str, path: &str| world.source(auth, &format!("secret: {{ kv_v1: {{ mount: kv, path: {path} }} }}, field: token"));
    let token = Ok("Bearer a-token-of-version-1".to_owned());
    assert_eq!(put_on(&world.site, STATIC, &one(&world.app_role(), "crm"), "bearer"), token);
    assert_eq!(world.accessors(), before, "each session was ended");
    assert_eq!(put_on(&world.site, STATIC, &one(&world.lent(), "crm"), "bearer"), token);
    let missing = put_on(&world.site, STATIC, &one(&world.app_role(), "other"), "bearer").unwrap_err();
    assert!(missing.contains("OpenBao answered 404 when reading the secret: there is nothing at this path"), "{missing}");
    world.bao.run(&["kv", "metadata", "delete", "-mount=secret", "crm"]).unwrap();
    world.site.write_secret("secret-id", "another").unwrap();
    let refused = put_on(&world.site, STATIC, &two, "basic").unwrap_err();
    assert!(refused.contains("OpenBao answered 400 when logging in"), "{refused}");
}

#[test]
fn a_jwt_of_keygress_logs_in_for_the_audience_that_openbao_wants() {
    let world = World::new();
    world.bao.run(&["kv", "put", "-mount=kv", "crm", "token=a-token-of-version-1"]).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    world.site.write_secret("jwt.pem", &key.serialize_pem()).unwrap();
    world.site.write("jwt-public.pem", &key.public_key_pem()).unwrap();
    world.bao.run(&["write", "auth/jwt/config", &format!("jwt_validation_pubkeys=@{}", world.path("jwt-public.pem"))]).unwrap();
    let role = ["role_type=jwt", "user_claim=sub", "bound_audiences=openbao", "token_policies=app", "token_ttl=10m"];
    world.bao.run(&[&["write", "auth/jwt/role/app"], &role[..]].concat()).unwrap();
    let source = |audience: &str| {
        let claims = format!("claims: {{ sub: \"{{credential}}\", aud: {audience} }}");
        let token = format!("self_signed_jwt: {{ key: {{ file: {}, algorithm: ES256 }}, {claims} }}", world.path("jwt.pem"));
        world.source(&format!("jwt: {{ role: app, token: {{ {token} }} }}"), "secret: { kv_v1: { mount: kv, path: crm } }, field: token")
    };
    assert_eq!(put_on(&world.site, STATIC, &source("openbao"), "bearer"), Ok("Bearer a-token-of-version-1".to_owned()));
    let refused = put_on(&world.site, STATIC, &source("other"), "bearer").unwrap_err();
    assert!(refused.contains("OpenBao answered 400 when logging in"), "{refused}");
}

#[test]
fn a_client_certificate_logs_in_where_openbao_trusts_its_authority() {
    let world = World::new();
    world.bao.run(&["kv", "put", "-mount=kv", "crm", "token=a-token-of-version-1"]).unwrap();
    let trusted = format!("certificate=@{}", world.site.upstream_ca().display());
    world.bao.run(&["write", "auth/cert/certs/app", &trusted, "allowed_common_names=app.test", "token_policies=app"]).unwrap();
    let source = |name: &str| {
        let made = world.site.certificate(name, Validity::Current).unwrap();
        world.site.write("client.pem", &made.certificate).unwrap();
        world.site.write_secret("client-key.pem", &made.key).unwrap();
        let shown = format!("shown: {{ certificate: {}, key: {} }}", world.path("client.pem"), world.path("client-key.pem"));
        let auth = format!("auth: {{ certificate: {{ role: app, {shown} }} }}");
        format!(
            "openbao: {{ address: \"{}\", {auth}, secret: {{ kv_v1: {{ mount: kv, path: crm }} }}, field: token }}",
            world.bao.tls_url()
        )
    };
    assert_eq!(put_on(&world.site, STATIC, &source("app.test"), "bearer"), Ok("Bearer a-token-of-version-1".to_owned()));
    let refused = put_on(&world.site, STATIC, &source("other.test"), "bearer").unwrap_err();
    assert!(refused.contains("OpenBao answered 400 when logging in"), "{refused}");
}

#[test]
fn a_user_that_was_made_for_a_lease_is_gone_when_keygress_stops() {
    let world = World::new();
    let redis = Redis::start(&world.site).unwrap();
    world.bao.run(&["secrets", "enable", "database"]).unwrap();
    let (port, password) = (format!("port={}", redis.port), format!("password={}", redis.password));
    let plugin = ["plugin_name=redis-database-plugin", "host=127.0.0.1", "username=default", "tls=false", "allowed_roles=readonly"];
    world.bao.run(&[&["write", "database/config/redis", &port, &password], &plugin[..]].concat()).unwrap();
    let role = ["db_name=redis", "creation_statements=[\"~*\", \"+@read\"]", "default_ttl=5m", "max_ttl=1h"];
    world.bao.run(&[&["write", "database/roles/readonly"], &role[..]].concat()).unwrap();
    for auth in [world.app_role(), world.lent()] {
        let echo = Echo::start(&world.site, "echo.test").unwrap();
        let source = world.source(&auth, "secret: { dynamic: { path: database/creds/readonly } }, field: password, user_field: username");
        let mut proxy = Proxy::start(&world.site, &sourced(MINTED, &source, "basic", echo.port)).unwrap();
        let mut curl = proxy.client(tools::program("curl").unwrap());
        let url = format!("https://echo.test:{}/hello", echo.port);
        let reply = curl_reply(curl.args(["--silent", "--show-error", "--max-time", "60", &url])).unwrap().0;
        assert_eq!(reply.status, 200, "{reply:?}");
        let seen = echo.seen()[0].values("authorization").join(" ");
        let pair = BASE64_STANDARD.decode(seen.strip_prefix("Basic ").unwrap()).unwrap();
        let pair = String::from_utf8(pair).unwrap();
        let (user, word) = pair.split_once(':').unwrap();
        assert!(redis.admits(user, word).unwrap(), "Redis knows {user}");
        let ended = proxy.stop();
        assert_eq!((ended.revoked, ended.failed), (1, 0));
        redis.await_end_of(user, word).unwrap();
    }
}

#[test]
fn a_certificate_that_it_signed_proves_keygress_and_is_revoked_when_that_stops() {
    let world = World::new();
    world.bao.run(&["secrets", "enable", "pki"]).unwrap();
    let ca = world.bao.run(&["write", "-field=certificate", "pki/root/generate/internal", "common_name=clients", "ttl=24h"]).unwrap();
    let ca = world.site.write("clients.pem", &ca).unwrap();
    let role = ["allow_any_name=true", "key_type=ec", "allowed_uri_sans=spiffe://acme.example/*", "max_ttl=1h"];
    world.bao.run(&[&["write", "pki/roles/client"], &role[..]].concat()).unwrap();
    let answer = "location / { return 200 \"$ssl_client_s_dn $ssl_client_serial\"; }";
    let asks = format!("ssl_client_certificate {}; ssl_verify_client on; {answer}", ca.display());
    let nginx = Nginx::start(&world.site, "echo.test", &asks).unwrap();
    for auth in [world.app_role(), world.lent()] {
        let pki = "pki: { mount: pki, role: client, common_name: \"{credential}.acme.example\", names: [\"spiffe://acme.example/{credential}\", api.acme.example], lifetime: 5m }";
        let source = world.source(&auth, &format!("secret: {{ {pki} }}"));
        let mut proxy = Proxy::start(&world.site, &sourced(MINTED, &source, "mutual_tls", nginx.port)).unwrap();
        let mut curl = proxy.client(tools::program("curl").unwrap());
        let url = format!("https://echo.test:{}/hello", nginx.port);
        let reply = curl_reply(curl.args(["--silent", "--show-error", "--max-time", "60", &url])).unwrap().0;
        let serial = reply.body.strip_prefix("CN=sourced.acme.example ").unwrap_or_else(|| panic!("{reply:?}")).trim();
        let pairs: Vec<_> = serial.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).to_lowercase()).collect();
        let kept = format!("pki/cert/{}", pairs.join("-"));
        assert_eq!(world.bao.run(&["read", "-field=revocation_time", &kept]).unwrap(), "0");
        let ended = proxy.stop();
        assert_eq!((ended.revoked, ended.failed), (1, 0));
        assert_ne!(world.bao.run(&["read", "-field=revocation_time", &kept]).unwrap(), "0");
    }
}
