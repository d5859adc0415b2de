//! `keygress-attack`, as somebody else runs it.

use std::process::Command;

use keygress_tests::attack::ground::{Ground, HOST};

fn attack(ground: &Ground<keygress_tests::servers::echo::Echo>) -> Command {
    let ca = ground.site.write("attacked-ca.pem", &ground.target.ca_pem).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keygress-attack"));
    command.args(["--proxy", &ground.target.listener.to_string(), "--upstream", &ground.target.authority(), "--route", "api", "--ca"]);
    command.arg(ca).arg("--socket").arg(ground.proxy.socket());
    command.arg("--captured").arg(ground.target.captured.unwrap().to_string());
    command
}

#[test]
fn it_finds_nothing_at_this_proxy() {
    let ground = Ground::new().unwrap();
    let output = attack(&ground).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains(" attacks by 7 ways in: 0 came to something else"), "{said}");
    ground.left().unwrap();
}

#[test]
fn it_finds_what_a_looser_policy_lets_through() {
    let ground = Ground::new().unwrap();
    let file = ground.site.folder().join("policy.yaml");
    let policy = std::fs::read_to_string(file).unwrap();
    ground.proxy.reload(&policy.replace("allow: [GET /**, POST /**]", "allow: ['* /**']")).unwrap();
    let output = attack(&ground).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("`method-not-allowed`"), "{said}");
    ground.left().unwrap();
}

#[test]
fn it_attacks_nobody_else_unless_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_keygress-attack"))
        .args(["--proxy", "192.0.2.1:8787", "--upstream", HOST, "--ca", "/dev/null"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stdout).contains("is not on this host"));
}
