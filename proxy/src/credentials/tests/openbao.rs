//! Against a fake that follows the published HTTP API of OpenBao (KV 1 and 2, database credentials, leases, AppRole, Kubernetes and JWT
//! logins); no OpenBao itself runs here.

use keygress_policy::Source as _;
use keygress_policy::compile::StaticTerms;
use serde_json::json;

use super::fake::{Fake, Seen};
use super::keys::Key;
use super::*;

/// One server: `hunter2` under `secret/crm`, and database users while their session lives.
fn bao(seen: &Seen) -> (u16, String) {
    let token = seen.header("x-vault-token");
    let login =
        || (200, json!({ "auth": { "client_token": "canary-session", "lease_duration": 600, "token_type": "service" } }).to_string());
    let user = json!({ "username": "v-app-1", "password": "canary-password", "ttl": 3600 });
    match (seen.line().as_str(), token) {
        ("POST /v1/auth/approle/login", None) if seen.json() == json!({ "role_id": "crm", "secret_id": "canary-secret-id" }) => login(),
        ("POST /v1/auth/k8s/prod/login", None) if seen.json() == json!({ "role": "crm", "jwt": "canary.pod.jwt" }) => login(),
        ("POST /v1/auth/jwt/login", None) if seen.json()["role"] == "crm" => login(),
        (line, None) if line.starts_with("POST /v1/auth/") => (400, json!({ "errors": ["canary: invalid role or secret ID"] }).to_string()),
        (_, token) if token != Some("canary-session") && token != Some("canary-lent") => (403, json!({ "errors": ["canary"] }).to_string()),
        ("GET /v1/kv/crm", _) => {
            (200, json!({ "lease_duration": 2_764_800, "data": { "token": "canary-one", "n": 7, "lines": "canary\n2" } }).to_string())
        }
        ("GET /v1/secret/data/crm", _) => {
            (200, json!({ "data": { "data": { "token": "canary-two" }, "metadata": { "version": 2 } } }).to_string())
        }
        ("GET /v1/secret/data/crm?version=1", _) => (200, json!({ "data": { "data": null, "metadata": { "version": 1 } } }).to_string()),
        ("GET /v1/database/creds/readonly", _) => {
            (200, json!({ "lease_id": "database/creds/readonly/abc", "lease_duration": 3600, "renewable": true, "data": user }).to_string())
        }
        ("POST /v1/auth/token/revoke-self" | "PUT /v1/sys/leases/revoke", _) => (204, String::new()),
        _ => (404, json!({ "errors": [] }).to_string()),
    }
}

struct Bao {
    world: World,
    server: Fake,
}

impl Bao {
    async fn start() -> Self {
        let (world, server) = (World::new().await, Fake::start(bao).await);
        world.write("secret-id", "canary-secret-id");
        world.write("pod-token", "canary.pod.jwt\n");
        world.write("lent-token", "canary-lent");
        Self { world, server }
    }

    fn path(&self, name: &str) -> String {
        self.world.path(name).display().to_string()
    }

    fn approle(&self) -> String {
        format!("app_role: {{ role_id: crm, secret_id_file: {} }}", self.path("secret-id"))
    }

    fn lent(&self) -> String {
        format!("token_file: {}", self.path("lent-token"))
    }

    fn source(&self, auth: &str, secret: &str, fields: &str) -> Source {
        let source = source_of(&format!(
            "openbao: {{ address: \"{}\", auth: {{ {auth} }}, secret: {{ {secret} }}, {fields} }}",
            self.server.url("/")
        ));
        assert_eq!(source.complaints(), []);
        source
    }

    async fn fetch(&self, auth: &str, secret: &str, fields: &str) -> Result<Fetched, String> {
        let result = self.source(auth, secret, fields).provider().fetch(&tools(), &purpose()).await;
        if let Err(reason) = &result {
            assert!(!reason.contains("canary") && reason.starts_with("OpenBao "), "{reason}");
        }
        result
    }
}

const KV1: &str = "kv_v1: { mount: kv, path: crm }";
const KV2: &str = "kv_v2: { mount: secret, path: crm }";
const DATABASE: &str = "dynamic: { path: database/creds/readonly }";
const USER: &str = "field: password, user_field: username";
const REVOKE_SELF: &str = "POST /v1/auth/token/revoke-self";

fn tools() -> Tools {
    Tools::new(Arc::new(rustls::RootCertStore::empty()))
}

fn is(fetched: &Fetched, token: &[u8]) -> bool {
    matches!(&fetched.material, Material::Token(held) if held.is(token))
}

#[tokio::test]
async fn a_stored_secret_is_read_from_both_versions_and_the_session_ends() {
    let bao = Bao::start().await;
    let one = bao.fetch(&bao.approle(), KV1, "field: token").await.unwrap();
    assert!(is(&one, b"canary-one") && one.handle.is_none());
    assert_eq!(one.lifetime, Some(Duration::from_secs(3600)));
    let two = bao.fetch(&bao.approle(), KV2, "field: token, max_age: 15m").await.unwrap();
    assert!(is(&two, b"canary-two"));
    assert_eq!(two.lifetime, Some(Duration::from_secs(900)));
    let login = "POST /v1/auth/approle/login";
    assert_eq!(bao.server.lines(), [login, "GET /v1/kv/crm", REVOKE_SELF, login, "GET /v1/secret/data/crm", REVOKE_SELF]);
    assert!(bao.source(&bao.approle(), KV2, "field: token").is_static());
    assert!(!bao.source(&bao.approle(), DATABASE, "field: token").is_static());
}

#[tokio::test(start_paused = true)]
async fn a_stored_secret_is_read_again_although_nobody_used_it() {
    let bao = Bao::start().await;
    let auth = bao.lent();
    let source =
        format!("openbao: {{ address: \"{}\", auth: {{ {auth} }}, secret: {{ {KV2} }}, field: token, max_age: 1m }}", bao.server.url("/"));
    let clock = stop_clock();
    bao.world.credentials.adopt_all(vec![credential("crm", &source)]).await;
    assert_eq!(bao.server.lines().len(), 1);
    drop(clock);
    pass_time_until(|| bao.server.lines().len() > 1).await;
    assert_eq!(bao.world.credentials.missing(), Vec::<String>::new());
}

#[tokio::test]
async fn a_stored_secret_is_not_read_after_its_last_day_and_not_used_beyond_it() {
    let bao = Bao::start().await;
    let auth = bao.lent();
    let source = format!(
        "openbao: {{ address: \"{}\", auth: {{ {auth} }}, secret: {{ {KV2} }}, field: token, max_age: 900h }}",
        bao.server.url("/")
    );
    let until = |last_day: jiff::civil::Date| {
        let mut kept = Arc::into_inner(credential("crm", &source)).unwrap();
        kept.static_terms = Some(StaticTerms { reason: "a test".to_owned(), expires: last_day });
        Arc::new(kept)
    };
    let today = jiff::Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
    let used = bao.world.credentials.slot(&until(today), Holder::Shared).wait().await.unwrap();
    let two_days = Duration::from_secs(2 * 24 * 3600);
    assert!(used.expires.unwrap() < Instant::now() + two_days);
    let asked = bao.server.lines().len();
    let past = until(today.checked_sub(jiff::ToSpan::day(1)).unwrap());
    let reason = bao.world.credentials.slot(&past, Holder::Shared).wait().await.unwrap_err().reason;
    assert!(reason.contains("its last day was"), "{reason}");
    assert_eq!(bao.server.lines().len(), asked);
}

#[tokio::test]
async fn a_secret_that_was_made_for_a_lease_ends_with_its_session() {
    let bao = Bao::start().await;
    let fetched = bao.fetch(&bao.approle(), DATABASE, USER).await.unwrap();
    let Material::UserPassword { user, password } = &fetched.material else { panic!("a user and a password") };
    assert!(user == "v-app-1" && password.is(b"canary-password"));
    assert_eq!(fetched.lifetime, Some(Duration::from_secs(600)), "the session's, which is shorter than the lease's");
    let provider = bao.source(&bao.approle(), DATABASE, USER);
    provider.provider().revoke(&tools(), fetched.handle.as_ref().unwrap()).await.unwrap();
    let last = bao.server.seen().pop().unwrap();
    assert_eq!((last.line().as_str(), last.header("x-vault-token")), (REVOKE_SELF, Some("canary-session")));
}

#[tokio::test]
async fn with_a_lent_token_the_lease_alone_is_revoked() {
    let bao = Bao::start().await;
    let fetched = bao.fetch(&bao.lent(), DATABASE, USER).await.unwrap();
    assert_eq!(fetched.lifetime, Some(Duration::from_secs(3600)));
    bao.source(&bao.lent(), DATABASE, USER).provider().revoke(&tools(), fetched.handle.as_ref().unwrap()).await.unwrap();
    let seen = bao.server.seen();
    assert_eq!(bao.server.lines(), ["GET /v1/database/creds/readonly", "PUT /v1/sys/leases/revoke"]);
    assert_eq!(seen[1].json(), json!({ "lease_id": "database/creds/readonly/abc", "sync": true }));
    assert_eq!(seen[1].header("x-vault-token"), Some("canary-lent"));
}

#[tokio::test]
async fn a_pod_and_a_jwt_log_in() {
    let bao = Bao::start().await;
    let pod = format!("kubernetes: {{ mount: k8s/prod, role: crm, token_file: {} }}", bao.path("pod-token"));
    assert!(is(&bao.fetch(&pod, KV2, "field: token, namespace: team-a/ci").await.unwrap(), b"canary-two"));
    assert!(bao.server.seen().iter().all(|seen| seen.header("x-vault-namespace") == Some("team-a/ci")));
    let key = Key::es256(&bao.world);
    let jwt = format!("jwt: {{ role: crm, token: {{ self_signed_jwt: {{ key: {}, claims: {{ sub: \"{{task}}\" }} }} }} }}", key.yaml());
    assert!(is(&bao.fetch(&jwt, KV2, "field: token").await.unwrap(), b"canary-two"));
    let login = bao.server.seen().into_iter().find(|seen| seen.line() == "POST /v1/auth/jwt/login").unwrap();
    assert_eq!(key.verify(login.json()["jwt"].as_str().unwrap()).unwrap().0["sub"], "t");
}

#[tokio::test]
async fn what_openbao_refuses_is_told_in_words_of_ours_and_leaves_no_session() {
    let bao = Bao::start().await;
    for (secret, field, expected) in [
        ("kv_v1: { mount: kv, path: other }", "token", "answered 404 when reading the secret: there is nothing at this path"),
        ("kv_v2: { mount: secret, path: crm, version: 1 }", "token", "has deleted this version of the secret"),
        (KV1, "password", "has no field `password` in the secret"),
        (KV1, "n", "has no text in the field `n`"),
        (KV1, "lines", "has a field `lines` that holds a line break: it must hold the secret alone, on one line"),
        ("dynamic: { path: secret/data/crm }", "token", "gave a secret without a lease: read it as `kv_v1` or `kv_v2`"),
    ] {
        let reason = bao.fetch(&bao.approle(), secret, &format!("field: {field}")).await.unwrap_err();
        assert_eq!(reason, format!("OpenBao {expected}"));
        assert_eq!(bao.server.lines().pop().as_deref(), Some(REVOKE_SELF));
    }
    bao.world.write("secret-id", "canary-wrong");
    assert_eq!(bao.fetch(&bao.approle(), KV1, "field: token").await.unwrap_err(), "OpenBao answered 400 when logging in");
    bao.world.write("lent-token", "canary-ended");
    let ended = "OpenBao answered 403 when reading the secret: its policies do not allow it, or the token has ended";
    assert_eq!(bao.fetch(&bao.lent(), KV1, "field: token").await.unwrap_err(), ended);
}

#[tokio::test]
async fn an_answer_that_is_none_is_told() {
    for (status, body, expected) in [
        (200, "<html>canary</html>", "answered 200 when reading the secret, but not as its API says"),
        (500, "canary", "answered 500 when reading the secret"),
        (503, "canary", "answered 503 when reading the secret: it is sealed or in maintenance"),
        (307, "", "answered 307 when reading the secret: redirects are not followed; name the active node"),
    ] {
        let mut bao = Bao::start().await;
        bao.server = Fake::start(move |_| (status, body.to_owned())).await;
        assert_eq!(bao.fetch(&bao.lent(), KV2, "field: token").await.unwrap_err(), format!("OpenBao {expected}"));
        let revoked = bao.source(&bao.lent(), DATABASE, USER).provider().revoke(&tools(), &Secret::new(b"lease".to_vec())).await;
        assert_eq!(revoked.is_ok(), status == 200);
    }
}

#[test]
fn a_path_that_leaves_its_place_is_a_complaint() {
    let complaints = |secret: &str, more: &str| -> Vec<String> {
        let auth = "auth: { token_file: /run/token }";
        let source =
            source_of(&format!("openbao: {{ address: \"https://bao.test:8200\", {auth}, secret: {{ {secret} }}, field: token{more} }}"));
        source.complaints().into_iter().map(|(message, _)| message).collect()
    };
    assert_eq!(complaints("kv_v2: { mount: secret, path: a/b.c_d }", ""), ["`a/b.c_d` is no path of OpenBao"; 0]);
    for path in ["../sys/raw", "a//b", "/a", "a/", "a?b", "a%2fb", "a b", ""] {
        assert_eq!(complaints(&format!("dynamic: {{ path: \"{path}\" }}"), ""), [format!("`{path}` is no path of OpenBao")]);
    }
    assert_eq!(complaints(DATABASE, ", namespace: /a"), ["`namespace` is no path"]);
    assert_eq!(complaints(KV1, ", max_age: 1s"), ["`max_age` is below one minute"]);
    assert_eq!(complaints(DATABASE, ", max_age: 1h"), ["`max_age` is for stored secrets: the lease says how long this one lives"]);
    let pki = |more: &str, fields: &str| -> Vec<String> {
        let secret = format!("secret: {{ pki: {{ mount: pki, role: client{more} }} }}{fields}");
        let auth = "auth: { certificate: { shown: { certificate: /run/c.pem, key: /run/k.pem } } }";
        let source = source_of(&format!("openbao: {{ address: \"https://bao.test\", {auth}, {secret} }}"));
        assert_eq!((source.yields(), source.is_static()), (MaterialKind::Certificate, false));
        source.complaints().into_iter().map(|(message, _)| message).collect()
    };
    assert_eq!(pki(", common_name: \"{workload}.acme\", names: [\"spiffe://a/{task}\"]", ""), ["a"; 0]);
    assert_eq!(
        pki(", common_name: \"\", names: [\"{who}\"], lifetime: 1s", ", field: a"),
        [
            "`{who}` holds a brace that opens no word",
            "`common_name` is empty",
            "`lifetime` is below one minute",
            "a certificate of `pki` has no fields"
        ]
    );
    let bare = source_of("openbao: { address: \"https://bao.test\", auth: { token_file: /run/t }, secret: { dynamic: { path: a } } }");
    assert_eq!(bare.complaints()[0].0, "the secret has no `field`");
}

#[tokio::test]
async fn a_certificate_is_revoked_by_the_session_that_asked_for_it_or_the_lent_token() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
    let end = jiff::Timestamp::now().as_second() + 3600;
    let server = Fake::start(move |seen| match seen.line().as_str() {
        "POST /v1/auth/approle/login" => (200, json!({ "auth": { "client_token": "canary-session", "lease_duration": 600 } }).to_string()),
        "POST /v1/pki/sign/client" => {
            let data = json!({ "certificate": certificate, "serial_number": "0a:1b", "expiration": end });
            (200, json!({ "data": data }).to_string())
        }
        "POST /v1/pki/revoke" => (200, "{}".to_owned()),
        REVOKE_SELF => (204, String::new()),
        _ => (404, "canary".to_owned()),
    })
    .await;
    let bao = Bao { server, ..Bao::start().await };
    let pki = "pki: { mount: pki, role: client, common_name: \"{task}.acme\", names: [\"spiffe://acme/{task}\", api.acme], lifetime: 1h }";
    for (auth, token, session) in [(bao.approle(), "canary-session", true), (bao.lent(), "canary-lent", false)] {
        let source = bao.source(&auth, pki, "namespace: a");
        let fetched = source.provider().fetch(&tools(), &purpose()).await.unwrap();
        assert!(matches!(&fetched.material, Material::Certificate { chain, .. } if chain.len() == 1));
        let lifetime = fetched.lifetime.unwrap().as_secs();
        assert!(if session { lifetime == 600 } else { (3590..=3600).contains(&lifetime) }, "no longer than its session: {lifetime}");
        let question = bao.server.seen().into_iter().rfind(|seen| seen.line() == "POST /v1/pki/sign/client").unwrap().json();
        assert_eq!(
            [&question["common_name"], &question["uri_sans"], &question["alt_names"], &question["ttl"]],
            ["t.acme", "spiffe://acme/t", "api.acme", "3600s"]
        );
        assert!(question["csr"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
        source.provider().revoke(&tools(), fetched.handle.as_ref().unwrap()).await.unwrap();
        let revoked = bao.server.seen().into_iter().rfind(|seen| seen.line() == "POST /v1/pki/revoke").unwrap();
        assert_eq!(revoked.json(), json!({ "serial_number": "0a:1b" }));
        assert_eq!(revoked.header("x-vault-token"), Some(token));
        assert_eq!(bao.server.lines().pop().as_deref() == Some(REVOKE_SELF), session);
    }
}
