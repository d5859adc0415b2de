use std::fs;
use std::path::Path;

use super::*;
use crate::stops::{Measure, Subject};

fn key(fill: u8) -> Key {
    Key::derive(&[fill; 32]).unwrap()
}

/// The year 2100, in seconds since 1970.
const LATER: i64 = 4_102_444_800;

fn issued(lease: &str, handle: Option<String>) -> Row {
    Row::Issued(Box::new(Issued {
        lease: lease.into(),
        credential: "crm".into(),
        definition: "d".into(),
        provider: "oauth2_client_credentials".into(),
        workload: Some("agent".into()),
        task: None,
        rule: Some("read".into()),
        fingerprint: "f".into(),
        issued: 1,
        expires: Some(LATER),
        handle,
    }))
}

fn stopped(name: &str) -> Row {
    let (subject, measure) = (Subject::Credential, Measure::Suspended);
    Row::Stopped(Stopped { subject, name: name.into(), measure, since: 1, by: "uid 7".into(), reason: None })
}

fn place(folder: &Path, run: Option<&str>) -> Place {
    Place { folder: folder.to_owned(), key: PathBuf::new(), run: run.map(str::to_owned) }
}

fn open(folder: &Path) -> Result<(Ledger, Found), String> {
    Ledger::open(&place(folder, None), key(1), &|_| true)
}

/// A run that takes over the leases of this credential.
fn open_run(folder: &Path, run: &str, credential: &str) -> (Ledger, Found) {
    Ledger::open(&place(folder, Some(run)), key(1), &|issued| issued.credential == credential).unwrap()
}

/// Copies what a run has on the disk now: what would be there if it were killed, which frees its lock.
fn killed(folder: &Path, run: &str, copy: &str) {
    let (from, to) = (folder.join("runs").join(run), folder.join("runs").join(copy));
    fs::create_dir(&to).unwrap();
    fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    fs::copy(from.join("ledger"), to.join("ledger")).unwrap();
}

fn folders(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("runs")).unwrap().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).filter(|name| name != "lock").collect();
    names.sort();
    names
}

fn leases(found: &Found) -> Vec<&str> {
    found.leases.iter().map(|issued| issued.lease.as_str()).collect()
}

/// A ledger with three rows behind its first.
async fn written(folder: &Path) {
    let (ledger, found) = open(folder).unwrap();
    assert!(found.leases.is_empty() && found.stops.is_empty() && found.repaired.is_none());
    for row in [issued("one", None), issued("two", None), stopped("crm")] {
        ledger.write(row).await.unwrap();
    }
    ledger.close();
}

#[tokio::test]
async fn what_has_not_ended_is_there_for_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path()).await;
    let (ledger, found) = open(folder.path()).unwrap();
    assert_eq!((leases(&found), found.stops.len()), (vec!["one", "two"], 1));
    assert_eq!(found.stops[0].order().unwrap().target.name(), "crm");
    ledger.note(Row::Ended { lease: "one".into(), how: "revoked".into() });
    ledger.write(Row::Resumed { subject: Subject::Credential, name: "crm".into() }).await.unwrap();
    ledger.close();
    let (_ledger, found) = open(folder.path()).unwrap();
    assert_eq!((leases(&found), found.stops.len(), &found.repaired), (vec!["two"], 0, &None));
}

#[tokio::test]
async fn what_revokes_is_encrypted_and_opens_in_its_own_place_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, _) = open(folder.path()).unwrap();
    let sealed = ledger.key().seal("one", b"canary").unwrap();
    ledger.write(issued("one", Some(sealed.clone()))).await.unwrap();
    let text = fs::read_to_string(folder.path().join("ledger")).unwrap();
    assert!(text.contains(&sealed) && !text.contains("canary"));
    assert_eq!(**ledger.key().unseal("one", &sealed).unwrap(), *b"canary");
    assert!(ledger.key().unseal("two", &sealed).is_none());
    assert!(key(2).unseal("one", &sealed).is_none());
    assert_ne!(ledger.key().seal("one", b"canary").unwrap(), sealed, "no nonce is used twice");
}

#[tokio::test]
async fn a_torn_end_is_cut_and_said() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path()).await;
    let path = folder.path().join("ledger");
    let whole = fs::read(&path).unwrap();
    let ends: Vec<_> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
    // The last row is cut at each of its bytes.
    for cut in ends[ends.len() - 2] + 2..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (ledger, found) = open(folder.path()).unwrap();
        assert_eq!((leases(&found), found.stops.len()), (vec!["one", "two"], 0), "cut at {cut}");
        assert!(found.repaired.unwrap().contains("were cut off"), "cut at {cut}");
        ledger.close();
    }
}

#[tokio::test]
async fn a_row_that_was_changed_is_never_believed() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path()).await;
    let path = folder.path().join("ledger");
    let whole = fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).unwrap();
        match open(folder.path()) {
            // Only of the last row, or the line break before it, can nobody say whether it was changed or torn.
            Ok((ledger, found)) => {
                assert!(at >= last && found.repaired.is_some(), "byte {at}");
                assert!(found.stops.is_empty());
                ledger.close();
            }
            Err(why) => assert!(why.contains("was changed") || why.contains("not written with this key"), "byte {at}: {why}"),
        }
    }
}

#[tokio::test]
async fn another_key_another_process_and_an_open_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path()).await;
    let before = fs::read(folder.path().join("ledger")).unwrap();
    let why = Ledger::open(&place(folder.path(), None), key(2), &|_| true).err().unwrap();
    assert!(why.contains("was not written with this key"), "{why}");
    assert_eq!(fs::read(folder.path().join("ledger")).unwrap(), before, "it is left alone");
    let (_ledger, _) = open(folder.path()).unwrap();
    assert!(open(folder.path()).err().unwrap().contains("is in use by another keygress"));

    use std::os::unix::fs::PermissionsExt;
    let wide = tempfile::tempdir().unwrap();
    fs::set_permissions(wide.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(open(wide.path()).err().unwrap().contains("may be written by others"));
    assert!(Key::derive(&[1; 31]).is_none());
}

#[tokio::test]
async fn runs_side_by_side_keep_rows_of_their_own_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = open_run(folder.path(), "a", "crm");
    let (two, found) = open_run(folder.path(), "b", "crm");
    assert!(found.leases.is_empty(), "what is alive is not taken over");
    let (own, found) = open(folder.path()).unwrap();
    assert!(found.leases.is_empty());
    one.write(issued("one", None)).await.unwrap();
    two.write(issued("two", None)).await.unwrap();
    let (three, found) = open_run(folder.path(), "c", "crm");
    assert!(found.leases.is_empty());
    assert_eq!(folders(folder.path()), ["a", "b", "c"]);
    one.note(Row::Ended { lease: "one".into(), how: "revoked".into() });
    for ledger in [one, three] {
        ledger.close();
    }
    assert_eq!(folders(folder.path()), ["b"], "a run that has ended everything leaves nothing");
    two.close();
    own.close();
    let (_own, found) = open(folder.path()).unwrap();
    assert_eq!(leases(&found), ["two"], "what a run could not end is the next process's");
    assert!(folders(folder.path()).is_empty());
}

#[tokio::test]
async fn what_a_killed_run_left_goes_to_one_that_can_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, _) = open_run(folder.path(), "a", "crm");
    let sealed = ledger.key().seal("one", b"canary").unwrap();
    ledger.write(issued("one", Some(sealed.clone()))).await.unwrap();
    let mut past = issued("past", None);
    if let Row::Issued(past) = &mut past {
        past.expires = Some(2);
    }
    ledger.write(past).await.unwrap();
    killed(folder.path(), "a", "left");
    ledger.note(Row::Ended { lease: "one".into(), how: "revoked".into() });
    ledger.note(Row::Ended { lease: "past".into(), how: "expired".into() });
    ledger.close();

    let (other, found) = open_run(folder.path(), "b", "another");
    assert_eq!(leases(&found), ["past"], "it has not the credential, and what has expired is anybody's to tidy up");
    assert_eq!(folders(folder.path()), ["b", "left"]);
    let (next, found) = open_run(folder.path(), "c", "crm");
    assert_eq!(leases(&found), ["one"]);
    assert_eq!(**next.key().unseal("one", found.leases[0].handle.as_ref().unwrap()).unwrap(), *b"canary");
    assert_eq!(folders(folder.path()), ["b", "c"]);
    killed(folder.path(), "c", "d");
    let (_last, found) = open_run(folder.path(), "e", "crm");
    assert_eq!(leases(&found), ["one"], "it was durable before it was taken from where it lay");
    drop((other, next));
}

#[tokio::test]
async fn what_cannot_be_read_is_left_and_hinders_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(&place(folder.path(), Some("a")), key(2), &|_| true).unwrap();
    ledger.write(issued("one", None)).await.unwrap();
    killed(folder.path(), "a", "left");
    let before = fs::read(folder.path().join("runs/left/ledger")).unwrap();
    let (_own, found) = open_run(folder.path(), "b", "crm");
    assert!(found.leases.is_empty());
    assert_eq!(fs::read(folder.path().join("runs/left/ledger")).unwrap(), before);
}
