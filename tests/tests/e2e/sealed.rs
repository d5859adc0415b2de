//! What `keygress seal` prints stands in the policy; the proxy puts on what was sealed.

use std::io::Write;
use std::process::{Output, Stdio};

use keygress_tests::client::bare;
use keygress_tests::proxy::binary;
use keygress_tests::site::{Site, canary};

use crate::world::{STATIC, put_on};

fn seal(arguments: &[&str], input: &str) -> Output {
    let mut command = bare(binary().unwrap());
    command.arg("seal").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads nothing has closed its end.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap().trim_end().to_owned()
}

#[test]
fn what_was_sealed_for_a_credential_is_put_on_for_it_and_for_no_other() {
    let site = Site::new().unwrap();
    let (file, secret) = (site.folder().join("seal.key"), canary().unwrap());
    let path = file.display().to_string();
    let public = printed(&seal(&["--new-key", &path], ""));
    let source = |credential: &str| {
        let value = printed(&seal(&["--to", &public, "--credential", credential], &format!("{secret}\n")));
        assert!(!value.contains(&secret));
        format!("sealed: {{ value: \"{value}\", key_file: {path} }}")
    };
    assert_eq!(put_on(&site, STATIC, &source("sourced"), "bearer"), Ok(format!("Bearer {secret}")));
    let refused = put_on(&site, STATIC, &source("other"), "bearer").unwrap_err();
    assert!(refused.contains("or to another credential than `sourced`") && !refused.contains(&secret), "{refused}");
}

#[test]
fn what_cannot_be_sealed_is_told_and_nothing_is_printed() {
    let site = Site::new().unwrap();
    let path = site.folder().join("seal.key").display().to_string();
    let public = printed(&seal(&["--new-key", &path], ""));
    let made = std::fs::read_to_string(&path).unwrap();
    for (arguments, input, expected) in [
        (vec!["--new-key", path.as_str()], "", "cannot make the key file"),
        (vec!["--to", "kgpub1:AAAA", "--credential", "a"], "canary", "this is no public key"),
        (vec!["--to", &public, "--credential", "a"], "", "standard input is empty"),
        (vec!["--to", &public, "--credential", "a"], "one\ntwo", "standard input holds a line break"),
        (vec!["--to", &public], "canary", "--credential"),
        (vec![], "", "--new-key"),
    ] {
        let output = seal(&arguments, input);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty() && told.contains(expected), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), made, "a key is never overwritten");
}
