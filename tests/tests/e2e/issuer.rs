//! A short-lived credential from an OpenID-certified issuer: minted once, put on, renewed, revoked when keygress stops.

use keygress_tests::client::{Reply, curl_reply};
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::echo::Echo;
use keygress_tests::servers::issuer::Issuer;
use keygress_tests::site::Site;
use keygress_tests::tools;

pub(crate) struct World {
    pub(crate) site: Site,
    pub(crate) echo: Echo,
    pub(crate) issuer: Issuer,
    pub(crate) proxy: Proxy,
}

impl World {
    /// One credential from the issuer, by this way of proving itself, on what `echo.test` is asked.
    pub(crate) fn new(client: &str) -> Self {
        Self::with_source(|site, issuer| {
            let secret = if client == "post" { &issuer.post_secret } else { &issuer.basic_secret };
            let secret = site.write_secret("client-secret", secret).unwrap();
            let secret = secret.display();
            let auth = format!("client_id: {client}, client_secret: {{ file: {secret} }}, auth: client_secret_{client}");
            let revocation = issuer.url("/token/revocation");
            format!(
                "oauth2_client_credentials: {{ token_url: {}, revocation_url: {revocation}, {auth}, scope: [read] }}",
                issuer.url("/token")
            )
        })
    }

    /// The same by another source.
    pub(crate) fn with_source(source: impl FnOnce(&Site, &Issuer) -> String) -> Self {
        let site = Site::new().unwrap();
        let echo = Echo::start(&site, "echo.test").unwrap();
        let issuer = Issuer::start(&site, 300).unwrap();
        let policy = format!(
            "version: 1
credentials:
  minted:
    owner: tests@example.com
    source:
      {}
    inject: bearer
    only_to: [echo.test]
rules:
  echo:
    from: any
    to: https://echo.test:{}
    allow_ips: [127.0.0.0/8]
    allow: [GET /hello, GET /status/**]
    credential: minted
",
            source(&site, &issuer),
            echo.port
        );
        let proxy = Proxy::start(&site, &policy).unwrap();
        Self { site, echo, issuer, proxy }
    }

    pub(crate) fn get(&self, path: &str) -> u64 {
        self.reply(path).status
    }

    pub(crate) fn reply(&self, path: &str) -> Reply {
        let url = format!("https://echo.test:{}{path}", self.echo.port);
        let mut curl = self.proxy.client(tools::program("curl").unwrap());
        curl_reply(curl.args(["--silent", "--show-error", "--max-time", "60", &url])).unwrap().0
    }

    /// The tokens that the upstream saw, in order.
    pub(crate) fn tokens(&self) -> Vec<String> {
        let bearer = |value: &str| value.strip_prefix("Bearer ").unwrap().to_owned();
        self.echo.seen().iter().map(|seen| bearer(seen.values("authorization")[0])).collect()
    }
}

#[test]
fn a_token_is_minted_once_and_revoked_at_the_stop() {
    let mut world = World::new("basic");
    assert_eq!((world.get("/hello"), world.get("/hello")), (200, 200));
    let tokens = world.tokens();
    assert_eq!(tokens[0], tokens[1]);
    assert_eq!(world.issuer.issued(), 1);
    assert!(world.issuer.is_active(&world.site, &tokens[0]).unwrap());

    let ended = world.proxy.stop();
    assert_eq!((ended.revoked, ended.failed), (1, 0));
    assert!(!world.issuer.is_active(&world.site, &tokens[0]).unwrap());

    let lines = world.proxy.record_lines().join("\n");
    assert!(!lines.contains(&tokens[0]) && !lines.contains(&world.issuer.basic_secret), "{lines}");
    let records = world.proxy.records().unwrap();
    let activities: Vec<_> = records.iter().map(|record| record["activity"].as_str().unwrap()).collect();
    assert_eq!(activities, ["policy_loaded", "issued", "used", "used", "revoked"], "{lines}");
}

#[test]
fn a_client_may_prove_itself_in_the_body() {
    let world = World::new("post");
    assert_eq!(world.get("/hello"), 200);
    assert!(world.issuer.is_active(&world.site, &world.tokens()[0]).unwrap());
}

#[test]
fn many_requests_at_once_wait_for_one_mint() {
    let world = World::new("basic");
    std::thread::scope(|scope| {
        let requests: Vec<_> = (0..8).map(|_| scope.spawn(|| world.get("/hello"))).collect();
        assert!(requests.into_iter().all(|request| request.join().unwrap() == 200));
    });
    assert_eq!(world.issuer.issued(), 1);
}

#[test]
fn a_refused_token_is_replaced_once() {
    let world = World::new("basic");
    assert_eq!(world.get("/status/401"), 401);
    let tokens = world.tokens();
    assert_eq!(tokens.len(), 2, "sent again once, and only once");
    assert_ne!(tokens[0], tokens[1]);
}
