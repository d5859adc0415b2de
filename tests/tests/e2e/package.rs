//! The Debian package: built of the binary of this tree, installed into a root of its own, driven, and taken away.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use keygress_tests::client::{bare, curl_reply, output};
use keygress_tests::process::Process;
use keygress_tests::proxy::binary;
use keygress_tests::site::Site;
use keygress_tests::tools;

/// Builds the package; without its symbols the binary is packed in a moment.
fn built(site: &Site) -> PathBuf {
    let lean = site.folder().join("keygress");
    output(bare(tools::program("strip").unwrap()).arg("-o").arg(&lean).arg(binary().unwrap())).unwrap();
    let mut command = bare(tools::root().join("examples/systemd/package"));
    command.arg(&lean).arg(site.folder()).env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    PathBuf::from(output(&mut command).unwrap().trim())
}

/// An empty root, as `dpkg` begins with.
fn fresh_root(site: &Site) -> PathBuf {
    let root = site.folder().join("root");
    for folder in ["var/lib/dpkg/updates", "var/lib/dpkg/info", "etc", "tmp"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    root
}

fn dpkg(root: &Path, arguments: &[&str]) -> Output {
    let mut command = bare(tools::program("dpkg").unwrap());
    command.arg(format!("--root={}", root.display())).args(["--force-script-chrootless", "--force-not-root"]);
    command.args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap()
}

#[test]
fn a_package_is_installed_driven_exchanged_and_removed() {
    tools::program("systemd-sysusers").unwrap();
    let site = Site::new().unwrap();
    let (package, root) = (built(&site), fresh_root(&site));
    let package = package.to_str().unwrap();
    let installed = dpkg(&root, &["--install", package]);
    assert!(installed.status.success(), "{installed:?}");
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("usr/bin/keygress"), mode("etc/keygress/secrets"), mode("etc/keygress/policy")), (0o755, 0o700, 0o755));
    let users = fs::read_to_string(root.join("etc/passwd")).unwrap();
    assert!(users.contains("keygress:") && users.contains("/usr/sbin/nologin"), "{users}");
    let verified = dpkg(&root, &["--verify", "keygress"]);
    assert!(verified.status.success() && verified.stdout.is_empty(), "{verified:?}");

    // As the unit starts it, below this root.
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/keygress.service")).unwrap();
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let below = |word: &str| if word.starts_with('/') { format!("{}{word}", root.display()) } else { word.to_owned() };
    let words: Vec<_> = start.split(' ').map(below).collect();
    for folder in ["run/keygress", "var/lib/keygress"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let running = Process::start(bare(&words[0]).args(&words[1..]).args(["--listen", "127.0.0.1:0"]), "").unwrap();
    let address = running.wait_for(" listens on ").unwrap();
    assert!(address.contains(": 0 rules, 0 credentials"), "{address}");
    let proxy = format!("http://{}", address.split_once(": ").unwrap().0);
    let mut curl = bare(tools::program("curl").unwrap());
    let reply = curl_reply(curl.args(["--silent", "--max-time", "60", "--proxy", &proxy, "http://example.com/"])).unwrap().0;
    reply.is_denied().unwrap();
    drop(running);

    // An exchange keeps the policy that was written since.
    let policy = root.join("etc/keygress/policy/policy.yaml");
    fs::write(&policy, "version: 1\n# ours\n").unwrap();
    let again = dpkg(&root, &["--force-confold", "--install", package]);
    assert!(again.status.success() && fs::read_to_string(&policy).unwrap().contains("# ours"), "{again:?}");
    assert!(dpkg(&root, &["--remove", "keygress"]).status.success());
    assert!(!root.join("usr/bin/keygress").exists() && policy.exists());
    assert!(dpkg(&root, &["--purge", "keygress"]).status.success());
    assert!(!policy.exists() && root.join("var/lib/keygress/audit.jsonl").exists(), "the audit is evidence and stays");
}

#[test]
fn what_is_no_binary_makes_no_package() {
    let site = Site::new().unwrap();
    let mut command = bare(tools::root().join("examples/systemd/package"));
    let refused = command.arg(site.upstream_ca()).arg(site.folder()).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).starts_with("usage: package BINARY FOLDER"), "{refused:?}");
}
