//! Google Cloud, Azure and Kubernetes: against fakes that follow their published documentation; nothing of theirs runs here.

use keygress_policy::Source as _;
use serde_json::json;

use super::fake::{Fake, Seen};
use super::keys::Key;
use super::tls::Authority;
use super::*;

fn tools() -> Tools {
    Tools::new(Arc::new(rustls::RootCertStore::empty()))
}

async fn fetch(source: &str) -> Result<Fetched, String> {
    let source = source_of(source);
    assert_eq!(source.complaints(), []);
    assert!(!source.is_static() && !source.provider().revokes());
    let result = source.provider().fetch(&tools(), &purpose()).await;
    if let Err(reason) = &result {
        assert!(!reason.contains("canary"), "{reason}");
    }
    result
}

fn is(fetched: &Fetched, token: &str) -> bool {
    matches!(&fetched.material, Material::Token(held) if held.is(token.as_bytes())) && fetched.handle.is_none()
}

fn complaints(source: &str) -> Vec<String> {
    source_of(source).complaints().into_iter().map(|(message, _)| message).collect()
}

fn in_an_hour() -> String {
    (jiff::Timestamp::now() + Duration::from_secs(3600)).to_string()
}

/// A JWT as somebody else would sign it, which lives for ten minutes.
async fn id_token(world: &World) -> String {
    let key = Key::es256(world);
    let fetched = fetch(&format!("self_signed_jwt: {{ key: {}, claims: {{ sub: canary }}, lifetime: 10m }}", key.yaml())).await.unwrap();
    let Material::Token(token) = fetched.material else { panic!("a token") };
    String::from_utf8(token.expose().to_vec()).unwrap()
}

const POOL: &str = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k";
const STS: &str = r#"{"access_token":"canary-federated","token_type":"Bearer","expires_in":3599,"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}"#;

fn gcp(world: &World, fake: &Fake, more: &str) -> String {
    world.write("subject", "canary.pod.jwt");
    let urls = format!("sts_url: \"{}\", iam_url: \"{}\"", fake.url("/v1/token"), fake.url("/"));
    format!("gcp_workload_identity: {{ audience: \"{POOL}\", subject: {{ file: {} }}, {urls}{more} }}", world.path("subject").display())
}

#[tokio::test]
async fn a_pod_s_token_becomes_one_of_google_cloud() {
    let world = World::new().await;
    let fake = Fake::start(|_| (200, STS.to_owned())).await;
    let fetched = fetch(&gcp(&world, &fake, ", scope: [\"https://www.googleapis.com/auth/devstorage.read_only\"]")).await.unwrap();
    assert!(is(&fetched, "canary-federated"));
    assert_eq!(fetched.lifetime, Some(Duration::from_secs(3599)));
    let [asked] = <[Seen; 1]>::try_from(fake.seen()).unwrap();
    for (name, value) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("audience", POOL),
        ("scope", "https://www.googleapis.com/auth/devstorage.read_only"),
        ("subject_token", "canary.pod.jwt"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ] {
        assert_eq!(asked.parameter(name).as_deref(), Some(value), "{name}");
    }
    let other = Fake::start(|_| (200, STS.replace("token-type:access_token", "token-type:jwt"))).await;
    let refused = "the token endpoint gave a token whose `issued_token_type` is not what was asked for";
    assert_eq!(fetch(&gcp(&world, &other, "")).await.unwrap_err(), refused);
}

#[tokio::test]
async fn it_acts_as_a_service_account() {
    let world = World::new().await;
    let identity = id_token(&world).await;
    let given = identity.clone();
    let fake = Fake::start(move |seen| match seen.head.uri.path() {
        "/v1/token" => (200, STS.to_owned()),
        _ if seen.header("authorization") != Some("Bearer canary-federated") => (401, "canary".to_owned()),
        "/v1/projects/-/serviceAccounts/app@p.iam.gserviceaccount.com:generateAccessToken" => {
            assert_eq!(seen.json(), json!({ "scope": ["https://www.googleapis.com/auth/cloud-platform"] }));
            (200, json!({ "accessToken": "canary-account", "expireTime": in_an_hour() }).to_string())
        }
        "/v1/projects/-/serviceAccounts/app@p.iam.gserviceaccount.com:generateIdToken" => {
            assert_eq!(seen.json(), json!({ "audience": "https://run.test", "includeEmail": true }));
            (200, json!({ "token": given }).to_string())
        }
        _ => (403, "canary".to_owned()),
    })
    .await;
    let account = ", service_account: app@p.iam.gserviceaccount.com";
    let fetched = fetch(&gcp(&world, &fake, account)).await.unwrap();
    assert!(is(&fetched, "canary-account"));
    assert!((3590..=3600).contains(&fetched.lifetime.unwrap().as_secs()));
    let fetched = fetch(&gcp(&world, &fake, &format!("{account}, id_token_audience: \"https://run.test\""))).await.unwrap();
    assert!(is(&fetched, &identity));
    assert!((590..=600).contains(&fetched.lifetime.unwrap().as_secs()));
    let refused = fetch(&gcp(&world, &fake, ", service_account: other@p.iam.gserviceaccount.com")).await.unwrap_err();
    assert_eq!(refused, "the IAM credentials API answered 403: the federated identity may not act as this `service_account`");
}

#[tokio::test]
async fn what_the_iam_credentials_api_answers_is_told_in_words_of_ours() {
    let world = World::new().await;
    for (status, body, expected) in [
        (404, "canary", "answered 404: there is no such `service_account`"),
        (500, "canary", "answered 500"),
        (302, "", "answered 302: redirects are not followed"),
        (200, "<html>canary</html>", "answered 200, but not as its API says"),
        (200, r#"{"accessToken":"canary","expireTime":"2001-01-01T00:00:00Z"}"#, "gave a token that has expired already"),
    ] {
        let fake =
            Fake::start(move |seen| if seen.head.uri.path() == "/v1/token" { (200, STS.to_owned()) } else { (status, body.to_owned()) });
        let reason = fetch(&gcp(&world, &fake.await, ", service_account: app@p.iam.gserviceaccount.com")).await.unwrap_err();
        assert_eq!(reason, format!("the IAM credentials API {expected}"));
    }
}

#[tokio::test]
async fn a_machine_s_service_account_is_asked_of_its_metadata_server() {
    let world = World::new().await;
    let identity = id_token(&world).await;
    let given = identity.clone();
    let fake = Fake::start(move |seen| match seen.line().as_str() {
        _ if seen.header("metadata-flavor") != Some("Google") => (403, "canary".to_owned()),
        "GET /computeMetadata/v1/instance/service-accounts/default/token" => {
            (200, r#"{"access_token":"canary-machine","expires_in":3000,"token_type":"Bearer"}"#.to_owned())
        }
        "GET /computeMetadata/v1/instance/service-accounts/default/token?scopes=a%2Cb" => {
            (200, r#"{"access_token":"canary-scoped","expires_in":3000,"token_type":"Bearer"}"#.to_owned())
        }
        "GET /computeMetadata/v1/instance/service-accounts/app@p.test/identity?audience=https%3A%2F%2Frun.test" => {
            (200, format!("{given}\n"))
        }
        _ => (404, "canary".to_owned()),
    })
    .await;
    let source = |more: &str| format!("gcp_metadata: {{ metadata_url: \"{}\"{more} }}", fake.url(""));
    assert!(is(&fetch(&source("")).await.unwrap(), "canary-machine"));
    assert!(is(&fetch(&source(", scope: [a, b]")).await.unwrap(), "canary-scoped"));
    let identified = fetch(&source(", service_account: app@p.test, id_token_audience: \"https://run.test\"")).await.unwrap();
    assert!(is(&identified, &identity));
    assert_eq!(fetch(&source(", service_account: other")).await.unwrap_err(), "the metadata server answered 404");
    let page = Fake::start(|_| (200, "<html>canary</html>".to_owned())).await;
    let source = format!("gcp_metadata: {{ metadata_url: \"{}\", id_token_audience: a }}", page.url(""));
    assert_eq!(fetch(&source).await.unwrap_err(), "the metadata server gave an ID token that is none, or has expired already");
}

#[tokio::test]
async fn a_managed_identity_is_asked_of_its_metadata_service() {
    let fake = Fake::start(|seen| match seen.line().as_str() {
        _ if seen.header("metadata") != Some("true") => (400, "canary".to_owned()),
        "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net&client_id=1-2" => {
            (200, r#"{"access_token":"canary-machine","expires_in":"3599","token_type":"Bearer","resource":"x"}"#.to_owned())
        }
        _ => (400, r#"{"error":"invalid_request","error_description":"canary"}"#.to_owned()),
    })
    .await;
    let source = |more: &str| {
        format!("azure_managed_identity: {{ metadata_url: \"{}\", resource: \"https://vault.azure.net\"{more} }}", fake.url(""))
    };
    let fetched = fetch(&source(", client_id: 1-2")).await.unwrap();
    assert!(is(&fetched, "canary-machine"));
    assert_eq!(fetched.lifetime, Some(Duration::from_secs(3599)));
    assert_eq!(fetch(&source("")).await.unwrap_err(), "the metadata service answered 400 with `invalid_request`");
}

#[tokio::test]
async fn an_azure_application_is_vouched_for_by_the_workload_s_own_token() {
    let world = World::new().await;
    world.write("federated", "canary.pod.jwt");
    let fake = Fake::start(|_| (200, r#"{"access_token":"canary","token_type":"Bearer","expires_in":3599}"#.to_owned())).await;
    let auth = format!("client_id: app, auth: {{ client_assertion: {{ file: {} }} }}", world.path("federated").display());
    let scope = "scope: [\"https://vault.azure.net/.default\"]";
    let source =
        source_of(&format!("oauth2_client_credentials: {{ token_url: \"{}\", {auth}, {scope} }}", fake.url("/t/oauth2/v2.0/token")));
    assert_eq!(source.complaints(), []);
    source.provider().fetch(&tools(), &purpose()).await.unwrap();
    let [asked] = <[Seen; 1]>::try_from(fake.seen()).unwrap();
    for (name, value) in [
        ("client_id", "app"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", "canary.pod.jwt"),
        ("scope", "https://vault.azure.net/.default"),
    ] {
        assert_eq!(asked.parameter(name).as_deref(), Some(value), "{name}");
    }
}

fn kubernetes(world: &World, url: &str, more: &str) -> String {
    let (token, authorities) = (world.path("own-token"), world.path("ca.crt"));
    let files = format!("token_file: {}, ca_file: {}", token.display(), authorities.display());
    format!("kubernetes_token: {{ namespace: shop, service_account: checkout, audience: orders, api_url: \"{url}\", {files}{more} }}")
}

#[tokio::test]
async fn a_service_account_s_token_is_asked_of_the_api_server() {
    let world = World::new().await;
    world.write("own-token", "canary-own");
    world.write("ca.crt", &Authority::new().pem());
    let fake =
        Fake::start(|_| (201, json!({ "status": { "token": "canary-pod", "expirationTimestamp": in_an_hour() } }).to_string())).await;
    let fetched = fetch(&kubernetes(&world, &fake.url(""), ", lifetime: 1h")).await.unwrap();
    assert!(is(&fetched, "canary-pod"));
    assert!((3590..=3600).contains(&fetched.lifetime.unwrap().as_secs()));
    let [asked] = <[Seen; 1]>::try_from(fake.seen()).unwrap();
    assert_eq!(asked.line(), "POST /api/v1/namespaces/shop/serviceaccounts/checkout/token");
    assert_eq!(asked.header("authorization"), Some("Bearer canary-own"));
    let spec = json!({ "audiences": ["orders"], "expirationSeconds": 3600 });
    assert_eq!(asked.json(), json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec }));
    for (status, body, expected) in [
        (401, "canary", "answered 401: it does not know the token in `token_file`"),
        (403, "canary", "answered 403: keygress needs the verb `create` on `serviceaccounts/token` for this account"),
        (404, "canary", "answered 404: there is no such service account"),
        (500, "canary", "answered 500"),
        (302, "", "answered 302: redirects are not followed"),
        (201, "<html>canary</html>", "answered 201, but not as its API says"),
        (201, r#"{"status":{"token":"canary","expirationTimestamp":"2001-01-01T00:00:00Z"}}"#, "gave a token that has expired already"),
    ] {
        let fake = Fake::start(move |_| (status, body.to_owned())).await;
        assert_eq!(fetch(&kubernetes(&world, &fake.url(""), "")).await.unwrap_err(), format!("the API server {expected}"));
    }
}

#[tokio::test]
async fn the_api_server_is_verified_by_the_cluster_s_authority_alone() {
    const ANSWER: &[u8] = b"HTTP/1.1 201 Created\r\ncontent-length: 78\r\n\r\n{\"status\":{\"token\":\"canary-pod\",\"expirationTimestamp\":\"2999-01-01T00:00:00Z\"}}";
    let world = World::new().await;
    let authority = Authority::new();
    world.write("own-token", "canary-own");
    world.write("ca.crt", &authority.pem());
    let port = authority.serve("127.0.0.1", 4000, ANSWER).await;
    assert!(is(&fetch(&kubernetes(&world, &format!("https://127.0.0.1:{port}"), "")).await.unwrap(), "canary-pod"));
    world.write("ca.crt", &Authority::new().pem());
    let port = authority.serve("127.0.0.1", 4000, ANSWER).await;
    let reason = fetch(&kubernetes(&world, &format!("https://127.0.0.1:{port}"), "")).await.unwrap_err();
    assert_eq!(reason, "the API server has a certificate from an authority that is not trusted");
}

#[test]
fn what_is_wrong_with_a_shape_is_said_when_the_policy_loads() {
    let gcp = |more: &str| complaints(&format!("gcp_workload_identity: {{ subject: {{ file: /run/t }}, {more} }}"));
    assert_eq!(gcp("audience: pool"), ["`pool` is no provider of a workload identity pool"]);
    assert_eq!(gcp(&format!("audience: \"{POOL}\", service_account: \"a/b@c.d\"")), ["`service_account` is no e-mail address"]);
    assert_eq!(gcp(&format!("audience: \"{POOL}\", id_token_audience: a")), ["an ID token is one of a service account"]);
    assert_eq!(
        complaints("gcp_metadata: { service_account: a/b, metadata_url: \"http://10.0.0.1\" }"),
        ["`http://10.0.0.1` is not the address of a metadata server", "`a/b` is no service account"]
    );
    assert_eq!(complaints("azure_managed_identity: { resource: \"\" }"), ["`resource` is empty"]);
    assert_eq!(
        complaints("kubernetes_token: { namespace: a/b, service_account: Checkout, audience: \"\", lifetime: 1m }"),
        [
            "`a/b` is no name in Kubernetes",
            "`Checkout` is no name in Kubernetes",
            "`audience` is empty: the token would open the API server itself",
            "`lifetime` is not between 10 minutes and 24 hours"
        ]
    );
}
