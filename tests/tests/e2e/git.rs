//! `git clone` over HTTPS inside `keygress run`: the command holds no password, and the clone succeeds.

use keygress_tests::client::{bare, output};
use keygress_tests::proxy::binary;
use keygress_tests::servers::git::Git;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;

#[test]
fn a_clone_needs_no_password_of_its_own() {
    let site = Site::new().unwrap();
    let password = canary().unwrap();
    let expected = basic("reader", &password);
    // `run` resolves names itself: the repository is on `localhost`.
    let git = Git::start(&site, "localhost", &expected).unwrap();
    let secret = site.write_secret("password", &password).unwrap();
    let policy = format!(
        "version: 1
workloads:
  job: {{ task: {{ labels: {{ kind: clone }} }} }}
credentials:
  repository:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {{ path: {}, user: reader }} }}
    inject: basic
    only_to: [localhost]
rules:
  fetch:
    from: [job]
    to: https://localhost:{}
    allow_ips: [127.0.0.0/8, \"::1/128\"]
    allow: [GET /repository.git/info/refs, POST /repository.git/git-upload-pack]
    credential: repository
",
        secret.display(),
        git.nginx.port
    );
    let policy = site.write("policy.yaml", &policy).unwrap();
    let audit = site.folder().join("audit.jsonl");
    let run = |label: &str, into: &str| {
        let mut command = bare(binary().unwrap());
        command
            .args(["run", "--label", label, "--policy"])
            .arg(&policy)
            .arg("--audit")
            .arg(&audit)
            .arg("--trust-ca")
            .arg(site.upstream_ca());
        let url = format!("https://localhost:{}/repository.git", git.nginx.port);
        command.args(["--", "git", "clone", "--quiet", &url, into]).current_dir(site.folder());
        output(command.env("GIT_TERMINAL_PROMPT", "0"))
    };
    run("kind=clone", "cloned").unwrap();
    assert_eq!(std::fs::read_to_string(site.folder().join("cloned/hello.txt")).unwrap(), "hello from the repository\n");

    let error = run("kind=other", "refused").unwrap_err().to_string();
    assert!(error.contains("403"), "{error}");
    assert!(!site.folder().join("refused").exists());

    let mut verify = bare(binary().unwrap());
    output(verify.args(["audit", "verify"]).arg(&audit)).unwrap();
    let audit = std::fs::read_to_string(audit).unwrap();
    assert!(audit.contains("\"used\"") && audit.contains("\"denied\"") && !audit.contains(&password), "{audit}");
}

/// `Basic` of a user and a password, encoded by a tool that is not ours.
fn basic(user: &str, password: &str) -> String {
    let mut python = bare(tools::python().unwrap());
    let encode = "import base64, sys; print(base64.b64encode(sys.argv[1].encode()).decode())";
    format!("Basic {}", output(python.args(["-c", encode, &format!("{user}:{password}")])).unwrap().trim())
}
