//! Stores of the clouds and of Kubernetes: fakes that follow their published documentation, for what the real ones would seldom answer.
//! Secrets Manager and Parameter Store run against moto, with its checks of signatures, in `tests/tests/e2e/aws.rs`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keygress_policy::Source as _;
use serde_json::json;

use super::fake::{Fake, Seen};
use super::tls::Authority;
use super::*;

fn tools() -> Tools {
    Tools::new(Arc::new(rustls::RootCertStore::empty()))
}

async fn fetch(source: &str) -> Result<Fetched, String> {
    let source = source_of(source);
    assert_eq!(source.complaints(), []);
    assert!(source.is_static() && !source.provider().revokes());
    let result = source.provider().fetch(&tools(), &purpose()).await;
    if let Err(reason) = &result {
        assert!(!reason.contains("canary"), "{reason}");
    }
    result
}

fn is(fetched: &Fetched, token: &str) -> bool {
    matches!(&fetched.material, Material::Token(held) if held.is(token.as_bytes())) && fetched.handle.is_none()
}

fn is_pair(fetched: &Fetched, (name, word): (&str, &str)) -> bool {
    matches!(&fetched.material, Material::UserPassword { user, password } if user == name && password.is(word.as_bytes()))
}

fn complaints(source: &str) -> Vec<String> {
    source_of(source).complaints().into_iter().map(|(message, _)| message).collect()
}

/// The identity of the machine, which is lent for the call.
fn machine(fake: &Fake) -> String {
    format!("from: {{ gcp_metadata: {{ metadata_url: \"{}\" }} }}", fake.url(""))
}

const LENT: &str = r#"{"access_token":"canary-lent","token_type":"Bearer","expires_in":3599}"#;

fn is_metadata(seen: &Seen) -> bool {
    seen.head.uri.path().starts_with("/computeMetadata/")
}

#[tokio::test]
async fn secret_manager_is_read_with_the_token_of_another_provider() {
    let fake = Fake::start(|seen| match seen.line().as_str() {
        _ if is_metadata(seen) => (200, LENT.to_owned()),
        _ if seen.header("authorization") != Some("Bearer canary-lent") => (401, "canary".to_owned()),
        "GET /v1/projects/acme/secrets/maps/versions/latest:access" => (
            200,
            json!({ "name": "projects/1/secrets/maps/versions/3", "payload": { "data": BASE64_STANDARD.encode("canary-key\n") } })
                .to_string(),
        ),
        "GET /v1/projects/acme/locations/europe-west3/secrets/db/versions/3:access" => {
            let data = json!({ "user": "app", "word": "canary-word" }).to_string();
            (200, json!({ "payload": { "data": BASE64_STANDARD.encode(data) } }).to_string())
        }
        "GET /v1/projects/acme/secrets/page/versions/latest:access" => (200, "<html>canary</html>".to_owned()),
        "GET /v1/projects/acme/secrets/bent/versions/latest:access" => (200, json!({ "payload": { "data": "canary!" } }).to_string()),
        "GET /v1/projects/acme/secrets/moved/versions/latest:access" => (302, String::new()),
        "GET /v1/projects/acme/secrets/closed/versions/latest:access" => (403, "canary".to_owned()),
        _ => (404, "canary".to_owned()),
    })
    .await;
    let source = |rest: &str| format!("gcp_secret_manager: {{ {}, api_url: \"{}\", {rest} }}", machine(&fake), fake.url(""));
    let fetched = fetch(&source("secret: projects/acme/secrets/maps, max_age: 15m")).await.unwrap();
    assert!(is(&fetched, "canary-key"));
    assert_eq!(fetched.lifetime, Some(Duration::from_secs(900)));
    let regional = source("secret: projects/acme/locations/europe-west3/secrets/db, version: \"3\", field: word, user_field: user");
    assert!(is_pair(&fetch(&regional).await.unwrap(), ("app", "canary-word")));
    for (name, expected) in [
        ("page", "answered 200, but not as its API says"),
        ("bent", "answered 200, but not as its API says"),
        ("moved", "answered 302: redirects are not followed"),
        ("closed", "answered 403: keygress needs `secretmanager.versions.access` on this secret"),
        ("other", "answered 404: there is no such secret or version"),
    ] {
        let reason = fetch(&source(&format!("secret: projects/acme/secrets/{name}"))).await.unwrap_err();
        assert_eq!(reason, format!("Secret Manager {expected}"));
    }
}

#[tokio::test]
async fn a_key_vault_says_itself_when_a_secret_ends() {
    let fake = Fake::start(|seen| match seen.line().as_str() {
        _ if is_metadata(seen) => (200, LENT.to_owned()),
        _ if seen.header("authorization") != Some("Bearer canary-lent") => (401, "canary".to_owned()),
        "GET /secrets/maps?api-version=7.4" => (200, json!({ "value": "canary-key", "attributes": { "enabled": true } }).to_string()),
        "GET /secrets/maps/0a1b?api-version=7.4" => {
            let end = jiff::Timestamp::now().as_second() + 120;
            (200, json!({ "value": "canary-old", "attributes": { "enabled": true, "exp": end } }).to_string())
        }
        "GET /secrets/ended?api-version=7.4" => (200, json!({ "value": "canary", "attributes": { "exp": 1_000_000_000 } }).to_string()),
        "GET /secrets/closed?api-version=7.4" => (403, "canary".to_owned()),
        "GET /secrets/page?api-version=7.4" => (200, "<html>canary</html>".to_owned()),
        _ => (404, "canary".to_owned()),
    })
    .await;
    let source = |rest: &str| format!("azure_key_vault: {{ {}, vault_url: \"{}\", {rest} }}", machine(&fake), fake.url(""));
    let fetched = fetch(&source("secret: maps")).await.unwrap();
    assert!(is(&fetched, "canary-key"));
    assert_eq!(fetched.lifetime, Some(Duration::from_secs(3600)));
    let ending = fetch(&source("secret: maps, version: 0a1b")).await.unwrap();
    assert!(is(&ending, "canary-old") && (100..=120).contains(&ending.lifetime.unwrap().as_secs()));
    for (name, expected) in [
        ("ended", "holds a secret that has expired"),
        ("closed", "answered 403: keygress needs to `get` this secret, which must be enabled"),
        ("page", "answered 200, but not as its API says"),
        ("other", "answered 404: there is no such secret or version"),
    ] {
        assert_eq!(fetch(&source(&format!("secret: {name}"))).await.unwrap_err(), format!("the key vault {expected}"));
    }
}

#[tokio::test]
async fn what_was_lent_for_a_call_is_given_back() {
    let world = World::new().await;
    let vault = Fake::start(|seen| match seen.header("authorization") {
        Some(token) if token.starts_with("Bearer canary-token-") => (200, json!({ "value": "canary-key" }).to_string()),
        _ => (401, "canary".to_owned()),
    })
    .await;
    let lender = world.oauth(&format!(", revocation_url: \"http://{}/revoke\"", world.issuer.address));
    let source = format!("azure_key_vault: {{ from: {{ {lender} }}, vault_url: \"{}\", secret: maps }}", vault.url(""));
    assert!(!source_of(&source).provider().may_be_dropped(), "the lent token would live on");
    assert!(is(&fetch(&source).await.unwrap(), "canary-key"));
    assert_eq!((world.issuer.token_calls(), world.issuer.revocation_calls()), (1, 1));
}

#[tokio::test]
async fn a_kubernetes_secret_is_read_field_by_field() {
    let world = World::new().await;
    world.write("own-token", "canary-own");
    world.write("ca.crt", &Authority::new().pem());
    let source = |fake: &Fake, rest: &str| {
        let (token, authorities) = (world.path("own-token"), world.path("ca.crt"));
        let api = format!("api_url: \"{}\", token_file: {}, ca_file: {}", fake.url(""), token.display(), authorities.display());
        format!("kubernetes_secret: {{ namespace: shop, name: db, {api}, {rest} }}")
    };
    let fake = Fake::start(|_| {
        let data =
            [("user", "app"), ("word", "canary-word\n"), ("lines", "a\nb")].map(|(name, value)| (name, BASE64_STANDARD.encode(value)));
        let data: std::collections::BTreeMap<_, _> = data.into_iter().chain([("bent", "canary!".to_owned())]).collect();
        (200, json!({ "apiVersion": "v1", "kind": "Secret", "data": data, "type": "Opaque" }).to_string())
    })
    .await;
    assert!(is(&fetch(&source(&fake, "field: word")).await.unwrap(), "canary-word"));
    assert!(is_pair(&fetch(&source(&fake, "field: word, user_field: user")).await.unwrap(), ("app", "canary-word")));
    assert_eq!(fake.lines(), ["GET /api/v1/namespaces/shop/secrets/db"; 2]);
    assert_eq!(fake.seen()[0].header("authorization"), Some("Bearer canary-own"));
    for (field, expected) in [
        ("other", "holds no field `other` in the secret"),
        ("bent", "holds no base64 in the field `bent`"),
        ("lines", "holds a field `lines` that holds a line break: it must hold the secret alone, on one line"),
    ] {
        let reason = fetch(&source(&fake, &format!("field: {field}"))).await.unwrap_err();
        assert_eq!(reason, format!("the API server {expected}"));
    }
    for (status, body, expected) in [
        (401, "canary", "answered 401: it does not know the token in `token_file`"),
        (403, "canary", "answered 403: keygress needs the verb `get` on this Secret"),
        (404, "canary", "answered 404: there is no such Secret"),
        (500, "canary", "answered 500"),
        (200, "<html>canary</html>", "answered 200, but not as its API says"),
        (200, "{}", "holds no field `word` in the secret"),
    ] {
        let fake = Fake::start(move |_| (status, body.to_owned())).await;
        assert_eq!(fetch(&source(&fake, "field: word")).await.unwrap_err(), format!("the API server {expected}"));
    }
}

#[tokio::test]
async fn what_the_stores_of_aws_answer_is_told_in_words_of_ours() {
    let world = World::new().await;
    world.write("key", "canary-secret-access-key");
    let keys = format!("from: {{ file: {{ path: {}, access_key_id: AKIA1 }} }}, region: eu-west-1", world.path("key").display());
    for (status, body, expected) in [
        (400, r#"{"__type":"com.amazonaws.secretsmanager#ResourceNotFoundException"}"#, "answered 400 with `ResourceNotFoundException`"),
        (400, r#"{"__type":"ParameterNotFound","message":"canary"}"#, "answered 400 with `ParameterNotFound`"),
        (400, r#"{"__type":"canary"}"#, "answered 400"),
        (302, "", "answered 302: redirects are not followed"),
        (200, "<html>canary</html>", "answered 200, but not as its API says"),
        (200, "{}", "answered 200, but not as its API says"),
    ] {
        let fake = Fake::start(move |_| (status, body.to_owned())).await;
        let manager = format!("aws_secrets_manager: {{ {keys}, endpoint: \"{}\", secret: maps }}", fake.url("/"));
        assert_eq!(fetch(&manager).await.unwrap_err(), format!("AWS Secrets Manager {expected}"));
        let store = format!("aws_parameter_store: {{ {keys}, endpoint: \"{}\", parameter: /maps }}", fake.url("/"));
        assert_eq!(fetch(&store).await.unwrap_err(), format!("AWS Parameter Store {expected}"));
    }
    let fake = Fake::start(|_| (200, json!({ "SecretBinary": BASE64_STANDARD.encode("canary-key") }).to_string())).await;
    let binary = format!("aws_secrets_manager: {{ {keys}, endpoint: \"{}\", secret: maps, version: v1, stage: S }}", fake.url("/"));
    assert!(is(&fetch(&binary).await.unwrap(), "canary-key"));
    let [asked] = <[Seen; 1]>::try_from(fake.seen()).unwrap();
    assert_eq!(asked.json(), json!({ "SecretId": "maps", "VersionId": "v1", "VersionStage": "S" }));
    assert_eq!(asked.header("x-amz-target"), Some("secretsmanager.GetSecretValue"));
    assert!(asked.header("authorization").unwrap().contains("/eu-west-1/secretsmanager/aws4_request"));
}

#[test]
fn what_is_wrong_with_a_store_is_said_when_the_policy_loads() {
    let file = "from: { file: /run/key }";
    assert_eq!(
        complaints(&format!("aws_secrets_manager: {{ {file}, secret: \"\", region: EU, max_age: 1s, user_field: a }}")),
        [
            "`from` of `aws_secrets_manager` needs AWS keys, but `file` yields a token",
            "`EU` is not a name for `regions`",
            "`user_field` stands there without `field`",
            "`max_age` is below one minute",
            "`secret` is empty",
        ]
    );
    assert_eq!(
        complaints(&format!("aws_parameter_store: {{ {file}, parameter: \"\", region: eu-west-1, field: \"\" }}")),
        ["`from` of `aws_parameter_store` needs AWS keys, but `file` yields a token", "a field has no name", "`parameter` is empty"]
    );
    let keys = "from: { aws_instance: {} }";
    assert_eq!(
        complaints(&format!("gcp_secret_manager: {{ {keys}, secret: projects/../secrets/a, version: a/b }}")),
        [
            "`from` of `gcp_secret_manager` needs a token, but `aws_instance` yields AWS keys",
            "`projects/../secrets/a` is no secret of Google Cloud",
            "`a/b` is no version of a secret",
        ]
    );
    assert_eq!(
        complaints(&format!("azure_key_vault: {{ {keys}, vault_url: \"http://v.test\", secret: a/b, version: \"?\" }}")),
        [
            "`from` of `azure_key_vault` needs a token, but `aws_instance` yields AWS keys",
            "`http://v.test` is not `https`: a secret goes there, so only loopback may be plain `http`",
            "`a/b` is no name in a key vault",
            "`?` is no name in a key vault",
        ]
    );
    assert_eq!(complaints("kubernetes_secret: { namespace: a/b, name: db, field: x }"), ["`a/b` is no name in Kubernetes"]);
}
