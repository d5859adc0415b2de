//! TLS on both sides: nothing is put on before the peer has proven the name that the policy has, and the proxy proves no other.

use keygress_tests::attack::ground::{self, Ground, HOST};
use keygress_tests::attack::way::{Request, Way};
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Certificate, Site, Validity};

/// A ground whose upstream shows this certificate.
fn showing(certificate: impl FnOnce(&Site) -> Certificate) -> Ground<Echo> {
    let site = ground::site().unwrap();
    let api = Echo::with_certificate(&certificate(&site)).unwrap();
    Ground::around(site, api, "", "").unwrap()
}

fn nothing_is_sent(ground: Ground<Echo>) {
    for way in Way::ALL {
        let answer = ground.ask(way, &Request::get("/hello")).unwrap();
        assert_eq!((answer.status, answer.code.as_str()), (502, "upstream_unverified"), "{way}: {}", answer.text());
    }
    assert!(ground.api.seen().is_empty(), "{:?}", ground.api.seen());
    let records = ground.left().unwrap();
    assert_eq!(records.iter().filter(|record| record["keygress"]["code"] == "upstream_unverified").count(), Way::ALL.len());
}

#[test]
fn nothing_is_sent_to_a_peer_with_another_name() {
    nothing_is_sent(showing(|site| site.certificate("evil.test", Validity::Current).unwrap()));
}

#[test]
fn nothing_is_sent_to_a_peer_whose_name_begins_or_ends_alike() {
    nothing_is_sent(showing(|site| site.certificate("api.test.evil.test", Validity::Current).unwrap()));
    nothing_is_sent(showing(|site| site.certificate("evilapi.test", Validity::Current).unwrap()));
}

#[test]
fn nothing_is_sent_to_a_peer_whose_certificate_has_expired() {
    nothing_is_sent(showing(|site| site.certificate(HOST, Validity::Expired).unwrap()));
}

#[test]
fn nothing_is_sent_to_a_peer_that_nobody_vouches_for() {
    // Another authority of the same name signed it.
    nothing_is_sent(showing(|_| Site::new().unwrap().certificate(HOST, Validity::Current).unwrap()));
}

#[test]
fn a_spray_of_names_mints_nothing() {
    let ground = Ground::new().unwrap();
    for number in 0..200 {
        let authority = format!("n{number}.evil.test:443");
        let (head, _) = ground.target.connect(&authority).unwrap();
        assert!(head.starts_with("HTTP/1.1 403 ") && head.contains("unknown_destination"), "{head}");
        if number % 20 == 0 {
            for way in [Way::ConnectH2, Way::CapturedH2] {
                assert!(ground.target.secured(way, &format!("n{number}.evil.test"), b"h2").is_err(), "{way}");
            }
        }
    }
    assert_eq!(ground.ask(Way::ConnectH2, &Request::get("/hello")).unwrap().status, 200, "its twin: the right name still does");
    ground.left().unwrap();
}
