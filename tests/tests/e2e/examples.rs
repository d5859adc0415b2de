//! The examples that play something: run as their reader runs them, they print what `expected.txt` says that one should see.

use std::path::PathBuf;
use std::process::Output;

use keygress_tests::client::bare;
use keygress_tests::proxy::binary;
use keygress_tests::tools;

/// Runs a script of `examples/` with the keygress of this tree.
fn played(script: &str, arguments: &[&str], keygress: PathBuf) -> Output {
    for program in ["openssl", "curl"] {
        tools::program(program).unwrap();
    }
    let mut command = bare(tools::root().join("examples").join(script));
    command.args(arguments).env("KEYGRESS", keygress).output().unwrap()
}

fn prints_what_is_expected(script: &str, arguments: &[&str], expected: &str) {
    let played = played(script, arguments, binary().unwrap());
    let expected = std::fs::read_to_string(tools::root().join("examples").join(expected)).unwrap();
    assert!(played.status.success(), "{played:?}");
    assert_eq!(String::from_utf8(played.stdout).unwrap(), expected, "{}", String::from_utf8_lossy(&played.stderr));
}

#[test]
fn a_broker_keeps_the_key_of_a_sidecar() {
    prints_what_is_expected("broker/run", &[], "broker/expected.txt");
}

#[test]
fn a_coding_agent_reaches_what_it_may_and_finds_no_way_round() {
    prints_what_is_expected("agents/run", &["coding-agent"], "agents/coding-agent/expected.txt");
}

#[test]
fn a_ci_job_ends_with_its_task() {
    prints_what_is_expected("agents/run", &["ci-job"], "agents/ci-job/expected.txt");
}

#[test]
fn a_notebook_goes_on_while_its_policy_changes() {
    prints_what_is_expected("agents/run", &["notebook"], "agents/notebook/expected.txt");
}

#[test]
fn what_is_missing_is_named() {
    let nowhere = played("broker/run", &[], PathBuf::from("/nowhere/keygress"));
    let said = String::from_utf8_lossy(&nowhere.stderr);
    assert!(
        nowhere.status.code() == Some(1) && said.starts_with("error: no keygress: put it into the PATH, or name it with KEYGRESS="),
        "{said}"
    );
    let unknown = played("agents/run", &["spreadsheet"], binary().unwrap());
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(unknown.status.code() == Some(1) && said.contains("`spreadsheet` is not there: coding-agent, ci-job or notebook"), "{said}");
}
