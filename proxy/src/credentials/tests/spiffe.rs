//! The SPIFFE Workload API against a fake that follows its published definition (workload.proto) over gRPC on a Unix socket; SPIRE itself
//! is in `cargo gate --full`.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keygress_policy::Source as _;
use tokio::net::UnixListener;
use tokio::sync::watch;

use super::keys::Key;
use super::*;

/// Messages that an agent sends, each when its turn comes, and the status at the end of what is no stream.
#[derive(Clone)]
struct Said {
    messages: Vec<Vec<u8>>,
    status: &'static str,
}

/// A field of Protocol Buffers.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 0x7f {
        field.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(bytes);
    field
}

fn x509_response(ids: &[&str]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut leaves = Vec::new();
    let mut response = Vec::new();
    for id in ids {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.subject_alt_names = vec![rcgen::SanType::URI((*id).try_into().unwrap())];
        params.not_after = (std::time::SystemTime::now() + Duration::from_secs(3600)).into();
        let leaf = params.self_signed(&key).unwrap().der().to_vec();
        let chain = [leaf.clone(), leaf.clone()].concat();
        let svid = [field(1, id.as_bytes()), field(2, &chain), field(3, &key.serialize_der()), field(4, b"bundle")].concat();
        response.extend(field(1, &svid));
        leaves.push(leaf);
    }
    // What later versions may add is passed over: a number, and fixed 32 and 64 bits.
    response.extend([9 << 3, 0x96, 0x01, 10 << 3 | 5, 1, 2, 3, 4, 11 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8]);
    (response, leaves)
}

/// An agent on this socket; how many messages a stream has had so far is what `turn` says.
fn agent(world: &World, said: impl Fn(&str, &[u8]) -> Said + Send + Sync + 'static, turn: watch::Receiver<usize>) -> PathBuf {
    let socket = world.path("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let said = Arc::new(said);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (said, turn) = (Arc::clone(&said), turn.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (said, mut turn) = (Arc::clone(&said), turn.clone());
                async move {
                    let (head, body) = request.into_parts();
                    let asked = body.collect().await.unwrap().to_bytes();
                    let proven = head.headers.get("workload.spiffe.io").is_some_and(|value| value == "true");
                    let answer = if proven { said(head.uri.path(), &asked[5..]) } else { Said { messages: Vec::new(), status: "3" } };
                    let (sender, receiver) = tokio::sync::mpsc::channel::<Frame<Bytes>>(1);
                    tokio::spawn(async move {
                        for (number, message) in answer.messages.iter().enumerate() {
                            if turn.wait_for(|turn| *turn > number).await.is_err() {
                                return;
                            }
                            let prefix = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes()].concat();
                            // In two pieces, as a stream may arrive.
                            let _ = sender.send(Frame::data(Bytes::from(prefix))).await;
                            let _ = sender.send(Frame::data(Bytes::from(message.clone()))).await;
                        }
                        if answer.status == "open" {
                            return sender.closed().await;
                        }
                        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), answer.status.parse().unwrap())]);
                        let _ = sender.send(Frame::trailers(trailers)).await;
                    });
                    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
                        receiver.recv().await.map(|frame| (Ok::<_, Infallible>(frame), receiver))
                    });
                    let mut response = Response::new(StreamBody::new(Box::pin(frames)));
                    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
                    Ok::<_, Infallible>(response)
                }
            });
            tokio::spawn(hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
        }
    });
    socket
}

async fn fetch(source: &str) -> Result<Fetched, String> {
    let source = source_of(source);
    assert_eq!(source.complaints(), []);
    let tools = Tools::new(Arc::new(rustls::RootCertStore::empty()));
    let result = source.provider().fetch(&tools, &purpose()).await;
    if let Err(reason) = &result {
        assert!(!reason.contains("canary"), "{reason}");
    }
    result
}

#[tokio::test]
async fn a_jwt_svid_is_asked_for_by_audience_and_lives_as_long_as_it_says() {
    let world = World::new().await;
    let key = Key::es256(&world);
    let signed = format!("self_signed_jwt: {{ key: {}, claims: {{ sub: \"spiffe://acme/keygress\" }}, lifetime: 10m }}", key.yaml());
    let Material::Token(token) = fetch(&signed).await.unwrap().material else { panic!("a token") };
    let given = token.expose().to_vec();
    let answer = move |path: &str, asked: &[u8]| {
        assert_eq!(path, "/SpiffeWorkloadAPI/FetchJWTSVID");
        if asked == [field(1, b"orders"), field(2, b"spiffe://acme/keygress")].concat() || asked == field(1, "o".repeat(300).as_bytes()) {
            let svid = [field(1, b"spiffe://acme/keygress"), field(2, &given), field(3, b"hint")].concat();
            return Said { messages: vec![field(1, &svid)], status: "0" };
        }
        match asked {
            asked if asked == field(1, b"none") => Said { messages: vec![Vec::new()], status: "0" },
            asked if asked == field(1, b"bent") => Said { messages: vec![b"canary".to_vec()], status: "0" },
            asked if asked == field(1, b"opaque") => Said { messages: vec![field(1, &field(2, b"canary"))], status: "0" },
            _ => Said { messages: Vec::new(), status: "7" },
        }
    };
    let (_turn, turns) = watch::channel(9);
    let socket = agent(&world, answer, turns).display().to_string();
    let source = |more: &str| format!("spiffe_jwt: {{ socket: {socket}, {more} }}");
    for more in ["audience: orders, id: \"spiffe://acme/keygress\"".to_owned(), format!("audience: {}", "o".repeat(300))] {
        let fetched = fetch(&source(&more)).await.unwrap();
        assert!(matches!(&fetched.material, Material::Token(held) if held.is(token.expose())) && fetched.handle.is_none());
        assert!((590..=600).contains(&fetched.lifetime.unwrap().as_secs()));
    }
    for (audience, expected) in [
        ("other", "answered `PermissionDenied`: it has no identity for the process of keygress; register it"),
        ("none", "gave no JWT-SVID"),
        ("bent", "gave no JWT-SVID"),
        ("opaque", "gave a JWT-SVID that does not say when it ends"),
    ] {
        let reason = fetch(&source(&format!("audience: {audience}"))).await.unwrap_err();
        assert_eq!(reason, format!("the SPIFFE Workload API {expected}"));
    }
    let nowhere = fetch("spiffe_jwt: { socket: /nowhere/agent.sock, audience: a }").await.unwrap_err();
    assert!(nowhere.starts_with("the SPIFFE Workload API takes no connection at `/nowhere/agent.sock`"), "{nowhere}");
}

#[tokio::test]
async fn it_is_the_subject_of_an_exchange() {
    let world = World::new().await;
    let key = Key::es256(&world);
    let signed = format!("self_signed_jwt: {{ key: {}, claims: {{ sub: \"spiffe://acme/keygress\" }} }}", key.yaml());
    let Material::Token(token) = fetch(&signed).await.unwrap().material else { panic!("a token") };
    let given = token.expose().to_vec();
    let (_turn, turns) = watch::channel(9);
    let answer = move |_: &str, _: &[u8]| Said { messages: vec![field(1, &field(2, &given))], status: "0" };
    let socket = agent(&world, answer, turns).display().to_string();
    let expected = String::from_utf8(token.expose().to_vec()).unwrap();
    let fake = super::fake::Fake::start(move |seen| {
        assert_eq!(seen.parameter("subject_token").as_deref(), Some(expected.as_str()));
        let kind = "urn:ietf:params:oauth:token-type:access_token";
        (200, format!(r#"{{"access_token":"canary","token_type":"Bearer","expires_in":60,"issued_token_type":"{kind}"}}"#))
    })
    .await;
    let source = format!(
        "oauth2_token_exchange: {{ token_url: \"{}\", subject: {{ spiffe_jwt: {{ socket: {socket}, audience: sts }} }} }}",
        fake.url("/")
    );
    assert!(matches!(&fetch(&source).await.unwrap().material, Material::Token(token) if token.is(b"canary")));
}

#[tokio::test]
async fn the_x509_svid_of_the_named_identity_is_a_certificate() {
    let world = World::new().await;
    let (response, leaves) = x509_response(&["spiffe://acme/one", "spiffe://acme/two"]);
    let (_turn, turns) = watch::channel(9);
    let socket = agent(&world, move |_, _| Said { messages: vec![response.clone()], status: "open" }, turns).display().to_string();
    for (more, leaf) in [("", &leaves[0]), (", id: \"spiffe://acme/two\"", &leaves[1])] {
        let fetched = fetch(&format!("spiffe_x509: {{ socket: {socket}{more} }}")).await.unwrap();
        let Material::Certificate { chain, .. } = &fetched.material else { panic!("a certificate") };
        assert_eq!(chain, &[leaf.clone(), leaf.clone()]);
        assert!((3500..=3600).contains(&fetched.lifetime.unwrap().as_secs()));
    }
    let reason = fetch(&format!("spiffe_x509: {{ socket: {socket}, id: \"spiffe://acme/three\" }}")).await.unwrap_err();
    assert_eq!(reason, "the SPIFFE Workload API gave no X.509-SVID for `spiffe://acme/three`");
}

#[tokio::test]
async fn a_rotated_svid_is_fetched_at_once() {
    let world = World::new().await;
    let (first, second) = (x509_response(&["spiffe://acme/a"]).0, x509_response(&["spiffe://acme/a"]).0);
    let (turn, turns) = watch::channel(1);
    let seen = turns.clone();
    // A stream that begins later begins with what holds then.
    let answer = move |_: &str, _: &[u8]| {
        let messages = if *seen.borrow() == 1 { vec![first.clone(), second.clone()] } else { vec![second.clone()] };
        Said { messages, status: "open" }
    };
    let socket = agent(&world, answer, turns).display().to_string();
    let source = format!("spiffe_x509: {{ socket: {socket} }}");
    let mut kept = Arc::into_inner(credential("api", &source)).unwrap();
    kept.injection = Injection::compile(&serde_saphyr::from_str::<Shape>("mutual_tls").unwrap()).unwrap();
    let slot = world.credentials.slot(&Arc::new(kept), Holder::Shared);
    let before = slot.wait().await.unwrap().fingerprint.clone();
    turn.send_replace(2);
    let rotated = async {
        while slot.ready().is_none_or(|ready| ready.fingerprint == before) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), rotated).await.unwrap();
}

#[test]
fn what_is_wrong_with_a_shape_is_said_when_the_policy_loads() {
    let complaints = |yaml: &str| source_of(yaml).complaints().into_iter().map(|(message, _)| message).collect::<Vec<_>>();
    assert_eq!(
        complaints("spiffe_jwt: { socket: /, audience: \"\", id: acme/a }"),
        ["`/` is not the path of a file", "`acme/a` is no SPIFFE ID", "`audience` is empty"]
    );
    assert_eq!(complaints("spiffe_x509: { socket: /run/agent.sock, id: \"spiffe://\" }"), ["`spiffe://` is no SPIFFE ID"]);
}
