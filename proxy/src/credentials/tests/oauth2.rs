use keygress_policy::Source as _;

use super::issuer::Behaviour;
use super::*;

async fn fetch(world: &World, source: &str) -> Result<Fetched, String> {
    let tools = Tools::new(Arc::new(rustls::RootCertStore::empty()));
    let result = source_of(source).provider().fetch(&tools, &purpose()).await;
    if let Err(reason) = &result {
        assert!(!reason.contains("canary") && !reason.contains(&world.issuer.address.to_string()), "{reason}");
    }
    result
}

async fn reason(behaviour: Behaviour) -> String {
    let world = World::new().await;
    world.issuer.on_token(behaviour);
    fetch(&world, &world.oauth("")).await.unwrap_err()
}

#[tokio::test]
async fn the_client_authenticates_by_basic_with_both_parts_form_encoded() {
    let world = World::new().await;
    let fetched = fetch(&world, &world.oauth("")).await.unwrap();
    assert_eq!(fetched.lifetime, Some(Duration::from_secs(3600)));
    assert!(matches!(&fetched.material, Material::Token(token) if token.is(b"canary-token-1")));
    assert_eq!(world.issuer.parameter("client_secret"), None);
    assert_eq!(world.issuer.parameter("scope"), None);
}

#[tokio::test]
async fn the_client_authenticates_in_the_body_where_the_policy_says_so() {
    let world = World::new().await;
    fetch(&world, &world.oauth(", auth: client_secret_post")).await.unwrap();
    assert_eq!(world.issuer.parameter("client_secret").as_deref(), Some(CLIENT_SECRET));
}

#[tokio::test]
async fn scope_audience_and_resource_are_asked_for() {
    let world = World::new().await;
    let more = ", scope: [read, write], audience: \"https://api.test\", resource: \"https://api.test/v1?a=b&c\"";
    fetch(&world, &world.oauth(more)).await.unwrap();
    assert_eq!(world.issuer.parameter("scope").as_deref(), Some("read write"));
    assert_eq!(world.issuer.parameter("audience").as_deref(), Some("https://api.test"));
    assert_eq!(world.issuer.parameter("resource").as_deref(), Some("https://api.test/v1?a=b&c"));
}

#[tokio::test]
async fn a_token_without_a_lifetime_lives_five_minutes() {
    let world = World::new().await;
    world.issuer.on_token(Behaviour::Issue(None));
    assert_eq!(fetch(&world, &world.oauth("")).await.unwrap().lifetime, Some(Duration::from_secs(300)));
}

#[tokio::test]
async fn the_client_secret_is_read_for_every_call() {
    let world = World::new().await;
    let source = world.oauth("");
    world.write("client-secret", "another");
    assert_eq!(fetch(&world, &source).await.unwrap_err(), "the token endpoint answered 401 with `invalid_client`");
    world.write("client-secret", CLIENT_SECRET);
    assert!(fetch(&world, &source).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_is_no_token_is_told_in_words_of_ours() {
    for (status, body, expected) in [
        (400, r#"{"error":"invalid_scope","error_description":"canary"}"#, "answered 400 with `invalid_scope`"),
        (400, r#"{"error":"canary"}"#, "answered 400"),
        (401, r#"{"error":"invalid_client"}"#, "answered 401 with `invalid_client`"),
        (500, "canary", "answered 500"),
        (503, "", "answered 503"),
        (302, "", "answered 302: redirects are not followed"),
        (200, "<html>canary</html>", "answered 200, but not as RFC 6749, section 5.1, says"),
        (200, "", "answered 200, but not as RFC 6749, section 5.1, says"),
        (200, r#"{"access_token":7,"token_type":"Bearer"}"#, "answered 200, but not as RFC 6749, section 5.1, says"),
        (200, r#"{"token_type":"Bearer"}"#, "answered 200 without `access_token`"),
        (200, r#"{"access_token":"canary"}"#, "gave a token whose `token_type` is not `Bearer`"),
        (200, r#"{"access_token":"canary","token_type":"DPoP"}"#, "gave a token whose `token_type` is not `Bearer`"),
        (200, r#"{"access_token":"can\nary","token_type":"Bearer"}"#, "gave an `access_token` that is no token"),
        (200, r#"{"access_token":"","token_type":"Bearer"}"#, "gave an `access_token` that is no token"),
        (200, r#"{"access_token":"canary","token_type":"Bearer","expires_in":0}"#, "gave a token that has expired already"),
    ] {
        assert_eq!(reason(Behaviour::Answer(status, body)).await, format!("the token endpoint {expected}"), "{body}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let large: &'static str = Box::leak(format!("{{\"access_token\":\"{}\"}}", "a".repeat(70_000)).into_boxed_str());
    assert_eq!(reason(Behaviour::Answer(200, large)).await, "the token endpoint answered more than 64 KiB");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_says_nothing_is_left_after_5_seconds() {
    let world = World::new().await;
    world.issuer.on_token(Behaviour::Silence);
    let begun = tokio::time::Instant::now();
    let clock = stop_clock();
    let source = world.oauth("");
    let fetching = fetch(&world, &source);
    let waiting = async {
        world.issuer.until_token_calls(1).await;
        drop(clock);
    };
    let (fetched, ()) = tokio::join!(fetching, waiting);
    assert_eq!(fetched.unwrap_err(), "the token endpoint did not answer within 5 s");
    assert!(begun.elapsed() < Duration::from_millis(5100));
}

#[tokio::test]
async fn an_issuer_that_is_not_there_is_told() {
    let world = World::new().await;
    let source = world.oauth("").replace(&world.issuer.address.to_string(), "127.0.0.1:1");
    assert_eq!(fetch(&world, &source).await.unwrap_err(), "the token endpoint takes no connection");
}

#[tokio::test]
async fn a_revocation_is_asked_for_as_rfc_7009_says() {
    let world = World::new().await;
    let credential = world.revocable();
    let tools = Tools::new(Arc::new(rustls::RootCertStore::empty()));
    let provider = credential.source.provider();
    let fetched = provider.fetch(&tools, &purpose()).await.unwrap();
    assert_eq!(world.issuer.alive().len(), 1);
    provider.revoke(&tools, fetched.handle.as_ref().unwrap()).await.unwrap();
    assert_eq!(world.issuer.alive().len(), 0);
    assert_eq!(world.issuer.parameter("token_type_hint").as_deref(), Some("access_token"));
    world.issuer.on_revocation(Behaviour::Answer(503, "canary"));
    assert_eq!(provider.revoke(&tools, fetched.handle.as_ref().unwrap()).await.unwrap_err(), "the revocation endpoint answered 503");
}

#[test]
fn what_is_wrong_with_the_shape_is_said_when_the_policy_loads() {
    let complaints = |more: &str| -> Vec<String> {
        let source = format!("oauth2_client_credentials: {{ client_id: id, client_secret: {{ file: /run/secret }}, {more} }}");
        source_of(&source).complaints().into_iter().map(|(message, _)| message).collect()
    };
    assert_eq!(complaints("token_url: \"https://issuer.test/token\""), Vec::<String>::new());
    assert_eq!(
        complaints("token_url: \"http://issuer.test/token\", revocation_url: revoke, scope: [\"a b\"], resource: \"api#x\""),
        [
            "`http://issuer.test/token` is not `https`: a secret goes there, so only loopback may be plain `http`",
            "`revoke` is not a whole URL",
            "`a b` is not one scope",
            "`api#x` is no absolute URI",
        ]
    );
    let misspelt = "oauth2_client_credentials: { token_uri: x, client_id: id, client_secret: { file: /run/secret } }";
    assert!(serde_saphyr::from_str::<Source>(misspelt).unwrap_err().to_string().contains("token_uri"));
}
