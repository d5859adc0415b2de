//! `sealed`: what stands in the policy opens with the proxy's key, for its own credential, and otherwise not at all.

use keygress_policy::Source as _;

use super::*;

fn source(value: &str, key_file: &Path, more: &str) -> String {
    format!("sealed: {{ value: \"{value}\", key_file: {}{more} }}", key_file.display())
}

async fn fetch(source: &str) -> Result<Fetched, String> {
    let source = source_of(source);
    assert_eq!(source.complaints(), []);
    assert!(source.is_static());
    let tools = Tools::new(Arc::new(rustls::RootCertStore::empty()));
    source.provider().fetch(&tools, &purpose()).await
}

fn seal(to: &str, credential: &str) -> String {
    sealed::seal(&Secret::new(b"canary-key\n".to_vec()), to, credential).unwrap()
}

#[tokio::test]
async fn what_was_sealed_to_the_key_and_the_name_opens() {
    let world = World::new().await;
    let file = world.path("seal-key");
    let to = sealed::new_key(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let value = seal(&to, "api");
    assert_ne!(value, seal(&to, "api"), "each time anew");
    assert!(!value.contains("canary"));
    let fetched = fetch(&source(&value, &file, "")).await.unwrap();
    assert!(matches!(&fetched.material, Material::Token(token) if token.is(b"canary-key")) && fetched.lifetime.is_none());
    let pair = fetch(&source(&value, &file, ", user: ci")).await.unwrap();
    assert!(matches!(&pair.material, Material::UserPassword { user, password } if user == "ci" && password.is(b"canary-key")));
    let keys = fetch(&source(&value, &file, ", access_key_id: AKIA1")).await.unwrap();
    assert!(matches!(&keys.material, Material::AwsKeys { secret_access_key, .. } if secret_access_key.is(b"canary-key")));
}

#[tokio::test]
async fn an_older_key_beside_the_new_one_still_opens() {
    let world = World::new().await;
    let (old, new) = (world.path("old"), world.path("new"));
    let value = seal(&sealed::new_key(&old).unwrap(), "api");
    sealed::new_key(&new).unwrap();
    assert!(fetch(&source(&value, &new, "")).await.is_err());
    let both = std::fs::read_to_string(&new).unwrap() + &std::fs::read_to_string(&old).unwrap();
    world.write("new", &both);
    assert!(fetch(&source(&value, &new, "")).await.is_ok());
}

#[tokio::test]
async fn another_key_another_name_and_a_changed_byte_open_nothing() {
    let world = World::new().await;
    let (file, other) = (world.path("seal-key"), world.path("other-key"));
    let to = sealed::new_key(&file).unwrap();
    let value = seal(&to, "api");
    let stranger = sealed::new_key(&other).unwrap();
    let mut changed = value.clone();
    let last = if changed.ends_with('A') { "Q" } else { "A" };
    let at = changed.len() - 3;
    changed.replace_range(at..=at, if &changed[at..=at] == last { "B" } else { last });
    for value in [seal(&stranger, "api"), seal(&to, "other"), changed] {
        let reason = fetch(&source(&value, &file, "")).await.unwrap_err();
        let expected =
            format!("the value is sealed to another key than those in `{}`, or to another credential than `api`", file.display());
        assert_eq!(reason, expected);
    }
    world.write("seal-key", "canary");
    let reason = fetch(&source(&value, &file, "")).await.unwrap_err();
    assert_eq!(reason, format!("the file `{}` holds no key of `keygress seal --new-key`", file.display()));
}

#[test]
fn what_is_no_sealed_value_is_said_when_the_policy_loads() {
    for value in ["", "canary", "kgs1:", "kgs1:AAAA", "kgs1:***"] {
        let complaints = source_of(&source(value, Path::new("/run/key"), "")).complaints();
        assert_eq!(complaints[0].0, "`value` is nothing that keygress sealed", "{value}");
    }
    let to = "kgpub1:AAAA";
    assert!(sealed::seal(&Secret::new(b"canary".to_vec()), to, "api").unwrap_err().contains("no public key"));
}

#[tokio::test]
async fn a_key_file_is_never_overwritten_and_no_two_lines_are_sealed() {
    let world = World::new().await;
    let file = world.path("seal-key");
    let to = sealed::new_key(&file).unwrap();
    assert_eq!(sealed::new_key(&file).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    for secret in ["", "\n", "a\nb"] {
        assert!(sealed::seal(&Secret::new(secret.into()), &to, "api").unwrap_err().starts_with("standard input "));
    }
}
