use keygress_policy::preset;
use keygress_policy::problem::{self, Colour, SourceFile};
use serde_json::json;
use zeroize::Zeroizing;

use super::draft::{Place, draft};
use super::{Found, Kind, Login, tools, variables};
use crate::Policy;

/// Names places, and writes nothing.
struct Nowhere;

impl Place for Nowhere {
    fn source(&mut self, name: &str, keys: &[(&str, &str)], _: &str) -> Result<String, String> {
        let mut file = json!({ "path": format!("/run/secrets/{name}") });
        keys.iter().for_each(|(key, value)| file[*key] = json!(value));
        Ok(json!({ "file": file }).to_string())
    }

    fn file(&mut self, name: &str, _: &str) -> Result<String, String> {
        Ok(format!("/run/secrets/{name}"))
    }
}

fn compiled(found: &Found) -> String {
    let text = draft(&found.logins, "me@example.com", "2027-01-31", &mut Nowhere).unwrap();
    let files = [SourceFile { name: "policy.yaml".into(), text: text.clone() }];
    if let Err(problems) = Policy::compile(&files, jiff::civil::date(2026, 11, 24)) {
        panic!("{}\n{text}", problem::render(&problems, &files, Colour::Plain));
    }
    text
}

fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn names(found: &Found) -> Vec<&str> {
    found.logins.iter().map(|login| login.name.as_str()).collect()
}

#[test]
fn the_draft_of_every_preset_is_without_problem() {
    let drafted: Vec<_> = preset::all().into_iter().filter(|preset| super::unfit(preset).is_none()).collect();
    assert!(drafted.len() > 30, "{}", drafted.len());
    for preset in drafted {
        let login = Login {
            from: format!("`{}` in `.env`", preset.env),
            name: super::name(preset.name),
            kind: Kind::Key { preset, hosts: Vec::new(), value: secret("never-seen") },
            remedy: String::new(),
        };
        let text = compiled(&Found { logins: vec![login], ..Found::default() });
        assert!(text.contains(&format!("preset: {}", preset.name)) && !text.contains("never-seen"), "{text}");
    }
}

#[test]
fn variables_that_a_preset_knows_are_taken_and_others_are_told() {
    let file = "# local\nexport GITHUB_TOKEN=ghp_one # mine\nSTRIPE_API_KEY='sk_live_two'\nDB_PASSWORD=\"three\"\nOPENAI_API_KEY=\nANTHROPIC_API_KEY=${OTHER}\nALGOLIA_API_KEY=x\nTWILIO_AUTH_TOKEN=x\nDEBUG=1\nno line\n=x\n";
    let found = variables::logins(variables::of_file(file), "in `.env`");
    assert_eq!(names(&found), ["github", "stripe"]);
    let values = found.logins.iter().map(|login| match &login.kind {
        Kind::Key { value, .. } => value.as_str(),
        _ => "",
    });
    assert_eq!(values.collect::<Vec<_>>(), ["ghp_one", "sk_live_two"]);
    let [password, algolia, twilio] = found.passed_over.as_slice() else { panic!("{:?}", found.passed_over) };
    assert_eq!(password, "`DB_PASSWORD` in `.env`: no preset has this variable; write its credential by hand, or `keygress seal` it");
    assert!(algolia.contains("every customer of Algolia") && twilio.contains("goes with a user"), "{algolia} {twilio}");
    compiled(&found);
}

#[test]
fn the_files_of_tools_become_credentials_that_read_alone() {
    let gh = "github.com:\n  user: me\n  oauth_token: gho_one\n  git_protocol: https\ngit.example.com:\n  oauth_token: gho_two\nkept.example.com:\n  user: me\n";
    let mut found = tools::gh(gh, "hosts.yml").unwrap();
    let aws = "[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = x\n[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = four\n";
    found.take(tools::aws(aws, "credentials", "default", "eu-west-1").unwrap());
    let docker = json!({ "auths": {
        "registry.example.com": { "auth": "bWU6Zml2ZQ==" }, "https://index.docker.io/v1/": { "auth": "bWU6c2l4" }, "ghcr.io": {}
    } });
    found.take(tools::docker(&docker.to_string(), "config.json").unwrap());
    let person = json!({ "type": "authorized_user", "client_id": "c", "client_secret": "seven", "refresh_token": "eight" });
    found.take(tools::gcloud(&person.to_string(), "adc.json").unwrap());
    let mut robots = Found::default();
    let robot = json!({ "type": "service_account", "private_key": "nine", "client_email": "a@b.iam.gserviceaccount.com" });
    robots.take(tools::gcloud(&robot.to_string(), "key.json").unwrap());
    assert!(compiled(&robots).contains("gcp_service_account") && !compiled(&robots).contains("nine"));
    found.take(tools::gcloud(&robot.to_string(), "key.json").unwrap());
    let twice = tools::gh("github.com:\n  oauth_token: gho_three\n", "hosts.yml").unwrap();
    found.take(twice);
    assert_eq!(names(&found), ["github-git-example-com", "github", "aws-default", "registry-registry-example-com", "gcloud"]);
    let over = found.passed_over.join("\n");
    assert!(over.contains("`gh auth token --hostname kept.example.com` prints it"), "{over}");
    assert!(over.contains("Docker Hub exchanges it") && over.contains("the login at ghcr.io in `config.json`: a helper"), "{over}");
    assert!(over.contains("`key.json`: `adc.json` goes to the same host; import it into a policy of its own"), "{over}");
    assert_eq!(over.matches("goes to the same host").count(), 2, "{over}");
    let text = compiled(&found);
    for value in ["gho_", "four", "five", "six", "seven", "eight", "nine"] {
        assert!(!text.contains(value), "{value}: {text}");
    }
    assert!(text.contains("AKIAEXAMPLE") && text.contains("regions: [\"eu-west-1\"]"), "{text}");
    assert!(!text.contains("POST") && !text.contains("PUT"), "{text}");
}

#[test]
fn what_is_another_file_is_named() {
    let session = "[default]\naws_access_key_id=A\naws_secret_access_key=B\naws_session_token=C\n";
    let session = tools::aws(session, "credentials", "default", "r").unwrap();
    assert!(session.logins.is_empty() && session.passed_over[0].contains("a session that ends by itself"));
    for why in [
        tools::aws("[default]\n", "credentials", "prod", "r").err(),
        tools::gh("[1]", "hosts.yml").err(),
        tools::gh("a: [", "hosts.yml").err(),
        tools::docker("x", "config.json").err(),
        tools::gcloud("{}", "adc.json").err(),
        tools::gcloud(r#"{"type":"external_account"}"#, "adc.json").err(),
    ] {
        let why = why.unwrap();
        assert!(
            why.contains("credentials`") || why.contains("hosts.yml`") || why.contains("config.json`") || why.contains("adc.json`"),
            "{why}"
        );
    }
}
