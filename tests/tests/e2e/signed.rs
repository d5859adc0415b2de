//! Requests that keygress signs: the destination verifies, the application holds no key.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keygress_tests::client::{Reply, curl_reply};
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::echo::{Echo, only};
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};

struct World {
    echo: Echo,
    proxy: Proxy,
    /// Its folder holds the CA that curl trusts.
    _site: Site,
}

impl World {
    /// What `source` yields is put on `echo.test` in this way.
    fn new(site: Site, source: &str, inject: &str) -> Self {
        let echo = Echo::start(&site, "echo.test").unwrap();
        let policy = format!(
            "version: 1
credentials:
  key:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {source} }}
    inject: {{ {inject} }}
    only_to: [echo.test]
rules:
  echo:
    from: any
    to: https://echo.test:{}
    allow_ips: [127.0.0.0/8]
    allow: [GET /hello, POST /mirror]
    credential: key
",
            echo.port
        );
        let proxy = Proxy::start(&site, &policy).unwrap();
        Self { echo, proxy, _site: site }
    }

    fn curl(&self, path: &str, arguments: &[&str]) -> Reply {
        let mut curl = self.proxy.client(tools::program("curl").unwrap());
        curl.args(["--silent", "--show-error", "--max-time", "60"]).args(arguments);
        curl_reply(curl.arg(format!("https://echo.test:{}{path}", self.echo.port))).unwrap().0
    }
}

#[test]
fn an_hmac_covers_the_request_and_the_key_never_leaves() {
    let (site, key) = (Site::new().unwrap(), canary().unwrap());
    let file = site.write_secret("key", &key).unwrap();
    let source = format!("{{ path: {}, user: client-7 }}", file.display());
    let inject = "hmac: { sign: \"{timestamp}.{method}.{path}?{query}.{body}\", encoding: base64, body_max: 1KiB,
      set: { x-client: '{user}', x-timestamp: '{timestamp}', x-signature: 'v1={signature}' } }";
    let world = World::new(site, &source, inject);
    let reply = world.curl("/mirror?a=%41", &["--data", "the body", "--header", "x-signature: v1=mine", "--header", "X_Timestamp: 0"]);
    assert_eq!((reply.status, reply.body.as_str()), (200, "the body"));
    let seen = only(world.echo.seen()).unwrap();
    let [timestamp] = seen.values("x-timestamp")[..] else { panic!("{seen:?}") };
    let signed =
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), format!("{timestamp}.POST./mirror?a=%41.the body").as_bytes());
    assert_eq!(seen.values("x-signature"), [format!("v1={}", STANDARD.encode(signed))]);
    assert_eq!((seen.values("x-client"), seen.values("x_timestamp")), (vec!["client-7"], vec![]));
    assert!(!format!("{seen:?}").contains(&key) && !world.proxy.record_lines().join("\n").contains(&key));
    assert_eq!(world.curl("/mirror", &["--data", &"x".repeat(1025)]).status, 413);
    world.curl("/other", &[]).is_denied().unwrap();
    assert_eq!(world.echo.seen().len(), 1, "what is refused never leaves");
}

#[test]
fn a_message_signature_verifies_with_the_public_key_alone() {
    let site = Site::new().unwrap();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let file = site.write_secret("key.pem", &key.serialize_pem()).unwrap();
    let inject =
        "http_signature: { algorithm: ecdsa-p256-sha256, key_id: k1, covers: ['@method', '@target-uri', 'content-type?', content-digest] }";
    let world = World::new(site, &format!("{{ path: {}, private_key: true }}", file.display()), inject);
    let port = world.echo.port;
    for (path, arguments, method, content_type) in [
        (
            "/mirror?a=%41",
            &["--data", "{}", "--header", "content-type: text/x", "--header", "signature: sig=:AAAA:"][..],
            "POST",
            "\"content-type\": text/x\n",
        ),
        ("/hello", &["--header", "signature-input: sig=()"], "GET", ""),
    ] {
        assert_eq!(world.curl(path, arguments).status, 200);
        let seen = world.echo.seen().pop().unwrap();
        let [digest] = seen.values("content-digest")[..] else { panic!("{seen:?}") };
        let ([input], [signature]) = (&seen.values("signature-input")[..], &seen.values("signature")[..]) else { panic!("{seen:?}") };
        let body: &[u8] = if method == "POST" { b"{}" } else { b"" };
        assert_eq!(digest, format!("sha-256=:{}:", STANDARD.encode(digest::digest(&digest::SHA256, body))));
        let base = format!(
            "\"@method\": {method}\n\"@target-uri\": https://echo.test:{port}{path}\n{content_type}\"content-digest\": {digest}\n\"@signature-params\": {}",
            input.strip_prefix("sig=").unwrap()
        );
        let signature = STANDARD.decode(signature.strip_prefix("sig=:").unwrap().strip_suffix(':').unwrap()).unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key_raw());
        public.verify(base.as_bytes(), &signature).unwrap_or_else(|_| panic!("{base}"));
        assert!(public.verify(base.replace("echo.test", "evil.test").as_bytes(), &signature).is_err());
    }
}
