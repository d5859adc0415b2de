//! The units of the examples are such that systemd takes them, and shut the process in.

use keygress_tests::client::bare;
use keygress_tests::proxy::binary;
use keygress_tests::site::Site;
use keygress_tests::tools;

/// What `systemd-analyze security` may find at most: 0 is shut in, 10 is open.
const EXPOSURE_MAX: f64 = 2.5;

#[test]
fn systemd_takes_the_units_without_a_word_and_finds_them_shut_in() {
    let site = Site::new().unwrap();
    let read = |name: &str| std::fs::read_to_string(tools::root().join("examples/systemd").join(name)).unwrap();
    // The program must be there for systemd to look at the rest.
    let service = read("keygress.service").replace("/usr/bin/keygress", &binary().unwrap().display().to_string());
    let service = site.write("keygress.service", &service).unwrap();
    let socket = site.write("keygress.socket", &read("keygress.socket")).unwrap();
    let analyze = tools::program("systemd-analyze").unwrap();
    let verified = bare(&analyze).arg("verify").args([&service, &socket]).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    let ours: Vec<_> = said.lines().filter(|line| line.contains("keygress")).collect();
    assert!(verified.status.success() && ours.is_empty(), "{said}");

    let judged = bare(&analyze).args(["security", "--offline=true"]).arg(&service).output().unwrap();
    let judged = String::from_utf8_lossy(&judged.stdout);
    let exposure = judged.lines().find_map(|line| line.split_once("Overall exposure level for keygress.service: ")).unwrap().1;
    let exposure: f64 = exposure.split(' ').next().unwrap().parse().unwrap();
    assert!(exposure <= EXPOSURE_MAX, "{judged}");
}
