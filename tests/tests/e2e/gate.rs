//! What hyper lets through and keygress must refuse or rebuild: a row each, as raw bytes on a plain listener and inside an intercepted
//! connection. A refused row never reaches the upstream, and its connection is closed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use keygress_tests::proxy::Proxy;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

struct Ground {
    proxy: Proxy,
    echo: Echo,
    key: String,
    _site: Site,
}

impl Ground {
    fn new() -> Self {
        let site = Site::new().unwrap();
        let echo = Echo::start(&site, "api.test").unwrap();
        let key = canary().unwrap();
        let secret = site.write_secret("key", &key).unwrap();
        let policy = format!(
            "version: 1\n\
             credentials:\n  key:\n    owner: team@example.com\n    static: {{ reason: test, expires: 2099-01-01 }}\n    \
             source: {{ file: {} }}\n    inject: bearer\n    only_to: [api.test]\n\
             rules:\n  api:\n    from: any\n    to: https://api.test:{port}\n    allow: [GET /**, POST /**]\n    credential: key\n    \
             route: api\n    allow_ips: [127.0.0.1/32]\n    request_trailers: [x-kept]\n",
            secret.display(),
            port = echo.port,
        );
        let proxy = Proxy::start(&site, &policy).unwrap();
        Self { proxy, echo, key, _site: site }
    }

    /// `{}` stands for the authority of the upstream.
    fn fill(&self, text: &str) -> String {
        text.replace("{}", &format!("api.test:{}", self.echo.port))
    }

    fn plain(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.proxy.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    fn intercepted(&self) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
        self.intercepted_as("api.test").expect("a tunnel and a handshake")
    }

    fn intercepted_as(&self, server_name: &str) -> Option<rustls::StreamOwned<rustls::ClientConnection, TcpStream>> {
        let mut stream = self.plain();
        stream.write_all(self.fill("CONNECT {} HTTP/1.1\r\nHost: {}\r\n\r\n").as_bytes()).unwrap();
        let mut head = Vec::new();
        let mut byte = [0_u8];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        let name = ServerName::try_from(server_name.to_owned()).unwrap();
        let connection = rustls::ClientConnection::new(Arc::new(self.client_config()), name).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, stream);
        stream.conn.complete_io(&mut stream.sock).ok()?;
        Some(stream)
    }
}

impl Ground {
    /// The status of one HTTP/2 request inside an intercepted connection; 0 where the stream was reset.
    fn over_http2(&self, uri: &str, host: Option<&str>) -> u16 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.proxy.port())).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, self.fill("CONNECT {} HTTP/1.1\r\nHost: {}\r\n\r\n").as_bytes())
                .await
                .unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap());
            }
            let mut config = self.client_config();
            config.alpn_protocols = vec![b"h2".to_vec()];
            let name = ServerName::try_from("api.test").unwrap();
            let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
            let (executor, io) = (hyper_util::rt::TokioExecutor::new(), hyper_util::rt::TokioIo::new(stream));
            let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
            tokio::spawn(connection);
            let mut request = http::Request::get(uri);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let answer = sender.send_request(request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap()).await;
            answer.map_or(0, |response| response.status().as_u16())
        })
    }

    fn client_config(&self) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.proxy.ca_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        config.with_root_certificates(roots).with_no_client_auth()
    }
}

/// Sends and reads until the other side closes.
fn conversation(mut stream: impl Read + Write, text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A close without close_notify, or a reset, ends the conversation all the same.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn assert_refused(answer: &str, status: u16, code: &str, row: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{row:?}\n{answer}");
    if !code.is_empty() {
        assert!(answer.contains(&format!("x-keygress-refusal: {code}\r\n")), "{row:?}\n{answer}");
    }
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "what follows a refusal must not be read as a request: {row:?}\n{answer}");
}

/// Raw request, status, code; an empty code where hyper itself refuses.
const PLAIN: &[(&str, u16, &str)] = &[
    // Hosts.
    ("GET https://{}/x HTTP/1.1\r\n\r\n", 400, "bad_request"),
    ("GET https://{}/x HTTP/1.1\r\nHost: {}\r\nHost: {}\r\n\r\n", 400, "bad_request"),
    ("GET https://{}/x HTTP/1.1\r\nHost: api.test evil.test\r\n\r\n", 400, "bad_request"),
    ("GET https://{}/x HTTP/1.1\r\nHost: user@{}\r\n\r\n", 400, "bad_request"),
    ("GET https://{}/x HTTP/1.1\r\nHost: {}, evil.test\r\n\r\n", 400, "bad_request"),
    ("GET https://{}/x HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421, "misdirected"),
    ("GET https://user:password@{}/x HTTP/1.1\r\nHost: {}\r\n\r\n", 400, "bad_request"),
    ("GET https://127.1/x HTTP/1.1\r\nHost: 127.1\r\n\r\n", 400, "bad_request"),
    ("GET https://2130706433/x HTTP/1.1\r\nHost: 2130706433\r\n\r\n", 400, "bad_request"),
    ("GET https://0x7f.1/x HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n", 400, "bad_request"),
    ("GET https://[fe80::1%25eth0]/x HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n", 400, ""),
    ("GET https://api.test:0443/x HTTP/1.1\r\nHost: api.test:0443\r\n\r\n", 400, "bad_request"),
    ("GET https://api.test:99999/x HTTP/1.1\r\nHost: api.test:99999\r\n\r\n", 400, ""),
    ("GET https://api.test:/x HTTP/1.1\r\nHost: api.test:\r\n\r\n", 400, "bad_request"),
    // Targets and methods.
    ("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", 400, "bad_request"),
    ("GET ftp://{}/x HTTP/1.1\r\nHost: {}\r\n\r\n", 400, "bad_request"),
    ("get https://{}/x HTTP/1.1\r\nHost: {}\r\n\r\n", 405, "method_not_carried"),
    ("GE!T https://{}/x HTTP/1.1\r\nHost: {}\r\n\r\n", 405, "method_not_carried"),
    ("TRACE https://{}/x HTTP/1.1\r\nHost: {}\r\n\r\n", 405, "method_not_carried"),
    ("TRACK https://{}/x HTTP/1.1\r\nHost: {}\r\n\r\n", 405, "method_not_carried"),
    ("OPTIONS * HTTP/1.1\r\nHost: {}\r\n\r\n", 405, "method_not_carried"),
    // Framing.
    ("POST https://{}/x HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "coding_not_carried"),
    // CONNECT, with bytes behind it that must never be read as a request.
    (
        "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\nGET https://{}/x HTTP/1.1\r\nHost: {}\r\n\r\n",
        403,
        "unknown_destination",
    ),
    ("CONNECT api.test:99999 HTTP/1.1\r\nHost: api.test:99999\r\n\r\n", 400, ""),
    ("CONNECT api.test:0443 HTTP/1.1\r\nHost: api.test:0443\r\n\r\n", 400, "bad_request"),
    ("CONNECT api.test: HTTP/1.1\r\nHost: api.test:\r\n\r\n", 400, "bad_request"),
    ("CONNECT api.test:+443 HTTP/1.1\r\nHost: api.test\r\n\r\n", 400, ""),
    ("CONNECT api.test HTTP/1.1\r\nHost: api.test\r\n\r\n", 400, "bad_request"),
    ("CONNECT {} HTTP/1.1\r\nHost: evil.test\r\n\r\n", 400, "bad_request"),
    ("CONNECT user@{} HTTP/1.1\r\nHost: {}\r\n\r\n", 400, "bad_request"),
    // Garbage.
    ("\x16\x03\x01 this is not HTTP\r\n\r\n", 400, ""),
    ("GET / HTTP/9.9\r\n\r\n", 400, ""),
    // Routes are for this host only.
    ("GET /api/x HTTP/1.1\r\nHost: rebound.test\r\n\r\n", 421, "misdirected"),
];

/// The same for requests inside TLS: they must name what the connection was opened for.
const INTERCEPTED: &[(&str, u16, &str)] = &[
    ("GET /x HTTP/1.1\r\n\r\n", 400, "bad_request"),
    ("GET /x HTTP/1.1\r\nHost: {}\r\nHost: {}\r\n\r\n", 400, "bad_request"),
    ("GET /x HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421, "misdirected"),
    ("GET /x HTTP/1.1\r\nHost: api.test:444\r\n\r\n", 421, "misdirected"),
    ("GET https://evil.test/x HTTP/1.1\r\nHost: {}\r\n\r\n", 421, "misdirected"),
    ("GET http://{}/x HTTP/1.1\r\nHost: {}\r\n\r\n", 400, "bad_request"),
    ("CONNECT {} HTTP/1.1\r\nHost: {}\r\n\r\n", 405, "method_not_carried"),
    ("TRACE /x HTTP/1.1\r\nHost: {}\r\n\r\n", 405, "method_not_carried"),
    ("POST /x HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "coding_not_carried"),
];

/// A rule constrains paths here: what can be read in two ways is refused.
const PATHS: &[&str] =
    &["/a/../b", "/a/./b", "/%2e%2e/b", "/a%2Fb", "/a%5Cb", "/a\\b", "/a//b", "/a;b", "/a%00b", "/a%zzb", "/a%252Fb", "/a%c0%afb"];

#[test]
fn what_can_be_read_in_two_ways_is_refused_on_a_plain_listener() {
    let ground = Ground::new();
    for (row, status, code) in PLAIN {
        assert_refused(&conversation(ground.plain(), &ground.fill(row)), *status, code, row);
    }
    assert!(ground.echo.seen().is_empty(), "{:?}", ground.echo.seen());
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_inside_an_intercepted_connection() {
    let ground = Ground::new();
    for (row, status, code) in INTERCEPTED {
        assert_refused(&conversation(ground.intercepted(), &ground.fill(row)), *status, code, row);
    }
    assert!(ground.echo.seen().is_empty(), "{:?}", ground.echo.seen());
}

#[test]
fn ambiguous_paths_are_refused_by_every_way_in() {
    let ground = Ground::new();
    for path in PATHS {
        let end = "Host: {}\r\nConnection: close\r\n\r\n";
        let forward = ground.fill(&format!("GET https://{{}}{path} HTTP/1.1\r\n{end}"));
        let route = format!("GET /api{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        let inside = ground.fill(&format!("GET {path} HTTP/1.1\r\n{end}"));
        for answer in
            [conversation(ground.plain(), &forward), conversation(ground.plain(), &route), conversation(ground.intercepted(), &inside)]
        {
            assert!(answer.starts_with("HTTP/1.1 400 "), "{path}\n{answer}");
        }
    }
    assert!(ground.echo.seen().is_empty(), "{:?}", ground.echo.seen());
}

#[test]
fn a_server_name_other_than_the_connect_target_gets_no_handshake() {
    let ground = Ground::new();
    assert!(ground.intercepted_as("evil.test").is_none());
    assert!(ground.intercepted_as("api.test").is_some(), "its twin: the right name does");
}

#[test]
fn what_goes_out_is_framed_anew_and_carries_one_credential() {
    let ground = Ground::new();
    let row = "POST https://{}/mirror HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer theirs\r\nAuthorization: Basic eA==\r\nCookie: session=theirs\r\n\
               X-Api-Key: theirs\r\nConnection: authorization, x-mine, close\r\nX-Mine: 1\r\n\
               X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /admin\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nTE: gzip\r\n\
               Transfer-Encoding: chunked\r\nContent-Length: 3\r\nTrailer: x-kept, authorization\r\n\r\n\
               5\r\nhello\r\n0\r\nx-kept: yes\r\nauthorization: Bearer trailing\r\n\r\n";
    let answer = conversation(ground.plain(), &ground.fill(row));
    assert!(answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    for seen in ground.echo.seen() {
        assert_eq!(seen.values("authorization"), [format!("Bearer {}", ground.key)]);
        assert_eq!(seen.body_bytes, 5);
        for gone in [
            "cookie",
            "x-api-key",
            "x-mine",
            "proxy-authorization",
            "x-http-method-override",
            "x-original-url",
            "upgrade",
            "http2-settings",
            "te",
        ] {
            assert!(!seen.headers.contains_key(gone), "{gone}: {seen:?}");
        }
        let trailers = seen.trailers.unwrap_or_default();
        assert!(!trailers.contains_key("authorization"), "{trailers:?}");
    }
}

#[test]
fn a_task_token_that_no_task_has_is_asked_for_again() {
    let ground = Ground::new();
    let row = ground.fill("GET https://{}/x HTTP/1.1\r\nHost: {}\r\nProxy-Authorization: Basic dGFzazp4\r\n\r\n");
    assert_refused(&conversation(ground.plain(), &row), 407, "caller_unproven", &row);
    assert!(ground.echo.seen().is_empty());
}

#[test]
fn named_trailers_pass_and_others_do_not() {
    let ground = Ground::new();
    let row = "POST https://{}/mirror HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: x-kept, authorization\r\n\r\n\
               5\r\nhello\r\n0\r\nx-kept: yes\r\nauthorization: Bearer trailing\r\n\r\n";
    let answer = conversation(ground.plain(), &ground.fill(row));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let seen = ground.echo.seen();
    let trailers = seen[0].trailers.clone().unwrap_or_default();
    assert_eq!(trailers.get("x-kept").map(|value| value.as_bytes()), Some(&b"yes"[..]));
    assert!(!trailers.contains_key("authorization"));
}

#[test]
fn a_page_in_a_browser_cannot_use_a_route() {
    let ground = Ground::new();
    let request = |site: &str| {
        format!("POST /api/x HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: {site}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    };
    assert_refused(&conversation(ground.plain(), &request("cross-site")), 403, "caller_refused", "cross-site");
    assert!(ground.echo.seen().is_empty());
    assert!(conversation(ground.plain(), &request("none")).starts_with("HTTP/1.1 200 "), "its twin: the user's own program");
}

#[test]
fn a_body_is_asked_for_only_when_the_request_is_allowed() {
    let ground = Ground::new();
    let head = |path: &str| {
        let lines = format!(
            "POST https://{{}}{path} HTTP/1.1\r\nHost: {{}}\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
        );
        ground.fill(&lines)
    };
    let mut stream = ground.plain();
    stream.write_all(head("/mirror").as_bytes()).unwrap();
    let mut interim = [0_u8; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(conversation(stream, "hello").starts_with("HTTP/1.1 200 "));
    assert_eq!(ground.echo.seen()[0].body_bytes, 5);
    let refused = conversation(ground.plain(), &head("/a/../b"));
    assert!(refused.starts_with("HTTP/1.1 400 "), "no 100 before a refusal: {refused}");
}

#[test]
fn an_upgrade_that_the_upstream_does_not_switch_is_an_ordinary_answer() {
    let ground = Ground::new();
    let row = "GET https://{}/hello HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nGET https://{}/behind HTTP/1.1\r\nHost: {}\r\n\r\n";
    let answer = conversation(ground.plain(), &ground.fill(row));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(ground.echo.seen().iter().all(|seen| seen.target == "/hello"), "{:?}", ground.echo.seen());
}

/// HTTP/2 inside TLS: `:authority`, `host`, `:scheme` and the CONNECT target must be one.
#[test]
fn what_can_be_read_in_two_ways_is_refused_over_http2() {
    let ground = Ground::new();
    let own = ground.fill("{}");
    let rows: [(&str, Option<&str>, u16); 5] = [
        (&own, None, 200),
        (&own, Some("evil.test"), 421),
        ("evil.test", None, 421),
        ("api.test:444", None, 421),
        ("user@api.test", None, 400),
    ];
    for (authority, host, status) in rows {
        let answer = ground.over_http2(&format!("https://{authority}/hello"), host);
        assert_eq!(answer, status, "{authority} {host:?}");
    }
    assert_eq!(ground.over_http2(&format!("http://{own}/hello"), None), 400, "plain http claimed inside TLS");
    assert_eq!(ground.echo.seen().len(), 1);
}

#[test]
fn what_the_application_holds_leaves_only_where_a_rule_forwards_it_by_name() {
    let site = Site::new().unwrap();
    let (docs, open) = (Echo::start(&site, "docs.test").unwrap(), Echo::start(&site, "open.test").unwrap());
    let policy = format!(
        "version: 1\nrules:\n  docs: {{ to: 'https://docs.test:{}', allow: [GET /**], allow_ips: [127.0.0.1] }}\n  \
         open: {{ to: 'https://open.test:{}', allow: [GET /**], allow_ips: [127.0.0.1], forward: [authorization] }}\n",
        docs.port, open.port
    );
    let proxy = Proxy::start(&site, &policy).unwrap();
    for host in [format!("docs.test:{}", docs.port), format!("open.test:{}", open.port)] {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        let request = format!(
            "GET https://{host}/hello HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer theirs\r\nCookie: a=theirs\r\nConnection: close\r\n\r\n"
        );
        assert!(conversation(stream, &request).starts_with("HTTP/1.1 200 "));
    }
    assert!(!format!("{:?}", docs.seen()).contains("theirs"), "{:?}", docs.seen());
    assert_eq!(open.seen()[0].values("authorization"), ["Bearer theirs"]);
    assert!(!open.seen()[0].headers.contains_key("cookie"));
}

#[test]
fn an_override_header_does_not_lead_past_the_except_of_another_rule() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "api.test").unwrap();
    let host = format!("api.test:{}", echo.port);
    let policy = format!(
        "version: 1\nrules:\n  b: {{ to: 'https://{host}', allow_ips: [127.0.0.1] }}\n  \
         c: {{ to: 'https://{host}', allow_ips: [127.0.0.1], allow: [GET /**], except: ['DELETE /**'] }}\n"
    );
    let proxy = Proxy::start(&site, &policy).unwrap();
    let request = format!(
        "POST https://{host}/x HTTP/1.1\r\nHost: {host}\r\nX-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let answer = conversation(TcpStream::connect(proxy.address()).unwrap(), &request);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!echo.seen()[0].headers.contains_key("x-http-method-override"));
}
