use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keygress::identity::public_key;
use keygress::statement::{Behalf, Channel, Of, Signer};
use keygress_tests::client::{Reply, bare, curl_reply};
use keygress_tests::site::{Certificate, Site, Validity};
use keygress_tests::tools;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{SIDECAR, World, problem, provider};

/// A peer that writes its requests itself, over HTTP/1.1.
struct Raw {
    stream: StreamOwned<ClientConnection, TcpStream>,
    channel: Channel,
    signer: Signer,
}

impl Raw {
    fn connect(world: &World, certificate: &Certificate) -> Self {
        let own = CertificateDer::from_pem_slice(certificate.certificate.as_bytes()).unwrap();
        let signer = Signer::new(certificate.key.as_bytes(), &public_key(&own).unwrap()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_file_iter(world.site.upstream_ca()).unwrap().map(Result::unwrap));
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_root_certificates(roots).with_client_auth_cert(vec![own], key).unwrap();
        let name = ServerName::try_from("broker.test").unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = TcpStream::connect(world.broker.mutual().unwrap()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).unwrap();
        }
        let channel = Channel::of(&connection).unwrap();
        Self { stream: StreamOwned::new(connection, socket), channel, signer }
    }

    fn usual(world: &World) -> Self {
        Self::connect(world, &world.svid(Validity::Current))
    }

    /// What is said of the request `number`: a GET of `/hello` for `agent`.
    fn statement(&self, world: &World, number: u64) -> String {
        self.saying(world, &self.channel.trace(number), "broker.test", "/hello", &["agent"])
    }

    fn saying(&self, world: &World, trace: &str, broker: &str, path: &str, workloads: &[&str]) -> String {
        let origin = format!("https://echo.test:{}", world.echo.port);
        let behalf = Behalf { workloads: workloads.iter().map(|name| (*name).into()).collect(), task: None };
        self.signer.sign(broker, trace, Of { method: "GET", origin: &origin, path }, &behalf).unwrap()
    }

    /// One request for `/hello` with these fields.
    fn asked(&mut self, world: &World, fields: &str) -> Reply {
        let host = format!("echo.test:{}", world.echo.port);
        let request = format!("GET https://{host}/hello HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(self.stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default().to_owned();
        let mut body = vec![0; field("content-length:").parse().unwrap()];
        self.stream.read_exact(&mut body).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, content_type: field("content-type:"), body: String::from_utf8(body).unwrap() }
    }

    fn stated(&mut self, world: &World, statement: &str) -> Reply {
        self.asked(world, &format!("Proxy-Authorization: Keygress {statement}\r\n"))
    }
}

fn refused(reply: &Reply, why: &str) {
    assert_eq!((reply.status, problem(reply)), (403, ("statement_refused".to_owned(), why.to_owned())), "{reply:?}");
}

#[test]
fn a_statement_counts_once_on_its_own_connection_and_for_its_own_request() {
    let world = World::usual();
    let own = world.svid(Validity::Current);
    let mut peer = Raw::connect(&world, &own);
    let first = peer.statement(&world, 1);
    assert_eq!(peer.stated(&world, &first).status, 200);
    refused(&peer.stated(&world, &first), "the statement was made before");
    let again = peer.statement(&world, 2);
    assert_eq!(peer.stated(&world, &again).status, 200);
    let other = peer.saying(&world, &peer.channel.trace(3), "broker.test", "/mirror", &["agent"]);
    refused(&peer.stated(&world, &other), "the statement is of another request");
    let other = peer.saying(&world, &peer.channel.trace(4), "elsewhere.test", "/hello", &["agent"]);
    refused(&peer.stated(&world, &other), "the statement is for another broker");
    let mut next = Raw::connect(&world, &own);
    refused(&next.stated(&world, &first), "the statement is of another connection");
    world.injected(2);
    assert!(world.broker.await_record("\"code\":\"statement_refused\"").is_some());
}

#[test]
fn nobody_speaks_in_the_name_of_another_certificate() {
    let world = World::usual();
    let stranger = world.site.svid("spiffe://example.org/ns/shop/sa/stranger", Validity::Current).unwrap();
    let mut peer = Raw::connect(&world, &stranger);
    // Signed by whom it is, it is believed, and the policy names another peer.
    let own = peer.statement(&world, 1);
    assert_eq!(problem(&peer.stated(&world, &own)).0, "caller_not_allowed");
    let stolen = Raw::usual(&world).saying(&world, &peer.channel.trace(2), "broker.test", "/hello", &["agent"]);
    refused(&peer.stated(&world, &stolen), "the statement is not signed with the key of the client certificate");
    assert!(world.echo.seen().is_empty());
}

#[test]
fn a_header_without_a_signature_is_no_identity() {
    let world = World::usual();
    let mut peer = Raw::usual(&world);
    let statement = peer.statement(&world, 1);
    let (unsigned, _) = statement.rsplit_once('.').unwrap();
    for garbage in [String::new(), "e30.e30.".to_owned(), format!("{unsigned}."), format!("{statement}x")] {
        let reply = peer.stated(&world, &garbage);
        assert_eq!((reply.status, problem(&reply).0.as_str()), (403, "statement_refused"), "{garbage}");
    }
    let why = "these proxy credentials are no statement of a keygress";
    for fields in [
        "Proxy-Authorization: Basic dGFzazp4\r\n".to_owned(),
        "Proxy-Authorization: Bearer agent\r\n".to_owned(),
        format!("Proxy-Authorization: Keygress {statement}\r\nProxy-Authorization: Keygress {statement}\r\n"),
    ] {
        refused(&peer.asked(&world, &fields), why);
    }
    // What is no statement names nobody: it is the peer itself that asks, and it is not `agent`.
    for fields in ["X-Keygress-Workload: agent\r\n", "X-Forwarded-Client-Cert: URI=spiffe://example.org/agent\r\n", ""] {
        assert_eq!(problem(&peer.asked(&world, fields)).0, "caller_not_allowed", "{fields}");
    }
    assert!(world.echo.seen().is_empty());
}

#[test]
fn a_connection_ends_with_the_authority_that_vouched_for_it() {
    let world = World::usual();
    let mut peer = Raw::usual(&world);
    let first = peer.statement(&world, 1);
    assert_eq!(peer.stated(&world, &first).status, 200);
    std::fs::write(world.site.upstream_ca(), std::fs::read(Site::new().unwrap().upstream_ca()).unwrap()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    for number in 2.. {
        let statement = peer.statement(&world, number);
        let reply = peer.stated(&world, &statement);
        if reply.status == 403 {
            assert_eq!(problem(&reply).0, "peer_refused");
            break;
        }
        assert!(reply.status == 200 && Instant::now() < deadline, "{reply:?}");
        // Four times a second is often enough: what is waited for is a clock.
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// curl that takes the broker for a proxy over TLS, with this certificate.
fn curl(world: &World, certificate: Option<&Certificate>, version: &str) -> (Reply, String) {
    let mut curl = bare(tools::program("curl").unwrap());
    let port = world.broker.mutual().unwrap().port();
    let ca = world.site.folder().join("keygress-ca.pem");
    curl.args(["--silent", "--show-error", "--max-time", "60", version, "--resolve", &format!("broker.test:{port}:127.0.0.1")]);
    curl.args(["--proxy", &format!("https://broker.test:{port}"), "--proxy-cacert"]).arg(world.site.upstream_ca()).arg("--cacert").arg(ca);
    if let Some(certificate) = certificate {
        let own = world.site.write("curl.pem", &certificate.certificate).unwrap();
        curl.arg("--proxy-cert").arg(own).arg("--proxy-key").arg(world.site.write_secret("curl.key", &certificate.key).unwrap());
    }
    curl_reply(curl.arg(format!("https://echo.test:{}/hello", world.echo.port))).unwrap()
}

#[test]
fn a_workload_with_a_certificate_of_its_own_needs_no_sidecar() {
    let world = World::new("  pod: { mtls: { dns_name: pod.test } }", "pod", "");
    let own = world.site.certificate("pod.test", Validity::Current).unwrap();
    for version in ["--http1.1", "--http2"] {
        assert_eq!(curl(&world, Some(&own), version).0.status, 200);
    }
    world.injected(2);
    let line = world.broker.await_record("\"activity\":\"used\"").unwrap();
    assert!(line.contains("\"peer\":\"pod.test\"") && line.contains("\"workload\":\"pod\""), "{line}");
}

#[test]
fn a_certificate_that_proves_nothing_is_refused_in_words() {
    let world = World::usual();
    let strangers = Site::new().unwrap();
    for (certificate, why) in [
        (world.svid(Validity::Expired), "the client certificate has expired"),
        (strangers.svid(SIDECAR, Validity::Current).unwrap(), "the client certificate comes from an authority that is not trusted"),
        (
            world.site.svid("https://example.org/not-spiffe", Validity::Current).unwrap(),
            "the client certificate has neither a SPIFFE ID nor a DNS name",
        ),
    ] {
        let mut peer = Raw::connect(&world, &certificate);
        let statement = peer.statement(&world, 1);
        let reply = peer.stated(&world, &statement);
        assert_eq!((reply.status, problem(&reply)), (403, ("peer_refused".into(), why.into())));
        let line = world.broker.await_record(why).unwrap();
        assert!(line.contains("\"code\":\"peer_refused\"") && line.contains("\"activity\":\"denied\""), "{line}");
    }
    assert!(world.echo.seen().is_empty());
}
