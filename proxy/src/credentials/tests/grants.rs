use keygress_policy::Source as _;

use super::issuer::Behaviour;
use super::keys::Key;
use super::*;
use crate::credentials::state::Successor;

const TOKEN: &str = r#"{"access_token":"canary-a","token_type":"Bearer","expires_in":60}"#;
const ROTATED: &str = r#"{"access_token":"canary-a","token_type":"Bearer","expires_in":60,"refresh_token":"canary-next"}"#;

/// What is no token, and how it is told.
const NO_TOKENS: [(u16, &str, &str); 5] = [
    (400, r#"{"error":"invalid_grant","error_description":"canary"}"#, "answered 400 with `invalid_grant`"),
    (500, "canary", "answered 500"),
    (302, "", "answered 302: redirects are not followed"),
    (200, "<html>canary</html>", "answered 200, but not as RFC 6749, section 5.1, says"),
    (200, r#"{"access_token":"canary","token_type":"N_A","expires_in":60}"#, "gave a token whose `token_type` is not `Bearer`"),
];

async fn fetch(source: &str) -> Result<Fetched, String> {
    let tools = Tools::new(Arc::new(rustls::RootCertStore::empty()));
    let purpose = Purpose { credential: "crm".into(), holder: Holder::Task { id: "t7".into(), workload: Some("agent".into()) } };
    let source = source_of(source);
    assert_eq!(source.complaints(), []);
    let result = source.provider().fetch(&tools, &purpose).await;
    if let Err(reason) = &result {
        assert!(!reason.contains("canary"), "{reason}");
    }
    result
}

fn is(fetched: &Fetched, token: &[u8]) -> bool {
    matches!(&fetched.material, Material::Token(held) if held.is(token)) && fetched.handle.as_ref().unwrap().is(token)
}

/// A grant at a world's issuer.
fn grant(world: &World, name: &str, more: &str) -> String {
    format!("{name}: {{ token_url: \"http://{}/token\", {more} }}", world.issuer.address)
}

fn refresh(world: &World) -> String {
    let file = world.path("refresh-token");
    grant(world, "oauth2_refresh_token", &format!("client_id: app, refresh_token_file: {}", file.display()))
}

fn read(world: &World, name: &str) -> String {
    std::fs::read_to_string(world.path(name)).unwrap()
}

#[tokio::test]
async fn a_rotated_refresh_token_is_kept_and_used_the_next_time() {
    let world = World::new().await;
    world.write("refresh-token", "canary-first\n");
    world.issuer.on_token(Behaviour::Answer(200, ROTATED));
    let fetched = fetch(&refresh(&world)).await.unwrap();
    assert!(is(&fetched, b"canary-a"));
    assert_eq!(fetched.lifetime, Some(Duration::from_secs(60)));
    assert_eq!(world.issuer.parameter("refresh_token").as_deref(), Some("canary-first"));
    assert_eq!(world.issuer.parameter("client_id").as_deref(), Some("app"));
    assert_eq!(read(&world, "refresh-token"), "canary-next\n");
    let mode = std::fs::metadata(world.path("refresh-token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fetch(&refresh(&world)).await.unwrap();
    assert_eq!(world.issuer.parameter("refresh_token").as_deref(), Some("canary-next"));
}

#[tokio::test]
async fn a_refresh_token_that_is_not_rotated_stays_as_it_is() {
    let world = World::new().await;
    world.write("refresh-token", "canary-first");
    for answer in [TOKEN, &ROTATED.replace("canary-next", "canary-first")] {
        world.issuer.on_token(Behaviour::Answer(200, Box::leak(answer.to_owned().into_boxed_str())));
        fetch(&refresh(&world)).await.unwrap();
        assert_eq!(read(&world, "refresh-token"), "canary-first");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_token_leaves_the_refresh_token_as_it_is() {
    let world = World::new().await;
    world.write("refresh-token", "canary-first");
    for (status, body, expected) in NO_TOKENS {
        world.issuer.on_token(Behaviour::Answer(status, body));
        assert_eq!(fetch(&refresh(&world)).await.unwrap_err(), format!("the token endpoint {expected}"));
        assert_eq!(read(&world, "refresh-token"), "canary-first");
    }
    world.issuer.on_token(Behaviour::Answer(200, r#"{"access_token":"a","token_type":"Bearer","refresh_token":"canary\nx"}"#));
    assert_eq!(fetch(&refresh(&world)).await.unwrap_err(), "the token endpoint gave a `refresh_token` that is no token");
}

#[tokio::test]
async fn an_issuer_is_not_asked_where_its_next_refresh_token_would_have_no_place() {
    let world = World::new().await;
    world.write("refresh-token", "canary-first");
    let _held = Successor::prepare(&world.path("refresh-token")).await.unwrap();
    assert!(fetch(&refresh(&world)).await.unwrap_err().ends_with("cannot be replaced: another keygress is using it"));
    assert_eq!(world.issuer.token_calls(), 0);
}

#[tokio::test]
async fn a_refresh_that_nobody_wants_any_more_is_finished_all_the_same() {
    let world = World::new().await;
    world.write("refresh-token", "canary-first");
    assert!(!source_of(&refresh(&world)).provider().may_be_dropped());
    assert!(source_of(&world.oauth("")).provider().may_be_dropped());
}

#[tokio::test]
async fn a_jwt_from_a_file_is_presented_as_it_is() {
    let world = World::new().await;
    world.write("assertion", "canary.jwt.x\n");
    world.issuer.on_token(Behaviour::Answer(200, TOKEN));
    let assertion = format!("assertion: {{ file: {} }}, scope: [read]", world.path("assertion").display());
    assert!(is(&fetch(&grant(&world, "oauth2_jwt_bearer", &assertion)).await.unwrap(), b"canary-a"));
    assert_eq!(world.issuer.parameter("grant_type").as_deref(), Some("urn:ietf:params:oauth:grant-type:jwt-bearer"));
    assert_eq!(world.issuer.parameter("assertion").as_deref(), Some("canary.jwt.x"));
    assert_eq!(world.issuer.parameter("scope").as_deref(), Some("read"));
    assert_eq!(world.issuer.parameter("client_id"), None);
    for (status, body, expected) in NO_TOKENS {
        world.issuer.on_token(Behaviour::Answer(status, body));
        let reason = fetch(&grant(&world, "oauth2_jwt_bearer", &assertion)).await.unwrap_err();
        assert_eq!(reason, format!("the token endpoint {expected}"));
    }
}

#[tokio::test]
async fn a_signed_jwt_names_who_it_is_for() {
    let world = World::new().await;
    let (key, another) = (Key::es256(&world), Key::of(&world, "EdDSA"));
    world.issuer.on_token(Behaviour::Answer(200, TOKEN));
    let claims = "{ iss: keygress, sub: \"{workload}/{task}\", aud: [\"https://issuer.test\"], act: { for: \"{credential}\", n: 7 } }";
    let assertion = format!("assertion: {{ self_signed_jwt: {{ key: {}, claims: {claims}, lifetime: 90s }} }}", key.yaml());
    fetch(&grant(&world, "oauth2_jwt_bearer", &assertion)).await.unwrap();
    let token = world.issuer.parameter("assertion").unwrap();
    let (claims, id) = key.verify(&token).unwrap();
    assert_eq!(claims["sub"], "agent/t7");
    assert_eq!(claims["aud"], serde_json::json!(["https://issuer.test"]));
    assert_eq!(claims["act"], serde_json::json!({ "for": "crm", "n": 7 }));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 90);
    assert_eq!(id.as_deref(), Some("k1"));
    assert!(another.verify(&token).is_none());
}

fn exchange(world: &World, more: &str) -> String {
    world.write("subject", "canary.subject.x");
    grant(world, "oauth2_token_exchange", &format!("subject: {{ file: {} }}{more}", world.path("subject").display()))
}

#[tokio::test]
async fn a_token_is_exchanged_for_what_the_policy_names() {
    let world = World::new().await;
    let answer = r#"{"access_token":"canary-a","token_type":"Bearer","issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}"#;
    world.issuer.on_token(Behaviour::Answer(200, answer));
    let more = ", audience: crm, scope: [read], resource: \"https://crm.test/\", subject_type: id_token, client_id: keygress";
    let fetched = fetch(&exchange(&world, more)).await.unwrap();
    assert!(is(&fetched, b"canary-a"));
    assert_eq!(fetched.lifetime, Some(Duration::from_secs(300)));
    for (name, value) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", "canary.subject.x"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("audience", "crm"),
        ("scope", "read"),
        ("resource", "https://crm.test/"),
        ("client_id", "keygress"),
    ] {
        assert_eq!(world.issuer.parameter(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(world.issuer.parameter("actor_token"), None);
}

#[tokio::test]
async fn who_acts_is_told_where_the_policy_says_so() {
    let world = World::new().await;
    let key = Key::es256(&world);
    let answer = r#"{"access_token":"canary-a","token_type":"N_A","issued_token_type":"urn:ietf:params:oauth:token-type:jwt"}"#;
    world.issuer.on_token(Behaviour::Answer(200, answer));
    let actor = format!("self_signed_jwt: {{ key: {}, claims: {{ sub: \"{{task}}\" }} }}", key.yaml());
    fetch(&exchange(&world, &format!(", requested_type: jwt, actor: {{ {actor} }}"))).await.unwrap();
    assert_eq!(world.issuer.parameter("actor_token_type").as_deref(), Some("urn:ietf:params:oauth:token-type:jwt"));
    let (claims, _) = key.verify(&world.issuer.parameter("actor_token").unwrap()).unwrap();
    assert_eq!(claims["sub"], "t7");
}

#[tokio::test]
async fn a_token_of_another_kind_than_asked_for_is_refused() {
    let world = World::new().await;
    let other = "the token endpoint gave a token whose `issued_token_type` is not what was asked for";
    let not_bearer = "the token endpoint gave a token whose `token_type` is not `Bearer`";
    for (answer, expected) in [
        (TOKEN, other),
        (r#"{"access_token":"canary","token_type":"Bearer","issued_token_type":"urn:ietf:params:oauth:token-type:refresh_token"}"#, other),
        (r#"{"access_token":"canary","token_type":"N_A","issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}"#, not_bearer),
    ] {
        world.issuer.on_token(Behaviour::Answer(200, answer));
        assert_eq!(fetch(&exchange(&world, "")).await.unwrap_err(), expected);
    }
    for (status, body, expected) in NO_TOKENS {
        world.issuer.on_token(Behaviour::Answer(status, body));
        assert_eq!(fetch(&exchange(&world, "")).await.unwrap_err(), format!("the token endpoint {expected}"));
    }
}

#[tokio::test]
async fn a_client_proves_itself_with_its_private_key() {
    let world = World::new().await;
    let key = Key::of(&world, "RS256");
    world.issuer.on_token(Behaviour::Answer(200, TOKEN));
    let proof = |more: &str| format!("client_id: app, auth: {{ private_key_jwt: {{ key: {}{more} }} }}", key.yaml());
    fetch(&grant(&world, "oauth2_client_credentials", &proof(""))).await.unwrap();
    assert_eq!(world.issuer.parameter("client_assertion_type").as_deref(), Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
    let (first, _) = key.verify(&world.issuer.parameter("client_assertion").unwrap()).unwrap();
    assert_eq!((&first["iss"], &first["sub"]), (&"app".into(), &"app".into()));
    assert_eq!(first["aud"], format!("http://{}/token", world.issuer.address));
    fetch(&grant(&world, "oauth2_client_credentials", &proof(", audience: \"https://issuer.test\""))).await.unwrap();
    let (second, _) = key.verify(&world.issuer.parameter("client_assertion").unwrap()).unwrap();
    assert_eq!(second["aud"], "https://issuer.test");
    assert_ne!(first["jti"], second["jti"], "each proof is used once");
}

#[tokio::test]
async fn a_file_that_holds_no_key_for_the_algorithm_is_named_and_not_shown() {
    let world = World::new().await;
    let key = Key::es256(&world);
    for (content, algorithm) in [("canary", "ES256"), (read(&world, "ES256.pem").as_str(), "RS256")] {
        world.write("key.pem", content);
        let path = world.path("key.pem");
        let proof =
            format!("client_id: app, auth: {{ private_key_jwt: {{ key: {{ file: {}, algorithm: {algorithm} }} }} }}", path.display());
        let expected = format!(
            "the token endpoint was not called: the file `{}` holds no private key for {algorithm}: it must be PKCS#8 in PEM",
            path.display()
        );
        assert_eq!(fetch(&grant(&world, "oauth2_client_credentials", &proof)).await.unwrap_err(), expected);
    }
    assert!(key.path.exists());
    assert_eq!(world.issuer.token_calls(), 0);
}

#[tokio::test]
async fn every_algorithm_signs_what_its_public_key_verifies() {
    let world = World::new().await;
    for algorithm in ["RS256", "PS256", "ES256", "ES384", "EdDSA"] {
        let key = Key::of(&world, algorithm);
        let fetched = fetch(&format!("self_signed_jwt: {{ key: {}, claims: {{ sub: \"{{workload}}\" }} }}", key.yaml())).await.unwrap();
        let Material::Token(token) = &fetched.material else { panic!("a token") };
        let (claims, _) = key.verify(std::str::from_utf8(token.expose()).unwrap()).unwrap();
        assert_eq!(claims["sub"], "agent", "{algorithm}");
        assert_eq!(fetched.lifetime, Some(Duration::from_secs(300)));
        assert!(fetched.handle.is_none());
    }
}

#[test]
fn what_is_wrong_with_a_shape_is_said_when_the_policy_loads() {
    let complaints = |source: &str| -> Vec<String> { source_of(source).complaints().into_iter().map(|(message, _)| message).collect() };
    let url = "token_url: \"https://issuer.test/token\"";
    assert_eq!(complaints(&format!("oauth2_client_credentials: {{ {url}, client_id: app }}")), ["the client has no way to authenticate"]);
    assert_eq!(
        complaints(&format!("oauth2_client_credentials: {{ {url}, client_id: app, auth: client_secret_post }}")),
        ["the client has no `client_secret`"]
    );
    let certificate = "tls_client_auth: { certificate: /run/c.pem, key: /run/k.pem }";
    assert_eq!(
        complaints(&format!(
            "oauth2_client_credentials: {{ {url}, client_id: app, client_secret: {{ file: /run/s }}, auth: {{ {certificate} }} }}"
        )),
        ["the `client_secret` is not used by this way to authenticate"]
    );
    assert_eq!(
        complaints(&format!("oauth2_jwt_bearer: {{ {url}, assertion: {{ file: / }}, client_secret: {{ file: /run/s }} }}")),
        ["the client has no `client_id`", "`/` is not the path of a file"]
    );
    let key = "key: { file: /run/k.pem, algorithm: ES256 }";
    assert_eq!(
        complaints(&format!("self_signed_jwt: {{ {key}, claims: {{ exp: 1, sub: [\"{{user}}\"] }}, lifetime: 25h }}")),
        [
            "the claim `exp` is keygress's own",
            "`{user}` holds a brace that opens no word",
            "`lifetime` is not between 1 second and 24 hours"
        ]
    );
    assert_eq!(
        complaints("github_app: { app: \"\", key_file: /run/k.pem, installation: 1, repositories: [a/b], permissions: {} }"),
        ["`app` is empty", "`permissions` is empty: the token could do all that the App can", "`a/b` is not the name of a repository"]
    );
}
