//! Tokens that are bound to a key: the certified issuer binds them, an independent library verifies every proof.

use keygress_tests::client::{Reply, curl_reply};
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::issuer::Issuer;
use keygress_tests::servers::resource::Resource;
use keygress_tests::site::Site;
use keygress_tests::tools;

struct World {
    site: Site,
    issuer: Issuer,
    resource: Resource,
    proxy: Proxy,
}

impl World {
    /// A resource server that changes its nonce after so many requests, and a credential for it from the issuer.
    fn new(nonces: u32, source: &str, inject: &str) -> Self {
        let site = Site::new().unwrap();
        let issuer = Issuer::start(&site, 300).unwrap();
        let resource = Resource::start(&site, "api.test", nonces).unwrap();
        let secret = site.write_secret("client-secret", &issuer.basic_secret).unwrap();
        let policy = format!(
            "version: 1
credentials:
  bound:
    owner: tests@example.com
    source:
      oauth2_client_credentials: {{ token_url: {}, revocation_url: {}, client_id: basic, client_secret: {{ file: {} }}, {source} }}
    inject: {inject}
    only_to: [api.test]
rules:
  api:
    from: any
    to: https://api.test:{}
    allow_ips: [127.0.0.0/8]
    allow: [GET /things, POST /things]
    credential: bound
",
            issuer.url("/token"),
            issuer.url("/token/revocation"),
            secret.display(),
            resource.port
        );
        let proxy = Proxy::start(&site, &policy).unwrap();
        Self { site, issuer, resource, proxy }
    }

    fn curl(&self, arguments: &[&str]) -> Reply {
        let mut curl = self.proxy.client(tools::program("curl").unwrap());
        curl.args(["--silent", "--show-error", "--max-time", "60", "--header", "dpop: mine"]).args(arguments);
        curl_reply(curl.arg(format!("https://api.test:{}/things?page=2", self.resource.port))).unwrap().0
    }
}

#[test]
fn every_proof_verifies_and_the_nonces_of_issuer_and_destination_are_taken() {
    let mut world = World::new(2, "dpop: true", "dpop");
    for _ in 0..4 {
        let reply = world.curl(&[]);
        assert_eq!((reply.status, reply.body.as_str()), (200, "proven\n"));
    }
    let asked = world.resource.asked(6).unwrap();
    let words: Vec<_> = asked.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(words, ["nonce", "proven", "proven", "nonce", "proven", "proven"], "a nonce is used until another is asked for");
    let proven: Vec<_> = asked.iter().filter_map(|line| line.strip_prefix("proven ")?.split_once(' ')).collect();
    let (token, thumbprint) = proven[0];
    assert!(proven.iter().all(|one| *one == (token, thumbprint)) && world.issuer.issued() == 1, "one token, one key");
    let known = world.issuer.introspected(&world.site, token).unwrap();
    assert_eq!(
        (known["active"].as_bool(), known["cnf"]["jkt"].as_str()),
        (Some(true), Some(thumbprint)),
        "the issuer bound it to that key"
    );
    assert!(!world.proxy.record_lines().join("\n").contains(token));
    assert_eq!(world.proxy.stop().revoked, 1);
    assert!(!world.issuer.is_active(&world.site, token).unwrap());
}

#[test]
fn a_body_that_cannot_be_sent_again_is_not_and_the_next_request_has_the_nonce() {
    let world = World::new(100, "dpop: true", "dpop");
    let first = world.curl(&["--data", "x"]);
    assert_eq!(first.status, 401, "{first:?}");
    assert_eq!(world.curl(&["--data", "x"]).status, 200);
    assert_eq!(world.resource.asked(2).unwrap().len(), 2);
}

#[test]
fn a_token_that_is_not_bound_opens_nothing_there() {
    let world = World::new(100, "scope: [read]", "bearer");
    assert_eq!(world.curl(&[]).status, 401);
    let asked = world.resource.asked(1).unwrap();
    assert!(asked.iter().all(|line| line == "unproven"), "{asked:?}");
}
