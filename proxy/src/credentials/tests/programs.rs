use keygress_policy::Source as _;

use super::*;

async fn run(script: &str, more: &str) -> Result<Fetched, String> {
    let script = serde_json::to_string(script).unwrap();
    let source = source_of(&format!("exec: {{ command: [/bin/sh, -c, {script}]{more} }}"));
    let tools = Tools::new(Arc::new(rustls::RootCertStore::empty()));
    let result = source.provider().fetch(&tools, &purpose()).await;
    if let Err(reason) = &result {
        assert!(!reason.contains("canary"), "{reason}");
    }
    result
}

async fn reason(script: &str) -> String {
    let reason = run(script, "").await.unwrap_err();
    reason.strip_prefix("the program `/bin/sh` ").unwrap_or(&reason).to_owned()
}

#[tokio::test]
async fn a_token_with_its_lifetime_is_understood() {
    let fetched = run(r#"echo '{"token":"canary","expires_in":60}'"#, "").await.unwrap();
    assert!(matches!(&fetched.material, Material::Token(token) if token.is(b"canary")));
    assert_eq!(fetched.lifetime, Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn a_time_of_expiry_becomes_a_lifetime() {
    let in_an_hour = jiff::Timestamp::now() + Duration::from_secs(3600);
    let fetched = run(&format!(r#"echo '{{"token":"canary","expires_at":"{in_an_hour}"}}'"#), "").await.unwrap();
    let lifetime = fetched.lifetime.unwrap();
    assert!((Duration::from_secs(3500)..=Duration::from_secs(3600)).contains(&lifetime), "{lifetime:?}");
}

#[tokio::test]
async fn a_user_and_a_password_are_understood_where_the_policy_says_so() {
    let script = r#"echo '{"user":"ci","password":"canary","expires_in":"60"}'"#;
    let fetched = run(script, ", yields: user_password").await.unwrap();
    assert!(matches!(&fetched.material, Material::UserPassword { user, password } if user == "ci" && password.is(b"canary")));
}

#[tokio::test]
async fn aws_keys_are_understood_as_aws_wants_them_printed() {
    let in_an_hour = jiff::Timestamp::now() + Duration::from_secs(3600);
    let keys = r#""Version":1,"AccessKeyId":"ASIA1","SecretAccessKey":"canary","SessionToken":"canary/token""#;
    let script = format!(r#"echo '{{{keys},"Expiration":"{in_an_hour}"}}'"#);
    let fetched = run(&script, ", yields: aws_keys").await.unwrap();
    assert!(matches!(
        &fetched.material,
        Material::AwsKeys { access_key_id, secret_access_key, session_token: Some(token) }
            if access_key_id == "ASIA1" && secret_access_key.is(b"canary") && token.is(b"canary/token")
    ));
    assert!(fetched.lifetime.unwrap() > Duration::from_secs(3500));
    let program = "the program `/bin/sh` ";
    for (output, expected) in [
        ("{\"Version\":2}".to_owned(), "gave no `Version` 1"),
        (format!("{{{keys}}}"), "gave no `Expiration`"),
        (format!(r#"{{{keys},"Expiration":"2020-01-01T00:00:00Z"}}"#), "gave keys that have expired already"),
        (format!(r#"{{{keys},"Expiration":"canary"}}"#), "gave an `Expiration` that is no time of RFC 3339"),
        (r#"{"Version":1,"AccessKeyId":"A"}"#.to_owned(), "gave no `SecretAccessKey`"),
        (r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":""}"#.to_owned(), "gave a `SecretAccessKey` that is empty"),
        ("canary".to_owned(), "gave something other than one JSON object with the keys of AWS"),
    ] {
        let reason = run(&format!("printf %s '{output}'"), ", yields: aws_keys").await.unwrap_err();
        assert_eq!(reason.strip_prefix(program), Some(expected));
    }
}

#[tokio::test]
async fn what_is_missing_is_named() {
    for (output, expected) in [
        (r#"{"expires_in":60}"#, "printed no `token`"),
        (r#"{"token":"canary"}"#, "printed neither `expires_in` nor `expires_at`"),
        (r#"{"token":"canary","expires_in":60,"expires_at":"2030-01-01T00:00:00Z"}"#, "printed both `expires_in` and `expires_at`"),
        (r#"{"token":"canary","expires_at":"canary"}"#, "printed an `expires_at` that is no time of RFC 3339"),
        (r#"{"token":"canary","expires_at":"2020-01-01T00:00:00Z"}"#, "printed a credential that has expired already"),
        (r#"{"token":"","expires_in":60}"#, "printed a `token` that is empty"),
        ("canary", "printed something other than one JSON object with the keys that keygress knows"),
        ("", "printed something other than one JSON object with the keys that keygress knows"),
    ] {
        assert_eq!(reason(&format!("printf %s '{output}'")).await, expected);
    }
}

#[tokio::test]
async fn a_program_that_fails_is_told_without_what_it_said() {
    assert_eq!(reason("echo canary; echo canary >&2; exit 7").await, "ended with exit code 7: run it by hand to see why");
    assert_eq!(reason("kill -9 $$").await, "was ended by a signal: run it by hand to see why");
    let source = source_of("exec: { command: [/nowhere/issue] }");
    let tools = Tools::new(Arc::new(rustls::RootCertStore::empty()));
    let reason = source.provider().fetch(&tools, &purpose()).await.unwrap_err();
    assert_eq!(reason, "the program `/nowhere/issue` cannot be started: it does not exist");
}

#[tokio::test]
async fn output_has_a_limit() {
    assert_eq!(reason("head -c 70000 /dev/zero").await, "printed more than 64 KiB");
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_ended_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {}; wait", pid.display());
    let begun = Instant::now();
    assert!(run(&script, ", timeout: 1s").await.unwrap_err().ends_with("took too long and was ended"));
    assert!(begun.elapsed() < Duration::from_secs(5));
    let started: i32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    let gone = async {
        while std::fs::read_to_string(format!("/proc/{started}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
}

#[tokio::test]
async fn the_environment_is_path_and_home_and_the_input_is_empty() {
    // Cargo sets this one for every test; the shell itself sets PWD, SHLVL and _.
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
    let script = r#"cat; test -z "$CARGO_PKG_NAME" && test -n "$PATH" && echo '{"token":"canary","expires_in":60}'"#;
    assert!(run(script, "").await.is_ok());
}

#[test]
fn what_is_wrong_with_the_shape_is_said_when_the_policy_loads() {
    let first = |yaml: &str| source_of(yaml).complaints().first().map(|(message, _)| message.clone());
    assert_eq!(first("exec: { command: [] }").as_deref(), Some("`command` names no program"));
    assert_eq!(first("exec: { command: [a], timeout: 2h }").as_deref(), Some("`timeout` is not between 1 and 60 seconds"));
    assert_eq!(first("exec: { command: [a], timeout: 5s }"), None);
    let unit = serde_saphyr::from_str::<Source>("exec: { command: [a], timeout: soon }").unwrap_err().to_string();
    assert!(unit.contains("`soon` is not a time with its unit, such as `5s`"), "{unit}");
}
