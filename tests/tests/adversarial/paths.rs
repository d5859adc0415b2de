//! Which resource is meant.

use keygress_tests::attack::cases;
use keygress_tests::attack::ground::Ground;

#[test]
fn a_path_has_one_reading_or_none() {
    Ground::new().unwrap().tried(cases::paths::CASES).unwrap();
}

#[test]
fn what_the_application_sends_never_arrives_beside_ours() {
    Ground::new().unwrap().tried(cases::slots::CASES).unwrap();
}
