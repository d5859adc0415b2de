//! `gcp_service_account` against a fake of Google's token endpoint that verifies what was signed.

use keygress_policy::Source as _;
use serde_json::json;

use super::fake::Fake;
use super::keys::Key;
use super::*;

const EMAIL: &str = "app@acme.iam.gserviceaccount.com";

async fn fetch(source: &str) -> Result<Fetched, String> {
    let source = source_of(source);
    assert_eq!(source.complaints(), []);
    assert!(!source.is_static() && !source.provider().revokes());
    let tools = Tools::new(Arc::new(rustls::RootCertStore::empty()));
    source.provider().fetch(&tools, &purpose()).await
}

fn token_of(fetched: &Fetched) -> String {
    let Material::Token(token) = &fetched.material else { panic!("a token") };
    String::from_utf8(token.expose().to_vec()).unwrap()
}

fn key_file(world: &World, key: &Key) -> String {
    let pem = std::fs::read_to_string(&key.path).unwrap();
    let file = json!({ "type": "service_account", "client_email": EMAIL, "private_key": pem, "private_key_id": "k7", "token_uri": "https://evil.test" });
    world.write("account.json", &file.to_string());
    world.path("account.json").display().to_string()
}

#[tokio::test]
async fn a_service_account_signs_for_one_api_by_itself() {
    let world = World::new().await;
    let key = Key::of(&world, "RS256");
    let file = key_file(&world, &key);
    let api = "https://pubsub.googleapis.com/";
    let fetched = fetch(&format!("gcp_service_account: {{ key_file: {file}, token: {{ self_signed: \"{api}\" }} }}")).await.unwrap();
    assert_eq!(fetched.lifetime, Some(Duration::from_secs(3600)));
    let (claims, id) = key.verify(&token_of(&fetched)).unwrap();
    assert_eq!(id.as_deref(), Some("k7"));
    assert_eq!([&claims["iss"], &claims["sub"], &claims["aud"]], [EMAIL, EMAIL, api]);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
}

#[tokio::test]
async fn its_assertion_is_exchanged_at_the_policy_s_endpoint_alone() {
    let world = World::new().await;
    let key = Key::of(&world, "RS256");
    let file = key_file(&world, &key);
    let identity = Key::es256(&world);
    let signed = format!("self_signed_jwt: {{ key: {}, claims: {{ sub: app }}, lifetime: 10m }}", identity.yaml());
    let identity = token_of(&fetch(&signed).await.unwrap());
    let given = identity.clone();
    let verifier = Key::of(&World::new().await, "RS256");
    let (signer, stranger) = (key, verifier);
    let fake = Fake::start(move |seen| {
        assert_eq!(seen.parameter("grant_type").as_deref(), Some("urn:ietf:params:oauth:grant-type:jwt-bearer"));
        let assertion = seen.parameter("assertion").unwrap();
        assert!(stranger.verify(&assertion).is_none());
        let (claims, _) = signer.verify(&assertion).unwrap();
        assert_eq!(claims["iss"], EMAIL);
        assert!(claims["aud"].as_str().unwrap().starts_with("http://127.0.0.1:"), "the endpoint that the policy names");
        match (claims["scope"].as_str(), claims["target_audience"].as_str()) {
            (Some("a b"), None) => (200, r#"{"access_token":"canary-access","token_type":"Bearer","expires_in":3599}"#.to_owned()),
            (None, Some("https://run.test")) => (200, json!({ "id_token": given }).to_string()),
            (None, Some("page")) => (200, "<html>canary</html>".to_owned()),
            (None, Some("none")) => (200, r#"{"id_token":"canary"}"#.to_owned()),
            _ => (400, r#"{"error":"invalid_scope","error_description":"canary"}"#.to_owned()),
        }
    })
    .await;
    let source =
        |token: &str| format!("gcp_service_account: {{ key_file: {file}, token: {{ {token} }}, token_url: \"{}\" }}", fake.url("/token"));
    let access = fetch(&source("scope: [a, b]")).await.unwrap();
    assert_eq!((token_of(&access).as_str(), access.lifetime), ("canary-access", Some(Duration::from_secs(3599))));
    assert!(access.handle.is_none());
    let identified = fetch(&source("id_token_audience: \"https://run.test\"")).await.unwrap();
    assert_eq!(token_of(&identified), identity);
    assert!((590..=600).contains(&identified.lifetime.unwrap().as_secs()));
    for (token, expected) in [
        ("scope: [c]", "answered 400 with `invalid_scope`"),
        ("id_token_audience: page", "answered 200 without `id_token`"),
        ("id_token_audience: none", "gave an ID token that is none, or has expired already"),
    ] {
        assert_eq!(fetch(&source(token)).await.unwrap_err(), format!("the token endpoint {expected}"));
    }
}

#[tokio::test]
async fn a_file_that_is_no_key_file_is_told_without_what_it_holds() {
    let world = World::new().await;
    let path = world.path("account.json").display().to_string();
    let source = format!("gcp_service_account: {{ key_file: {path}, token: {{ self_signed: a }} }}");
    for (content, expected) in [
        ("canary", "is no key file of a service account"),
        ("{\"client_email\":\"a\",\"private_key\":\"canary\"}", "holds no private key for RS256"),
    ] {
        world.write("account.json", content);
        assert_eq!(fetch(&source).await.unwrap_err(), format!("the file `{path}` {expected}"));
    }
    let complaints = source_of("gcp_service_account: { key_file: /run/k, token: { scope: [] } }").complaints();
    assert_eq!(complaints[0].0, "`token` does not say what the token is for");
}
