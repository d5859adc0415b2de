//! Checkpoints, files that are put aside, and further sinks.

use std::os::unix::net::UnixDatagram;

use super::*;

fn signing(key: SigningKey, folder: &Path) -> Signing {
    Signing::with(key, Some(folder.join("checkpoint")))
}

fn signed(path: &Path, folder: &Path, key: SigningKey, rotation: Rotation) -> Audit {
    let setup = Setup { signing: Some(signing(key, folder)), rotation, ..Setup::from(Sink::File(path.to_owned())) };
    Audit::open(setup, Metrics::new()).unwrap()
}

/// The same key twice: it cannot be cloned.
fn same(key: &SigningKey) -> SigningKey {
    SigningKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap()
}

fn expecting(key: &PublicKey, anchor: Option<Anchor>) -> Expected {
    Expected { keys: vec![key.clone()], anchor, from: 1 }
}

fn why(found: &Verified) -> &str {
    found.first_bad.as_ref().map(|(_, why)| why.as_str()).unwrap_or_default()
}

#[tokio::test]
async fn the_end_is_signed_and_verifies_with_its_key_alone() {
    let (folder, path) = file();
    let key = SigningKey::generate().unwrap();
    let audit = signed(&path, folder.path(), same(&key), Rotation::default());
    audit.durable(event(1)).await.unwrap();
    audit.close();
    let found = verify_all(std::slice::from_ref(&path), &expecting(key.public(), None)).unwrap();
    assert_eq!((found.records, found.checkpoints, found.signed_to, &found.first_bad), (3, 1, 3, &None));
    assert_eq!(found.signed_by, Some(key.public().to_string()));
    assert_eq!(PublicKey::parse(&key.public().to_string()).as_ref(), Ok(key.public()));

    let other = SigningKey::generate().unwrap();
    let found = verify_all(std::slice::from_ref(&path), &expecting(other.public(), None)).unwrap();
    assert!(why(&found).contains("it was signed with another key"), "{found:?}");
}

#[tokio::test]
async fn a_checkpoint_comes_by_itself_where_something_was_written() {
    let (lines_out, lines) = mpsc::channel();
    let signing = Signing { every: Duration::from_millis(30), ..Signing::with(SigningKey::generate().unwrap(), None) };
    let audit = Audit::open(Setup { signing: Some(signing), ..Setup::from(Sink::Memory(lines_out)) }, Metrics::new()).unwrap();
    audit.record(event(1));
    assert_eq!(next(&lines)["activity"], "used");
    assert_eq!(next(&lines)["activity"], "checkpoint");
    audit.record(event(2));
    assert_eq!((next(&lines)["activity"].clone(), next(&lines)["activity"].clone()), ("used".into(), "checkpoint".into()));
    audit.close();
    assert!(lines.recv_timeout(Duration::from_secs(10)).is_err(), "nothing new was signed twice");
}

/// Whoever can write the file can compute hashes, and no signature.
#[tokio::test]
async fn a_chain_that_was_written_anew_is_found() {
    let (folder, path) = file();
    let key = SigningKey::generate().unwrap();
    let audit = signed(&path, folder.path(), same(&key), Rotation::default());
    audit.durable(event(1)).await.unwrap();
    audit.close();
    let text = fs::read_to_string(&path).unwrap().replace(r#""request":1"#, r#""request":2"#);
    let (mut forged, mut prev) = (String::new(), "0".repeat(64));
    for line in text.lines() {
        let (body, _) = line.rsplit_once(r#","hash":"#).unwrap();
        let (body, _) = body.rsplit_once(r#","prev":"#).unwrap();
        let body = format!(r#"{body},"prev":"{prev}"}}"#);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
        prev = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        forged += &format!("{},\"hash\":\"{prev}\"}}\n", body.strip_suffix('}').unwrap());
    }
    fs::write(&path, &forged).unwrap();
    let found = verify(&path).unwrap();
    assert_eq!(found.first_bad, Some((3, "its signature does not verify".to_owned())));

    // Without the signatures it is a chain like any other, which only the key or a checkpoint can tell.
    let unsigned: String = forged.lines().take(2).map(|line| format!("{line}\n")).collect();
    fs::write(&path, unsigned).unwrap();
    assert_eq!(verify(&path).unwrap().first_bad, None);
    let found = verify_all(std::slice::from_ref(&path), &expecting(key.public(), None)).unwrap();
    assert!(why(&found).contains("nothing here is signed"), "{found:?}");
}

#[tokio::test]
async fn an_end_that_was_cut_off_is_found_by_whoever_has_the_checkpoint() {
    let (folder, path) = file();
    let key = SigningKey::generate().unwrap();
    let open = || signed(&path, folder.path(), same(&key), Rotation::default());
    let audit = open();
    for request in 0..5 {
        audit.durable(event(request)).await.unwrap();
    }
    audit.close();
    let anchor = || Some(Anchor::read(&folder.path().join("checkpoint")).unwrap());
    let found = verify_all(std::slice::from_ref(&path), &expecting(key.public(), anchor())).unwrap();
    assert_eq!(found.first_bad, None);
    open().close();
    assert!(!activities(&read(&path)).contains(&"alert"), "nothing is missing");

    let whole = fs::read_to_string(&path).unwrap();
    let cut: String = whole.lines().take(7).map(|line| format!("{line}\n")).collect();
    fs::write(&path, cut).unwrap();
    assert_eq!(verify(&path).unwrap().first_bad, None, "the chain alone does not show it");
    let found = verify_all(std::slice::from_ref(&path), &expecting(key.public(), anchor())).unwrap();
    assert!(why(&found).contains("its end was cut off"), "{found:?}");

    open().close();
    let alert = read(&path).into_iter().find(|record| record["activity"] == "alert").unwrap();
    assert_eq!(alert["keygress"]["code"], "audit_cut_off");
    assert!(alert["message"].as_str().unwrap().contains("record 9 was signed, and the audit ends with record 7"), "{alert}");
}

fn small() -> Rotation {
    Rotation { bytes_max: Some(1500), age_max: None, kept: None }
}

/// The files of an audit, oldest first.
fn files(path: &Path) -> Vec<PathBuf> {
    let aside = super::super::segments::put_aside(path).unwrap().into_iter().map(|(_, path)| path);
    aside.chain([path.to_owned()]).collect()
}

#[tokio::test]
async fn the_chain_goes_on_in_the_next_file_and_in_the_next_process() {
    let (folder, path) = file();
    let key = SigningKey::generate().unwrap();
    for _ in 0..2 {
        let audit = signed(&path, folder.path(), same(&key), small());
        for request in 0..20 {
            audit.durable(event(request)).await.unwrap();
        }
        audit.close();
    }
    let mut files = files(&path);
    assert!(files.len() >= 4, "{files:?}");
    for file in &files {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        let last = read(file).pop().unwrap();
        assert!(last["keygress"]["signature"].is_string(), "every file ends signed: {last}");
    }
    files.reverse();
    let found = verify_all(&files, &expecting(key.public(), None)).unwrap();
    assert_eq!(found.first_bad, None);
    assert_eq!((found.files, found.last, found.signed_to), (files.len(), found.records, found.records));

    let removed = files.remove(files.len() / 2);
    let found = verify_all(&files, &Expected::default()).unwrap();
    assert!(why(&found).contains("was due"), "{removed:?}: {found:?}");
    let older = files.pop().unwrap();
    let found = verify_all(&files, &Expected::default()).unwrap();
    assert!(why(&found).contains("1 was due: name the files before it too"), "{older:?}: {found:?}");
}

#[tokio::test]
async fn a_start_from_a_later_record_is_said_and_then_verified() {
    let (folder, path) = file();
    let audit = signed(&path, folder.path(), SigningKey::generate().unwrap(), small());
    for request in 0..20 {
        audit.durable(event(request)).await.unwrap();
    }
    audit.close();
    let kept = files(&path).split_off(2);
    let from = read(&kept[0])[0]["seq"].as_u64().unwrap();
    assert_eq!(verify_all(&kept, &Expected { from, ..Expected::default() }).unwrap().first_bad, None);
    assert!(verify_all(&kept, &Expected { from: from + 1, ..Expected::default() }).unwrap().first_bad.is_some());
}

#[tokio::test]
async fn a_process_that_dies_between_two_files_goes_on_behind_the_first() {
    let (folder, path) = file();
    let key = SigningKey::generate().unwrap();
    let audit = signed(&path, folder.path(), same(&key), small());
    audit.durable(event(1)).await.unwrap();
    audit.close();
    let first = folder.path().join("audit.jsonl.0000000000000001");
    fs::rename(&path, &first).unwrap();
    signed(&path, folder.path(), same(&key), small()).close();
    // The first line of the new file is torn.
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..40]).unwrap();
    signed(&path, folder.path(), same(&key), small()).close();
    let records = read(&path);
    assert_eq!((records[0]["seq"].as_u64(), records[0]["activity"].as_str()), (Some(4), Some("opened")));
    assert_eq!(verify_all(&[path, first], &Expected::default()).unwrap().first_bad, None);
}

#[tokio::test]
async fn only_so_many_files_are_kept() {
    let (folder, path) = file();
    let rotation = Rotation { kept: Some(2), ..small() };
    let audit = signed(&path, folder.path(), SigningKey::generate().unwrap(), rotation);
    for request in 0..40 {
        audit.durable(event(request)).await.unwrap();
    }
    audit.close();
    assert_eq!(files(&path).len(), 3);
}

#[tokio::test]
async fn an_old_file_is_put_aside_with_the_next_record() {
    let (folder, path) = file();
    let rotation = Rotation { age_max: Some(Duration::ZERO), ..Rotation::default() };
    let audit = signed(&path, folder.path(), SigningKey::generate().unwrap(), rotation);
    for request in 0..4 {
        audit.durable(event(request)).await.unwrap();
    }
    audit.close();
    assert!(files(&path).len() >= 3, "{:?}", files(&path));
    assert_eq!(verify_all(&files(&path), &Expected::default()).unwrap().first_bad, None);
}

/// Waits for the count; what it counts was told to nobody.
fn lost(metrics: &Metrics, sink: &str) -> u64 {
    let name = format!("keygress_audit_sink_lost_total{{sink=\"{sink}\"}} ");
    let text = metrics.expose();
    text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn every_record_goes_on_to_further_sinks() {
    let (folder, path) = file();
    let receive = |name: &str| {
        let socket = UnixDatagram::bind(folder.path().join(name)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    };
    let (syslog, journald) = (receive("syslog"), receive("journald"));
    let at = |name: &str| folder.path().join(name);
    let also = vec![Also::Syslog(at("syslog")), Also::Journald(at("journald")), Also::File(at("copy.jsonl"))];
    let audit = Audit::open(Setup { also, ..Setup::from(Sink::File(path.clone())) }, Metrics::new()).unwrap();
    audit.durable(event(7)).await.unwrap();
    let mut room = [0; 4096];
    let mut datagram = |socket: &UnixDatagram| {
        let length = socket.recv(&mut room).unwrap();
        String::from_utf8(room[..length].to_vec()).unwrap()
    };
    assert!(datagram(&syslog).contains(" opened - {\"seq\":1,"));
    assert!(datagram(&syslog).starts_with("<109>1 2"));
    assert!(datagram(&journald).starts_with("MESSAGE={\"seq\":1,"));
    assert!(datagram(&journald).contains("\nKEYGRESS_ACTIVITY=used\n"));
    audit.close();
    drop(audit);
    assert_eq!(fs::read(at("copy.jsonl")).unwrap(), fs::read(&path).unwrap());
}

#[tokio::test]
async fn a_sink_that_is_not_there_is_counted_and_never_waited_for() {
    let (folder, path) = file();
    let (metrics, socket) = (Metrics::new(), folder.path().join("syslog"));
    let setup = Setup { also: vec![Also::Syslog(socket.clone())], ..Setup::from(Sink::File(path.clone())) };
    let audit = Audit::open(setup, metrics.clone()).unwrap();
    audit.durable(event(1)).await.unwrap();
    let begun = std::time::Instant::now();
    while lost(&metrics, "syslog") < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing was counted");
        tokio::task::yield_now().await;
    }
    let listens = UnixDatagram::bind(&socket).unwrap();
    listens.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    audit.durable(event(2)).await.unwrap();
    let mut room = [0; 4096];
    assert!(listens.recv(&mut room).unwrap() > 0, "what listens again is given what comes");
    assert!(audit.healthy());

    // Nobody reads any more: the socket is full soon, and the audit goes on.
    for request in 0..1000 {
        audit.durable(event(request)).await.unwrap();
    }
    assert!(audit.healthy());
    assert_eq!(activities(&read(&path)).len(), 1003);
}
