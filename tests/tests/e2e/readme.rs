//! What the README shows is run: a new user's first policy must be right.

use keygress_tests::client::{bare, output};
use keygress_tests::proxy::binary;
use keygress_tests::site::Site;
use keygress_tests::tools;

#[test]
fn the_policy_of_the_readme_checks_and_passes_its_own_tests() {
    let site = Site::new().unwrap();
    let readme = std::fs::read_to_string(tools::root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```yaml\n").expect("a policy in the README");
    let (policy, _) = rest.split_once("```").unwrap();
    let policy = site.write("keygress.yaml", policy).unwrap();
    for command in ["check", "test"] {
        output(bare(binary().unwrap()).arg(command).arg(&policy)).unwrap();
    }
    let url = "https://packages.example.com/npm/acme-widgets";
    let explain = |method: &str| output(bare(binary().unwrap()).args(["explain", method, url, "--from", "job", "--policy"]).arg(&policy));
    assert!(explain("PUT").unwrap().contains("publish"));
    let denied = explain("DELETE");
    assert!(denied.is_err() || denied.unwrap().contains("den"), "DELETE is not allowed");
}

#[test]
fn the_commands_of_the_readme_exist() {
    let readme = std::fs::read_to_string(tools::root().join("README.md")).unwrap();
    let help = output(bare(binary().unwrap()).arg("--help")).unwrap();
    let serve = output(bare(binary().unwrap()).args(["serve", "--help"])).unwrap();
    let words = |from: &str| {
        readme
            .match_indices(from)
            .map(|(at, _)| readme[at + from.len()..].split_whitespace().next().unwrap().trim_matches(['`', '.', ',']))
            .collect::<Vec<_>>()
    };
    for command in words("keygress ").into_iter().filter(|word| word.chars().all(|c| c.is_ascii_lowercase())) {
        let known = help.contains(&format!("  {command}")) || ["is", "runs"].contains(&command);
        assert!(known, "`keygress {command}` is not a command");
    }
    for flag in ["--policy", "--listen", "--ca-file", "--audit", "--admin-socket", "--unix"] {
        assert!(readme.contains(flag) && serve.contains(flag), "{flag}");
    }
}
