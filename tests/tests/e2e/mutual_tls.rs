//! A client certificate towards the destination: nginx verifies it, and says whose it saw.

use std::path::PathBuf;

use keygress_tests::client::{Reply, curl_reply};
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::nginx::Nginx;
use keygress_tests::site::{Site, Validity};
use keygress_tests::tools;

struct World {
    site: Site,
    nginx: Nginx,
    proxy: Proxy,
}

/// Puts a certificate for this name, and its key, where the policy has them.
fn certify(site: &Site, name: &str) -> (PathBuf, PathBuf) {
    let made = site.certificate(name, Validity::Current).unwrap();
    (site.write("client.pem", &made.certificate).unwrap(), site.write_secret("client-key.pem", &made.key).unwrap())
}

impl World {
    /// An nginx with these directives, and the certificate of `first.test` for it.
    fn new(directives: &str) -> Self {
        let site = Site::new().unwrap();
        let answer = "location / { return 200 \"$ssl_client_s_dn|$http_x_forwarded_client_cert|$connection\"; }";
        let ca = site.upstream_ca();
        let asks = directives.replace("CA", &ca.display().to_string());
        let nginx = Nginx::start(&site, "api.test", &format!("{asks} {answer}")).unwrap();
        let (certificate, key) = certify(&site, "first.test");
        let policy = format!(
            "version: 1
credentials:
  client:
    owner: tests@example.com
    source: {{ file: {{ path: {}, certificate: {}, rotates: true }} }}
    inject: mutual_tls
    only_to: [api.test]
rules:
  api:
    from: any
    to: https://api.test:{}
    allow_ips: [127.0.0.0/8]
    allow: [GET /**]
    credential: client
",
            key.display(),
            certificate.display(),
            nginx.port
        );
        let proxy = Proxy::start(&site, &policy).unwrap();
        Self { site, nginx, proxy }
    }

    fn curl(&self, arguments: &[&str]) -> Reply {
        let mut curl = self.proxy.client(tools::program("curl").unwrap());
        curl.args(["--silent", "--show-error", "--max-time", "60"]).args(arguments);
        curl_reply(curl.arg(format!("https://api.test:{}/", self.nginx.port))).unwrap().0
    }
}

const ASKS: &str = "ssl_client_certificate CA; ssl_verify_client on;";

#[test]
fn the_destination_sees_the_certificate_and_no_claim_of_the_caller() {
    let world = World::new(ASKS);
    let reply = world.curl(&["--header", "X-Forwarded-Client-Cert: Subject=\"CN=mallory\""]);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.body.starts_with("CN=first.test||"), "{reply:?}");
    let again = world.curl(&[]);
    assert_eq!(reply.body, again.body, "the connection is kept");
}

#[test]
fn a_new_certificate_gets_a_connection_of_its_own() {
    let world = World::new(ASKS);
    let first = world.curl(&[]);
    certify(&world.site, "second.test");
    assert!(world.proxy.await_record("\"superseded\"").is_some(), "{:?}", world.proxy.record_lines());
    // The record is there a moment before the value is.
    let mut replies = (0..100).map(|_| world.curl(&[]));
    let second = replies.find(|reply| !reply.body.starts_with("CN=first.test|")).unwrap();
    assert!(first.body.starts_with("CN=first.test|") && second.body.starts_with("CN=second.test|"), "{first:?} {second:?}");
    assert_ne!(first.body.rsplit('|').next(), second.body.rsplit('|').next());
}

#[test]
fn a_destination_that_asks_for_no_certificate_is_sent_nothing() {
    let world = World::new("");
    let reply = world.curl(&[]);
    assert_eq!(reply.status, 502, "{reply:?}");
    assert!(reply.body.contains("upstream_unverified") && reply.body.contains("did not ask"), "{reply:?}");
    assert!(world.nginx.log().iter().all(|line| !line.contains("GET /")), "{:?}", world.nginx.log());
}

#[test]
fn a_certificate_that_the_destination_does_not_trust_opens_nothing() {
    let other = Site::new().unwrap();
    let world = World::new(&format!("ssl_client_certificate {}; ssl_verify_client on;", other.upstream_ca().display()));
    let reply = world.curl(&[]);
    assert!(reply.status == 400 || reply.status == 502, "{reply:?}");
    assert!(!reply.body.contains("CN=first.test"), "{reply:?}");
}
