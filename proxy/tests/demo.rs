//! `keygress demo` checks each of its steps itself; here it is held to showing all of them, in 80 columns.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::process::Command;

#[test]
fn every_step_is_shown_in_order_and_fits_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit.jsonl");
    let output = Command::new(env!("CARGO_BIN_EXE_keygress")).args(["demo", "--audit"]).arg(&audit).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let steps = ["1  Allow", "2  Deny", "3  A wrong", "4  Hot reload", "5  Renewal", "6  Revocation", "7  On record", "Done in"];
    let places: Vec<_> = steps.map(|step| text.find(step).unwrap_or_else(|| panic!("no `{step}` in\n{text}"))).into();
    assert!(places.is_sorted(), "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_eq!(output.stderr, b"");

    let verify = Command::new(env!("CARGO_BIN_EXE_keygress")).args(["audit", "verify"]).arg(&audit).output().unwrap();
    assert!(verify.status.success() && verify.stdout.starts_with(b"intact: "), "{verify:?}");

    let records = std::fs::read_to_string(&audit).unwrap();
    std::fs::write(&audit, records.replacen("\"denied\"", "\"used\"", 1)).unwrap();
    let verify = Command::new(env!("CARGO_BIN_EXE_keygress")).args(["audit", "verify"]).arg(&audit).output().unwrap();
    assert_eq!(verify.status.code(), Some(1));
    assert!(verify.stdout.starts_with(b"broken at line "), "{verify:?}");
}
