//! What the audit said was durable is there after the process was killed, at whatever moment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr, reason = "test code")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use keygress::audit::{Audit, Event, Kind, Sink, verify};
use keygress::metrics::Metrics;
use serde_json::Value;

/// Tells the process that is to be killed its file and its first number.
const FILE: &str = "KEYGRESS_TEST_AUDIT";
const FIRST: &str = "KEYGRESS_TEST_FIRST";

/// How often it is killed, and how far apart the numbers of two lives are.
const KILLS: u64 = 20;
const LIFE: u64 = 1_000_000;

#[test]
fn what_was_acknowledged_survives_being_killed() {
    if let Some(file) = std::env::var_os(FILE) {
        return record_until_killed(file);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut acknowledged = BTreeSet::new();
    for life in 0..KILLS {
        acknowledged.extend(live_and_die(&path, life));
    }
    Audit::open(Sink::File(path.clone()), Metrics::new()).unwrap().close();
    assert_eq!(verify(&path).unwrap().first_bad, None);

    let text = fs::read_to_string(&path).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let written: BTreeSet<_> = records.iter().filter_map(|record| record["keygress"]["request"].as_u64()).collect();
    assert!(acknowledged.is_subset(&written), "lost: {:?}", acknowledged.difference(&written).collect::<Vec<_>>());
    let recovered = records.iter().filter(|record| record["activity"] == "recovered").count();
    assert_eq!(recovered as u64, KILLS, "every death is on record");
}

/// Starts a process that records, kills it after some acknowledgements, and returns all that it gave.
fn live_and_die(path: &Path, life: u64) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "what_was_acknowledged_survives_being_killed", "--nocapture"])
        .env(FILE, path)
        .env(FIRST, (life * LIFE).to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let number = |line: String| line.strip_prefix("durable ").expect(&line).parse().unwrap();
    let mut acknowledged: Vec<u64> = lines.by_ref().take(usize::try_from(life).unwrap() * 3 + 1).map(number).collect();
    child.kill().unwrap();
    acknowledged.extend(lines.filter(|line| line.len() > "durable ".len()).map(number));
    child.wait().unwrap();
    acknowledged
}

/// Records durable events among others, and says so of each durable one when it returns.
fn record_until_killed(file: OsString) {
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let audit = Audit::open(Sink::File(file.into()), Metrics::new()).unwrap();
        for number in first..first + LIFE {
            audit.record(Event::new(Kind::Used));
            audit.durable(Event { request: Some(number), ..Event::new(Kind::Issued) }).await.unwrap();
            eprintln!("durable {number}");
        }
    });
}
