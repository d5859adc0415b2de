//! AWS keys of the machine: fakes that follow the documentation of ECS, EKS Pod Identity and EC2; none of them runs here.

use keygress_policy::Source as _;
use serde_json::json;

use super::fake::Fake;
use super::*;

async fn fetch(source: &str) -> Result<Fetched, String> {
    let source = source_of(source);
    assert_eq!(source.complaints(), []);
    assert!(!source.is_static() && !source.provider().revokes());
    let tools = Tools::new(Arc::new(rustls::RootCertStore::empty()));
    let result = source.provider().fetch(&tools, &purpose()).await;
    if let Err(reason) = &result {
        assert!(!reason.contains("canary"), "{reason}");
    }
    result
}

fn in_an_hour() -> String {
    (jiff::Timestamp::now() + Duration::from_secs(3600)).to_string()
}

fn keys() -> String {
    json!({ "AccessKeyId": "ASIA1", "SecretAccessKey": "canary-key", "Token": "canary-session", "Expiration": in_an_hour(), "Code": "Success" })
        .to_string()
}

fn are_keys(fetched: &Fetched) -> bool {
    let Material::AwsKeys { access_key_id, secret_access_key, session_token } = &fetched.material else { return false };
    let session = session_token.as_ref().is_some_and(|token| token.is(b"canary-session"));
    let lives = (3590..=3600).contains(&fetched.lifetime.unwrap().as_secs());
    access_key_id == "ASIA1" && secret_access_key.is(b"canary-key") && session && lives
}

#[tokio::test]
async fn a_container_shows_its_token_and_gets_the_keys_of_its_role() {
    let world = World::new().await;
    world.write("pod-identity", "canary.pod.jwt");
    let fake = Fake::start(|seen| match (seen.line().as_str(), seen.header("authorization")) {
        ("GET /v1/credentials", Some("canary.pod.jwt")) | ("GET /open", None) => (200, keys()),
        ("GET /page", _) => (200, "<html>canary</html>".to_owned()),
        ("GET /ended", _) => {
            (200, json!({ "AccessKeyId": "A", "SecretAccessKey": "canary", "Expiration": "2001-01-01T00:00:00Z" }).to_string())
        }
        ("GET /moved", _) => (302, String::new()),
        _ => (403, "canary".to_owned()),
    })
    .await;
    let token = world.path("pod-identity");
    let with_token = format!("aws_container: {{ url: \"{}\", token_file: {} }}", fake.url("/v1/credentials"), token.display());
    assert!(are_keys(&fetch(&with_token).await.unwrap()));
    let source = |path: &str| format!("aws_container: {{ url: \"{}\" }}", fake.url(path));
    assert!(are_keys(&fetch(&source("/open")).await.unwrap()));
    for (path, expected) in [
        ("/v1/credentials", "answered 403"),
        ("/moved", "answered 302: redirects are not followed"),
        ("/page", "gave something other than one JSON object with the keys of AWS"),
        ("/ended", "gave keys that have expired already"),
    ] {
        assert_eq!(fetch(&source(path)).await.unwrap_err(), format!("the container endpoint {expected}"));
    }
}

/// The metadata service of an instance: version 2 alone, which wants a session.
fn service(role: &'static str) -> impl std::future::Future<Output = Fake> {
    Fake::start(move |seen| match (seen.line().as_str(), seen.header("x-aws-ec2-metadata-token")) {
        ("PUT /latest/api/token", None) => match seen.header("x-aws-ec2-metadata-token-ttl-seconds") {
            Some("60") => (200, "canary-metadata-session".to_owned()),
            _ => (400, "canary".to_owned()),
        },
        (_, None) => (401, "canary".to_owned()),
        ("GET /latest/meta-data/iam/security-credentials/", Some("canary-metadata-session")) if role.is_empty() => {
            (404, "canary".to_owned())
        }
        ("GET /latest/meta-data/iam/security-credentials/", Some("canary-metadata-session")) => (200, role.to_owned()),
        ("GET /latest/meta-data/iam/security-credentials/app", Some("canary-metadata-session")) => (200, keys()),
        _ => (404, "canary".to_owned()),
    })
}

#[tokio::test]
async fn an_instance_gives_the_keys_of_its_role_within_a_session() {
    let fake = service("app\n").await;
    assert!(are_keys(&fetch(&format!("aws_instance: {{ metadata_url: \"{}\" }}", fake.url(""))).await.unwrap()));
    let roles = "GET /latest/meta-data/iam/security-credentials/";
    assert_eq!(fake.lines(), ["PUT /latest/api/token", roles, &format!("{roles}app")]);
    let named = format!("aws_instance: {{ metadata_url: \"{}\", role: app }}", fake.url(""));
    assert!(are_keys(&fetch(&named).await.unwrap()));
    assert_eq!(fake.lines().len(), 5, "the name is not asked for");
    let other = format!("aws_instance: {{ metadata_url: \"{}\", role: other }}", fake.url(""));
    assert_eq!(fetch(&other).await.unwrap_err(), "the metadata service answered 404: the instance has no such role");
}

#[tokio::test]
async fn what_a_metadata_service_answers_never_becomes_a_path() {
    for (role, expected) in [
        ("", "the metadata service answered 404: the instance has no such role"),
        ("../../user-data", "the metadata service names no role"),
        ("<html>canary</html>", "the metadata service names no role"),
    ] {
        let fake = service(role).await;
        let source = format!("aws_instance: {{ metadata_url: \"{}\" }}", fake.url(""));
        assert_eq!(fetch(&source).await.unwrap_err(), expected);
        assert_eq!(fake.lines().len(), 2);
    }
    let closed = Fake::start(|_| (403, "canary".to_owned())).await;
    let source = format!("aws_instance: {{ metadata_url: \"{}\" }}", closed.url(""));
    assert_eq!(fetch(&source).await.unwrap_err(), "the metadata service answered 403 when asked for a session");
}

#[test]
fn another_address_than_that_of_a_machine_is_a_complaint() {
    for source in ["aws_container: { url: \"http://10.0.0.1/x\" }", "aws_instance: { metadata_url: \"https://issuer.test\" }"] {
        let complaints = source_of(source).complaints();
        assert!(complaints[0].0.ends_with("is not the address of a metadata server"), "{complaints:?}");
    }
    assert_eq!(source_of("aws_instance: { role: a/b }").complaints()[0].0, "`a/b` is not the name of a role");
}
