//! Against a fake that follows GitHub's published REST documentation for App installations; nothing of GitHub itself runs here.

use serde_json::json;

use super::fake::Fake;
use super::keys::Key;
use super::*;

fn source(world: &World, api: &str) -> String {
    let key = world.path("RS256.pem");
    format!(
        "github_app: {{ app: Iv1.app, key_file: {}, installation: 7, repositories: [site], permissions: {{ contents: read }}, api_url: \"{api}\" }}",
        key.display()
    )
}

async fn fetch(source: &str) -> Result<Fetched, String> {
    let result = source_of(source).provider().fetch(&tools(), &purpose()).await;
    if let Err(reason) = &result {
        assert!(!reason.contains("canary"), "{reason}");
    }
    result
}

fn tools() -> Tools {
    Tools::new(Arc::new(rustls::RootCertStore::empty()))
}

fn in_an_hour() -> String {
    (jiff::Timestamp::now() + Duration::from_secs(3600)).to_string()
}

#[tokio::test]
async fn a_token_is_asked_for_the_named_repositories_and_permissions_and_revoked() {
    let world = World::new().await;
    let key = Key::of(&world, "RS256");
    let github = Fake::start(|seen| match seen.line().as_str() {
        "POST /api/v3/app/installations/7/access_tokens" => (201, json!({ "token": "canary-ghs", "expires_at": in_an_hour() }).to_string()),
        "DELETE /api/v3/installation/token" => (204, String::new()),
        line => panic!("nobody may ask for {line}"),
    })
    .await;
    let source = source(&world, &github.url("/api/v3/"));
    let fetched = fetch(&source).await.unwrap();
    assert!(matches!(&fetched.material, Material::Token(token) if token.is(b"canary-ghs")));
    let lifetime = fetched.lifetime.unwrap();
    assert!((3595..=3600).contains(&lifetime.as_secs()), "{lifetime:?}");
    source_of(&source).provider().revoke(&tools(), fetched.handle.as_ref().unwrap()).await.unwrap();

    let lines = ["POST /api/v3/app/installations/7/access_tokens", "DELETE /api/v3/installation/token"];
    assert_eq!(github.lines(), lines);
    let [asked, revoked] = <[_; 2]>::try_from(github.seen()).unwrap();
    assert_eq!(asked.json(), json!({ "repositories": ["site"], "permissions": { "contents": "read" } }));
    assert_eq!(asked.header("accept"), Some("application/vnd.github+json"));
    assert_eq!(asked.header("x-github-api-version"), Some("2022-11-28"));
    let (claims, _) = key.verify(asked.header("authorization").unwrap().strip_prefix("Bearer ").unwrap()).unwrap();
    assert_eq!(claims["iss"], "Iv1.app");
    assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 600, "GitHub takes no longer proof");
    assert_eq!(revoked.header("authorization"), Some("Bearer canary-ghs"));
}

#[tokio::test]
async fn what_github_refuses_is_told_in_words_of_ours() {
    let world = World::new().await;
    let _key = Key::of(&world, "RS256");
    for (status, body, expected) in [
        (401, r#"{"message":"canary"}"#, "answered 401: `app` and `key_file` do not belong together"),
        (404, r#"{"message":"canary"}"#, "answered 404: the App has no such `installation`"),
        (422, r#"{"message":"canary"}"#, "answered 422: the installation has not all these `repositories` and `permissions`"),
        (500, "canary", "answered 500"),
        (302, "", "answered 302: redirects are not followed"),
        (200, r#"{"token":"canary","expires_at":"2999-01-01T00:00:00Z"}"#, "answered 200"),
        (201, "<html>canary</html>", "answered 201, but not as its REST API says"),
        (201, r#"{"token":"canary"}"#, "answered 201, but not as its REST API says"),
        (201, r#"{"token":"can\nary","expires_at":"2999-01-01T00:00:00Z"}"#, "gave a `token` that is no token"),
        (201, r#"{"token":"canary","expires_at":"2001-01-01T00:00:00Z"}"#, "gave a token that has expired already"),
    ] {
        let github = Fake::start(move |_| (status, body.to_owned())).await;
        assert_eq!(fetch(&source(&world, &github.url(""))).await.unwrap_err(), format!("GitHub {expected}"));
    }
}

#[tokio::test]
async fn a_revocation_that_failed_is_told_and_a_token_that_is_dead_already_is_none() {
    let world = World::new().await;
    for (status, expected) in [(500, Err("GitHub answered 500 when the token was to be revoked".to_owned())), (401, Ok(()))] {
        let github = Fake::start(move |_| (status, "canary".to_owned())).await;
        let source = source_of(&source(&world, &github.url("")));
        assert_eq!(source.provider().revoke(&tools(), &Secret::new(b"canary-ghs".to_vec())).await, expected);
    }
}
