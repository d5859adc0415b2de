use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};

use serde_json::Value;

use super::store::{Disk, Opened, Store, Whole};
use super::*;

fn event(request: u64) -> Event {
    Event { request: Some(request), ..Event::new(Kind::Used) }
}

fn open(path: &Path) -> Audit {
    Audit::open(Sink::File(path.to_owned()), Metrics::new()).unwrap()
}

fn read(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn activities(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["activity"].as_str().unwrap()).collect()
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    (folder, path)
}

fn next(lines: &Receiver<String>) -> Value {
    serde_json::from_str(&lines.recv_timeout(Duration::from_secs(10)).unwrap()).unwrap()
}

#[tokio::test]
async fn a_durable_event_is_in_the_file_when_it_returns() {
    let (_folder, path) = file();
    let audit = open(&path);
    audit.durable(event(1)).await.unwrap();
    assert_eq!(activities(&read(&path)), ["opened", "used"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(verify(&path).unwrap().first_bad, None);
}

#[tokio::test]
async fn a_durable_event_carries_those_before_it() {
    let (_folder, path) = file();
    let audit = open(&path);
    for request in 0..100 {
        audit.record(event(request));
    }
    audit.durable(event(100)).await.unwrap();
    let requests: Vec<_> = read(&path).iter().filter_map(|r| r["keygress"]["request"].as_u64()).collect();
    assert_eq!(requests, (0..=100).collect::<Vec<_>>());
}

#[test]
fn events_are_written_soon_without_anybody_waiting() {
    let (lines_out, lines) = mpsc::channel();
    let audit = Audit::open(Sink::Memory(lines_out), Metrics::new()).unwrap();
    audit.record(event(1));
    assert_eq!(next(&lines)["keygress"]["request"], 1);
    audit.record(event(2));
    assert_eq!(next(&lines)["seq"], 2);
}

#[tokio::test]
async fn the_next_process_continues_the_chain() {
    let (_folder, path) = file();
    for run in 0..3 {
        let audit = open(&path);
        audit.record(event(run));
        audit.close();
    }
    assert_eq!(activities(&read(&path)), ["opened", "used", "closed", "opened", "used", "closed", "opened", "used", "closed"]);
    let verified = verify(&path).unwrap();
    assert_eq!((verified.records, verified.first_bad), (9, None));
    let uids: BTreeSet<_> = read(&path).iter().map(|r| r["metadata"]["uid"].to_string()).collect();
    assert_eq!(uids.len(), 9);
}

#[tokio::test]
async fn dropping_the_last_clone_closes() {
    let (_folder, path) = file();
    let audit = open(&path);
    let clone = audit.clone();
    audit.record(event(1));
    drop(audit);
    clone.record(event(2));
    drop(clone);
    assert_eq!(activities(&read(&path)), ["opened", "used", "used", "closed"]);
}

#[tokio::test]
async fn after_closing_nothing_is_taken_and_the_loss_is_counted() {
    let (_folder, path) = file();
    let metrics = Metrics::new();
    let audit = Audit::open(Sink::File(path.clone()), metrics.clone()).unwrap();
    audit.close();
    audit.record(event(1));
    audit.durable(event(2)).await.unwrap_err();
    assert_eq!(activities(&read(&path)), ["opened", "closed"]);
    assert!(metrics.expose().contains("keygress_audit_lost_total 1\n"));
}

/// Cuts the file at each end of a line and all over the lines: each time it opens, keeps every whole record, says what it did, and verifies.
#[test]
fn a_torn_file_recovers_to_its_last_whole_record() {
    let (_folder, path) = file();
    let audit = open(&path);
    audit.record(event(1));
    audit.close();
    let whole = fs::read(&path).unwrap();
    let newlines: Vec<_> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
    // Every opening costs a handful of syncs.
    let ends = (1..whole.len()).filter(|end| end % 29 == 0 || newlines.iter().any(|newline| newline.abs_diff(*end) <= 2));
    for end in ends {
        let (_folder, path) = file();
        fs::write(&path, &whole[..end]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        open(&path).close();
        let kept = whole[..end].iter().filter(|b| **b == b'\n').count();
        let records = read(&path);
        let torn = whole[..end].iter().rposition(|b| *b == b'\n').map_or(end, |newline| end - newline - 1);
        assert_eq!(activities(&records)[kept..], ["opened", "recovered", "closed"], "cut at {end}");
        assert_eq!(verify(&path).unwrap().first_bad, None, "cut at {end}");
        let message = records[kept + 1]["message"].as_str().unwrap();
        assert_eq!(message.starts_with(&format!("{torn} bytes")), torn > 0, "cut at {end}: {message}");
        if torn > 0 {
            assert_eq!(fs::read(path.with_extension("jsonl.torn")).unwrap(), whole[end - torn..end]);
        }
    }
}

#[test]
fn zeros_behind_the_last_record_are_cut() {
    let (_folder, path) = file();
    open(&path).close();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&[0; 5000]).unwrap();
    open(&path).close();
    assert_eq!(activities(&read(&path)), ["opened", "closed", "opened", "recovered", "closed"]);
    assert_eq!(verify(&path).unwrap().first_bad, None);
}

#[test]
fn what_is_not_an_audit_file_of_ours_is_left_alone() {
    let (folder, path) = file();
    let refused = |path: &Path| Audit::open(Sink::File(path.to_owned()), Metrics::new()).err().unwrap().to_string();

    fs::write(&path, "alias ll=ls\n").unwrap();
    assert!(refused(&path).contains("holds something else"), "{}", refused(&path));
    assert_eq!(fs::read(&path).unwrap(), b"alias ll=ls\n");

    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(refused(&link).contains("cannot be opened"), "{}", refused(&link));

    assert!(refused(folder.path()).contains("cannot be opened"));

    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
    assert!(refused(&path).contains("may be written by others"), "{}", refused(&path));

    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let _open = open(&path);
    assert!(refused(&path).contains("is in use"), "{}", refused(&path));
}

/// A disk with power over when it is full and when it stalls.
#[derive(Clone, Default)]
struct Trouble {
    disk: Arc<Mutex<Content>>,
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    room: Option<usize>,
    sync_fails: bool,
    stalls: bool,
    truncate_fails: bool,
}

impl Trouble {
    fn set(&self, change: impl FnOnce(&mut Content)) {
        change(&mut self.disk.lock().unwrap());
    }

    fn text(&self) -> String {
        String::from_utf8(self.disk.lock().unwrap().bytes.clone()).unwrap()
    }

    fn audit(&self, metrics: &Metrics) -> Audit {
        let disk: Box<dyn Disk + Send> = Box::new(self.clone());
        let store = Store::Faulty(Whole::new(disk, 0));
        let opened = Opened { store, head: chain::Head::empty(), events: Vec::new() };
        Audit { writer: Arc::new(sink::Writer::start(opened, None, Vec::new(), metrics.clone()).unwrap()), is_strict: false }
    }
}

impl Disk for Trouble {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while self.disk.lock().unwrap().stalls {
            std::thread::yield_now();
        }
        let mut content = self.disk.lock().unwrap();
        let taken = content.room.unwrap_or(bytes.len()).min(bytes.len());
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        content.bytes.extend_from_slice(&bytes[..taken]);
        content.room = content.room.map(|room| room - taken);
        Ok(taken)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.disk.lock().unwrap().sync_fails { Err(io::Error::from_raw_os_error(libc::EIO)) } else { Ok(()) }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut content = self.disk.lock().unwrap();
        if content.truncate_fails {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        content.bytes.truncate(usize::try_from(length).unwrap());
        Ok(())
    }
}

/// Waits until the audit says so; every wait is an event of the audit itself.
async fn until_durable(audit: &Audit) {
    let begun = std::time::Instant::now();
    while audit.durable(event(99)).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_full_disk_fails_who_waits_keeps_the_rest_and_leaves_no_partial_line() {
    let (trouble, metrics) = (Trouble::default(), Metrics::new());
    let audit = trouble.audit(&metrics);
    audit.durable(event(1)).await.unwrap();
    let before = trouble.text();

    trouble.set(|disk| disk.room = Some(100));
    let begun = std::time::Instant::now();
    audit.record(event(2));
    assert_eq!(audit.durable(event(3)).await.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(!audit.healthy());
    assert_eq!(trouble.text(), before);

    trouble.set(|disk| disk.room = None);
    until_durable(&audit).await;
    assert!(audit.healthy());
    let records: Vec<Value> = trouble.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let requests: Vec<_> = records.iter().filter_map(|r| r["keygress"]["request"].as_u64()).collect();
    assert_eq!(requests, [1, 2, 99], "what was refused is not on record, what nobody waited for is");
    assert!(activities(&records).contains(&"recovered"));
    assert_verifies(&trouble.text());
}

#[tokio::test]
async fn a_failing_sync_is_a_failure_and_its_record_does_not_stay() {
    let (trouble, metrics) = (Trouble::default(), Metrics::new());
    let audit = trouble.audit(&metrics);
    trouble.set(|disk| disk.sync_fails = true);
    audit.durable(event(1)).await.unwrap_err();
    assert_eq!(trouble.text(), "");
    trouble.set(|disk| disk.sync_fails = false);
    until_durable(&audit).await;
    assert_verifies(&trouble.text());
}

#[tokio::test]
async fn a_partial_line_that_cannot_be_cut_at_once_is_cut_before_the_next() {
    let (trouble, metrics) = (Trouble::default(), Metrics::new());
    let audit = trouble.audit(&metrics);
    trouble.set(|disk| (disk.room, disk.truncate_fails) = (Some(50), true));
    audit.durable(event(1)).await.unwrap_err();
    assert_eq!(trouble.text().len(), 50);
    trouble.set(|disk| (disk.room, disk.truncate_fails) = (None, false));
    until_durable(&audit).await;
    assert_verifies(&trouble.text());
}

#[tokio::test]
async fn a_stalled_disk_fails_who_waits_within_about_a_second() {
    let (trouble, metrics) = (Trouble::default(), Metrics::new());
    let audit = trouble.audit(&metrics);
    trouble.set(|disk| disk.stalls = true);
    assert_eq!(audit.durable(event(1)).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(!audit.healthy());
    trouble.set(|disk| disk.stalls = false);
    until_durable(&audit).await;
    assert!(audit.healthy());
}

#[tokio::test]
async fn a_full_queue_loses_and_says_how_many() {
    const SENT: u64 = 70_000;
    let (trouble, metrics) = (Trouble::default(), Metrics::new());
    let audit = trouble.audit(&metrics);
    trouble.set(|disk| disk.stalls = true);
    for request in 0..SENT {
        audit.record(event(request));
    }
    trouble.set(|disk| disk.stalls = false);
    audit.close();
    let records: Vec<Value> = trouble.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lost: u64 = records.iter().filter_map(|r| r["keygress"]["lost"].as_u64()).sum();
    let kept = activities(&records).iter().filter(|activity| **activity == "used").count() as u64;
    assert!(lost > 0, "nothing was lost");
    assert_eq!(kept + lost, SENT);
    assert!(metrics.expose().contains(&format!("keygress_audit_lost_total {lost}\n")));
    assert_verifies(&trouble.text());
}

#[tokio::test]
async fn closing_gives_up_on_a_disk_that_stays_full() {
    let (trouble, metrics) = (Trouble::default(), Metrics::new());
    let audit = trouble.audit(&metrics);
    trouble.set(|disk| disk.room = Some(0));
    for request in 0..3 {
        audit.record(event(request));
    }
    audit.close();
    assert_eq!(trouble.text(), "");
    assert!(metrics.expose().contains("keygress_audit_lost_total 3\n"), "{}", metrics.expose());
}

mod signed;

fn assert_verifies(text: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    assert_eq!(verify(file.path()).unwrap().first_bad, None);
}

#[test]
fn what_a_tap_says_at_the_very_end_is_on_record() {
    for uses in [0, 3] {
        let (sender, lines) = mpsc::channel();
        let audit = Audit::open(Sink::Memory(sender), Metrics::new()).unwrap();
        let (batches, queue) = mpsc::sync_channel::<Vec<Written>>(4);
        let remarks = audit.remarks();
        let thread = std::thread::spawn(move || {
            let looked_at: usize = queue.iter().map(|batch| batch.len()).sum();
            remarks.record(Event { message: Some(format!("{looked_at} looked at").into()), ..Event::new(Kind::Alert) });
        });
        audit.tap(Tap::new(batches, thread, |_| {}));
        (0..uses).for_each(|_| audit.record(Event::new(Kind::Used)));
        audit.close();
        let all: Vec<String> = lines.try_iter().collect();
        assert!(all.iter().any(|line| line.contains(&format!("{uses} looked at"))), "{all:?}");
    }
}
