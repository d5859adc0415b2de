//! `keygress import`: what it takes, what it writes, and that it leaves alone what it reads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const ENV: &str = "GITHUB_TOKEN=ghp_dont-tell-me-one\nSTRIPE_API_KEY=sk_live_dont-tell-me-two\nINTERNAL_TOKEN=dont-tell-me-three\n";
const AWS: &str = "[default]\naws_access_key_id = AKIAEXAMPLEEXAMPLE00\naws_secret_access_key = dont-tell-me-four\n";

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".aws")).unwrap();
        fs::write(home.path().join(".aws/credentials"), AWS).unwrap();
        fs::write(home.path().join(".env"), ENV).unwrap();
        Self(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn keygress(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keygress"));
        command.args(arguments).current_dir(self.0.path()).env_clear().env("HOME", self.0.path()).output().unwrap()
    }

    fn import(&self, more: &[&str]) -> Output {
        let done = self.keygress(&[&["import", "--env-file", ".env", "--aws", "--owner", "me@example.com"], more].concat());
        assert!(!said(&done).contains("dont-tell-me"), "{}", said(&done));
        // It moves nothing.
        assert_eq!(
            (fs::read_to_string(self.path(".env")).unwrap(), fs::read_to_string(self.path(".aws/credentials")).unwrap()),
            (ENV.into(), AWS.into())
        );
        done
    }

    fn holds(&self, policy: &Path) {
        for command in ["check", "test"] {
            let done = self.keygress(&[command, policy.to_str().unwrap()]);
            assert!(done.status.success(), "{}", said(&done));
        }
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout))
}

#[test]
fn logins_become_a_policy_that_passes_its_own_tests_and_files_for_us_alone() {
    let home = Home::new();
    let done = home.import(&["--into", "keys"]);
    assert!(done.status.success() && done.stdout.is_empty(), "{}", said(&done));
    for line in [
        "passed over: `INTERNAL_TOKEN` in `.env`: no preset has this variable",
        "copied: `GITHUB_TOKEN` in `.env` as `github`. It is still there: when the policy works, take `GITHUB_TOKEN` in `.env` away",
        "as `aws-default`",
        "next: read ",
    ] {
        assert!(said(&done).contains(line), "{}", said(&done));
    }
    let policy = home.path("keys/policy.yaml");
    assert!(!fs::read_to_string(&policy).unwrap().contains("dont-tell-me"));
    home.holds(&policy);
    for (name, value) in [("github", "ghp_dont-tell-me-one"), ("stripe", "sk_live_dont-tell-me-two"), ("aws-default", "dont-tell-me-four")]
    {
        let file = home.path("keys/secrets").join(name);
        assert_eq!(fs::read_to_string(&file).unwrap(), value);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(home.path("keys/secrets")).unwrap().permissions().mode() & 0o777, 0o700);

    let again = home.import(&["--into", "keys"]);
    assert!(again.status.code() == Some(1) && said(&again).contains("is there already: nothing is overwritten"), "{}", said(&again));
}

#[test]
fn without_a_folder_nothing_is_written() {
    let home = Home::new();
    let done = home.import(&[]);
    let printed = String::from_utf8(done.stdout.clone()).unwrap();
    assert!(done.status.success() && printed.contains("preset: github") && printed.contains("FOLDER/secrets/github"), "{}", said(&done));
    let mut names: Vec<_> = fs::read_dir(home.0.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, [".aws", ".env"]);
}

#[test]
fn what_is_sealed_is_in_no_file() {
    let home = Home::new();
    let key = home.keygress(&["seal", "--new-key", "key"]);
    let public = String::from_utf8(key.stdout).unwrap();
    let done = home.import(&["--into", "keys", "--key-file", "/etc/keygress/key", "--seal-to", public.trim()]);
    assert!(done.status.success(), "{}", said(&done));
    let policy = home.path("keys/policy.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    assert!(text.matches("kgs1:").count() == 3 && !text.contains("dont-tell-me"), "{text}");
    assert!(!home.path("keys/secrets").exists());
    home.holds(&policy);

    let wrong = home.import(&["--into", "other", "--key-file", "/etc/keygress/key", "--seal-to", "kgpub1:AAAA"]);
    assert!(
        wrong.status.code() == Some(1) && said(&wrong).contains("no public key") && !home.path("other/policy.yaml").exists(),
        "{}",
        said(&wrong)
    );
}

#[test]
fn what_cannot_be_read_or_is_not_there_is_named() {
    let home = Home::new();
    for (arguments, code, why) in [
        (vec!["--docker"], 1, ".docker/config.json`"),
        (vec!["--env-file", "none.env"], 1, "cannot read `none.env`"),
        (vec!["--aws", "--profile", "prod"], 1, "the profile `prod` in `"),
        (vec!["--environment"], 1, "there is no login that can be imported"),
        (vec![], 2, "required"),
    ] {
        let done = home.keygress(&[&["import", "--owner", "me@example.com"], arguments.as_slice()].concat());
        assert!(done.status.code() == Some(code) && said(&done).contains(why), "{arguments:?}: {}", said(&done));
    }
}
