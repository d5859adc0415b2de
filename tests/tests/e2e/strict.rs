//! A strict audit: whatever an upstream saw with a credential is on record, whenever keygress was killed, and nothing leaves while the disk is
//! full.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use keygress::audit::{Sink, verify};
use keygress_tests::alone::alone;
use keygress_tests::client::{Kept, bare};
use keygress_tests::process::Process;
use keygress_tests::proxy::{Proxy, binary};
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;
use serde_json::Value;

use crate::world::{policy, rule};

/// How often it is killed; `KEYGRESS_TEST_KILLS` says otherwise.
const KILLS: usize = 25;

/// Who asks at once.
const CALLERS: usize = 6;

/// Longer than any wait here takes on a machine that builds beside it.
const TIME_MAX: Duration = Duration::from_secs(30);

fn records(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The paths of the uses that were on the disk before they happened.
fn intended(path: &Path) -> BTreeSet<String> {
    let records = records(path);
    let of_intents = records.iter().filter(|record| record["activity"] == "intended");
    of_intents.map(|record| record["http_request"]["url"]["path"].as_str().unwrap().to_owned()).collect()
}

/// What the upstream saw; all of it with the credential.
fn seen(echo: &Echo, key: &str) -> BTreeSet<String> {
    let seen = echo.seen();
    assert!(seen.iter().all(|one| one.values("authorization") == [format!("Bearer {key}")]), "{seen:?}");
    seen.into_iter().map(|one| one.target).collect()
}

fn serve(site: &Site) -> (Process, std::net::SocketAddr) {
    let path = |name: &str| site.folder().join(name);
    let mut command: Command = bare(binary().unwrap());
    command.args(["serve", "--listen", "127.0.0.1:0", "--unsafe-same-uid", "--unsafe-writable-files", "--audit-strict", "--policy"]);
    command.arg(path("policy.yaml")).arg("--upstream-ca").arg(site.upstream_ca()).arg("--audit").arg(path("audit.jsonl"));
    let process = Process::start(&mut command, "").unwrap();
    let listening = process.wait_for("listens on ").unwrap();
    let address = listening.split([':', ',']).take(2).collect::<Vec<_>>().join(":");
    (process, address.parse().unwrap())
}

/// Asks one path after the other until nobody answers any more.
fn ask(address: std::net::SocketAddr, route: &str, life: usize, caller: usize, answered: &Sender<()>) {
    let kept = Kept::open(address, route);
    for number in 0.. {
        if kept.get(&format!("/hello/{life}/{caller}/{number}")) != 200 {
            return;
        }
        let _ = answered.send(());
    }
}

#[test]
fn what_an_upstream_saw_is_on_record_whenever_keygress_was_killed() {
    let kills = std::env::var("KEYGRESS_TEST_KILLS").ok().map_or(KILLS, |kills| kills.parse().unwrap());
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "localhost").unwrap();
    let key = canary().unwrap();
    site.write("policy.yaml", &policy(&site, &key, &rule(echo.port)).replace("echo.test", "localhost")).unwrap();
    let route = format!("localhost:{}", echo.port);
    for life in 0..kills {
        let (process, address) = serve(&site);
        std::thread::scope(|scope| {
            let (answered, answers) = mpsc::channel();
            for caller in 0..CALLERS {
                let (answered, route) = (answered.clone(), &route);
                scope.spawn(move || ask(address, route, life, caller, &answered));
            }
            // A different number each time: it dies in the middle of whatever it does.
            for _ in 0..=(life * 7) % 40 {
                answers.recv_timeout(TIME_MAX).unwrap();
            }
            process.kill().unwrap();
        });
    }
    let (_last, _) = serve(&site);
    let path = site.folder().join("audit.jsonl");
    assert_eq!(verify(&path).unwrap().first_bad, None);
    let (seen, intended) = (seen(&echo, &key), intended(&path));
    assert!(seen.len() >= kills, "{} requests", seen.len());
    let missing: Vec<_> = seen.difference(&intended).collect();
    assert!(missing.is_empty(), "left without a record: {missing:?}");
}

/// Writes into the file system until nothing more fits.
fn fill(ballast: &Path) {
    let mut file = fs::File::create(ballast).unwrap();
    for size in [1 << 20, 4096, 1] {
        while std::io::Write::write_all(&mut file, &vec![0; size]).is_ok() {}
    }
}

#[test]
fn a_full_disk_lets_nothing_leave_and_a_disk_with_room_does_again() {
    alone("strict::a_full_disk_lets_nothing_leave_and_a_disk_with_room_does_again", || {
        let site = Site::new().unwrap();
        let disk = site.folder().join("disk");
        fs::create_dir(&disk).unwrap();
        let mut mount = bare(tools::program("mount").unwrap());
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=32m,mode=0700", "tmpfs"]).arg(&disk).status().unwrap();
        assert!(mounted.success());
        let echo = Echo::start(&site, "echo.test").unwrap();
        let (key, path, ballast) = (canary().unwrap(), disk.join("audit.jsonl"), disk.join("ballast"));
        let proxy = Proxy::start_with(&site, &policy(&site, &key, &rule(echo.port)), |settings| {
            settings.audit = Sink::File(path.clone());
            settings.audit_strict = true;
        })
        .unwrap();
        let kept = Kept::open(proxy.address(), &format!("echo.test:{}", echo.port));
        assert_eq!(kept.get("/hello/before"), 200);

        fill(&ballast);
        // What is left of the file's last page may take a few more.
        let refused = (0..200).find(|number| kept.get(&format!("/hello/filling/{number}")) == 503);
        assert!(refused.is_some(), "a full disk refused nothing");
        let seen_by_then = echo.seen().len();
        for number in 0..20 {
            assert_eq!(kept.get(&format!("/hello/full/{number}")), 503);
        }
        assert_eq!(echo.seen().len(), seen_by_then, "something left that is not on record");
        assert!(proxy.metrics().contains(r#"code="audit_unavailable",outcome="failed"} 2"#), "{}", proxy.metrics());

        fs::remove_file(&ballast).unwrap();
        let begun = Instant::now();
        while kept.get("/hello/after") != 200 {
            assert!(begun.elapsed() < TIME_MAX, "it did not recover");
        }
        drop(proxy);
        assert_eq!(verify(&path).unwrap().first_bad, None);
        let (seen, intended) = (seen(&echo, &key), intended(&path));
        assert!(seen.is_subset(&intended), "{:?}", seen.difference(&intended).collect::<Vec<_>>());
        assert!(records(&path).iter().any(|record| record["activity"] == "recovered"));
    })
    .unwrap();
}

#[test]
fn an_audit_that_is_not_strict_has_one_record_a_use_and_a_strict_one_has_two() {
    for is_strict in [false, true] {
        let site = Site::new().unwrap();
        let echo = Echo::start(&site, "echo.test").unwrap();
        let mut proxy = Proxy::start_with(&site, &policy(&site, &canary().unwrap(), &rule(echo.port)), |settings| {
            settings.audit_strict = is_strict;
        })
        .unwrap();
        let kept = Kept::open(proxy.address(), &format!("echo.test:{}", echo.port));
        assert_eq!((kept.get("/hello"), kept.get("/forbidden")), (200, 403));
        proxy.stop();
        let records = proxy.records().unwrap();
        let of = |activity: &str| records.iter().filter(|record| record["activity"] == activity).collect::<Vec<_>>();
        let (intended, used) = (of("intended"), of("used"));
        assert_eq!((intended.len(), used.len(), of("denied").len()), (usize::from(is_strict), 1, 1));
        for intent in intended {
            assert!(intent["seq"].as_u64() < used[0]["seq"].as_u64());
            for field in ["request", "workload", "credential", "lease", "fingerprint", "rule"] {
                assert_eq!(intent["keygress"][field], used[0]["keygress"][field], "{field}");
            }
            assert_eq!(intent["http_request"], used[0]["http_request"]);
            assert!(intent["status_code"].is_null(), "{intent}");
        }
    }
}
