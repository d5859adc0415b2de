//! Where a request ends and the next begins.

use keygress_tests::attack::cases;
use keygress_tests::attack::ground::Ground;

#[test]
fn two_readers_cut_every_request_alike() {
    Ground::new().unwrap().tried(cases::framing::CASES).unwrap();
}

#[test]
fn nothing_of_http2_becomes_something_else_in_http1() {
    Ground::new().unwrap().tried(cases::streams::CASES).unwrap();
}

#[test]
fn what_others_published_is_refused_or_written_anew() {
    Ground::new().unwrap().tried(cases::requests::CASES).unwrap();
}
